/* place: where the console keeps what belongs to a user. Main thread. */
#pragma once

/* $XDG_STATE_HOME/godwit, else ~/.local/state/godwit; made, mode 0700. malloc'd; NULL when there is
 * no home. */
char *place_user(void);
