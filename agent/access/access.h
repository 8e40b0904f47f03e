/* access: the steps that ask who is who on this host, and who may open what. Worker threads. */
#pragma once

struct step;
struct step_result;

void access_identities(struct step *s, struct step_result *ret); /* identities.c */
void access_question(struct step *s, struct step_result *ret);   /* question.c */
