/* take_priv: what the files of take share. Worker threads. */
#pragma once
#include "agent/share/samba.h"
#include "agent/share/take.h"
#include "common/base/buf.h"

/* One share of the source that comes here. */
struct taken {
    const Godwit__Share *share;
    Godwit__ShareOutcome *outcome;
    char *path; /* here; NULL: it has none */
    char *sddl; /* to be set; "" for Samba's default */
    bool sets_descriptor;
};

struct take {
    const struct server *server;
    const Godwit__ShareApplyOrder *order;
    struct idmap *map; /* of the order; NULL: none */
    bool dry;
    Godwit__ShareApplyResult *result;
    Godwit__ShareBefore *before;
    struct taken *taken;
    size_t ntaken;
    /* Samba here */
    char *config;         /* smb.conf, links resolved */
    char *managed;        /* godwit.conf beside it */
    char *config_text;    /* smb.conf as it is */
    char *managed_text;   /* godwit.conf as it is, "" */
    struct samba *now;    /* in force */
    struct samba *others; /* without what this pair put there */
    struct samba *after;  /* with what it puts there now */
    struct smbconf *registry, *defaults, *builtin;
    bool registry_only; /* "config backend = registry": what stands in smb.conf counts nothing */
    char *old_block;    /* what this pair put there before */
    char *block;        /* what it puts there now */
    char *unknown[65];  /* parameters; ends with NULL */
    bool nfs;           /* exports change */
};

Godwit__ShareOutcome *take_outcome(struct take *t, const char *name, const char *what,
                                   const char *path, const char *outcome);
void take_note(void *outcome, const char *text); /* Godwit__ShareOutcome */
void take_remark(struct take *t, const char *text);

int take_samba_plan(struct take *t, struct fault *reterr); /* take_samba.c: what will be */
int take_samba_descriptors(struct take *t,
                           struct fault *reterr); /* their present state, and what to set */
int take_samba_write(struct take *t, struct fault *reterr); /* the registry */
int take_samba_secure(struct take *t,
                      struct fault *reterr); /* descriptors, once the shares are there */
void take_judge(struct take *t);             /* take_judge.c */
void take_compare_globals(struct take *t);
bool take_same_section(const struct smbconf_section *a, const struct smbconf_section *b);
void take_set_outcome(Godwit__ShareOutcome *o, const char *outcome);
int take_nfs_plan(struct take *t, struct fault *reterr);                     /* take_nfs.c */
int take_user_plan(struct take *t, struct taken *one, struct fault *reterr); /* take_user.c */
