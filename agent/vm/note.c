/* note: a small text file, written anew with each line. Worker threads. */
#include "agent/vm/note.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/beneath.h"
#include "agent/vm/device.h"
#include "agent/vm/used.h"
#include "agent/vm/virt.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define LINES_MAX 1024
#define FIELDS 3

struct line {
    enum note_what what;
    char *field[FIELDS]; /* "" where there is none */
};

struct note {
    char *folder, *path;
    struct line *lines;
    size_t n;
};

static const char *const words[] = {
    [NOTE_FOLDER] = "folder",   [NOTE_PLACED] = "placed",   [NOTE_MOVED] = "moved",
    [NOTE_DEFINED] = "defined", [NOTE_STARTED] = "started", [NOTE_RAN] = "ran",
    [NOTE_PAUSED] = "paused",   [NOTE_SAVED] = "saved",     [NOTE_AUTOSTART] = "autostart",
    [NOTE_BLANK] = "blank",     [NOTE_LOCKED] = "locked",   [NOTE_FACT] = "fact",
};

static bool text_ok(const char *s)
{
    size_t len = strnlen(s, NOTE_PATH_MAX + 1);
    if (len > NOTE_PATH_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (iscntrl((unsigned char)s[i]))
            return false;
    return true;
}

bool note_path_ok(const char *path)
{
    return path[0] == '/' && text_ok(path) && beneath_valid(path + 1, strlen(path + 1));
}

char *note_folder(const char *state_dir, const char *move)
{
    return xasprintf("%s/vm/%s", state_dir, move);
}

/* ── reading ── */

static int take(struct note *n, char *text)
{
    const char *field[FIELDS + 1] = {text, "", "", ""};
    size_t k = 0;
    for (char *at = text; *at && k < FIELDS; at++)
        if (*at == '\t') {
            *at = '\0';
            field[++k] = at + 1;
        }
    for (size_t w = 0; w < ARRAY_SIZE(words); w++) {
        if (strcmp(words[w], text) != 0 || n->n == LINES_MAX)
            continue;
        n->lines = xrealloc(n->lines, (n->n + 1) * sizeof *n->lines);
        struct line *l = &n->lines[n->n++];
        l->what = (enum note_what)w;
        for (size_t i = 0; i < FIELDS; i++)
            l->field[i] = xstrdup(field[i + 1]);
        return 0;
    }
    return -EBADMSG;
}

int note_open(const char *state_dir, const char *move, const char *stage, struct note **ret)
{
    CLEANUP(note_free) struct note *n = xcalloc(1, sizeof *n);
    CLEANUP(mem_free) char *data = NULL;
    size_t len = 0;
    n->folder = note_folder(state_dir, move);
    n->path = xasprintf("%s/%s.note", n->folder, stage);
    int rc = file_read(n->path, NOTE_MAX, &data, &len);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    if (data && strlen(data) != len)
        return -EBADMSG;
    for (char *at = data; at && *at;) {
        char *end = strchr(at, '\n');
        if (!end)
            return -EBADMSG;
        *end = '\0';
        if (take(n, at) < 0)
            return -EBADMSG;
        at = end + 1;
    }
    *ret = n;
    n = NULL;
    return 0;
}

struct note *note_free(struct note *n)
{
    if (!n)
        return NULL;
    for (size_t i = 0; i < n->n; i++)
        for (size_t k = 0; k < FIELDS; k++)
            free(n->lines[i].field[k]);
    free(n->lines);
    free(n->folder);
    free(n->path);
    free(n);
    return NULL;
}

/* ── writing ── */

static const struct line *find(const struct note *n, enum note_what what, const char *a)
{
    for (size_t i = 0; i < n->n; i++)
        if (n->lines[i].what == what && strcmp(n->lines[i].field[0], a) == 0)
            return &n->lines[i];
    return NULL;
}

static int save(const struct note *n)
{
    CLEANUP(mem_free) char *text = xstrdup("");
    size_t len = 0;
    for (size_t i = 0; i < n->n; i++) {
        const struct line *l = &n->lines[i];
        CLEANUP(mem_free)
        char *line =
            xasprintf("%s\t%s\t%s\t%s\n", words[l->what], l->field[0], l->field[1], l->field[2]);
        size_t more = strlen(line);
        if (len + more > NOTE_MAX)
            return -EFBIG;
        text = xrealloc(text, len + more + 1);
        memcpy(text + len, line, more + 1);
        len += more;
    }
    int rc = file_mkdirs(n->folder, 0700);
    return rc < 0 ? rc : file_write(n->path, 0600, text, len);
}

int note_add(struct note *n, enum note_what what, const char *a, const char *b, const char *c)
{
    const char *const fields[FIELDS] = {a, b ? b : "", c ? c : ""};
    const struct line *old = find(n, what, a);
    if (old && strcmp(old->field[1], fields[1]) == 0)
        return 0;
    for (size_t i = 0; i < FIELDS; i++)
        if (!text_ok(fields[i]))
            return -EINVAL;
    if (n->n == LINES_MAX)
        return -ENOSPC;
    n->lines = xrealloc(n->lines, (n->n + 1) * sizeof *n->lines);
    struct line *l = &n->lines[n->n++];
    l->what = what;
    for (size_t i = 0; i < FIELDS; i++)
        l->field[i] = xstrdup(fields[i]);
    return save(n);
}

bool note_has(const struct note *n, enum note_what what, const char *a)
{
    return find(n, what, a) != NULL;
}

const char *note_fact(const struct note *n, const char *name)
{
    const struct line *l = find(n, NOTE_FACT, name);
    return l ? l->field[1] : NULL;
}

bool note_is_empty(const struct note *n)
{
    return n->n == 0;
}

char *note_identity(const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return NULL;
    return xasprintf("%llx:%llx", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
}

/* ── the way back ── */

int note_remove_tree(const char *path)
{
    const char *slash = strrchr(path, '/');
    CLEANUP(mem_free) char *parent = xasprintf("%.*s", (int)(slash - path), path);
    CLEANUP(fd_close)
    int dir = open(*parent ? parent : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    uint64_t removed = 0;
    if (dir < 0)
        return errno == ENOENT ? 0 : -errno;
    int rc = beneath_remove(dir, slash + 1, &removed);
    return rc == -ENOENT ? 0 : rc;
}

/* Only what we put there: another file of that name is somebody else's. */
static int remove_placed(const char *path, const char *identity)
{
    CLEANUP(mem_free) char *now = note_identity(path);
    if (!now || strcmp(now, identity) != 0)
        return 0;
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int move_back(const char *was, const char *is, const char *mode)
{
    struct stat st;
    if (lstat(is, &st) < 0)
        return errno == ENOENT && access(was, F_OK) == 0 ? 0 : -errno;
    int rc = file_rename_new(is, was);
    if (rc < 0)
        return rc;
    return *mode && chmod(was, (mode_t)strtoul(mode, NULL, 8)) < 0 ? -errno : 0;
}

/* What was saved counts as long as nobody who went on from it wrote to the disks. */
static int go_on(const char *uuid, const char *memory, struct virt *v, struct fault *reterr)
{
    char *xml = NULL;
    if (access(memory, R_OK) < 0 || used_is(memory, true) ||
        v->ops->saved(v, memory, &xml, reterr) < 0) /* half of it: the power was cut */
        return v->ops->start(v, uuid, reterr);
    explicit_bzero(xml, strlen(xml));
    free(xml);
    return v->ops->restore(v, memory, NULL, reterr);
}

static int undo_machine(const struct line *l, struct virt *v, struct fault *reterr)
{
    struct virt_sight s;
    const char *uuid = l->field[0];
    int rc = v ? v->ops->sight(v, uuid, &s, reterr) : -ENOTCONN;
    if (rc < 0)
        return rc;
    if (l->what == NOTE_DEFINED)
        return s.is != VIRT_ABSENT && s.defined ? v->ops->undefine(v, uuid, reterr) : 0;
    if (l->what == NOTE_STARTED)
        return s.is == VIRT_RUNNING || s.is == VIRT_PAUSED ? v->ops->destroy(v, uuid, reterr) : 0;
    if (l->what == NOTE_AUTOSTART)
        return s.defined ? v->ops->autostart(v, uuid, true, reterr) : 0;
    if (l->what == NOTE_SAVED)
        return s.is == VIRT_OFF ? go_on(uuid, l->field[1], v, reterr) : 0;
    if (l->what == NOTE_PAUSED && s.is == VIRT_PAUSED)
        return v->ops->resume(v, uuid, reterr);
    return l->what == NOTE_RAN && s.is == VIRT_OFF ? v->ops->start(v, uuid, reterr) : 0;
}

static int undo_line(const struct line *l, struct virt *v, struct fault *reterr)
{
    int rc = 0;
    reterr->text[0] = '\0';
    switch (l->what) {
    case NOTE_FOLDER:
        rc = note_remove_tree(l->field[0]);
        break;
    case NOTE_PLACED:
        rc = remove_placed(l->field[0], l->field[1]);
        break;
    case NOTE_MOVED:
        rc = move_back(l->field[0], l->field[1], l->field[2]);
        break;
    case NOTE_DEFINED:
    case NOTE_STARTED:
    case NOTE_RAN:
    case NOTE_PAUSED:
    case NOTE_SAVED:
    case NOTE_AUTOSTART:
        rc = undo_machine(l, v, reterr);
        break;
    case NOTE_BLANK:
        rc = device_wipe(l->field[0], l->field[1]);
        break;
    case NOTE_LOCKED:
        rc = device_lock(l->field[0], l->field[1], false);
        break;
    case NOTE_FACT:
        break;
    }
    if (rc < 0 && !reterr->text[0])
        (void)fault_set(reterr, FAULT_RETRY, -rc, "cannot take back %s '%.120s': %s",
                        words[l->what], l->field[0], strerror(-rc));
    return rc;
}

int note_undo(struct note *n, struct virt *v, struct fault *reterr)
{
    bool some = n->n > 0;
    for (size_t i = n->n; i-- > 0;) {
        int rc = undo_line(&n->lines[i], v, reterr);
        if (rc < 0)
            return rc;
    }
    int rc = note_drop(n);
    return rc < 0 ? rc : some;
}

int note_drop(struct note *n)
{
    if (unlink(n->path) < 0 && errno != ENOENT)
        return -errno;
    return 0;
}

int note_forget(const char *state_dir, const char *move)
{
    CLEANUP(mem_free) char *folder = note_folder(state_dir, move);
    return note_remove_tree(folder);
}
