#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Looks for secrets in the memory of a process: memory_scan.py PID FILE...

Each FILE holds a secret, of 16 bytes or more. For each a line: its name, and
how often it is there (any 16 bytes in a row of it, in this or, as big numbers
are kept, in the other order of bytes) in memory that

    locked   is locked (never on the disk of a swap) and left out of core dumps
    open     is neither; named with the map it is in
"""
import os
import re
import sys

PART = 16


def maps(pid):
    """(start, end, name, flags) of each readable map"""
    found = []
    with open(f"/proc/{pid}/smaps") as f:
        for line in f:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)", line)
            if head:
                found.append([int(head[1], 16), int(head[2], 16), head[4], head[3]])
            elif line.startswith("VmFlags:"):
                found[-1].append(line.split()[1:])
    return [(m[0], m[1], m[2] or "anonymous", m[4]) for m in found if m[3][0] == "r"]


def parts(secret):
    """Where a secret was wiped but for its end, the end is found"""
    step = max(1, len(secret) // 4)
    cuts = [secret[i : i + PART] for i in range(0, len(secret) - PART + 1, step)]
    return set(cuts + [cut[::-1] for cut in cuts])


def main():
    pid, files = sys.argv[1], sys.argv[2:]
    secrets = {}
    for name in files:
        with open(name, "rb") as f:
            secrets[os.path.basename(name)] = parts(f.read())
    count = {name: {"locked": 0, "open": []} for name in secrets}
    with open(f"/proc/{pid}/mem", "rb") as memory:
        for start, end, name, flags in maps(pid):
            if name in ("[vvar]", "[vsyscall]", "[vvar_vclock]"):
                continue
            try:
                memory.seek(start)
                data = memory.read(end - start)
            except OSError:  # a guard page
                continue
            locked = "lo" in flags and "dd" in flags
            for secret, cuts in secrets.items():
                for cut in cuts:
                    times = data.count(cut)
                    if times and locked:
                        count[secret]["locked"] += times
                    elif times:
                        count[secret]["open"].append(name)
    for secret, found in count.items():
        print(secret, "locked", found["locked"], "open", len(found["open"]), *sorted(set(found["open"])))


main()
