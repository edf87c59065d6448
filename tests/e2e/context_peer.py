#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bound contexts from docs/transit.md alone, to compare with our own.

  context_peer.py seal TYPE KEYFILE [--aad AAD] [NAME=VALUE...] <plain >ciphertext
  context_peer.py open TYPE KEYFILE [--aad AAD] [NAME=VALUE...] <ciphertext >plain
  context_peer.py aad NAME=VALUE...     what is authenticated, as it is

The ciphertext is in the text form, of version 1.
"""
import base64, os, struct, sys
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305


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


def main():
    if sys.argv[1] == "aad":
        sys.stdout.buffer.write(bound(dict(pair.split("=", 1) for pair in sys.argv[2:]), b""))
        return
    what, kind, keyfile, *rest = sys.argv[1:]
    aad = b""
    if rest[:1] == ["--aad"]:
        aad, rest = rest[1].encode(), rest[2:]
    aad = bound(dict(pair.split("=", 1) for pair in rest), aad)
    with open(keyfile, "rb") as f:
        aead = (ChaCha20Poly1305 if "chacha" in kind else AESGCM)(f.read())
    data = sys.stdin.buffer.read()
    if what == "seal":
        nonce = os.urandom(12)
        body = nonce + aead.encrypt(nonce, data, aad)
        sys.stdout.write("vault:v1:" + base64.b64encode(body).decode())
        return
    body = base64.b64decode(data.split(b":")[2])
    try:
        sys.stdout.buffer.write(aead.decrypt(body[:12], body[12:], aad))
    except InvalidTag:
        sys.exit("does not open")


main()
