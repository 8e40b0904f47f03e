#!/usr/bin/python3
"""domain: changes of the lab's directory that Samba's tools would take a start each for. Runs on the controller."""
import socket
import sys

import ldb
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB

PASSWORD = "Lab-Passw0rd"


def directory():
    lp = LoadParm()
    lp.load_default()
    return SamDB(lp=lp, session_info=system_session())


def address(sam, old, new):
    """Every A record with the address of the provisioning gets the controller's."""
    old, new = socket.inet_aton(old), socket.inet_aton(new)
    for base in sam.search(base="", scope=ldb.SCOPE_BASE, attrs=["namingContexts"])[0]["namingContexts"]:
        if not str(base).startswith("DC="):
            continue
        for node in sam.search(base=str(base), expression="(objectClass=dnsNode)", attrs=["dnsRecord"]):
            records = [bytes(r) for r in node.get("dnsRecord", [])]
            changed = [r[:-4] + new if r.endswith(old) else r for r in records]
            if changed != records:
                message = ldb.Message(node.dn)
                message["dnsRecord"] = ldb.MessageElement(changed, ldb.FLAG_MOD_REPLACE, "dnsRecord")
                sam.modify(message)


def user(sam, *names):
    """NAME[:UID[:GID]]: the ids are the directory's own (rfc2307), for the back end ad."""
    for name, *ids in (n.split(":") for n in names):
        sam.newuser(name, PASSWORD, uidnumber=ids[0] if ids else None, gidnumber=ids[1] if len(ids) > 1 else None,
                    uid=name if ids else None, loginshell="/bin/sh" if ids else None,
                    unixhome="/home/" + name if ids else None)


def group(sam, name, *members):
    """NAME[:GID] MEMBER…"""
    name, *ids = name.split(":")
    sam.newgroup(name, gidnumber=ids[0] if ids else None, nisdomain="lab" if ids else None)
    if members:
        sam.add_remove_group_members(name, members, add_members_operation=True)


{"address": address, "user": user, "group": group}[sys.argv[1]](directory(), *sys.argv[2:])
