/* files: the table of the files workload's steps. No work is done here. */
#include "agent/files/files.h"

#include "agent/step.h"

const struct step_kind files_steps[] = {
    {"files.inventory", files_inventory},
    {"host.inventory",  host_inventory },
    {"host.probe",      host_probe     },
    {"files.prepare",   files_prepare  },
    {"files.clean",     files_clean    },
    {"files.failures",  files_failures },
    {"files.map",       files_map      },
    {"files.receive",   files_receive  },
    {"files.send",      files_send     },
    {"files.verify",    files_verify   },
    {"files.sign",      files_sign     },
    {"files.seal",      files_seal     },
    {"files.push",      files_push     },
    {"endpoint.shares", endpoint_shares},
    {"quotas.apply",    quotas_apply   },
    {NULL,              NULL           },
};
