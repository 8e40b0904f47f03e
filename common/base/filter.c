/* filter: which names of a tree are left out. Knows no file system. Any thread. */
#include "common/base/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/filter_priv.h"
#include "common/base/mem.h"
#include "common/base/sha256.h"
#include "common/base/text.h"

/* What Windows keeps for itself on a volume; such names mean nothing elsewhere. A file's name holds
 * for files only, a folder's for folders. */
static const char *const windows_folders[] = {
    "Windows",
    "Program Files",
    "Program Files (x86)",
    "Program Data",
    "Users",
    "$Recycle.bin",
    "Recycler",
    "Recycled",
    "$UpgDrv$",
    "$SysReset",
    "$Windows.~BT",
    "$Windows.~LS",
    "Windows.old",
    "boot",
    "Recovery",
    "Documents and Settings",
    "System Volume Information",
};
static const char *const windows_files[] = {
    "pagefile.sys", "hiberfil.sys", "swapfile.sys", "winpepge.sys",
    "config.sys",   "bootsect.bak", "bootmgr",      "bootnxt",
};

struct pattern {
    char *glob;
    size_t len;
    bool anchored;    /* began with a slash: from the root on */
    bool whole;       /* has a slash: against the path, not the last name */
    bool folder_only; /* ended with a slash */
};

struct filter {
    struct pattern *exclude, *include;
    size_t nexclude, ninclude;
    bool windows;
    uint64_t min_size, max_size;
    int64_t oldest_ms, newest_ms;
    uint64_t key;
};

/* ── making one ── */

static void pattern_read(struct pattern *p, const char *text, size_t len)
{
    p->folder_only = len > 0 && text[len - 1] == '/';
    len -= p->folder_only;
    p->anchored = len > 0 && text[0] == '/';
    text += p->anchored;
    len -= p->anchored;
    p->whole = p->anchored || memchr(text, '/', len) != NULL || strstr(text, "**") != NULL;
    p->glob = xmemdup(text, len);
    p->len = len;
}

static int refuse(const char *text, const char *what, struct fault *reterr)
{
    char *shown = text_quote(text, strnlen(text, 80));
    int rc = fault_set(reterr, FAULT_STOP_JOB, EINVAL, "the pattern %s %s", shown, what);
    free(shown);
    return rc;
}

static const char *wrong_with(const char *text, size_t len)
{
    if (len == 0 || strspn(text, "/") == len)
        return "names nothing";
    if (len > FILTER_PATTERN_MAX)
        return "(cut) is longer than 1000 bytes";
    if (strstr(text, "//"))
        return "has an empty name in it";
    if (text[0] == '@')
        return "is not a set that is known: there is @windows (write \\@ for the character)";
    return glob_check(text, len);
}

static int read_list(const char *const *texts, size_t n, bool sets, struct filter *f,
                     struct pattern **ret, size_t *retn, struct fault *reterr)
{
    if (n > FILTER_PATTERNS_MAX)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "more than %d patterns in one list",
                         FILTER_PATTERNS_MAX);
    *ret = xcalloc(n ? n : 1, sizeof **ret);
    for (size_t i = 0; i < n; i++) {
        if (sets && strcmp(texts[i], "@windows") == 0) {
            f->windows = true;
            continue;
        }
        size_t len = strlen(texts[i]);
        const char *wrong = wrong_with(texts[i], len);
        if (wrong)
            return refuse(texts[i], wrong, reterr);
        pattern_read(&(*ret)[(*retn)++], texts[i], len);
    }
    return 0;
}

static void key_text(struct sha256 *s, const struct pattern *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char flags[3] = {(char)('0' + p[i].anchored), (char)('0' + p[i].whole),
                               (char)('0' + p[i].folder_only)};
        sha256_add(s, flags, sizeof flags);
        sha256_add(s, p[i].glob, p[i].len + 1);
    }
    sha256_add(s, "", 1);
}

static uint64_t key_of(const struct filter *f)
{
    const uint64_t limits[] = {f->min_size, f->max_size, f->oldest_ms != 0, f->newest_ms != 0,
                               f->windows};
    uint8_t digest[SHA256_LEN];
    uint64_t key = 0;
    struct sha256 *s = sha256_new();
    sha256_begin(s);
    key_text(s, f->exclude, f->nexclude);
    key_text(s, f->include, f->ninclude);
    sha256_add(s, limits, sizeof limits);
    sha256_end(s, digest);
    (void)sha256_free(s);
    memcpy(&key, digest, sizeof key);
    return key ? key : 1;
}

int filter_new(struct filter **ret, const struct filter_conf *conf, struct fault *reterr)
{
    CLEANUP(filter_free) struct filter *f = xcalloc(1, sizeof *f);
    int rc = read_list(conf->exclude, conf->nexclude, true, f, &f->exclude, &f->nexclude, reterr);
    if (rc == 0)
        rc = read_list(conf->include, conf->ninclude, false, f, &f->include, &f->ninclude, reterr);
    if (rc < 0)
        return rc;
    f->min_size = conf->min_size;
    f->max_size = conf->max_size;
    f->oldest_ms = conf->oldest_ms;
    f->newest_ms = conf->newest_ms;
    if (f->ninclude > 0 && f->nexclude == 0 && !f->windows)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "include names exceptions from exclude, and nothing is excluded");
    if (f->max_size && f->min_size > f->max_size)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "the least size is above the largest: nothing would be left");
    *ret = NULL;
    if (f->nexclude == 0 && !f->windows && !filter_has_limits(f))
        return 0;
    f->key = key_of(f);
    *ret = f;
    f = NULL;
    return 0;
}

static void free_list(struct pattern *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(p[i].glob);
    free(p);
}

struct filter *filter_free(struct filter *f)
{
    if (f) {
        free_list(f->exclude, f->nexclude);
        free_list(f->include, f->ninclude);
        free(f);
    }
    return NULL;
}

/* ── asking it ── */

/* Not anchored: against the path and against each end of it that begins behind a slash. */
static bool pattern_takes(const struct pattern *p, const char *path, size_t len, const char *name,
                          size_t name_len, bool is_folder)
{
    if (p->folder_only && !is_folder)
        return false;
    if (!p->whole)
        return glob_match(p->glob, p->len, name, name_len);
    for (size_t at = 0;;) {
        if (glob_match(p->glob, p->len, path + at, len - at))
            return true;
        const char *slash = p->anchored ? NULL : memchr(path + at, '/', len - at);
        if (!slash)
            return false;
        at = (size_t)(slash - path) + 1;
    }
}

static bool any_takes(const struct pattern *p, size_t n, const char *path, size_t len,
                      const char *name, size_t name_len, bool is_folder)
{
    for (size_t i = 0; i < n; i++)
        if (pattern_takes(&p[i], path, len, name, name_len, is_folder))
            return true;
    return false;
}

static bool is_windows(const char *name, size_t len, bool is_folder)
{
    const char *const *names = is_folder ? windows_folders : windows_files;
    size_t n = is_folder ? ARRAY_SIZE(windows_folders) : ARRAY_SIZE(windows_files);
    for (size_t i = 0; i < n; i++)
        if (strlen(names[i]) == len && strncasecmp(names[i], name, len) == 0)
            return true;
    return false;
}

static bool left_out(const struct filter *f, const char *path, size_t len, bool is_folder)
{
    const char *slash = memrchr(path, '/', len);
    const char *name = slash ? slash + 1 : path;
    size_t n = len - (size_t)(name - path);
    bool out = (f->windows && !slash && is_windows(name, n, is_folder)) ||
               any_takes(f->exclude, f->nexclude, path, len, name, n, is_folder);
    return out && !any_takes(f->include, f->ninclude, path, len, name, n, is_folder);
}

bool filter_name(const struct filter *f, const char *folder, size_t folder_len, const char *name,
                 size_t name_len, bool is_folder)
{
    char small[1024];
    size_t len = folder_len + (folder_len > 0) + name_len;
    if (f->nexclude == 0 && !f->windows)
        return false;
    char *path = len < sizeof small ? small : xmalloc(len + 1);
    memcpy(path, folder, folder_len);
    if (folder_len > 0)
        path[folder_len] = '/';
    memcpy(path + len - name_len, name, name_len);
    bool out = left_out(f, path, len, is_folder);
    if (path != small)
        free(path);
    return out;
}

bool filter_path(const struct filter *f, const char *path, size_t len, bool is_folder)
{
    if (f->nexclude == 0 && !f->windows)
        return false;
    for (size_t i = 1; i < len; i++)
        if (path[i] == '/' && left_out(f, path, i, true))
            return true;
    return len > 0 && left_out(f, path, len, is_folder);
}

bool filter_has_limits(const struct filter *f)
{
    return f->min_size || f->max_size || f->oldest_ms || f->newest_ms;
}

bool filter_has_ages(const struct filter *f)
{
    return f->oldest_ms || f->newest_ms;
}

bool filter_file(const struct filter *f, uint64_t size, int64_t changed_ms)
{
    return size < f->min_size || (f->max_size && size > f->max_size) ||
           (f->oldest_ms && changed_ms < f->oldest_ms) ||
           (f->newest_ms && changed_ms > f->newest_ms);
}

uint64_t filter_key(const struct filter *f)
{
    return f->key;
}

bool filter_matches(const char *pattern, const char *path, bool is_folder)
{
    struct pattern p = {.glob = NULL};
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    pattern_read(&p, pattern, strlen(pattern));
    bool takes = pattern_takes(&p, path, strlen(path), name, strlen(name), is_folder);
    free(p.glob);
    return takes;
}
