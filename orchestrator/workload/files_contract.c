/* files_contract: kept, translated or lost. One row a class. Main thread, pure. */
#include "orchestrator/workload/files_contract.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"

enum rule {
    KEPT,
    TRANSLATED,
    LOST,
    KEPT_WHERE,  /* the destination's file system has what is named; else translated */
    NOTE,        /* of names and use: nothing is lost by a copy */
    NEEDS_ROOT,  /* the destination's agent has the rights of root */
    NEEDS_PLACE, /* the destination's file system has what is named */
    NEEDS_BOTH,  /* and root sets it */
};

/* Names as in agent/files/traits.c; what an agent says that is not here is shown as a note. */
static const struct class
{
    const char *name;
    enum rule rule;
    const char *place; /* member of PlaceProbe */
    const char *why;   /* of a loss or a translation */
} classes[] = {
    {"posix-acl",       NEEDS_PLACE, "has_acl",            "its file system has no POSIX ACLs"                          },
    {"nfs4-acl",        NEEDS_PLACE, "has_nfs4_acl",       "its file system has no NFSv4 ACLs"                          },
    {"nt-acl",          NEEDS_BOTH,  "has_xattr",
     "only root sets security.NTACL, where there are attributes"                                                        },
    {"dos-attributes",  NEEDS_PLACE, "has_xattr",          "its file system has no extended attributes"                 },
    {"streams",         NEEDS_PLACE, "has_xattr",          "its file system has no extended attributes"                 },
    {"xattr-user",      NEEDS_PLACE, "has_xattr",          "its file system has no extended attributes"                 },
    {"xattr-trusted",   NEEDS_BOTH,  "has_trusted",
     "only root sets trusted attributes, where there are some"                                                          },
    {"xattr-security",  NEEDS_BOTH,  "has_xattr",
     "only root sets security attributes, where there are some"                                                         },
    {"capabilities",    NEEDS_BOTH,  "has_xattr",          "only root sets capabilities of files"                       },
    {"owners",          NEEDS_ROOT,  NULL,                 "its agent is not root: all belongs to the agent's user"     },
    {"inode-flags",     NEEDS_BOTH,  "has_flags",
     "only root sets flags, and its file system must have them"                                                         },
    {"project-ids",     NEEDS_BOTH,  "has_projects",       "its file system has no project ids"                         },
    {"quotas-user",     NEEDS_BOTH,  "has_user_quotas",    "its file system counts no quotas of users"                  },
    {"quotas-group",    NEEDS_BOTH,  "has_group_quotas",   "its file system counts no quotas of groups"                 },
    {"quotas-project",  NEEDS_BOTH,  "has_project_quotas",
     "its file system counts no quotas of projects"                                                                     },
    {"devices",         NEEDS_ROOT,  NULL,                 "its agent is not root and makes no device"                  },
    {"encryption",      LOST,        NULL,                 "content arrives in the clear"                               },
    {"verity",          LOST,        NULL,                 "content arrives without its seal"                           },
    {"birth-time",      LOST,        NULL,                 "nothing can set it"                                         },
    {"shared-blocks",   KEPT_WHERE,  "has_reflinks",       "each file takes its own blocks"                             },
    {"streams-depot",   LOST,        NULL,                 "streams_depot finds them by inodes, which are others there" },
    {"set-id",          KEPT,        NULL,                 NULL                                                         },
    {"hard-links",      KEPT,        NULL,                 NULL                                                         },
    {"sparse",          KEPT,        NULL,                 NULL                                                         },
    {"fifos-sockets",   KEPT,        NULL,                 NULL                                                         },
    {"names-not-utf8",  NOTE,        NULL,                 "kept as bytes; clients of SMB cannot name them"             },
    {"case-collisions", NOTE,        NULL,                 "kept; a client of SMB sees only one of them"                },
    {"paths-over-4096", NOTE,        NULL,                 "kept; most programs cannot open them"                       },
    {"paths-over-255",  NOTE,        NULL,                 "kept; some clients of SMB cannot open them"                 },
    {"smb-names",       NOTE,        NULL,                 "kept; clients of SMB cannot open them by this name"         },
    {"dangling-links",  NOTE,        NULL,                 "kept as they are: their targets are not there"              },
    {"owners-unknown",  NOTE,        NULL,                 "kept as numbers: nobody of this name is known at the source"},
    {"orphan-sids",     NOTE,        NULL,
     "kept in NT ACLs: the source, or of an endpoint its proxy, knows nobody of these SIDs"                             },
    {"locked-now",      NOTE,        NULL,                 "somebody works in them: let them end before the last pass"  },
    {"open-now",        NOTE,        NULL,                 "clients have them open: let them end before the last pass"  },
};

/* Written over SMB. */
static const struct class at_endpoint[] = {
    {"posix-acl",       TRANSLATED, NULL, "as the NT ACL that this host's Samba shows"    },
    {"nfs4-acl",        LOST,       NULL, "SMB does not write them"                       },
    {"nt-acl",          KEPT,       NULL, NULL                                            },
    {"dos-attributes",  KEPT,       NULL, NULL                                            },
    {"streams",         KEPT,       NULL, NULL                                            },
    {"streams-depot",   KEPT,       NULL, NULL                                            },
    {"xattr-user",      LOST,       NULL, "only streams and DOS attributes are written"   },
    {"xattr-trusted",   LOST,       NULL, "SMB has no such attributes"                    },
    {"xattr-security",  LOST,       NULL, "SMB has no such attributes"                    },
    {"capabilities",    LOST,       NULL, "SMB has none"                                  },
    {"owners",          TRANSLATED, NULL, "as the SIDs that this host's Samba shows"      },
    {"inode-flags",     LOST,       NULL, "SMB has none of these"                         },
    {"project-ids",     LOST,       NULL, "SMB has none"                                  },
    {"set-id",          LOST,       NULL, "SMB has no such modes"                         },
    {"hard-links",      TRANSLATED, NULL, "each name becomes a file of its own"           },
    {"sparse",          TRANSLATED, NULL, "holes are written as zeros"                    },
    {"shared-blocks",   TRANSLATED, NULL, "each file takes its own blocks"                },
    {"devices",         LOST,       NULL, "SMB makes none"                                },
    {"fifos-sockets",   LOST,       NULL, "SMB makes none"                                },
    {"names-not-utf8",  LOST,       NULL, "SMB cannot say such a name"                    },
    {"case-collisions", LOST,       NULL, "one of them arrives"                           },
    {"smb-names",       LOST,       NULL, "no server of Windows takes such a name"        },
    {"dangling-links",  LOST,       NULL, "symbolic links are not written"                },
    {"birth-time",      TRANSLATED, NULL, "the one that Samba keeps in DOS attributes"    },
    {"owners-unknown",  NOTE,       NULL, "Samba shows a SID of their number"             },
    {"quotas-user",     LOST,       NULL, "a server without an agent keeps its own quotas"},
    {"quotas-group",    LOST,       NULL, "a server without an agent keeps its own quotas"},
    {"quotas-project",  LOST,       NULL, "a server without an agent keeps its own quotas"},
};

/* Read over SMB. */
static const struct class of_endpoint[] = {
    {"reparse-points", LOST,        NULL,        "links, junctions and their like are not read over SMB"},
    {"names-too-long", LOST,        NULL,        "no file system here holds a name of over 255 bytes"   },
    {"streams-large",  NEEDS_PLACE, "has_depot",
     "an attribute holds 64 KiB, and streams_xattr no more; a share with streams_depot does"            },
    {"hard-links",     TRANSLATED,  NULL,        "each name arrives as a file of its own"               },
    {"sparse",         TRANSLATED,  NULL,        "holes arrive as zeros"                                },
    {"locked-now",     NOTE,        NULL,
     "somebody keeps others from reading them: tried again, then named, and taken by the next "
     "pass"                                                                                             },
};

static const struct class *find(const struct class *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}

static const struct class *class_at_endpoint(const char *name)
{
    return find(at_endpoint, ARRAY_SIZE(at_endpoint), name);
}

static const struct class *class_of_endpoint(const char *name)
{
    return find(of_endpoint, ARRAY_SIZE(of_endpoint), name);
}

static const struct class *class_of(const char *name)
{
    return find(classes, ARRAY_SIZE(classes), name);
}

static const struct class *class_for(const char *name, const json_t *facts)
{
    const struct class *c = NULL;
    if (json_is_true(json_object_get(facts, "to_endpoint")))
        c = class_at_endpoint(name);
    else if (json_is_true(json_object_get(facts, "from_endpoint")))
        c = class_of_endpoint(name);
    return c ? c : class_of(name);
}

static const char *verdict_of(const struct class *c, const json_t *place)
{
    bool has = c->place && json_is_true(json_object_get(place, c->place));
    bool root = json_is_true(json_object_get(place, "privileged"));
    switch (c->rule) {
    case KEPT:
        return "kept";
    case TRANSLATED:
        return "translated";
    case KEPT_WHERE:
        return has ? "kept" : "translated";
    case LOST:
        return "lost";
    case NOTE:
        return "note";
    case NEEDS_ROOT:
        return !place ? "unknown" : root ? "kept" : "lost";
    case NEEDS_PLACE:
        return !place ? "unknown" : has ? "kept" : "lost";
    case NEEDS_BOTH:
    default:
        return !place ? "unknown" : has && root ? "kept" : "lost";
    }
}

static bool holds(const json_t *list, const char *name)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        const char *text = json_is_string(one) ? json_string_value(one) : "";
        if (strcmp(text, name) == 0 || strcmp(text, "all") == 0)
            return true;
    }
    return false;
}

/* Quotas of a job that leaves them: whoever said so has accepted it. */
static bool is_left_behind(const char *name, const json_t *options)
{
    const char *quotas = json_string_value(json_object_get(options, "quotas"));
    return strncmp(name, "quotas-", 7) == 0 && quotas && strcmp(quotas, "off") == 0;
}

/* A birth time is lost by every copy there is: nobody has to say so each time. */
static bool is_accepted(const char *name, const json_t *facts, const json_t *options)
{
    return strcmp(name, "birth-time") == 0 || is_left_behind(name, options) ||
           holds(json_object_get(options, "accept_loss"), name) ||
           holds(json_object_get(facts, "accept_loss"), name);
}

static bool blocks(const char *verdict)
{
    return strcmp(verdict, "lost") == 0 || strcmp(verdict, "unknown") == 0;
}

static json_t *one_json(const json_t *trait, const json_t *facts, const json_t *options)
{
    static const struct class unknown = {"", NOTE, NULL, "this version does not know the class"};
    const char *name = json_string_value(json_object_get(trait, "name"));
    const struct class *c = class_for(name ? name : "", facts);
    bool left = is_left_behind(name ? name : "", options);
    const char *verdict =
        left ? "lost" : verdict_of(c ? c : &unknown, json_object_get(facts, "place"));
    const char *why = left ? "the job says quotas: off" : (c ? c : &unknown)->why;
    bool kept = strcmp(verdict, "kept") == 0;
    json_t *o =
        json_pack("{s:s,s:s,s:s,s:b}", "class", name ? name : "", "verdict", verdict, "why",
                  strcmp(verdict, "unknown") == 0 ? "the destination was not looked at"
                  : kept || !why                  ? ""
                                                  : why,
                  "accepted", blocks(verdict) && is_accepted(name ? name : "", facts, options));
    (void)json_object_set(o, "count", json_object_get(trait, "count"));
    (void)json_object_set(o, "examples", json_object_get(trait, "examples"));
    return o;
}

json_t *contract_json(const json_t *facts, const json_t *options)
{
    const json_t *traits = json_object_get(facts, "traits"), *one;
    size_t i;
    if (!traits)
        return NULL;
    json_t *list = json_array();
    json_array_foreach(traits, i, one)
    {
        (void)json_array_append_new(list, one_json(one, facts, options));
    }
    return list;
}

unsigned contract_open(const json_t *facts, const json_t *options, char *ret, size_t size)
{
    json_t *list = contract_json(facts, options);
    const json_t *one;
    size_t i, len = 0;
    unsigned n = 0;
    ret[0] = '\0';
    json_array_foreach(list, i, one)
    {
        if (!blocks(json_string_value(json_object_get(one, "verdict"))) ||
            json_is_true(json_object_get(one, "accepted")))
            continue;
        int k = len < size ? snprintf(ret + len, size - len, "%s%s", n ? ", " : "",
                                      json_string_value(json_object_get(one, "class")))
                           : 0;
        len += k > 0 ? (size_t)k : 0;
        n++;
    }
    json_decref(list);
    return n;
}

int contract_check_class(const char *name, struct fault *reterr)
{
    const struct class *c = class_of(name);
    const struct class *to = class_at_endpoint(name), *from = class_of_endpoint(name);
    if (strcmp(name, "all") == 0 || (c && c->rule != NOTE && c->rule != KEPT) ||
        (to && to->rule == LOST) || (from && (from->rule == LOST || from->rule == NEEDS_PLACE)))
        return 0;
    CLEANUP(mem_free) char *shown = text_quote(name, strnlen(name, 40));
    return fault_set(
        reterr, FAULT_STOP_JOB, EINVAL,
        "%s is no class that can be lost, such as posix-acl, owners or inode-flags, nor "
        "all; godwit inventory show names them",
        shown);
}
