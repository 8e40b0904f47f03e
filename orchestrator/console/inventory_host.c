/* inventory_host: what hosts are and have, for people. Main thread. */
#include "orchestrator/console/inventory_host.h"

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/show.h"

static const struct column fields[] = {
    {"Host",       "host",               CELL_TEXT },
    {"System",     "os",                 CELL_TEXT },
    {"Kernel",     "kernel",             CELL_TEXT },
    {"Machine",    "machine",            CELL_TEXT },
    {"Processors", "processors",         CELL_COUNT},
    {"Memory",     "memory_bytes",       CELL_BYTES},
    {"Samba",      "samba.version",      CELL_TEXT },
    {"Role",       "samba.role",         CELL_TEXT },
    {"Workgroup",  "samba.workgroup",    CELL_TEXT },
    {"Realm",      "samba.realm",        CELL_TEXT },
    {"SMB name",   "samba.netbios_name", CELL_TEXT },
    {"Joined",     "samba.joined",       CELL_YES  },
    {NULL,         NULL,                 CELL_TEXT },
};

static const struct column volumes[] = {
    {"VOLUME",      "mount",       CELL_TEXT },
    {"FILE SYSTEM", "file_system", CELL_TEXT },
    {"SIZE",        "size",        CELL_BYTES},
    {"USED",        "used",        CELL_BYTES},
    {"FREE",        "free",        CELL_BYTES},
    {"SOURCE",      "source",      CELL_TEXT },
    {"OPTIONS",     "options",     CELL_TEXT },
    {NULL,          NULL,          CELL_TEXT },
};

static const struct column disks[] = {
    {"DISK",     "name",       CELL_TEXT },
    {"SIZE",     "size",       CELL_BYTES},
    {"ROTATING", "rotational", CELL_YES  },
    {"MODEL",    "model",      CELL_TEXT },
    {NULL,       NULL,         CELL_TEXT },
};

static const struct column interfaces[] = {
    {"INTERFACE", "name",       CELL_TEXT },
    {"STATE",     "state",      CELL_TEXT },
    {"ADDRESSES", "addresses",  CELL_LIST },
    {"MAC",       "mac",        CELL_TEXT },
    {"MTU",       "mtu",        CELL_PLAIN},
    {"MBIT/S",    "speed_mbit", CELL_COUNT},
    {NULL,        NULL,         CELL_TEXT },
};

static void table(FILE *out, const struct column *columns, const json_t *rows)
{
    if (json_array_size(rows) == 0)
        return;
    (void)fputc('\n', out);
    show_table(out, columns, rows);
}

void inventory_hosts(FILE *out, const json_t *hosts)
{
    size_t i = 0;
    const json_t *host = NULL;
    json_array_foreach(hosts, i, host)
    {
        show_fields(out, fields, host);
        table(out, volumes, show_find(host, "volumes"));
        table(out, disks, show_find(host, "disks"));
        table(out, interfaces, show_find(host, "interfaces"));
        (void)fputc('\n', out);
    }
}

static const struct column contract[] = {
    {"CLASS",       "class",    CELL_TEXT },
    {"COUNT",       "count",    CELL_COUNT},
    {"DESTINATION", "verdict",  CELL_TEXT },
    {"ACCEPTED",    "accepted", CELL_YES  },
    {"WHY",         "why",      CELL_TEXT },
    {"EXAMPLES",    "examples", CELL_LIST },
    {NULL,          NULL,       CELL_TEXT },
};

void inventory_contracts(FILE *out, const json_t *pairs)
{
    size_t i = 0;
    const json_t *pair = NULL;
    json_array_foreach(pairs, i, pair)
    {
        if (json_array_size(show_find(pair, "contract")) == 0)
            continue;
        CLEANUP(mem_free) char *n = show_cell(show_find(pair, "n"), CELL_COUNT);
        (void)fprintf(
            out, "\nPair %s: what this destination keeps, and what is to be put in order\n", n);
        show_table(out, contract, show_find(pair, "contract"));
    }
}
