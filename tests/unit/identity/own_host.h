/* own_host: a host of the test's own: a folder as its root, programs that say and do what the test
 * lets them. */
#pragma once
#include <stdbool.h>

extern char host_root[];
extern char *host_home, *host_bin; /* of the notes; where programs are looked for */

void host_begin(void); /* empty, but for `testparm`, which reads its smb.conf */
void host_end(void);
void host_put(const char *name, const char *text, unsigned mode);
char *host_get(const char *name); /* malloc'd; "(none)" */
void host_assert_file(const char *name, const char *want);
/* A script; the host's root stands for @ in it. */
void host_program(const char *name, const char *text);
/* Was a program told this? Scripts write what they are told to @/calls. */
bool host_called(const char *what);
char *host_text(const char *s); /* for a message: only packed */
