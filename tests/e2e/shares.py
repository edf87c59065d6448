# SPDX-License-Identifier: Apache-2.0
"""Shares of a master key (docs/operating.md) by another implementation.

    shares.py check FILE...        the number of keys' bytes, if they fit
    shares.py all FILE...          as check, for each subset that is enough
    shares.py make K N DIR FILE... new shares of the same keys
    shares.py type PROGRAM... < what is typed    with a terminal of its own

The field is computed by logarithms to the base of 0x03.
"""
import base64
import hashlib
import itertools
import os
import pty
import secrets
import sys
import termios
import time

POWERS = [1]
while len(POWERS) < 255:
    x = POWERS[-1] ^ (POWERS[-1] << 1)
    POWERS.append(x ^ 0x11b if x > 255 else x)
LOGS = {p: i for i, p in enumerate(POWERS)}


def multiply(a, b):
    return POWERS[(LOGS[a] + LOGS[b]) % 255] if a and b else 0


def divide(a, b):
    return POWERS[(LOGS[a] - LOGS[b]) % 255] if a else 0


def read(path):
    with open(path, encoding="ascii") as file:
        text = file.read().upper()
    digits = "".join(text[text.index("HFS1") + 4:].split()).replace("-", "")
    raw = base64.b32decode(digits + "=" * (-len(digits) % 8))
    assert len(raw) == 92 and raw[0] == 1, "not a share"
    assert hashlib.sha256(raw[:84]).digest()[:8] == raw[84:], "sum"
    return {"set": raw[1:9], "k": raw[9], "n": raw[10], "x": raw[11],
            "check": raw[12:20], "y": raw[20:84]}


def combine(shares):
    keys = bytearray(64)
    for s in shares:
        weight = 1
        for other in shares:
            if other is not s:
                weight = multiply(
                    weight, divide(other["x"], other["x"] ^ s["x"]))
        for i, y in enumerate(s["y"]):
            keys[i] ^= multiply(weight, y)
    return bytes(keys)


def check_of(keys):
    return hashlib.sha256(b"holdfast-share-check-v1" + keys).digest()[:8]


def checked(shares):
    keys = combine(shares)
    assert check_of(keys) == shares[0]["check"], "these do not give the keys"
    return keys


def evaluate(coefficients, x):
    y = 0
    for c in reversed(coefficients):
        y = multiply(y, x) ^ c
    return y


def make(keys, k, n, folder):
    name = secrets.token_bytes(8)
    polynomials = [[b] + list(secrets.token_bytes(k - 1)) for b in keys]
    for x in range(1, n + 1):
        raw = bytes([1]) + name + bytes([k, n, x]) + check_of(keys)
        raw += bytes(evaluate(p, x) for p in polynomials)
        raw += hashlib.sha256(raw).digest()[:8]
        with open(f"{folder}/other-{x}.txt", "w", encoding="ascii") as file:
            file.write("HFS1" + base64.b32encode(raw).decode().rstrip("="))


def type_in(program):
    """Types a line whenever the program waits with the terminal silent or
    asks for Enter; prints what came out."""
    lines = sys.stdin.read().splitlines()
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp(program[0], program)
    seen = b""
    while True:
        try:
            got = os.read(fd, 4096)
        except OSError:
            break
        if not got:
            break
        seen += got
        end = seen.rstrip()
        waits = end.endswith(b":") or end.endswith(b"it.") or \
            end.endswith(b"screen.")
        if waits and lines:
            # Once the program has turned the echo off, if it does.
            for _ in range(100):
                if end.endswith(b".") or \
                        not termios.tcgetattr(fd)[3] & termios.ECHO:
                    break
                time.sleep(0.02)
            seen += b"\n"
            os.write(fd, lines.pop(0).encode() + b"\n")
    sys.stdout.buffer.write(seen)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(verb, *rest):
    if verb == "type":
        return type_in(rest)
    if verb == "make":
        keys = checked([read(path) for path in rest[3:]])
        make(keys, int(rest[0]), int(rest[1]), rest[2])
        return 0
    shares = [read(path) for path in rest]
    subsets = [shares]
    if verb == "all":
        subsets = list(itertools.combinations(shares, shares[0]["k"]))
    print(len(subsets), len({checked(list(s)) for s in subsets}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
