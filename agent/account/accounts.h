/* accounts: the steps that bring local users and groups along: told by the source, made on the
 * destination before the first file, so that owners exist. Worker threads. */
#pragma once
#include <stdbool.h>

struct step;
struct step_result;

/* "accounts.inventory" */
void accounts_inventory(struct step *s, struct step_result *ret);
/* "accounts.apply" */
void accounts_apply(struct step *s, struct step_result *ret);
/* "accounts.give": the source tells digests of passwords and Samba's users, over a lane */
void accounts_give(struct step *s, struct step_result *ret);
/* "accounts.take": the destination puts them there */
void accounts_take(struct step *s, struct step_result *ret);

/* Samba here is a domain controller: its accounts belong to the domain. */
bool accounts_is_controller(void);
