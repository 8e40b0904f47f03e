/* vm_rows: the table. Pure. */
#include "orchestrator/workload/vm_rows.h"

#include <string.h>

#define AGENTS "both agents"
#define LANE "the lane between the two hosts"

const struct vm_row vm_rows[VM_ROWS] = {
    {"look",    2,  "Looking at the machine on both hosts",     VM_ON_BOTH,        60,   AGENTS,                      VM_OWN                },
    {"mark",    4,  "Marking the shared storage",               VM_ON_SOURCE,      60,   "the source's storage",
     VM_UNDOES | VM_MARKS                                                                                                                   },
    {"see",     5,  "Looking for the marks",                    VM_ON_DESTINATION, 60,   "the destination's storage",
     VM_MARKS                                                                                                                               },
    {"unmark",  6,  "Taking the marks away",                    VM_ON_SOURCE,      60,   "the source's storage",      VM_MARKS              },
    {"bases",   7,  "Bringing the images below its disks",      VM_ON_BOTH,        0,    LANE,
     VM_UNDOES | VM_LANE | VM_BASES                                                                                                         },
    {"reserve", 8,  "Making room on the destination",           VM_ON_DESTINATION, 300,
     "the destination's storage",                                                                                     VM_UNDOES             },
    {"seed",    10, "Copying disks while the machine runs",     VM_ON_BOTH,        0,    LANE,                        VM_UNDOES | VM_LANE   },
    {"stop",    30, "Shutting the machine down",                VM_ON_SOURCE,      3900, "the guest to shut down",
     VM_UNDOES | VM_RUNNING                                                                                                                 },
    {"pause",   35, "Holding the machine",                      VM_ON_SOURCE,      60,   "the source's hypervisor",   VM_UNDOES             },
    {"save",    36, "Saving the machine's memory",              VM_ON_SOURCE,      900,  "the source's hypervisor",
     VM_UNDOES                                                                                                                              },
    {"state",   40, "Taking the definition and its state over", VM_ON_BOTH,        300,  LANE,
     VM_UNDOES | VM_LANE                                                                                                                    },
    {"copy",    45, "Copying disks",                            VM_ON_BOTH,        0,    LANE,                        VM_UNDOES | VM_LANE   },
    {"migrate", 50, "Moving the running machine",               VM_ON_BOTH,        0,    LANE,                        VM_UNDOES | VM_LANE   },
    {"verdict", 70, "Finding out where the machine is",         VM_ON_BOTH,        0,    AGENTS,                      VM_OWN                },
    {"fence",   72, "Putting the source's images out of reach", VM_ON_SOURCE,      60,
     "the source's storage",                                                                                          VM_UNDOES             },
    {"define",  75, "Defining the machine on the destination",  VM_ON_DESTINATION, 120,
     "the destination's libvirt",                                                                                     VM_UNDOES             },
    {"start",   80, "Starting the machine on the destination",  VM_ON_DESTINATION, 300,
     "the destination's libvirt",                                                                                     VM_UNDOES | VM_RUNNING},
    {"answers", 85, "Waiting for the machine to answer",        VM_ON_DESTINATION, 600,
     "the machine to answer",                                                                                         VM_RUNNING            },
    {"drop",    90, "Removing the machine from the source",     VM_ON_SOURCE,      120,  "the source's libvirt",
     VM_COMMITS                                                                                                                             },
    {"adopt",   95, "Making the machine the destination's own", VM_ON_DESTINATION, 120,
     "the destination's libvirt",                                                                                     VM_COMMITS            },
    {"shift",   50, "Moving disks to other storage",            VM_ON_SOURCE,      0,    "the hypervisor",            VM_UNDOES             },
    {"shelve",  90, "Putting the copy into the library",        VM_ON_DESTINATION, 300,
     "the library's storage",                                                                                         VM_UNDOES             },
    {"forget",  98, "Putting the notes away",                   VM_ON_BOTH,        120,  AGENTS,                      VM_COMMITS            },
    {"judge",   99, "Looking at where the machine is",          VM_ON_BOTH,        0,    AGENTS,                      VM_OWN                },
};

unsigned vm_row_find(const char *id)
{
    unsigned i = 0;
    while (i < VM_ROWS && strcmp(vm_rows[i].id, id) != 0)
        i++;
    return i;
}

bool vm_row_applies(const struct vm_row *r, const struct vm_type *t, const struct vm_row_case *c)
{
    if (r->traits & VM_RUNNING && !c->runs)
        return false;
    if (r->traits & VM_MARKS)
        return c->marks;
    if (r->traits & VM_BASES)
        return c->bases;
    if (strcmp(r->id, "verdict") == 0)
        return vm_type_has(t, "migrate");
    return r->traits & VM_OWN || vm_type_has(t, r->id);
}
