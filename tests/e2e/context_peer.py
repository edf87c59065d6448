#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bound contexts and keys that commit, from docs/transit.md alone.

  context_peer.py seal [--format F] TYPE KEYFILE [--aad AAD] [NAME=VALUE...] <plain >ciphertext
  context_peer.py open [--format F] TYPE KEYFILE [--aad AAD] [NAME=VALUE...] <ciphertext >plain
  context_peer.py aad NAME=VALUE...     what is authenticated, as it is
  context_peer.py attack FORMAT KEYFILE KEYFILE >ciphertext
  context_peer.py vectors               for tests/keyd/key_commit_test.c

Ciphertexts are in the text form, of version 1. Formats are plain (Vault's),
derived (keys that commit, at level wrapped) and padded (at level hsm).

attack makes a ciphertext of AES-256-GCM that opens under both keys, but for
what the format has against that, and says on stderr what the two plaintexts
are; it fails if it does not itself open under both.
"""
import base64, hashlib, hmac, os, struct, sys
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def cbor(context):
    def text(s):
        b = s.encode()
        n = len(b)
        head = bytes([0x60 | n]) if n < 24 else bytes([0x78, n]) if n < 256 else struct.pack(">BH", 0x79, n)
        return head + b

    n = len(context)
    head = bytes([0xA0 | n]) if n < 24 else bytes([0xB8, n])
    return head + b"".join(text(k) + text(v) for k, v in sorted(context.items(), key=lambda p: text(p[0])))


def bound(context, aad):
    if not context:
        return aad
    c = cbor(context)
    return b"holdfast-context-v1\0" + struct.pack(">I", len(c)) + c + aad


def aead_of(kind, key):
    return (ChaCha20Poly1305 if "chacha" in kind else AESGCM)(key)


def derive(kind, key, salt, aad):
    info = b"holdfast-committing-v1\0" + kind.encode() + b"\0" + hashlib.sha256(aad).digest()
    size = 16 if kind == "aes128-gcm96" else 32
    out = HKDF(SHA256(), 32 + size + 12, salt, info).derive(key)
    return out[:32], out[32 : 32 + size], out[32 + size :]


def seal(fmt, kind, key, aad, plain, salt=None):
    if fmt == "derived":
        salt = salt or os.urandom(32)
        commitment, key, nonce = derive(kind, key, salt, aad)
        return salt + commitment + aead_of(kind, key).encrypt(nonce, plain, None)
    nonce = os.urandom(12)
    pad = bytes(32) if fmt == "padded" else b""
    return nonce + aead_of(kind, key).encrypt(nonce, pad + plain, aad)


def unseal(fmt, kind, key, aad, body):
    if fmt == "derived":
        commitment, key, nonce = derive(kind, key, body[:32], aad)
        if not hmac.compare_digest(commitment, body[32:64]):
            raise InvalidTag
        return aead_of(kind, key).decrypt(nonce, body[64:], None)
    plain = aead_of(kind, key).decrypt(body[:12], body[12:], aad)
    if fmt == "padded":
        if not hmac.compare_digest(plain[:32], bytes(32)):
            raise InvalidTag
        return plain[32:]
    return plain


# -- One ciphertext, two keys: GHASH is linear, so a block is solved for --


def gf_mul(x, y):
    z = 0
    for i in range(127, -1, -1):
        if y >> i & 1:
            z ^= x
        x = x >> 1 ^ (0xE1 << 120 if x & 1 else 0)
    return z


def gf_inverse(x):  # x^(2^128 - 2)
    r = 1 << 127
    for _ in range(127):
        x = gf_mul(x, x)
        r = gf_mul(r, x)
    return r


def block(key, data):
    e = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return e.update(data) + e.finalize()


def number(data):
    return int.from_bytes(data, "big")


def collide(key1, key2, nonces, blocks):
    """ciphertext and tag that open under (key, nonce) of both; the last block is solved for"""
    sums, powers = [], []
    lengths = (len(blocks) + 1) * 128
    for key, nonce in zip((key1, key2), nonces):
        h, y = number(block(key, bytes(16))), 0
        for b in [*blocks, bytes(16)]:
            y = gf_mul(y ^ number(b), h)
        y = gf_mul(y ^ lengths, h)
        sums.append(y ^ number(block(key, nonce + b"\0\0\0\1")))
        powers.append(gf_mul(h, h))  # the last block is multiplied by h twice
    last = gf_mul(sums[0] ^ sums[1], gf_inverse(powers[0] ^ powers[1]))
    tag = sums[0] ^ gf_mul(last, powers[0])
    return b"".join(blocks) + last.to_bytes(16, "big") + tag.to_bytes(16, "big")


def attack(fmt, key1, key2):
    salt, nonce = os.urandom(32), os.urandom(12)
    if fmt == "derived":  # with the commitment of the first key
        commitment, k1, n1 = derive("aes256-gcm96", key1, salt, b"")
        _, k2, n2 = derive("aes256-gcm96", key2, salt, b"")
        inner = collide(k1, k2, (n1, n2), [os.urandom(16)] * 2)
        head, opened = salt + commitment, [(k1, n1), (k2, n2)]
    else:
        blocks = [os.urandom(16)] * 2
        if fmt == "padded":  # zeros for the first key
            blocks = [block(key1, nonce + struct.pack(">I", i)) for i in (2, 3)]
        inner = collide(key1, key2, (nonce, nonce), blocks)
        head, opened = nonce, [(key1, nonce), (key2, nonce)]
    both = [AESGCM(k).decrypt(n, inner, None) for k, n in opened]
    assert both[0] != both[1]
    print("opens to", both[0].hex(), "and", both[1].hex(), file=sys.stderr)
    return head + inner


def text_form(body):
    return "vault:v1:" + base64.b64encode(body).decode()


def vectors():
    for i, kind in enumerate(("aes256-gcm96", "aes128-gcm96", "chacha20-poly1305")):
        key = hashlib.sha256(b"key %d" % i).digest()[: 16 if "128" in kind else 32]
        salt = hashlib.sha256(b"salt %d" % i).digest()
        print(kind, seal("derived", kind, key, bound({"tenant": "acme"}, b"xyz"), b"attack at dawn", salt).hex())


def main():
    what, *rest = sys.argv[1:]
    if what == "vectors":
        return vectors()
    if what == "aad":
        return sys.stdout.buffer.write(bound(dict(pair.split("=", 1) for pair in rest), b""))
    if what == "attack":
        return print(text_form(attack(rest[0], *(open(f, "rb").read() for f in rest[1:]))), end="")
    fmt = "plain"
    if rest[0] == "--format":
        fmt, rest = rest[1], rest[2:]
    kind, keyfile, *rest = rest
    aad = b""
    if rest[:1] == ["--aad"]:
        aad, rest = rest[1].encode(), rest[2:]
    aad = bound(dict(pair.split("=", 1) for pair in rest), aad)
    with open(keyfile, "rb") as f:
        key = f.read()
    data = sys.stdin.buffer.read()
    if what == "seal":
        sys.stdout.write(text_form(seal(fmt, kind, key, aad, data)))
        return
    try:
        sys.stdout.buffer.write(unseal(fmt, kind, key, aad, base64.b64decode(data.split(b":")[2])))
    except InvalidTag:
        sys.exit("does not open")


main()
