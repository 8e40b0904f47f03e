/* share_property: the table. */
#include "orchestrator/workload/share_property.h"

#include <string.h>
#include <strings.h>

const struct share_property share_properties[SHARE_PROPERTIES] = {
    {"ShareState",            "available",          "Yes",     "Yes is online, No is offline"                                        },
    {"AvailabilityType",      NULL,                 NULL,      "no counterpart: clusters of Windows only"                            },
    {"ShareType",             "printable",          "No",      "No is a disk, Yes a print queue"                                     },
    {"FolderEnumerationMode", "hide unreadable",    "No",      "Yes is AccessBased, No is Unrestricted"                              },
    {"CachingMode",           "csc policy",         "manual",  "manual, documents, programs; disable is None"                        },
    {"LeasingMode",           "oplocks",            "Yes",     "Yes is Full, No is None; Shared has no counterpart"                  },
    {"SmbInstance",           NULL,                 NULL,      "no counterpart: instances of a Windows cluster"                      },
    {"CATimeout",             NULL,                 NULL,      "no counterpart: continuous availability of Windows clusters"         },
    {"ConcurrentUserLimit",   "max connections",    "0",       "0 is no limit in both"                                               },
    {"ContinuouslyAvailable", NULL,                 NULL,
     "no counterpart: Samba has durable handles, which end with the server"                                                          },
    {"Description",           "comment",            "",        "the same text"                                                       },
    {"EncryptData",           "server smb encrypt", "default", "required is True"                                                    },
    {"IdentityRemoting",      NULL,                 NULL,      "no counterpart"                                                      },
    {"Infrastructure",        NULL,                 NULL,      "no counterpart: shares of a cluster's own"                           },
    {"Name",                  "",                   "",        "the section's name"                                                  },
    {"Path",                  "path",               "",        "mapped to the destination's folder"                                  },
    {"Scoped",                NULL,                 NULL,      "no counterpart: a share of one of a cluster's names"                 },
    {"ScopeName",             NULL,                 NULL,      "no counterpart: Samba shares under all of its names"                 },
    {"SecurityDescriptor",    "",                   "",        "share_info.tdb, set by sharesec"                                     },
    {"ShadowCopy",            "vfs objects",        "",        "where it lists shadow_copy2 or a module of the file system"          },
    {"Special",               NULL,                 NULL,      "no counterpart: C$ and ADMIN$ are Windows' own; IPC$ is always there"},
    {"Temporary",             NULL,                 NULL,      "no counterpart: what smb.conf has stays"                             },
};

const char *share_property_of(const Godwit__Share *s, const struct share_property *p)
{
    if (!p->parameter)
        return NULL;
    if (strcmp(p->windows, "Name") == 0)
        return s->name;
    if (strcmp(p->windows, "SecurityDescriptor") == 0)
        return s->sddl[0] ? s->sddl : "D:(A;;0x001f01ff;;;WD)";
    for (size_t i = s->n_parameters; i-- > 0;)
        if (strcasecmp(s->parameters[i]->name, p->parameter) == 0)
            return s->parameters[i]->value;
    return p->value;
}
