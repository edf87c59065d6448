#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a disk may hold after the power went, from a journal of power_shim.c.

power_loss.py list JOURNAL
    where a record ends, a line each: the moments at which it may go

power_loss.py image|forget JOURNAL AT SEED FROM TO
    puts one of the many things into the folder TO that may be left of the
    folder FROM, empty at the start, when it goes after AT bytes of the journal;
    "forget": as if nothing had been synced

The model. What was written before the start of a sync of its file that had
ended is there. Of later writes each sector of 512 bytes is old or new by
chance, in any order. Names of a folder (made, renamed, removed) come in their
order, but without a sync of the folder any number of the last ones may be
missing. Files that are mapped into memory and never synced (SQLite's -shm) are
rubbish.
"""
import os
import random
import struct
import sys

HEAD = struct.Struct("=cQQQI")
SECTOR = 512


def records(path):
    """(end, kind, inode, a, bytes) of each record"""
    with open(path, "rb") as f:
        data = f.read()
    at = 0
    while at + HEAD.size <= len(data):
        kind, inode, a, _, length = HEAD.unpack_from(data, at)
        at += HEAD.size + length
        if at > len(data):
            break
        yield at, kind.decode(), inode, a, data[at - length : at]


class File:
    """What of a file is sure to be on the disk, and what is on its way"""

    def __init__(self, data=b""):
        self.data = bytearray(data)
        self.pending = []

    def settle(self, upto):
        """A sync that began when the journal had `upto` bytes"""
        while self.pending and self.pending[0][0] <= upto:
            self.apply(*self.pending.pop(0)[1:])

    def apply(self, kind, a, data):
        if kind == "t":
            del self.data[a:]
            self.data.extend(bytes(a - len(self.data)))
            return
        self.data.extend(bytes(max(0, a + len(data) - len(self.data))))
        self.data[a : a + len(data)] = data

    def lose(self, chance):
        """The power goes"""
        keep = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        for _, kind, a, data in self.pending:
            if kind == "t":
                if chance.random() < keep:
                    self.apply(kind, a, data)
                continue
            done = 0
            while done < len(data):
                part = min(len(data) - done, SECTOR - (a + done) % SECTOR)
                if chance.random() < keep:
                    self.apply("w", a + done, data[done : done + part])
                done += part
        self.pending = []


class Folder:
    """Names of a folder: those on the disk, and the changes on their way"""

    def __init__(self):
        self.names = {}
        self.pending = []

    def change(self, gone, name, inode):
        if gone:
            self.names.pop(gone, None)
        if name:
            self.names[name] = inode

    def settle(self, upto):
        while self.pending and self.pending[0][0] <= upto:
            self.change(*self.pending.pop(0)[1:])

    def lose(self, chance):
        for _, *change in self.pending[: chance.randint(0, len(self.pending))]:
            self.change(*change)
        self.pending = []


class Disk:
    """All that the journal tells of, from an empty start"""

    def __init__(self, real):
        self.files, self.folders, self.now = {}, {}, {}
        for folder, _, _ in os.walk(real):
            self.folders[os.path.normpath(folder)] = Folder()
            self.now[os.stat(folder).st_ino] = os.path.normpath(folder)

    def at(self, end, kind, inode, a, data):
        if kind == "c":  # the number may have been another file's
            self.now[inode] = len(self.files)
            self.files[self.now[inode]] = File()
        inode = self.now.get(inode)
        if kind in "wt":
            self.files[inode].pending.append((end, kind, a, data))
        elif kind == "s":
            (self.folders if inode in self.folders else self.files)[inode].settle(a)
        elif kind == "c":
            self.name(end, b"", data, inode)
        elif kind == "u":
            self.name(end, data, b"", inode)
        elif kind == "m":
            gone, name = data.split(b"\0")
            self.name(end, gone, name, inode)

    def name(self, end, gone, name, inode):
        folder = os.path.dirname((name or gone).decode())
        gone, name = (os.path.basename(path.decode()) for path in (gone, name))
        self.folders[folder].pending.append((end, gone, name, inode))

    def lose(self, chance):
        for each in list(self.files.values()) + list(self.folders.values()):
            each.lose(chance)

    def write(self, real, to, chance):
        for folder, there in self.folders.items():
            out = os.path.normpath(os.path.join(to, os.path.relpath(folder, real)))
            os.makedirs(out, mode=0o700, exist_ok=True)
            for name, inode in there.names.items():
                data = self.files[inode].data
                if name.endswith("-shm"):
                    data = chance.randbytes(32768)
                path = os.path.join(out, name)
                with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
                    f.write(data)


def main():
    if sys.argv[1:2] == ["list"] and len(sys.argv) == 3:
        for end, *_ in records(sys.argv[2]):
            print(end)
        return
    if sys.argv[1:2] not in (["image"], ["forget"]) or len(sys.argv) != 7:
        sys.exit(__doc__)
    _, how, journal, at, seed, real, to = sys.argv
    chance = random.Random(int(seed))
    disk = Disk(os.path.normpath(real))
    for record in records(journal):
        if record[0] > int(at):
            break
        if how == "image" or record[1] != "s":
            disk.at(*record)
    disk.lose(chance)
    disk.write(os.path.normpath(real), to, chance)


main()
