#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is between a client and a service, and means no good.

    relay.py PORT TARGET_PORT LOG MODE [NUMBER]

Relays TCP connections. MODE is what happens to the first of them, once as many
bytes have passed as NUMBER says; later ones are relayed as they are:

    pass        nothing
    trickle     nothing, but a few bytes at a time, all connections
    stall-up    no more goes to the service
    stall-down  no more comes from it
    pause-up    no more goes to the service for three seconds
    cut-down    the connection ends after that byte of the service
    flip-up     one bit of that byte to the service is another
    flip-down   one bit of that byte from it is another

The log gets a line for each connection, and one for each end of a client.
"""
import socket
import sys
import threading
import time

port, target, log, mode = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
number = int(sys.argv[5]) if len(sys.argv) > 5 else 0


def tell(text):
    with open(log, "a", encoding="ascii") as f:
        f.write(text + "\n")


def treat(action, passed, data):
    """What becomes of the bytes after `passed` others; None: the end."""
    if action == "stall" and passed + len(data) > number:
        return data[: max(0, number - passed)]
    if action == "cut" and passed + len(data) > number:
        return None
    if action == "flip" and passed <= number < passed + len(data):
        at = number - passed
        return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
    return data


def pump(source, sink, action, name):
    passed = 0
    try:
        while True:
            data = source.recv(7 if mode == "trickle" else 65536)
            if not data:
                break
            out = treat(action, passed, data)
            if out is None:
                break
            if action == "pause" and passed <= number < passed + len(data):
                time.sleep(3)
            passed += len(data)
            sink.sendall(out)
            if action == "stall" and passed > number:
                tell("stalled")
                time.sleep(3600)
    except OSError:
        pass
    if name:
        tell(name)
    for s in (source, sink):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client, first):
    service = socket.create_connection(("127.0.0.1", target))
    for s in (client, service):
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    what, _, where = mode.partition("-")
    up = what if first and where == "up" else ""
    down = what if first and where == "down" else ""
    threading.Thread(target=pump, args=(service, client, down, ""), daemon=True).start()
    pump(client, service, up, "end")


listener = socket.create_server(("127.0.0.1", port))
count = 0
while True:
    accepted, _ = listener.accept()
    count += 1
    tell("connection")
    threading.Thread(target=serve, args=(accepted, count == 1), daemon=True).start()
