#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Sealed files from docs/file-format.md alone, to compare with our own.

  stream_peer.py seal [NAME=VALUE...] <plain >sealed    $KEY names the key, and
                                                        $FORMAT=1 the old one
  stream_peer.py open <sealed >plain
  stream_peer.py vectors FOLDER                         tests/vectors/stream

seal and open get the data key from the service, with the command line tool.
"""
import base64, hashlib, hmac, json, os, struct, subprocess, sys
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC = b"\x89HFS\r\n\x1a\n"
LABEL = b"holdfast sealed file v1"


def cbor(context):
    def head(major, n):
        if n < 24:
            return bytes([major | n])
        return bytes([major | 24, n]) if n < 256 else struct.pack(">BH", major | 25, n)

    texts = [[head(0x60, len(s.encode())) + s.encode() for s in pair] for pair in context.items()]
    return head(0xA0, len(texts)) + b"".join(k + v for k, v in sorted(texts)) if texts else b""


def derive(data_key, bound):
    info = LABEL + hashlib.sha256(bound).digest()
    out = HKDF(SHA256(), 71, bound[24:56], info).derive(data_key)
    return out[:32], AESGCM(out[32:64]), out[64:]


def nonce(prefix, index, last):
    return prefix + struct.pack(">IB", index, last)


def seal(plain, data_key, wrapped, salt, name, chunk=65536, context={}, version=None):
    version = version or (2 if context else 1)

    def header(size):
        c = cbor(context)
        bound = MAGIC + struct.pack(">HHIII", version, 1, size, chunk, len(c)) + salt + c
        commitment, aead, prefix = derive(data_key, bound)
        slot = struct.pack(">H", len(name)) + name.encode() + struct.pack(">H", len(wrapped)) + wrapped
        return bound + commitment + slot, aead, prefix

    size = -(-len(header(0)[0]) // 512) * 512
    out, aead, prefix = header(size)
    sealed = [out.ljust(size, b"\0")]
    chunks = max(1, -(-len(plain) // chunk))
    for i in range(chunks):
        part = plain[i * chunk : (i + 1) * chunk]
        sealed.append(aead.encrypt(nonce(prefix, i, i == chunks - 1), part, None))
    return b"".join(sealed)


def parse(sealed):
    version, suite, size, chunk, context = struct.unpack(">HHIII", sealed[8:24])
    assert sealed[:8] == MAGIC and version in (1, 2) and suite == 1 and len(sealed) >= size
    assert version == 1 or context
    bound, rest = sealed[: 56 + context], sealed[56 + context : size]
    n = struct.unpack(">H", rest[32:34])[0]
    name, rest2 = rest[34 : 34 + n].decode(), rest[34 + n :]
    w = struct.unpack(">H", rest2[:2])[0]
    assert not any(rest2[2 + w :])
    return size, chunk, bound, rest[:32], name, rest2[2 : 2 + w]


def unseal(sealed, unwrap):
    size, chunk, bound, commitment, name, wrapped = parse(sealed)
    bind = pairs if bound[9] == 2 else as_data
    expected, aead, prefix = derive(unwrap(name, wrapped, bind(bound[56:])), bound)
    assert hmac.compare_digest(expected, commitment), "commitment"
    body, plain = sealed[size:], []
    chunks = max(1, -(-len(body) // (chunk + 16)))
    for i in range(chunks):
        part = body[i * (chunk + 16) : (i + 1) * (chunk + 16)]
        plain.append(aead.decrypt(nonce(prefix, i, i == chunks - 1), part, None))
    return b"".join(plain)


def uncbor(data):
    def head(at):
        n = data[at] & 31
        return (n, at + 1) if n < 24 else (data[at + 1], at + 2) if n == 24 else (*struct.unpack(">H", data[at + 1 : at + 3]), at + 3)

    texts, (count, at) = [], head(0)
    for _ in range(2 * count):
        n, at = head(at)
        texts.append(data[at : at + n].decode())
        at += n
    assert at == len(data)
    return dict(zip(texts[::2], texts[1::2]))


# What the data key is bound to: version 2, and version 1.
def pairs(context):
    return [arg for pair in uncbor(context).items() for arg in ("--context", "=".join(pair))]


def as_data(context):
    if not context:
        return []
    with open("context.aad", "wb") as f:
        f.write(context)
    return ["--associated-data", "@context.aad"]


def holdfast(*args, stdin=b""):
    return subprocess.run(["holdfast", *args], input=stdin, check=True, stdout=subprocess.PIPE).stdout


def new_data_key(name, bind):
    reply = json.loads(holdfast("datakey", name, "-o", "json", *bind))
    _, version, body = reply["ciphertext"].split(":")
    return base64.b64decode(reply["plaintext"]), struct.pack(">I", int(version[1:])) + base64.b64decode(body)


def pattern(n):
    return bytes(i * i % 251 for i in range(n))


VECTORS = {  # name: bytes of plaintext, size of a chunk, context, version
    "empty": (0, 65536, {}),
    "short": (20, 65536, {"tenant": "acme"}),
    "one-chunk": (4096, 4096, {}),
    "three-chunks": (2 * 4096 + 1, 4096, {"tenant": "acme", "a": "", "purpose": "x" * 300, "größe": "µ"}),
    "short-1": (20, 65536, {"tenant": "acme"}, 1),
}


def main(verb, *args):
    if verb == "vectors":
        for i, (name, (size, chunk, context, *version)) in enumerate(VECTORS.items()):
            key, salt, wrapped = (hashlib.sha256(b"%s %d" % (w, i)).digest() for w in (b"key", b"salt", b"wrapped"))
            with open(os.path.join(args[0], name + ".sealed"), "wb") as f:
                f.write(seal(pattern(size), key, b"\0\0\0\x03" + wrapped, salt, "payments", chunk, context, *version))
    elif verb == "seal":
        context = dict(a.split("=", 1) for a in args)
        version = int(os.environ.get("FORMAT", "2")) if context else 1
        key, wrapped = new_data_key(os.environ["KEY"], (pairs if version == 2 else as_data)(cbor(context)))
        chunk = int(os.environ.get("CHUNK", "65536"))
        sys.stdout.buffer.write(seal(sys.stdin.buffer.read(), key, wrapped, os.urandom(32), os.environ["KEY"], chunk, context, version))
    else:
        unwrap = lambda name, wrapped, bind: holdfast("decrypt", name, *bind, stdin=wrapped)
        try:
            sys.stdout.buffer.write(unseal(sys.stdin.buffer.read(), unwrap))
        except (InvalidTag, AssertionError) as e:
            sys.exit("not authentic: %r" % e)


main(*sys.argv[1:])
