#!/usr/bin/env python3
# outage: a client that uses a share every 50 ms, and when it could not: opens, writes, reads and deletes, on a connection
# of its own each time. Lines: when it began, when it ended (ms), "ok" or what went wrong.
#   outage.py ADDRESS SHARE USER PASSWORD FILE      until it is ended
#   outage.py --gap FILE                                 milliseconds from the last success before the longest pause to the next
import os
import signal
import sys
import time

def gap(path):
    done = sorted(int(l.split()[1]) for l in open(path) if l.rstrip().endswith(" ok"))
    print(max((b - a for a, b in zip(done, done[1:])), default=-1))

def once(address, share, creds, lp, n):
    c = libsmb.Conn(address, share, lp, creds)
    file = "outage-%d" % (n % 64)
    c.savefile(file, b"through")
    if c.loadfile(file) != b"through":
        raise RuntimeError("other bytes")
    c.unlink(file)

def main(address, share, user, password, path):
    lp = s3param.get_context()
    lp.load_default()
    creds = credentials.Credentials()
    creds.guess(lp)
    domain, _, account = user.rpartition("\\")
    creds.set_username(account)
    creds.set_domain(domain or "WORKGROUP")
    creds.set_password(password)
    creds.set_kerberos_state(credentials.DONT_USE_KERBEROS)
    out = open(path, "w", buffering=1)
    n = 0
    while True:
        n += 1
        began = time.monotonic()
        pid = os.fork()
        if pid == 0: # a try that hangs costs no other
            first = int(time.time() * 1000)
            try:
                signal.alarm(20)
                once(address, share, creds, lp, n)
                said = "ok"
            except BaseException as e:
                said = repr(e).replace("\n", " ")[:200]
            os.write(out.fileno(), b"%d %d %s\n" % (first, int(time.time() * 1000), said.encode()))
            os._exit(0)
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break
        time.sleep(max(0, 0.05 - (time.monotonic() - began)))

if sys.argv[1] == "--gap":
    gap(sys.argv[2])
else:
    from samba import credentials
    from samba.samba3 import libsmb_samba_internal as libsmb, param as s3param

    main(*sys.argv[1:6])
