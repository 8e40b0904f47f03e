/* capture_priv: what the files of a capture share. Worker thread. */
#pragma once
#include "agent/identity/stage.h"
#include "agent/share/smbconf.h"

/* What has to be the same on both hosts, though no stage makes it so. */
void capture_parity(const struct site *v, const struct smbconf *conf, Godwit__IdentityCapture *c);
void capture_add(char ***list, size_t *n, const char *text);
/* Standard output of a program that ended with 0; malloc'd, NULL otherwise. */
char *capture_ask(const struct site *v, const char *const *argv);
void capture_domain(const struct site *v, const struct smbconf *conf, Godwit__IdentityCapture *c);
/* The value behind "KEY: " at the beginning of a line; malloc'd, "" for none. */
char *capture_field(const char *text, const char *key);
