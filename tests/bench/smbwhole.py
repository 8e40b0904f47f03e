#!/usr/bin/python3
# smbwhole: asks a share for whole descriptors, or for content and descriptors on one handle, of all paths on standard
# input (relative to the share, '/' between names), by Samba's own bindings in some processes at once; throws them away.
#   PASSWD=… smbwhole.py CONF HOST SHARE USER PROCESSES descriptors|both <PATHS
import os
import sys
from samba import credentials
from samba.dcerpc import security
from samba.param import LoadParm
from samba.samba3 import param
from samba.samba3 import libsmb_samba_internal as libsmb

conf, host, share, user, processes, what = sys.argv[1:7]
paths = [line.rstrip("\n").replace("/", "\\") for line in sys.stdin]
ALL = security.SECINFO_OWNER | security.SECINFO_GROUP | security.SECINFO_DACL | security.SECINFO_SACL
READ = 1
ACCESS = READ | security.SEC_STD_READ_CONTROL | security.SEC_FLAG_SYSTEM_SECURITY | 0x80


def run(number):
    lp = param.get_context()
    lp.load(conf)
    common = LoadParm()
    common.load(conf)
    creds = credentials.Credentials()
    creds.guess(common)
    creds.set_username(user)
    creds.set_password(os.environ["PASSWD"])
    creds.set_kerberos_state(credentials.DONT_USE_KERBEROS)
    conn = libsmb.Conn(host, share, lp, creds)
    for path in paths[number :: int(processes)]:
        handle = conn.create(path, DesiredAccess=ACCESS, ShareAccess=7)
        conn.get_sd(handle, ALL)
        if what == "both":
            while len(conn.read(handle, 0, 1 << 20)) == 1 << 20:
                pass
        conn.close(handle)


children = []
for n in range(int(processes)):
    pid = os.fork()
    if pid == 0:
        try:
            run(n)
        except Exception as e:
            print(e, file=sys.stderr)
            os._exit(1)
        os._exit(0)
    children.append(pid)
sys.exit(any([os.waitpid(pid, 0)[1] for pid in children]))
