/* vm_check_rows: the table of checks of a machine, in the order of docs/MACHINES.md, and those that
 * are not about disks. Main thread, pure. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/workload/vm_checks_priv.h"

static const json_t *source_host(const struct vm_ctx *c)
{
    return json_object_get(c->f->look, "host");
}

static const json_t *destination_host(const struct vm_ctx *c)
{
    return json_object_get(c->f->check, "host");
}

static void check_answers(struct vm_ctx *c)
{
    if (!vm_machine(c->f))
        vm_say(c, VM_FAIL, "%s: %s", c->f->from, c->f->why ? c->f->why : "it did not answer");
    else if (!c->f->check)
        vm_say(c, VM_FAIL, "%s: %s", c->f->to, c->f->why ? c->f->why : "it did not answer");
}

static void check_known(struct vm_ctx *c)
{
    const json_t *d = vm_domain(c->f);
    if (*vm_text(d, "trouble"))
        vm_say(c, VM_FAIL, "%s", vm_text(d, "trouble"));
    if (vm_flag(d, "more"))
        vm_say(c, VM_FAIL, "it has more disks, interfaces or devices than are looked at");
    if (*vm_text(c->f->look, "open_move"))
        vm_say(c, VM_FAIL, "another move of it was not brought to its end: %s",
               vm_text(c->f->look, "open_move"));
}

static void version_text(uint64_t v, char ret[32])
{
    (void)snprintf(ret, 32, "%u.%u.%u", (unsigned)(v / 1000000), (unsigned)(v / 1000 % 1000),
                   (unsigned)(v % 1000));
}

static void check_versions(struct vm_ctx *c)
{
    static const char *const of[] = {"hypervisor_version", "libvirt_version"};
    if (!c->f->check) {
        vm_say(c, VM_UNKNOWN, "%s did not answer", c->f->to);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(of); i++) {
        uint64_t a = vm_number(source_host(c), of[i]), b = vm_number(destination_host(c), of[i]);
        char from[32], to[32];
        version_text(a, from);
        version_text(b, to);
        vm_say(c, b < a ? VM_FAIL : VM_PASS, "%s %s at the source, %s at the destination",
               i == 0 ? "hypervisor" : "libvirt", from, to);
    }
}

static void check_hosts(struct vm_ctx *c)
{
    const json_t *a = source_host(c), *b = destination_host(c);
    if (!b || strcmp(c->f->from, c->f->to) == 0)
        return;
    if (*vm_text(a, "uuid") && strcasecmp(vm_text(a, "uuid"), vm_text(b, "uuid")) == 0)
        vm_say(c, VM_FAIL, "both hosts say that they are %s: libvirt would take them for one",
               vm_text(a, "uuid"));
    if (*vm_text(a, "hostname") && strcasecmp(vm_text(a, "hostname"), vm_text(b, "hostname")) == 0)
        vm_say(c, VM_FAIL, "both hosts call themselves %s", vm_text(a, "hostname"));
}

static void check_memory(struct vm_ctx *c)
{
    uint64_t need = vm_number(vm_domain(c->f), "memory_bytes") + c->f->arriving;
    uint64_t have = vm_number(destination_host(c), "memory_free_bytes");
    char want[16], free[16], others[16];
    if (!c->f->check) {
        vm_say(c, VM_UNKNOWN, "%s did not answer", c->f->to);
        return;
    }
    if (strcmp(c->f->from, c->f->to) == 0) {
        vm_say(c, VM_PASS, "the machine stays on its host");
        return;
    }
    text_bytes(need, want);
    text_bytes(have, free);
    text_bytes(c->f->arriving, others);
    vm_say(c, need > have ? VM_FAIL : VM_PASS, "%s are needed%s%s%s, %s are free", want,
           c->f->arriving ? " (" : "", c->f->arriving ? others : "",
           c->f->arriving ? " of it for others that come as well)" : "", free);
}

static void check_snapshots(struct vm_ctx *c)
{
    unsigned n = (unsigned)vm_number(vm_domain(c->f), "snapshots");
    size_t i;
    const json_t *disk, *file;
    if (n == 0)
        return;
    vm_say(c, VM_WARN, "it has %u: machines with snapshots do not move while they run", n);
    json_array_foreach(json_object_get(vm_machine(c->f), "snapshot_files"), i, file)
        vm_say(c, VM_FAIL, "one keeps the machine's memory in %s, which does not come along",
               json_is_string(file) ? json_string_value(file) : "a file");
    /* Below its disks lie the snapshots' own images: they come along where all keep their paths. */
    json_array_foreach(json_object_get(vm_domain(c->f), "disks"), i, disk)
    {
        const json_t *first = json_array_get(vm_images(c->f, disk), 0);
        if (vm_is_disk(disk) && !vm_flag(first, "snapshots") &&
            json_array_size(vm_images(c->f, disk)) > 1 && *vm_text(c->f->options, "pool"))
            vm_say(c, VM_FAIL,
                   "those of %s are files of their own (external), known by their paths: they "
                   "cannot be elsewhere",
                   vm_text(disk, "target"));
    }
}

static void check_checkpoints(struct vm_ctx *c)
{
    unsigned n = (unsigned)vm_number(vm_domain(c->f), "checkpoints");
    if (n > 0)
        vm_say(c, VM_WARN, "it has %u: no way of moving keeps them, the next backup is a whole one",
               n);
}

static void check_nvram(struct vm_ctx *c)
{
    if (*vm_text(vm_domain(c->f), "nvram") && !vm_flag(vm_machine(c->f), "nvram_is_there"))
        vm_say(c, VM_WARN, "%s is not there: it starts with the firmware's own",
               vm_text(vm_domain(c->f), "nvram"));
}

static void check_secrets(struct vm_ctx *c)
{
    if (vm_flag(vm_machine(c->f), "secrets"))
        vm_say(c, VM_FAIL, "it needs a secret that its host's libvirt keeps");
    if (vm_flag(vm_machine(c->f), "lock_lease"))
        vm_say(c, VM_FAIL, "it holds a lease of a lock manager");
}

static void list_of(struct vm_ctx *c, const char *key, enum vm_result r, const char *what)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(vm_domain(c->f), key), i, one)
        vm_say(c, r, "%s %s", what, json_is_string(one) ? json_string_value(one) : "");
}

static void check_devices(struct vm_ctx *c)
{
    list_of(c, "host_devices", vm_flag(vm_machine(c->f), "teamed") ? VM_WARN : VM_FAIL,
            "passed through from its host:");
}

static void check_folders(struct vm_ctx *c)
{
    list_of(c, "file_systems", VM_FAIL, "it mounts a folder of its host:");
}

/* What the connections of lanes send at once; how large a guest's packets may be is "mtu". */
static void check_path(struct vm_ctx *c)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(c->f->look, "reaches"), i, one)
    {
        unsigned packet = (unsigned)vm_number(one, "packet");
        bool arrives = strcmp(vm_text(one, "path"), "whole") == 0;
        if (packet == 0)
            continue;
        if (strcmp(vm_text(one, "path"), "swallowed") == 0)
            vm_say(c, VM_FAIL,
                   "packets of %u bytes from %s to %s are lost on the way and nobody says so, "
                   "small ones arrive",
                   packet, c->f->from, vm_text(one, "endpoint"));
        else
            vm_say(c, VM_PASS, "packets of %u bytes from %s to %s %s", packet, c->f->from,
                   vm_text(one, "endpoint"),
                   arrives ? "arrive uncut, or whoever drops them says so"
                           : "are what is sent; whether they arrive nothing there tells");
    }
}

static void check_trust(struct vm_ctx *c)
{
    const json_t *one;
    size_t i;
    bool own = vm_flag(c->f->options, "own_tcp");
    if (strcmp(c->f->from, c->f->to) == 0)
        return;
    json_array_foreach(json_object_get(c->f->look, "reaches"), i, one)
    {
        if (*vm_text(one, "why"))
            vm_say(c, VM_FAIL, "%s gets no connection to %s at %s: %s", c->f->from, c->f->to,
                   vm_text(one, "endpoint"), vm_text(one, "why"));
    }
    vm_say(c, VM_PASS, "%s and %s are enrolled; %s", c->f->from, c->f->to,
           own ? "live moves go by libvirt's own TCP with TLS, the rest over lanes"
               : "all goes over lanes with TLS and pinned keys, libvirt opens no port");
}

#define DAY_S                                                                                      \
    86400 /* what waits in a queue or for a calendar's window is not in the prediction             \
           */
#define LAST_S UINT64_C(253402300799) /* of the year 9999 */

static void check_ends(struct vm_ctx *c, const char *host, const json_t *list)
{
    size_t i;
    const json_t *one;
    if (json_array_size(list) == 0)
        vm_say(c, VM_WARN,
               "%s: none of libvirt's certificates is where it is looked for (/etc/pki)", host);
    json_array_foreach(list, i, one)
    {
        uint64_t said = vm_number(one, "not_after_s");
        int64_t end = (int64_t)(said < LAST_S ? said : LAST_S);
        char when[24];
        clock_format(end * 1000, when);
        if (*vm_text(one, "trouble"))
            vm_say(c, VM_UNKNOWN, "%s: %s: %s", host, vm_text(one, "path"),
                   vm_text(one, "trouble"));
        else if (c->f->over_s && end < c->f->over_s + DAY_S)
            vm_say(c, end < c->f->over_s ? VM_FAIL : VM_WARN, "%s: %s is good until %s", host,
                   vm_text(one, "path"), when);
    }
}

/* Of libvirt's own TLS; lanes have keys of their own, which do not end. */
static void check_certificates(struct vm_ctx *c)
{
    if (!vm_flag(c->f->options, "own_tcp") || strcmp(c->f->from, c->f->to) == 0)
        return;
    check_ends(c, c->f->from, json_object_get(c->f->look, "certificates"));
    check_ends(c, c->f->to, json_object_get(c->f->check, "certificates"));
    vm_say(c, VM_PASS, "those of libvirt and QEMU are good for a day after the move's end");
}

static void check_busy(struct vm_ctx *c)
{
    const json_t *d = vm_domain(c->f);
    static const char *const fit[] = {"running", "blocked", "off"};
    bool fits = false;
    if (vm_to_library(c->f) && strcmp(vm_text(d, "state"), "off") != 0)
        vm_say(c, VM_FAIL, "it is %s: only a machine that is off is copied into a library",
               vm_text(d, "state"));
    if (vm_to_library(c->f) && vm_flag(d, "managed_save"))
        vm_say(c, VM_FAIL, "its memory is saved: its disks alone would be as after a power cut");
    for (size_t i = 0; i < ARRAY_SIZE(fit); i++)
        fits = fits || strcmp(vm_text(d, "state"), fit[i]) == 0;
    if (!fits)
        vm_say(c, VM_FAIL, "it is %s, neither running nor off", vm_text(d, "state"));
    if (*vm_text(vm_machine(c->f), "job"))
        vm_say(c, VM_FAIL, "%s runs on it", vm_text(vm_machine(c->f), "job"));
    if (vm_flag(d, "managed_save") && !*vm_text(vm_machine(c->f), "saved"))
        vm_say(c, VM_FAIL, "its memory is saved, and its host does not tell where");
    if (vm_flag(d, "managed_save") && *vm_text(c->f->options, "pool"))
        vm_say(c, VM_FAIL,
               "its memory is saved and knows its disks by their paths: they cannot be elsewhere");
}

static void check_convergence(struct vm_ctx *c)
{
    const json_t *m = vm_machine(c->f);
    char rate[16];
    if (strcmp(vm_text(vm_domain(c->f), "state"), "off") == 0) {
        vm_say(c, VM_PASS, "it is off");
        return;
    }
    if (!vm_flag(m, "dirty_known")) {
        vm_say(c, VM_WARN, "how fast it writes to its memory could not be measured");
        return;
    }
    text_bytes(vm_number(m, "dirty_rate"), rate);
    vm_say(c, VM_PASS, "it writes %s of its memory a second", rate);
}

#define ROW(id_, point_, from_, stops_, run_, good_, remedy_)                                      \
    {                                                                                              \
        .id = (id_), .point = (point_), .from = (from_), .stops = (stops_), .run = (run_),         \
        .good = (good_), .remedy = (remedy_)                                                       \
    }
/* As the destination finds. */
#define THERE(id_, point_, stops_, remedy_)                                                        \
    ROW(id_, point_, "destination", stops_, NULL, NULL, remedy_)

static const struct vm_check_row rows[] = {
    ROW("hypervisors", 0, "both", true, check_answers, "both hosts answer",
        "start libvirt on it (systemctl start libvirtd) and its agent"),
    ROW("known", 0, "source", true, check_known, "all of it is known",
        "godwit vm show tells what is wrong with its definition; godwit job show, what was left"),
    ROW("versions", 1, "both", false, check_versions, "",
        "bring QEMU and libvirt of the destination up to date; a machine that is off can go there"),
    THERE("machine-type", 1, true,
          "install that QEMU on the destination, or give the machine another type (virsh edit)"),
    ROW("hosts-distinct", 2, "both", true, check_hosts, "they have names and UUIDs of their own",
        "give each a host name and host_uuid of its own (libvirtd.conf)"),
    THERE("cpu", 3, false,
          "give it a processor model that both hosts have (virsh hypervisor-cpu-baseline), or move "
          "it with --stop"),
    THERE(
        "cpu-start", 3, true,
        "give it a processor model that the destination has: virsh edit, <cpu mode='host-model'/>"),
    ROW("memory", 4, "destination", true, check_memory, "",
        "choose another host, or move machines away from it first"),
    THERE("pages", 4, true,
          "set huge pages apart there (vm.nr_hugepages), or take them from its definition"),
    ROW("storage", 5, "source", true, vm_check_storage,
        "its disks are files, devices or shared images", "name the disk by its path (virsh edit)"),
    ROW("physical-disk", 5, "source", true, vm_check_physical,
        "none of its disks is passed through",
        "make it an ordinary disk (device='disk'), or move its content inside of the guest"),
    THERE("pool", 5, true,
          "define and start the pool (virsh pool-start), or name another with --pool"),
    THERE("folder", 5, true,
          "make the folder there, name a pool with --pool, or a blank device for a raw disk with "
          "--device vda=PATH"),
    THERE("disk-absent", 5, true,
          "take away what lies there, or name another place (--pool, --device)"),
    ROW("space", 5, "destination", true, vm_check_space, "no disk is copied",
        "make room there, or name another pool with --pool"),
    ROW("cache", 5, "source", false, vm_check_cache, "none is written through a cache that lies",
        "set cache='none' (virsh edit), which holds from its next start"),
    ROW("sector", 5, "both", true, vm_check_sector,
        "no disk comes to sectors of another size, as far as they are told",
        "name another place with sectors of the same size (--pool, --device); where its guest "
        "writes in none smaller than those there: --override sector"),
    THERE("media", 5, false, "eject the medium (virsh change-media --eject)"),
    ROW("shared", 6, "both", true, vm_check_shared, "",
        "take away what lies there, if it is nobody's"),
    ROW("reach", 6, "both", false, vm_check_reach, "as many hosts can see its disks as before",
        "name a pool on storage that the other hosts see (--pool), if any of them is to start it"),
    ROW("chain", 7, "source", true, vm_check_chain, "no disk stands on another image",
        "repair the chain (qemu-img rebase), merge it (virsh blockpull), or move the disk as one "
        "image (--flatten)"),
    ROW("image-header", 7, "source", true, vm_check_header, "no header names what it should not",
        "look into it with qemu-img info -U: if the name is yours, put that image into a storage "
        "pool; if it is not, its guest may read files of its host by it"),
    ROW("snapshots", 8, "source", true, check_snapshots, "it has none",
        "delete the one that keeps memory in a file (virsh snapshot-delete), merge external ones "
        "(virsh blockcommit), or leave the disks where they are (no "
        "--pool); move the machine while it is off"),
    ROW("checkpoints", 8, "source", false, check_checkpoints, "it has none",
        "take a whole backup afterwards"),
    THERE("firmware", 9, true,
          "install the same firmware on the destination (ovmf), take away what lies there"),
    ROW("nvram", 9, "source", false, check_nvram, "nothing of it is missing",
        "put the file back, if the machine had settings in its firmware"),
    THERE("tpm", 9, true,
          "install swtpm and swtpm-tools on the destination, 0.8 or newer on both hosts where its "
          "state lies on shared storage"),
    ROW("secrets", 9, "source", true, check_secrets, "it needs none",
        "define the secret on the destination, and move the machine by hand"),
    ROW("devices", 10, "source", true, check_devices, "nothing of its host is passed through",
        "detach the device (virsh detach-device), or give it a partner to fail over to "
        "(<teaming>)"),
    ROW("folders", 10, "source", true, check_folders, "it mounts no folder of its host",
        "unmount and detach it (virsh detach-device)"),
    THERE("networks", 11, true, "make a bridge or network of that name on the destination"),
    THERE(
        "mtu", 11, true,
        "give that bridge or device, and what is in it, the size that the source has (ip link set "
        "DEVICE mtu N); where its guest sends nothing as large: --override mtu"),
    ROW("path", 11, "source", true, check_path, "nothing was sent from host to host",
        "give all on the way the same MTU, let ICMP (fragmentation needed) through, or give the "
        "hosts' interfaces the MTU that the way has"),
    THERE("absent", 11, true,
          "rename or remove the other machine there: two of one name, UUID or address cannot be"),
    ROW("trust", 12, "both", true, check_trust, "the machine stays on its host",
        "open that port of the destination for the source; of an agent lane-port and lane-address "
        "say where it "
        "is reached, libvirt's own TLS (--own-tcp) listens at 16514 (virtproxyd-tls.socket, "
        "libvirtd-tls.socket)"),
    ROW("certificates", 12, "both", true, check_certificates,
        "none is needed: lanes have keys of their own",
        "have new ones made for that host and put there, then restart its libvirt; or move without "
        "--own-tcp"),
    ROW("quiet", 13, "source", true, check_busy, "no job runs on it, nothing of it is saved",
        "wait for the job's end; start the machine (virsh start) or shut it down, drop what was "
        "saved (virsh "
        "managedsave-remove), or keep the disks' paths (no --pool)"),
    ROW("errors", 13, "source", true, vm_check_errors, "its disks have no error",
        "repair the storage, and start the machine anew"),
    ROW("convergence", 14, "source", false, check_convergence, "",
        "measure again, or allow a longer outage (--max-outage)"),
};

const struct vm_check_row *vm_check_row(size_t i)
{
    return i < ARRAY_SIZE(rows) ? &rows[i] : NULL;
}
