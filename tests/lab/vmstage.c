/* vmstage: one stage of a machine's move, run as an agent would, without orchestrator and agent:
 * for tests of single stages and for measuring. Not installed.
 *
 *   godwit-vmstage STATE pin                                  prints the key's pin, makes the key
 *   godwit-vmstage STATE source|destination STAGE do|probe|undo KEY=VALUE…
 *
 * Keys: move, type (a number of VmMoveType), uuid, name, disk=TARGET:HOW:SOURCE:PATH:FORMAT:BYTES,
 * runs, seed, shutdown, force, outage, duration, peer (pin, hex), to (HOST:PORT of the
 * destination's lanes), listen (PORT: of ours), rate (bytes a second). Prints one line. Exit 1: it
 * failed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "agent/lane/lane.h"
#include "agent/lane/lane_identity.h"
#include "agent/lane/lane_server.h"
#include "agent/step_priv.h"
#include "agent/vm/stage.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static Godwit__VmMovePlan plan = GODWIT__VM_MOVE_PLAN__INIT;
static Godwit__VmMoveOrder order = GODWIT__VM_MOVE_ORDER__INIT;
static uint8_t secret[LANE_SECRET_BYTES], pin[LANE_PIN_BYTES];
static char *endpoints[1];
static uint16_t port;
static uint64_t rate = BUCKET_UNLIMITED;

/* There is nobody to tell. */
void step_progress(struct step *s, const struct counters *c, unsigned percent, const char *doing)
{
    (void)s;
    (void)c;
    (void)percent;
    (void)doing;
}

void step_source_latency(struct step *s, uint32_t us, unsigned pace)
{
    (void)s;
    (void)us;
    (void)pace;
}

static uint64_t number(const char *s)
{
    return strtoull(s, NULL, 10);
}

/* TARGET:HOW:SOURCE:PATH:FORMAT:BYTES */
static int add_disk(char *text)
{
    char *field[6];
    for (int i = 0; i < 6; i++)
        if (!(field[i] = strsep(&text, ":")))
            return -1;
    Godwit__VmMoveDisk *d = xcalloc(1, sizeof *d);
    godwit__vm_move_disk__init(d);
    d->target = field[0];
    d->how = (Godwit__VmMoveDisk__How)number(field[1]);
    d->source = field[2];
    d->path = field[3];
    d->format = field[4];
    d->virtual_bytes = number(field[5]);
    plan.disks = xrealloc(plan.disks, (plan.n_disks + 1) * sizeof(void *));
    plan.disks[plan.n_disks++] = d;
    return 0;
}

static int take_number(const char *key, const char *value)
{
    const struct {
        const char *name;
        uint32_t *to;
    } numbers[] = {
        {"seed",     &plan.seed_s        },
        {"shutdown", &plan.shutdown_s    },
        {"outage",   &plan.max_outage_ms },
        {"duration", &plan.max_duration_s},
        {"streams",  &plan.streams       },
    };
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        if (strcmp(numbers[i].name, key) == 0) {
            *numbers[i].to = (uint32_t)number(value);
            return 0;
        }
    if (strcmp(key, "type") == 0)
        plan.type = (Godwit__VmMoveType)number(value);
    else if (strcmp(key, "runs") == 0)
        plan.runs = number(value) != 0;
    else if (strcmp(key, "force") == 0)
        plan.force_off = number(value) != 0;
    else if (strcmp(key, "postcopy") == 0)
        plan.postcopy = number(value) != 0;
    else if (strcmp(key, "listen") == 0)
        port = (uint16_t)number(value);
    else if (strcmp(key, "rate") == 0)
        rate = number(value);
    else
        return -1;
    return 0;
}

static int take(char *word)
{
    char *value = strchr(word, '=');
    if (!value)
        return -1;
    *value++ = '\0';
    if (strcmp(word, "disk") == 0)
        return add_disk(value);
    if (strcmp(word, "peer") == 0) {
        order.peer_pin = (ProtobufCBinaryData){.data = pin, .len = sizeof pin};
        return text_unhex(value, pin, sizeof pin);
    }
    if (strcmp(word, "to") == 0) {
        endpoints[0] = value;
        order.peer_endpoints = endpoints;
        order.n_peer_endpoints = 1;
        return 0;
    }
    if (strcmp(word, "move") == 0)
        order.move = value;
    else if (strcmp(word, "uuid") == 0)
        plan.uuid = value;
    else if (strcmp(word, "name") == 0)
        plan.name = value;
    else
        return take_number(word, value);
    return 0;
}

static void tell(const struct step_result *res, const Godwit__VmMoveAnswer *a)
{
    const Godwit__VmMoveFigures *f = a ? a->figures : NULL;
    (void)printf(
        "{\"status\":%d,\"is\":%d,\"acted\":%d,\"sight\":%d,\"after\":\"%s\",\"fault\":\"%s\","
        "\"wire\":%llu,\"bytes\":%llu,\"downtime_us\":%llu,\"took_ms\":%llu,\"ladder\":[",
        (int)res->status, a && a->is, a && a->acted, a && a->sight ? (int)a->sight->is : 0,
        a ? a->after : "", res->fault.text, (unsigned long long)res->counters.wire_bytes,
        (unsigned long long)res->counters.bytes, (unsigned long long)(f ? f->downtime_us : 0),
        (unsigned long long)(f ? f->took_ms : 0));
    for (size_t i = 0; a && i < a->n_ladder; i++)
        (void)printf("%s\"%s\"", i ? "," : "", a->ladder[i]);
    (void)printf("]}\n");
}

static int run(const struct agent_env *env)
{
    static char op_id[] = "op", job[] = "job";
    struct step s = {.env = env, .op_id = op_id, .job = job, .end_fd = -1};
    struct step_result res = {.status = STEP_FAILED};
    s.args_len = godwit__vm_move_order__get_packed_size(&order);
    s.args = xmalloc(s.args_len + 1);
    (void)godwit__vm_move_order__pack(&order, s.args);
    s.cancel_fd = eventfd(0, EFD_CLOEXEC);
    (void)pthread_mutex_init(&s.lock, NULL);
    bucket_init(&s.bucket, rate);
    vm_stage_step(&s, &res);
    Godwit__VmMoveAnswer *a = godwit__vm_move_answer__unpack(NULL, res.body_len, res.body);
    tell(&res, a);
    return res.status == STEP_DONE ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct lane_identity *id = NULL;
    struct lane_server *lanes = NULL;
    static char first_move[] = "job.0", ticket[] = "ticket";
    char hex[2 * LANE_PIN_BYTES + 1];
    if (argc < 3)
        return 2;
    CLEANUP(mem_free) char *key = xasprintf("%s/lane.key", argv[1]);
    if (lane_identity_load_or_new(key, &id) < 0)
        return 2;
    text_hex(lane_identity_pin(id), LANE_PIN_BYTES, hex);
    if (strcmp(argv[2], "pin") == 0)
        return puts(hex) < 0;
    if (argc < 5)
        return 2;
    memset(secret, 7, sizeof secret);
    order.move = first_move;
    order.stage = argv[3];
    order.role = strcmp(argv[2], "source") == 0 ? GODWIT__VM_MOVE_ROLE__VM_MOVE_SOURCE
                                                : GODWIT__VM_MOVE_ROLE__VM_MOVE_DESTINATION;
    order.action = strcmp(argv[4], "do") == 0     ? GODWIT__VM_MOVE_ACTION__VM_MOVE_DO
                   : strcmp(argv[4], "undo") == 0 ? GODWIT__VM_MOVE_ACTION__VM_MOVE_UNDO
                                                  : GODWIT__VM_MOVE_ACTION__VM_MOVE_PROBE;
    order.plan = &plan;
    order.ticket_id = ticket;
    order.ticket_secret = (ProtobufCBinaryData){.data = secret, .len = sizeof secret};
    order.not_after_ms = clock_fleet_ms() + 600000;
    for (int i = 5; i < argc; i++)
        if (take(argv[i]) < 0)
            return 2;
    if (port && lane_server_start(&lanes, id, NULL, port) < 0)
        return 2;
    const struct agent_env env = {
        .state_dir = argv[1], .lanes = lanes, .identity = id, .privileged = true};
    int rc = run(&env);
    (void)lane_server_stop(lanes);
    return rc;
}
