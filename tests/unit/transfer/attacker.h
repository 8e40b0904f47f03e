/* attacker: a process of an ordinary user that keeps swapping entries of a folder it owns while
 * root copies from or to it. */
#pragma once
#include <stdint.h>
#include <sys/types.h>

#define ATTACKER_UID 65534U

enum trick {
    TRICK_SYMLINK,  /* target ↔ a symbolic link to lure */
    TRICK_HARDLINK, /* target ↔ a hard link to a secret, of which stash has many */
    TRICK_TEMP,     /* any temporary name becomes a symbolic link to lure */
    TRICK_TEMP_HARD,
    TRICK_FOLDER, /* target (a folder) is moved away and back, a link in its place meanwhile */
};

struct attack {
    enum trick trick;
    const char *folder; /* absolute; the attacker's own */
    const char *target; /* a name in it */
    const char *lure;   /* absolute path of what must not be touched */
    const char *stash;  /* folder of the attacker with hard links "0", "1", … to the secret */
};

/* Starts it; it runs until stopped. */
pid_t attacker_start(const struct attack *a);
uint64_t attacker_swaps(void); /* so far */
/* How often it had its bait in place. */
uint64_t attacker_stop(pid_t pid);
