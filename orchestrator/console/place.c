/* place: where the console keeps what belongs to a user. Main thread. */
#include "orchestrator/console/place.h"

#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"

char *place_user(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    if (state && state[0] == '/')
        path = xasprintf("%s/godwit", state);
    else if (home && home[0] == '/')
        path = xasprintf("%s/.local/state/godwit", home);
    if (path && file_mkdirs(path, 0700) == 0)
        return path;
    free(path);
    return NULL;
}
