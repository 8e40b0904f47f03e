/* cmd_vm: `godwit vm …`: the virtual machines of the fleet's hosts, asked anew each time. Main
 * thread. */
#include "orchestrator/console/cmd_vm.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/console/show.h"
#include "orchestrator/console/vm_plans.h"

struct vm_opts {
    char *host;
};

static const struct column list_columns[] = {
    {"MACHINE",  "name",         CELL_TEXT },
    {"HOST",     "host",         CELL_TEXT },
    {"STATE",    "state",        CELL_TEXT },
    {"CPUS",     "cpus",         CELL_COUNT},
    {"MEMORY",   "memory_bytes", CELL_BYTES},
    {"DISKS",    "n_disks",      CELL_COUNT},
    {"SIZE",     "disk_bytes",   CELL_BYTES},
    {"FIRMWARE", "firmware",     CELL_TEXT },
    {"NOTE",     "notes",        CELL_LIST },
    {NULL,       NULL,           CELL_TEXT },
};

static const struct column show_columns[] = {
    {"Machine",      "name",             CELL_TEXT },
    {"Host",         "host",             CELL_TEXT },
    {"Title",        "title",            CELL_TEXT },
    {"State",        "state",            CELL_TEXT },
    {"UUID",         "uuid",             CELL_TEXT },
    {"Hypervisor",   "hypervisor",       CELL_TEXT },
    {"Architecture", "arch",             CELL_TEXT },
    {"Machine type", "machine_type",     CELL_TEXT },
    {"Processors",   "cpus",             CELL_COUNT},
    {"CPU",          "cpu_mode",         CELL_TEXT },
    {"CPU model",    "cpu_model",        CELL_TEXT },
    {"Memory",       "memory_bytes",     CELL_BYTES},
    {"Memory now",   "memory_now_bytes", CELL_BYTES},
    {"Huge pages",   "huge_pages",       CELL_YES  },
    {"Pinned",       "pinned",           CELL_YES  },
    {"Firmware",     "firmware",         CELL_TEXT },
    {"NVRAM",        "nvram",            CELL_TEXT },
    {"TPM",          "tpm",              CELL_TEXT },
    {"Autostart",    "autostart",        CELL_YES  },
    {"Persistent",   "persistent",       CELL_YES  },
    {"Managed save", "managed_save",     CELL_YES  },
    {"Snapshots",    "snapshots",        CELL_COUNT},
    {"Checkpoints",  "checkpoints",      CELL_COUNT},
    {"Passed in",    "host_devices",     CELL_LIST },
    {"Folders",      "file_systems",     CELL_LIST },
    {"Trouble",      "trouble",          CELL_TEXT },
    {NULL,           NULL,               CELL_TEXT },
};

static const struct column disk_columns[] = {
    {"DISK",      "target",        CELL_TEXT },
    {"DEVICE",    "device",        CELL_TEXT },
    {"STORAGE",   "storage",       CELL_TEXT },
    {"FORMAT",    "format",        CELL_TEXT },
    {"SIZE",      "virtual_bytes", CELL_BYTES},
    {"TAKEN",     "real_bytes",    CELL_BYTES},
    {"CACHE",     "cache",         CELL_TEXT },
    {"READ ONLY", "read_only",     CELL_YES  },
    {"SHAREABLE", "shareable",     CELL_YES  },
    {"PLACE",     "place",         CELL_TEXT },
    {"SOURCE",    "source",        CELL_TEXT },
    {"ON TOP OF", "chain",         CELL_LIST },
    {NULL,        NULL,            CELL_TEXT },
};

static const struct column interface_columns[] = {
    {"MAC",       "mac",    CELL_TEXT},
    {"KIND",      "kind",   CELL_TEXT},
    {"CONNECTED", "source", CELL_TEXT},
    {"MODEL",     "model",  CELL_TEXT},
    {NULL,        NULL,     CELL_TEXT},
};

static const struct column host_columns[] = {
    {"HOST",       "host",              CELL_TEXT },
    {"MACHINES",   "machines",          CELL_COUNT},
    {"RUNNING",    "running",           CELL_COUNT},
    {"CPUS",       "cpus",              CELL_COUNT},
    {"MEMORY",     "memory_bytes",      CELL_BYTES},
    {"FREE",       "memory_free_bytes", CELL_BYTES},
    {"HYPERVISOR", "version",           CELL_TEXT },
    {"LIBVIRT",    "libvirt",           CELL_TEXT },
    {NULL,         NULL,                CELL_TEXT },
};

static const struct column pool_columns[] = {
    {"POOL",   "name",   CELL_TEXT },
    {"KIND",   "kind",   CELL_TEXT },
    {"ACTIVE", "active", CELL_YES  },
    {"SIZE",   "size",   CELL_BYTES},
    {"FREE",   "free",   CELL_BYTES},
    {"PATH",   "path",   CELL_TEXT },
    {NULL,     NULL,     CELL_TEXT },
};

static const struct column network_columns[] = {
    {"NETWORK", "name",    CELL_TEXT},
    {"ACTIVE",  "active",  CELL_YES },
    {"BRIDGE",  "bridge",  CELL_TEXT},
    {"FORWARD", "forward", CELL_TEXT},
    {NULL,      NULL,      CELL_TEXT},
};

static int ask(struct run *r, json_t **ret)
{
    const struct vm_opts *o = r->opts;
    const struct arg args[] = {
        {"host", o->host},
        ARGS_END
    };
    return run_ask(r, "vm inventory", args, ret);
}

/* Says which hosts did not answer. EXIT_PARTLY when some did, EXIT_FAILED when none did. */
static int say_silent(const json_t *doc)
{
    size_t i, answered = 0, silent = 0;
    json_t *host;
    json_array_foreach(show_find(doc, "hosts"), i, host)
    {
        if (json_object_get(host, "answer")) {
            answered++;
            if (show_flag(host, "answer.more"))
                run_say("%s: it has more machines than fit into one answer",
                        show_str(host, "host"));
            continue;
        }
        silent++;
        run_say("%s: %s", show_str(host, "host"), show_str(host, "why"));
    }
    return silent == 0 ? EXIT_DONE : answered ? EXIT_PARTLY : EXIT_FAILED;
}

static void note(json_t *notes, bool on, const char *text)
{
    if (on)
        (void)json_array_append_new(notes, json_string(text));
}

/* What the table says of a machine beside what its host said. */
static void complete(json_t *vm, const char *host)
{
    size_t i, disks = 0;
    json_int_t bytes = 0;
    json_t *disk, *notes = json_array();
    json_array_foreach(json_object_get(vm, "disks"), i, disk)
    {
        if (strcmp(show_str(disk, "device"), "disk") != 0)
            continue;
        disks++;
        bytes += json_integer_value(json_object_get(disk, "virtual_bytes"));
    }
    note(notes, *show_str(vm, "trouble"), "not fully known");
    note(notes, show_int(vm, "snapshots") > 0, "snapshots");
    note(notes, show_flag(vm, "managed_save"), "saved");
    note(notes, *show_str(vm, "tpm"), "TPM");
    note(notes, json_array_size(show_find(vm, "host_devices")) > 0, "passed-in devices");
    (void)json_object_set_new(vm, "host", json_string(host));
    (void)json_object_set_new(vm, "n_disks", json_integer((json_int_t)disks));
    (void)json_object_set_new(vm, "disk_bytes", json_integer(bytes));
    (void)json_object_set_new(vm, "notes", notes);
}

/* All machines of all hosts that answered. New reference. */
static json_t *machines(json_t *doc)
{
    size_t i, k;
    json_t *all = json_array(), *host, *vm;
    json_array_foreach(json_object_get(doc, "hosts"), i, host)
    {
        json_t *answer = json_object_get(host, "answer");
        json_array_foreach(json_object_get(answer, "domains"), k, vm)
        {
            complete(vm, show_str(host, "host"));
            (void)json_array_append(all, vm);
        }
    }
    return all;
}

static int vm_list(struct run *r)
{
    json_t *doc = NULL;
    int rc = ask(r, &doc);
    if (rc)
        return rc;
    json_t *all = machines(doc);
    rc = say_silent(doc);
    if (run_json(r)) {
        json_t *out = json_pack("{s:i,s:O}", "schema", 1, "machines", all);
        run_print_json(out);
        json_decref(out);
    } else {
        show_table(stdout, list_columns, all);
        if (json_array_size(all) == 0 && rc == EXIT_DONE)
            run_say("there are no virtual machines");
    }
    json_decref(all);
    json_decref(doc);
    return rc;
}

static void show_one(const json_t *vm)
{
    show_fields(stdout, show_columns, vm);
    if (json_array_size(show_find(vm, "disks")) > 0)
        (void)fputc('\n', stdout);
    show_table(stdout, disk_columns, show_find(vm, "disks"));
    if (json_array_size(show_find(vm, "interfaces")) > 0)
        (void)fputc('\n', stdout);
    show_table(stdout, interface_columns, show_find(vm, "interfaces"));
}

/* How many have that name or UUID; *ret: the last of them. */
static unsigned find(const json_t *all, const char *word, json_t **ret)
{
    size_t i;
    unsigned n = 0;
    json_t *vm;
    json_array_foreach(all, i, vm)
    {
        if (strcmp(show_str(vm, "name"), word) != 0 && strcmp(show_str(vm, "uuid"), word) != 0)
            continue;
        *ret = vm;
        n++;
    }
    return n;
}

static int vm_show(struct run *r)
{
    const char *word = r->words[0];
    json_t *doc = NULL, *vm = NULL;
    int rc = ask(r, &doc);
    if (rc)
        return rc;
    json_t *all = machines(doc);
    unsigned n = find(all, word, &vm);
    if (n == 0) {
        (void)say_silent(doc);
        rc = run_fail(EXIT_NOT_FOUND, "no host that answered has a machine %s", word);
    } else if (n > 1) {
        rc = run_fail(EXIT_CONFLICT, "%u hosts have a machine %s: say which with --host", n, word);
    } else if (run_json(r)) {
        (void)json_object_set_new(vm, "schema", json_integer(1));
        run_print_json(vm);
    } else {
        show_one(vm);
    }
    json_decref(all);
    json_decref(doc);
    return rc;
}

/* 10000022 as "10.0.22". */
static json_t *version_json(int64_t v)
{
    return v > 0 ? json_sprintf("%d.%d.%d", (int)(v / 1000000), (int)(v / 1000 % 1000),
                                (int)(v % 1000))
                 : json_string("");
}

static json_t *host_row(const json_t *host)
{
    const json_t *answer = json_object_get(host, "answer"), *h = show_find(answer, "host");
    size_t i, running = 0;
    json_t *vm, *row = json_deep_copy(h);
    json_array_foreach(json_object_get(answer, "domains"), i, vm) running +=
        strcmp(show_str(vm, "state"), "running") == 0;
    (void)json_object_set_new(row, "host", json_string(show_str(host, "host")));
    (void)json_object_set_new(
        row, "machines", json_integer((json_int_t)json_array_size(show_find(answer, "domains"))));
    (void)json_object_set_new(row, "running", json_integer((json_int_t)running));
    (void)json_object_set_new(row, "version", version_json(show_int(h, "hypervisor_version")));
    (void)json_object_set_new(row, "libvirt", version_json(show_int(h, "libvirt_version")));
    return row;
}

static void show_types(const json_t *row)
{
    const json_t *types = show_find(row, "machine_types"), *one;
    size_t i;
    json_array_foreach(types, i, one)
    {
        (void)printf("%s%s", i == 0 ? "Machine types: " : ", ",
                     json_is_string(one) ? json_string_value(one) : "");
    }
    if (json_array_size(types) > 0)
        (void)printf("\n");
}

static void show_hosts(const json_t *rows)
{
    size_t i;
    json_t *row;
    show_table(stdout, host_columns, rows);
    json_array_foreach(rows, i, row)
    {
        (void)printf("\n%s\n", show_str(row, "host"));
        show_types(row);
        show_table(stdout, pool_columns, show_find(row, "pools"));
        show_table(stdout, network_columns, show_find(row, "networks"));
    }
}

static int vm_hosts(struct run *r)
{
    size_t i;
    json_t *doc = NULL, *host, *rows = json_array();
    int rc = ask(r, &doc);
    json_array_foreach(json_object_get(doc, "hosts"), i, host)
    {
        if (json_object_get(host, "answer"))
            (void)json_array_append_new(rows, host_row(host));
    }
    if (rc == EXIT_DONE) {
        rc = say_silent(doc);
        json_t *out = json_pack("{s:i,s:O}", "schema", 1, "hosts", rows);
        if (run_json(r))
            run_print_json(out);
        else
            show_hosts(rows);
        json_decref(out);
    }
    json_decref(rows);
    json_decref(doc);
    return rc;
}

static const struct option_row options[] = {
    {.name = "host",
     .kind = OPT_STRING,
     .off = offsetof(struct vm_opts, host),
     .value = "HOST",
     .help = "Only machines of this host. Default: every host that was let in."},
    {.name = NULL},
};

static const char *const list_examples[] = {"godwit vm list", "godwit vm list --host kvm1 -o json",
                                            NULL};
static const char *const show_examples[] = {"godwit vm show web1",
                                            "godwit vm show web1 --host kvm1", NULL};
static const char *const hosts_examples[] = {"godwit vm hosts", NULL};
static const char *const migrate_examples[] = {
    "godwit vm migrate web1 db1 --to kvm2 --at-once 2",
    "godwit vm migrate --plan web1.plan",
    NULL,
};
static const char *const copy_examples[] = {
    "godwit vm copy web-template --to store1 --library /srv/library",
    "godwit vm copy web1 db1 --to store1 --library /srv/library --flatten --plan-only",
    NULL,
};
static const char *const moves_examples[] = {"godwit vm moves wave1", NULL};
static const char *const resume_examples[] = {"godwit vm resume wave1", NULL};
static const char *const rollback_examples[] = {"godwit vm rollback wave1", NULL};
static const char *const evacuate_examples[] = {
    "godwit vm evacuate kvm1 --plan-only",
    "godwit vm evacuate kvm1 --at-once 2",
    NULL,
};
static const char *const plan_examples[] = {
    "godwit vm plan web1 db1 --to kvm2 --max-outage 300ms",
    "godwit vm plan web1 --to kvm2 --save web1.plan",
    NULL,
};

const struct command vm_commands[] = {
    {.noun = "vm",
     .verb = "list",
     .words = "",
     .options = options,
     .opts_size = sizeof(struct vm_opts),
     .help = "Lists the virtual machines of the hosts, as libvirt tells them now.",
     .more = "A host without libvirt, or one that does not answer, is named; the exit code is then "
             "3.", .examples = list_examples,
     .run = vm_list},
    {.noun = "vm",
     .verb = "show",
     .words = "MACHINE",
     .min_words = 1,
     .max_words = 1,
     .options = options,
     .opts_size = sizeof(struct vm_opts),
     .help = "Shows one machine, by name or UUID: its disks, networks, firmware, devices.",
     .examples = show_examples,
     .run = vm_show},
    {.noun = "vm",
     .verb = "hosts",
     .words = "",
     .options = options,
     .opts_size = sizeof(struct vm_opts),
     .help = "Shows hosts of virtual machines: memory, versions, machine types, pools, networks.",
     .examples = hosts_examples,
     .run = vm_hosts},
    {.noun = "vm",
     .verb = "plan",
     .words = "MACHINE...",
     .min_words = 1,
     .max_words = -1,
     .options = vm_plan_options,
     .opts_size = sizeof(struct vm_move_opts),
     .help = "Says how machines would move to another host: the type, why no better one, the cost.",
     .more = "Nothing is changed. Every check has its evidence and, when it did not pass, its "
             "remedy. The exit code is 8 when one of the machines may not move.", .examples = plan_examples,
     .run = vm_plan_command},
    {.noun = "vm",
     .verb = "migrate",
     .words = "[MACHINE...]",
     .max_words = -1,
     .options = vm_migrate_options,
     .opts_size = sizeof(struct vm_move_opts),
     .help = "Moves machines to another host, as vm plan says, and shows promise and fact.",
     .more = "When an act fails, what was done is taken back: the machine is where it was. A "
             "machine is never on two hosts at once.", .examples = migrate_examples,
     .run = vm_migrate_command},
    {.noun = "vm",
     .verb = "copy",
     .words = "MACHINE...",
     .min_words = 1,
     .max_words = -1,
     .options = vm_copy_options,
     .opts_size = sizeof(struct vm_move_opts),
     .help = "Copies machines that are off, templates for one, into a library folder of a host.",
     .more = "The machine stays as it is. In FOLDER/NAME lie its images, NAME.xml, its snapshots' "
             "definitions, the firmware's variables and the TPM's state; the folder appears when "
             "all of it is there. One that runs is refused.", .examples = copy_examples,
     .run = vm_copy_command},
    {.noun = "vm",
     .verb = "moves",
     .words = "JOB",
     .min_words = 1,
     .max_words = 1,
     .kind = WORD_JOB,
     .help = "Shows the machines of a job in their order: every act, promise and fact.",
     .examples = moves_examples,
     .run = vm_moves_command},
    {.noun = "vm",
     .verb = "resume",
     .words = "JOB",
     .min_words = 1,
     .max_words = 1,
     .kind = WORD_JOB,
     .help = "Goes on with a job of moves that ended before all machines were moved.",
     .more = "A machine that is half done goes on from there; one that went back is moved again as "
             "it was planned, unless it was changed since.", .examples = resume_examples,
     .run = vm_resume_command},
    {.noun = "vm",
     .verb = "rollback",
     .words = "JOB",
     .min_words = 1,
     .max_words = 1,
     .kind = WORD_JOB,
     .options = vm_rollback_options,
     .opts_size = sizeof(struct vm_move_opts),
     .help = "Takes back what a job has begun and not brought to its end.",
     .more = "A machine that is at the destination already stays there. Where it might run on a "
             "destination that does not answer, both hosts are waited for, unless somebody says "
             "that the destination is off.", .examples = rollback_examples,
     .run = vm_rollback_command},
    {.noun = "vm",
     .verb = "evacuate",
     .words = "HOST",
     .min_words = 1,
     .max_words = 1,
     .kind = WORD_HOST,
     .options = vm_evacuate_options,
     .opts_size = sizeof(struct vm_move_opts),
     .help =
         "Moves every machine of a host to others, by their free memory and what they may take.", .more =
         "The largest machine is placed first. When one can go nowhere nothing is moved, unless "
         "--partial is given.", .examples = evacuate_examples,
     .run = vm_evacuate_command},
    {.noun = NULL                                  },
};
