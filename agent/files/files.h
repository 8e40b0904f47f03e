/* files: the steps of the files workload, one function each; files.c lists them for the dispatcher.
 */
#pragma once

struct step;
struct step_result;

void files_inventory(struct step *s, struct step_result *ret); /* inventory.c */
void host_inventory(struct step *s, struct step_result *ret);  /* survey.c */
void host_probe(struct step *s, struct step_result *ret);      /* probe.c */
void files_prepare(struct step *s, struct step_result *ret);   /* prepare.c */
void files_map(struct step *s, struct step_result *ret);       /* mapping.c */
void files_receive(struct step *s, struct step_result *ret);   /* receive.c */
void files_send(struct step *s, struct step_result *ret);      /* send.c */
void files_push(struct step *s, struct step_result *ret);      /* push.c */
void files_verify(struct step *s, struct step_result *ret);    /* verify.c */
void files_sign(struct step *s, struct step_result *ret);      /* sign.c */
void files_seal(struct step *s, struct step_result *ret);      /* sign.c */
void files_failures(struct step *s, struct step_result *ret);  /* failed.c */
void quotas_apply(struct step *s, struct step_result *ret);    /* quotas.c */
void files_clean(struct step *s, struct step_result *ret);     /* clean.c */
void endpoint_shares(struct step *s, struct step_result *ret); /* endpoint_shares.c */
