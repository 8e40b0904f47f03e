"""ask: the helper of agent/access/ask.c, run as root with the right to become somebody else and no other."""
import grp, json, os, pwd, random, re, socket, stat, struct, subprocess, sys, traceback

FOLDER = sys.argv[1]
with open(FOLDER + "/request", "rb") as f:
    ask = json.load(f)


def raw(text):
    return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), text.encode())


def printable(data):
    text = data.decode("utf-8", "surrogateescape")
    return "".join(c if c.isprintable() and c != "\\" and not 0xDC80 <= ord(c) <= 0xDCFF
                   else "".join("\\x%02x" % b for b in c.encode("utf-8", "surrogateescape")) for c in text)


ROOT = raw(ask["root"])


# Sampling: descents by a seeded chance, so that the same seed finds the same files.
def descend(rng):
    at, rel = ROOT, b""
    for _ in range(40):
        try:
            names = sorted(os.listdir(at))[:100000]
        except OSError:
            return rel, True
        if not names or (rel and rng.random() < 0.15):
            return rel, True
        name = rng.choice(names)
        path = at + b"/" + name
        mode = os.lstat(path).st_mode
        if stat.S_ISDIR(mode):
            at, rel = path, rel + b"/" + name if rel else name
        elif stat.S_ISREG(mode):
            return (rel + b"/" + name if rel else name), False
    return rel, True


def people(path):
    """Owner, members of the group, users of ACL entries; the system's own accounts are none of them."""
    st = os.lstat(path)
    ids, groups = {st.st_uid}, {st.st_gid}
    for name in ("system.posix_acl_access", "system.posix_acl_default"):
        try:
            acl = os.getxattr(path, name, follow_symlinks=False)
        except OSError:
            continue
        for tag, _, i in struct.iter_unpack("<HHI", acl[4:4 + (len(acl) - 4) // 8 * 8]):
            (ids if tag == 2 else groups if tag == 8 else set()).add(i)
    names = set()
    for i in ids:
        try:
            if i >= 1000:
                names.add(pwd.getpwuid(i).pw_name)
        except KeyError:
            pass
    for i in groups:
        try:
            if i >= 1000:
                names.update(grp.getgrgid(i).gr_mem[:50])
        except KeyError:
            pass
    return {n for n in names if n != "nobody"}


def sample():
    rng = random.Random(ask["seed"])
    found = {}
    for _ in range(ask["count"] * 4):
        if len(found) >= ask["count"]:
            break
        try:
            rel, folder = descend(rng)
        except OSError:
            continue
        found[rel] = folder
    users = list(ask["users"])
    if not users:
        names = set()
        for rel in found:
            try:
                names |= people(ROOT + b"/" + rel)
            except OSError:
                pass
        users = sorted(names)
        rng.shuffle(users)
    return users[:ask["most_users"]], [{"p": printable(r), "d": found[r]} for r in sorted(found)]


if "paths" in ask:
    users, paths = ask["users"], ask["paths"]
else:
    users, paths = sample()
items = [(raw(p["p"]), p["d"]) for p in paths]


def full(rel):
    return ROOT + b"/" + rel if rel else ROOT


def name_of(e):
    import errno
    return errno.errorcode.get(e.errno, str(e.errno))


# The kernel's answer: in a child that is the user and nobody else.
def may_delete(path, st):
    above = os.path.dirname(path)
    if not os.access(above, os.W_OK | os.X_OK):
        return "EACCES"
    top = os.stat(above)
    if top.st_mode & stat.S_ISVTX and os.getuid() not in (st.st_uid, top.st_uid):
        return "EPERM"
    return ""


def local_one(rel, folder):
    path, out = full(rel), []
    try:
        st = os.lstat(path)
    except OSError as e:
        return [name_of(e)] * 3
    if stat.S_ISDIR(st.st_mode) != folder or not (folder or stat.S_ISREG(st.st_mode)):
        return ["?it is of another kind now"] * 3
    modes = [os.O_RDONLY | (os.O_DIRECTORY if folder else 0), None if folder else os.O_WRONLY]
    for mode in modes:
        try:
            if mode is None:
                out.append("" if os.access(path, os.W_OK | os.X_OK) else "EACCES")
            else:
                os.close(os.open(path, mode | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY))
                out.append("")
        except OSError as e:
            out.append(name_of(e))
    out.append(may_delete(path, st))
    return out


def local(user):
    try:
        who = pwd.getpwnam(user)
        groups = os.getgrouplist(user, who.pw_gid)
    except KeyError:
        return [["?there is no such user here"] * 3] * len(items)
    if who.pw_uid == 0:
        return [["?root is not asked"] * 3] * len(items)
    there, here = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(there)
            os.setgroups(groups)
            os.setresgid(who.pw_gid, who.pw_gid, who.pw_gid)
            os.setresuid(who.pw_uid, who.pw_uid, who.pw_uid)
            with os.fdopen(here, "w") as f:
                json.dump([local_one(*i) for i in items], f)
        except BaseException:
            os._exit(1)
        os._exit(0)
    os.close(here)
    with os.fdopen(there) as f:
        text = f.read()
    os.waitpid(child, 0)
    try:
        return json.loads(text)
    except ValueError:
        return [["?the user's process ended early"] * 3] * len(items)


# smbd's answer, in a session of the user. A password is not needed: for a domain's user this host's account asks
# the domain for a ticket to itself in the user's name (S4U2Self); for Samba's own users there is their digest.
def take(data, at):
    n = struct.unpack_from(">I", data, at)[0]
    return data[at + 4:at + 4 + n], at + 4 + n


def principal(data, at):
    n = struct.unpack_from(">I", data, at + 4)[0]
    at, parts = at + 8, []
    for _ in range(n + 1):
        part, at = take(data, at)
        parts.append(part)
    return parts, at


def readdress(path, host):
    """The ticket is for the host's account and so for each of its services; the client looks for it by the
    service's name, and wants one that says it came with a log-on."""
    with open(path, "rb") as f:
        data = f.read()
    at = 4 + struct.unpack_from(">H", data, 2)[0]
    _, at = principal(data, at)
    _, begin = principal(data, at)
    parts, at = principal(data, begin)
    new = struct.pack(">II", 3, 2)
    for part in (parts[0], b"cifs", host.encode()):
        new += struct.pack(">I", len(part)) + part
    rest = bytearray(data[at:])
    _, flags = take(rest, 2)
    rest[flags + 18] |= 0x40
    with open(path, "wb") as f:
        f.write(data[:begin] + new + rest)


class Smb:
    def __init__(self):
        from samba import NTSTATUSError, credentials, ntstatus
        from samba.param import LoadParm
        from samba.samba3 import libsmb_samba_internal, param, passdb
        self.credentials, self.libsmb, self.passdb = credentials, libsmb_samba_internal, passdb
        self.Error = NTSTATUSError
        self.names = {getattr(ntstatus, n): n for n in dir(ntstatus) if n.startswith("NT_STATUS_")}
        self.lp, self.s3 = LoadParm(), param.get_context()
        self.lp.load("/etc/samba/smb.conf")
        self.s3.load("/etc/samba/smb.conf")
        self.host = socket.getfqdn()
        self.shares, self.homes = {}, None
        for name, values in self.sections():
            path = values.get("path", "").rstrip("/")
            if values.get("available") == "No" or values.get("printable") == "Yes":
                continue
            if name == "homes":
                self.homes = path
            elif path and "%" not in path:
                self.shares[os.fsencode(path)] = name

    def sections(self):
        """As testparm has them: with what is included, and with those of the registry."""
        out = subprocess.run(["testparm", "-s"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, timeout=20).stdout
        found = []
        for line in out.decode("utf-8", "surrogateescape").splitlines():
            if line.startswith("[") and line.endswith("]"):
                found.append((line[1:-1], {}))
            elif found and " = " in line:
                key, value = line.strip().split(" = ", 1)
                found[-1][1][key] = value
        return [f for f in found if f[0] != "global"]

    def home(self, user):
        """Where [homes] leads this user, by his own name; None: nowhere, or by what only smbd knows."""
        if self.homes is None or not re.fullmatch(r"[A-Za-z0-9._-]+", user):
            return None
        try:
            path = re.sub("%[SUu]", user, self.homes) or pwd.getpwnam(user).pw_dir.rstrip("/")
        except KeyError:
            return None
        return None if "%" in path or not path else os.fsencode(path)

    def place(self, rel, user):
        path = os.path.realpath(full(b"")) + (b"/" + rel if rel else b"")
        shares, home = self.shares, self.home(user)
        if home:
            shares = {**shares, home: user}
        best = max((p for p in shares if (path + b"/").startswith(p + b"/")), key=len, default=None)
        return (shares[best], path[len(best) + 1:]) if best is not None else (None, None)

    def run(self, *argv):
        p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
        if p.returncode:
            raise RuntimeError(p.stdout.decode(errors="replace").strip()[-100:])

    def is_self(self):
        """The name must lead here: another server's answer would be no answer."""
        with socket.socket() as s:
            s.bind((socket.gethostbyname(self.host), 0))

    def session(self, user):
        made = self.credentials.Credentials()
        made.guess(self.lp)
        try:
            digest = self.passdb.PDB(self.lp.get("passdb backend")).getsampwnam(user).nt_passwd
        except Exception:
            digest = None
        if digest:
            made.set_username(user)
            made.set_domain(self.lp.get("netbios name"))
            made.set_password_will_be_nt_hash(True)
            made.set_password(bytes(digest).hex())
            made.set_kerberos_state(self.credentials.DONT_USE_KERBEROS)
            return "127.0.0.1", made, "smbd, as a user of its own passdb"
        if not os.path.exists("/usr/bin/kvno"):
            raise RuntimeError("krb5-user is not installed")
        self.is_self()
        me, cache = self.lp.get("netbios name") + "$", FOLDER + "/user"
        os.environ["KRB5CCNAME"] = FOLDER + "/machine"
        self.run("kinit", "-k", me)
        if os.path.exists(cache):
            os.unlink(cache)
        sep = self.s3.get("winbind separator") or "\\"
        self.run("kvno", "-q", "-U", user.split(sep)[-1], "--out-cache", cache, me)
        readdress(cache, self.host)
        os.environ["KRB5CCNAME"] = cache
        made.set_kerberos_state(self.credentials.MUST_USE_KERBEROS)
        made.set_named_ccache("FILE:" + cache, self.credentials.SPECIFIED, self.lp)
        return self.host, made, "smbd, by a ticket to this host in the user's name"

    def right(self, conn, path, mask):
        try:
            f = conn.create(path, DesiredAccess=mask, CreateDisposition=1, ShareAccess=7)
            conn.close(f)
            return ""
        except self.Error as e:
            return self.names.get(e.args[0] & 0xFFFFFFFF, self.names.get(e.args[0], hex(e.args[0])))

    def one(self, conns, session, rel, user):
        share, inside = self.place(rel, user)
        if share is None:
            return ["?no share has it"] * 3
        try:
            name = inside.decode().replace("/", "\\")
        except UnicodeDecodeError:
            return ["?its name is not UTF-8"] * 3
        if share not in conns:
            try:
                conns[share] = self.libsmb.Conn(session[0], share, self.s3, session[1])
            except self.Error as e:
                conns[share] = self.names.get(e.args[0] & 0xFFFFFFFF, hex(e.args[0]))
        if isinstance(conns[share], str):
            return [conns[share]] * 3
        return [self.right(conns[share], name, mask) for mask in (0x1, 0x2, 0x10000)]

    def user(self, user):
        if all(self.place(i[0], user)[0] is None for i in items):
            return [["?no share has it"] * 3] * len(items), ""
        try:
            session = self.session(user)
        except Exception as e:
            why = "?" + (str(e).splitlines() or ["no session"])[-1][:120]
            return [[why] * 3] * len(items), ""
        conns = {}
        return [self.one(conns, session, i[0], user) for i in items], session[2]


try:
    smb = Smb()
    told = [smb.user(u) for u in users]
except Exception as e:
    why = "?no Samba with Python here: " + str(e)[:80]
    told = [([[why] * 3] * len(items), "")] * len(users)
json.dump({"users": users, "paths": paths, "local": [local(u) for u in users],
           "local_how": "the kernel, as the user's ids without any capability",
           "smb": [t[0] for t in told], "smb_how": [t[1] for t in told]}, sys.stdout)
