/* keytab: the machine's Kerberos keys in their file, for other services than Samba: made when users
 * are served, for it takes most of the time of a join. Process with rights. */
#pragma once
#include "agent/identity/ads.h"
#include "agent/identity/stage.h"

#define KEYTAB_DUE "keytab.due" /* among the notes */

/* Before a join: the option by which it leaves the file alone, and from then on the file is due at
 * this controller. NULL: the join has to write it, or nobody wants one. -errno with a fault. */
int keytab_put_off(struct stage_run *r, const char *dc, const char **retoption);
/* Writes what is due; 1, 0 where nothing is, -errno with a fault: it stays due. */
int keytab_make(struct stage_run *r);
bool keytab_is_due(const struct stage_run *r);
/* The join is taken back: so is what was due. */
int keytab_forget(struct stage_run *r);
