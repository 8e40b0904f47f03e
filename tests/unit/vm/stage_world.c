/* stage_world: see stage_world.h. */
#include "tests/unit/vm/stage_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/lane/lane.h"
#include "agent/step.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/files/step_stub.h"
#include "tests/unit/test.h"

static char uuid_text[] = UUID, web[] = "web", vda[] = "vda", raw[] = "raw", move_text[] = MOVE;

char *xml_with(const char *path, const char *more)
{
    return xasprintf(
        "<domain><name>web</name><uuid>" UUID "</uuid>%s<devices>"
        "<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
        "<source file='%s'/><target dev='vda' bus='virtio'/></disk></devices></domain>",
        more, path);
}

char *xml_of(const char *path)
{
    return xml_with(path, "");
}

static char *make(const struct world *w, const char *name)
{
    char *path = xasprintf("%s/%s", w->dir, name);
    assert_int_equal(file_mkdirs(path, 0700), 0);
    return path;
}

static void fill_plan(struct world *w, Godwit__VmMoveType type)
{
    godwit__vm_move_plan__init(&w->plan);
    godwit__vm_move_disk__init(&w->disk);
    w->disk.target = vda;
    w->disk.how =
        type == TYPE(QUICK) ? GODWIT__VM_MOVE_DISK__HOW__SHARED : GODWIT__VM_MOVE_DISK__HOW__COPY;
    w->disk.source = w->from;
    w->disk.path = w->to;
    w->disk.format = raw;
    w->disk.virtual_bytes = 1 << 20;
    w->disks[0] = &w->disk;
    w->plan.disks = w->disks;
    w->plan.n_disks = 1;
    w->plan.type = type;
    w->plan.uuid = uuid_text;
    w->plan.name = web;
}

struct world *world_new(Godwit__VmMoveType type)
{
    struct world *w = xcalloc(1, sizeof *w);
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/vmstage.XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->source = make(w, "source");
    w->images = make(w, "images");
    w->states[0] = make(w, "state0");
    w->states[1] = make(w, "state1");
    w->from = xasprintf("%s/web.raw", w->source);
    w->to = xasprintf("%s/web.raw", type == TYPE(QUICK) ? w->source : w->images);
    assert_int_equal(file_write(w->from, 0640, "content", 7), 0);
    fill_plan(w, type);
    return w;
}

void world_free(struct world *w)
{
    char **const texts[] = {&w->states[0], &w->states[1], &w->from, &w->to, &w->source, &w->images};
    fake_done(&w->here);
    fake_done(&w->there);
    assert_int_equal(note_remove_tree(w->dir), 0);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        free(*texts[i]);
    free(w);
}

int order(struct world *w, Godwit__VmMoveRole role, const char *stage, Godwit__VmMoveAction action)
{
    const char *state = w->states[role == DESTINATION];
    static char ticket[] = "ticket";
    static uint8_t secret[LANE_SECRET_BYTES], pin[LANE_PIN_BYTES];
    struct step *step = step_stub_new(state, "", 0);
    struct step_result result = {.status = STEP_FAILED};
    Godwit__VmMoveOrder o = GODWIT__VM_MOVE_ORDER__INIT;
    Godwit__VmMoveAnswer *a = xcalloc(1, sizeof *a);
    CLEANUP(virt_close) struct virt *v = fake_virt(role == DESTINATION ? &w->there : &w->here);
    CLEANUP(mem_free) char *name = xstrdup(stage);
    godwit__vm_move_answer__init(a);
    o.move = move_text;
    o.role = role;
    o.stage = name;
    o.action = action;
    o.plan = &w->plan;
    o.ticket_id = ticket;
    o.ticket_secret = (ProtobufCBinaryData){.data = secret, .len = sizeof secret};
    o.peer_pin = (ProtobufCBinaryData){.data = pin, .len = sizeof pin};
    w->fault = (struct fault){.err = 0};
    struct vm_stage_run r = {.step = step,
                             .state_dir = state,
                             .order = &o,
                             .virt = v,
                             .answer = a,
                             .result = &result,
                             .reterr = &w->fault};
    int rc = vm_stage_run(&r);
    godwit__vm_move_answer__free_unpacked(a, NULL);
    (void)step_stub_free(step);
    return rc;
}

char *beside(const struct world *w, Godwit__VmMoveRole role, const char *name)
{
    const struct vm_stage_run r = {
        .order = &(Godwit__VmMoveOrder){.move = move_text, .role = role},
          .plan = &w->plan
    };
    return vm_staged(&r, role == SOURCE ? w->from : w->to, name);
}

void arrived(struct world *w, const char *xml, Godwit__VmStateFile *const *files, size_t n)
{
    CLEANUP(mem_free) char *folder = note_folder(w->states[1], MOVE);
    CLEANUP(mem_free) char *at = xasprintf("%s/state", folder);
    CLEANUP(mem_free) char *definition = xstrdup(xml);
    CLEANUP(mem_free) char *staged = beside(w, DESTINATION, "vda");
    Godwit__VmState s = GODWIT__VM_STATE__INIT;
    uint8_t packed[4096];
    s.definition = (ProtobufCBinaryData){.data = (uint8_t *)definition, .len = strlen(xml)};
    s.autostart = true;
    s.files = (Godwit__VmStateFile **)(uintptr_t)files;
    s.n_files = n;
    assert_true(godwit__vm_state__get_packed_size(&s) < sizeof packed);
    size_t len = godwit__vm_state__pack(&s, packed);
    assert_int_equal(file_mkdirs(folder, 0700), 0);
    assert_int_equal(file_write(at, 0600, packed, len), 0);
    assert_int_equal(file_write(staged, 0600, "content", 7), 0);
}

bool there(const char *path)
{
    return access(path, F_OK) == 0;
}
