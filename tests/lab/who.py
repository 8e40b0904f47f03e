#!/usr/bin/env python3
# who: which machines answer for an address, asked by ARP ten times a second. FILE gets a line "MS MAC…" whenever that
# changes, FILE.two one when two answered at once, twice in a row (a late answer alone is none).
#   who.py INTERFACE ADDRESS FILE      until it is ended
import socket
import struct
import sys
import time

def mac(b):
    return ":".join("%02x" % x for x in b)

def answers(s, mine, question, address):
    s.send(question)
    until, seen = time.monotonic() + 0.1, set()
    while (left := until - time.monotonic()) > 0:
        s.settimeout(left)
        try:
            p = s.recv(2048)
        except TimeoutError:
            break
        # A reply, to us, of who says to have it.
        if len(p) >= 42 and p[:6] == mine and p[20:22] == b"\0\2" and p[28:32] == address:
            seen.add(mac(p[22:28]))
    return seen

def main(interface, text, path):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
    s.bind((interface, 0x0806))
    mine, address = s.getsockname()[4], socket.inet_aton(text)
    # Nobody learns anything from who asks.
    question = b"\xff" * 6 + mine + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + mine + bytes(4) + bytes(6) + address
    last, before = None, set()
    out, two = open(path, "w", buffering=1), open(path + ".two", "w", buffering=1)
    while True:
        seen = answers(s, mine, question, address)
        line = "%d %s\n" % (time.time() * 1000, " ".join(sorted(seen)))
        if seen != last:
            out.write(line)
        if len(seen & before) > 1:
            two.write(line)
        last = before = seen

main(*sys.argv[1:4])
