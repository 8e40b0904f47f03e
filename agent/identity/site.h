/* site: the host that is worked on, so that tests can have one of their own. Only a struct. */
#pragma once

struct undo;

struct site {
    const char *root;   /* before every path of the host; "" in life */
    const char *search; /* folders of programs; NULL: the system's */
    const char *folder; /* STATE_DIR/identity/PAIR, 0700: plan, journal, databases */
    struct undo *undo;  /* NULL: nothing is changed */
};
