/* files: the steps of the files workload, one function each; files.c lists them for the dispatcher.
 */
#pragma once

struct step;
struct step_result;

void files_inventory(struct step *s, struct step_result *ret); /* inventory.c */
void files_prepare(struct step *s, struct step_result *ret);   /* prepare.c */
void files_receive(struct step *s, struct step_result *ret);   /* receive.c */
void files_send(struct step *s, struct step_result *ret);      /* send.c */
void files_clean(struct step *s, struct step_result *ret);     /* clean.c */
