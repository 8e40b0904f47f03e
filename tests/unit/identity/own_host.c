/* own_host: a folder under /tmp, and scripts in it. */
#include "tests/unit/identity/own_host.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "tests/unit/test.h"

char host_root[] = "/tmp/identity-host-XXXXXX";
char *host_home, *host_bin;

static const char testparm[] =
    "#!/bin/sh\nfor a; do case $a in --parameter-name=*) p=${a#*=} ;; esac; done\n"
    "sed -n \"s/^ *$p = //p\" @/etc/samba/smb.conf | tail -1\n";

void host_begin(void)
{
    memcpy(host_root + sizeof "/tmp/identity-host-" - 1, "XXXXXX", 6);
    assert_non_null(mkdtemp(host_root));
    host_home = xasprintf("%s/cutover", host_root);
    host_bin = xasprintf("%s/bin:/usr/bin:/bin", host_root);
    host_program("testparm", testparm);
}

void host_end(void)
{
    const char *const argv[] = {"rm", "-rf", "--", host_root, NULL};
    const struct program_call c = {.argv = argv};
    struct program_output o;
    if (program_run(&c, &o, NULL) == 0)
        program_done(&o);
    free(host_home);
    free(host_bin);
}

void host_put(const char *name, const char *text, unsigned mode)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", host_root, name);
    CLEANUP(mem_free) char *folder = xmemdup(path, (size_t)(strrchr(path, '/') - path));
    assert_int_equal(file_mkdirs(folder, 0700), 0);
    assert_int_equal(file_write(path, mode, text, strlen(text)), 0);
}

char *host_get(const char *name)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", host_root, name);
    char *text = NULL;
    size_t len = 0;
    return file_read(path, 1 << 20, &text, &len) < 0 ? xstrdup("(none)") : text;
}

void host_assert_file(const char *name, const char *want)
{
    CLEANUP(mem_free) char *now = host_get(name);
    assert_string_equal(now, want);
}

void host_program(const char *name, const char *text)
{
    char *all = xstrdup(""), *more;
    CLEANUP(mem_free) char *path = xasprintf("bin/%s", name);
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, "@");
        more = xasprintf("%s%.*s%s", all, (int)n, at, at[n] ? host_root : "");
        free(all);
        all = more;
        at += n + (at[n] != '\0');
    }
    host_put(path, all, 0700);
    free(all);
}

bool host_called(const char *what)
{
    CLEANUP(mem_free) char *all = host_get("calls");
    return strstr(all, what) != NULL;
}

char *host_text(const char *s)
{
    return (char *)(uintptr_t)s;
}
