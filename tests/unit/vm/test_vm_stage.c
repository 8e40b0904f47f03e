/* Stages of a move against hosts in memory and real files: what is done twice, what fails at each
 * call and is taken back by its note alone, what is in the way, and orders that are not well
 * formed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/vm/bases.h"
#include "agent/vm/image.h"
#include "agent/vm/image_new.h"
#include "agent/vm/redefine.h"
#include "agent/vm/state.h"
#include "agent/vm/vm.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/vm/stage_world.h"

static const char xml[] = "<domain><name>web</name><uuid>" UUID "</uuid><devices>"
                          "<disk type='volume'><source pool='p' volume='v'/><backingStore/>"
                          "<target dev='vda'/></disk>"
                          "<interface><source bridge='br0'/><target dev='vnet7'/></interface>"
                          "</devices></domain>";

static void test_there_and_back(void **unused)
{
    (void)unused;
    struct world *w = world_new(TYPE(COLD));
    assert_non_null(fake_define(&w->here, UUID, xml));
    assert_int_equal(order(w, SOURCE, "fence", DO), 1);
    assert_false(there(w->from));
    assert_int_equal(order(w, SOURCE, "fence", DO), 0); /* it is so */
    assert_int_equal(order(w, SOURCE, "fence", UNDO), 1);
    assert_true(there(w->from));
    struct stat st;
    assert_int_equal(stat(w->from, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(order(w, SOURCE, "fence", UNDO), 0);
    world_free(w);
}

static void test_running_is_not_fenced(void **unused)
{
    (void)unused;
    struct world *w = world_new(TYPE(COLD));
    fake_define(&w->here, UUID, xml)->is = VIRT_RUNNING;
    assert_int_equal(order(w, SOURCE, "fence", DO), -EBUSY);
    assert_true(there(w->from));
    assert_int_equal(order(w, SOURCE, "drop", DO), -EBUSY);
    assert_non_null(fake_machine(&w->here, UUID));
    world_free(w);
}

static const char *const forth[] = {"reserve", "define", "start"};

static int go(struct world *w)
{
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < ARRAY_SIZE(forth); i++) {
        rc = order(w, DESTINATION, forth[i], DO);
        if (i == 0 && rc >= 0)
            arrived(w, xml, NULL, 0);
    }
    return rc;
}

static void back(struct world *w)
{
    for (size_t i = ARRAY_SIZE(forth); i-- > 0;)
        assert_true(order(w, DESTINATION, forth[i], UNDO) >= 0);
    assert_int_equal(order(w, DESTINATION, "forget", DO), 1);
}

/* Each act fails once, undone or done all the same; the way back leaves nothing of either. */
static void test_fails_at_each_act(void **unused)
{
    (void)unused;
    for (unsigned at = 1; at <= 3; at++)
        for (int done = 0; done < 2; done++) {
            struct world *w = world_new(TYPE(COLD));
            w->there.fail_at = at;
            w->there.done_anyway = done;
            int rc = go(w);
            assert_int_equal(rc < 0, at <= 2); /* define, start */
            w->there.fail_at = 0;
            back(w);
            assert_null(fake_machine(&w->there, UUID));
            assert_int_equal(rmdir(w->images), 0); /* it is empty */
            world_free(w);
        }
}

/* As after a crash: each stage is ordered again. */
static void test_twice(void **unused)
{
    (void)unused;
    struct world *w = world_new(TYPE(COLD));
    assert_true(go(w) >= 0);
    assert_int_equal(order(w, DESTINATION, "start", DO), 0);
    assert_int_equal(fake_machine(&w->there, UUID)->is, VIRT_RUNNING);
    assert_true(strstr(fake_machine(&w->there, UUID)->xml, w->to) != NULL);
    assert_false(fake_machine(&w->there, UUID)->autostart);
    assert_int_equal(order(w, DESTINATION, "adopt", DO), 1);
    assert_true(fake_machine(&w->there, UUID)->autostart);
    assert_int_equal(order(w, DESTINATION, "forget", DO), 1);
    assert_true(there(w->to));
    CLEANUP(mem_free) char *notes = note_folder(w->states[1], MOVE);
    assert_false(there(notes));
    world_free(w);
}

static void test_in_the_way(void **unused)
{
    (void)unused;
    struct world *w = world_new(TYPE(COLD));
    assert_int_equal(file_write(w->to, 0600, "mine", 4), 0);
    assert_int_equal(order(w, DESTINATION, "reserve", DO), -EEXIST);
    assert_true(order(w, DESTINATION, "reserve", UNDO) >= 0);
    assert_true(there(w->to));
    assert_int_equal(unlink(w->to), 0);
    /* Somebody else's machine of that UUID. */
    assert_int_equal(order(w, DESTINATION, "reserve", DO), 1);
    arrived(w, xml, NULL, 0);
    assert_non_null(fake_define(&w->there, UUID, "<domain/>"));
    assert_int_equal(order(w, DESTINATION, "define", DO), -EEXIST);
    assert_true(order(w, DESTINATION, "define", UNDO) >= 0);
    assert_non_null(fake_machine(&w->there, UUID));
    world_free(w);
}

/* A file that took the place of ours meanwhile is not removed. */
static void test_undo_removes_only_ours(void **unused)
{
    (void)unused;
    struct world *w = world_new(TYPE(COLD));
    assert_int_equal(order(w, DESTINATION, "reserve", DO), 1);
    arrived(w, xml, NULL, 0);
    assert_int_equal(order(w, DESTINATION, "define", DO), 1);
    assert_int_equal(file_write(w->to, 0600, "another", 7), 0); /* another inode */
    assert_true(order(w, DESTINATION, "define", UNDO) >= 0);
    assert_true(there(w->to));
    world_free(w);
}

static void test_bad_orders(void **unused)
{
    (void)unused;
    static const struct {
        const char *target, *path, *uuid, *stage;
        Godwit__VmMoveRole role;
        int want;
    } cases[] = {
        {"vda",    "/srv/../etc/x", UUID,     "reserve", DESTINATION, -EBADMSG   },
        {"vda",    "relative",      UUID,     "reserve", DESTINATION, -EBADMSG   },
        {"vda",    "/srv/a\nb",     UUID,     "reserve", DESTINATION, -EBADMSG   },
        {"../vda", "/srv/x",        UUID,     "reserve", DESTINATION, -EBADMSG   },
        {"vda",    "/srv/x",        "a' or ", "reserve", DESTINATION, -EBADMSG   },
        {"vda",    "/srv/x",        UUID,     "reserve", SOURCE,      -EOPNOTSUPP},
        {"vda",    "/srv/x",        UUID,     "nothing", DESTINATION, -EOPNOTSUPP},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = world_new(TYPE(COLD));
        CLEANUP(mem_free) char *target = xstrdup(cases[i].target);
        CLEANUP(mem_free) char *path = xstrdup(cases[i].path);
        CLEANUP(mem_free) char *uuid = xstrdup(cases[i].uuid);
        w->disk.target = target;
        w->disk.path = path;
        w->plan.uuid = uuid;
        assert_int_equal(order(w, cases[i].role, cases[i].stage, DO), cases[i].want);
        world_free(w);
    }
    assert_string_equal(vm_stage_name(0), "reserve");
    assert_null(vm_stage_name(1000));
}

static void test_redefine(void **unused)
{
    (void)unused;
    struct world *w = world_new(TYPE(COLD));
    static char br0[] = "br0", br7[] = "br7", vdz[] = "vdz";
    Godwit__VmMoveNetwork net = GODWIT__VM_MOVE_NETWORK__INIT, *nets[] = {&net};
    char *out = NULL;
    net.from = br0;
    net.to = br7;
    w->plan.networks = nets;
    w->plan.n_networks = 1;
    assert_int_equal(redefine(xml, sizeof xml - 1, &w->plan, &out), 0);
    assert_non_null(strstr(out, "bridge=\"br7\""));
    assert_non_null(strstr(out, "type=\"file\""));
    assert_non_null(strstr(out, w->to));
    assert_null(strstr(out, "volume=\"v\""));
    assert_null(strstr(out, "vnet7"));
    assert_null(strstr(out, "backingStore"));
    free(out);
    w->disk.target = vdz; /* the plan knows a disk that is not in it */
    assert_int_equal(redefine(xml, sizeof xml - 1, &w->plan, &out), -ENOENT);
    static const char *const bad[] = {"", "<domain>", "<network/>",
                                      "<!DOCTYPE d [<!ENTITY e 'x'>]><domain>&e;</domain>"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(redefine(bad[i], strlen(bad[i]), &w->plan, &out), -EBADMSG);
    world_free(w);
}

/* In a snapshot the machine stands on what was its disk then. */
static void test_redefine_of_a_snapshot(void **unused)
{
    static const char past[] = "<domainsnapshot><name>s</name><domain><devices><disk type='file'>"
                               "<source file='%s'/><target dev='vda'/></disk></devices></domain>"
                               "</domainsnapshot>";
    static char base_from[] = "/srv/base.qcow2", base_to[] = "/there/base.qcow2";
    static const struct {
        const char *source; /* NULL: the disk's own */
        const char *want;   /* NULL: the disk's new one */
    } cases[] = {
        {NULL,             NULL            },
        {base_from,        base_to         },
        {"/srv/other.raw", "/srv/other.raw"},
    };
    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = world_new(TYPE(COLD));
        Godwit__VmMoveBase b = GODWIT__VM_MOVE_BASE__INIT, *bases[] = {&b};
        char xml_text[1024], want[512], *out = NULL;
        b.source = base_from;
        b.path = base_to;
        w->plan.bases = bases;
        w->plan.n_bases = 1;
        w->disk.how = GODWIT__VM_MOVE_DISK__HOW__SEEDED;
        int n =
            snprintf(xml_text, sizeof xml_text, past, cases[i].source ? cases[i].source : w->from);
        (void)snprintf(want, sizeof want, "file=\"%s\"", cases[i].want ? cases[i].want : w->to);
        assert_int_equal(redefine(xml_text, (size_t)n, &w->plan, &out), 0);
        assert_non_null(strstr(out, want));
        free(out);
        world_free(w);
    }
}

/* What the source keeps goes when its time is over, and not before. */
static void test_kept_for_a_while(void **unused)
{
    (void)unused;
    struct world *w = world_new(TYPE(COLD));
    CLEANUP(mem_free) char *note = xasprintf("%s/vm/kept/job.0.note", w->states[0]);
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    assert_non_null(fake_define(&w->here, UUID, xml));
    w->plan.seed_s = 1000;
    assert_int_equal(order(w, SOURCE, "fence", DO), 1);
    assert_int_equal(order(w, SOURCE, "drop", DO), 1);
    assert_int_equal(order(w, SOURCE, "forget", DO), 1);
    assert_int_equal(order(w, SOURCE, "forget", DO), 1);
    vm_sweep(w->states[0]);
    assert_true(rmdir(w->source) < 0); /* it is kept */
    assert_int_equal(file_read(note, 4096, &text, &len), 0);
    char *until = strstr(text, "until\t");
    assert_non_null(until);
    until[6] = '0';
    assert_int_equal(file_write(note, 0600, text, len), 0);
    vm_sweep(w->states[0]);
    assert_int_equal(rmdir(w->source), 0);
    assert_false(there(note));
    world_free(w);
}

static void test_damaged_note(void **unused)
{
    (void)unused;
    struct world *w = world_new(TYPE(COLD));
    CLEANUP(mem_free) char *folder = note_folder(w->states[0], MOVE);
    CLEANUP(mem_free) char *path = xasprintf("%s/fence.note", folder);
    assert_int_equal(file_mkdirs(folder, 0700), 0);
    static const char *const bad[] = {"nonsense\ta\tb\tc\n", "moved\t/a\t/b\t600"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(file_write(path, 0600, bad[i], strlen(bad[i])), 0);
        assert_int_equal(order(w, SOURCE, "fence", UNDO), -EBADMSG);
    }
    world_free(w);
}

static void test_image_new(void **unused)
{
    (void)unused;
    struct world *w = world_new(TYPE(COLD));
    static const struct {
        const char *format;
        uint64_t bytes;
        int want;
    } cases[] = {
        {"raw",   1 << 20,    0          },
        {"qcow2", 1 << 20,    0          },
        {"qcow2", 1ULL << 44, 0          },
        {"qcow2", 1000,       -EINVAL    },
        {"qcow2", 0,          -EINVAL    },
        {"raw",   1ULL << 60, -EINVAL    },
        {"vmdk",  1 << 20,    -EOPNOTSUPP},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct stat st;
        assert_int_equal(image_new(w->to, cases[i].format, cases[i].bytes, NULL), cases[i].want);
        if (cases[i].want == 0) {
            assert_int_equal(image_new(w->to, cases[i].format, cases[i].bytes, NULL), -EEXIST);
            assert_int_equal(stat(w->to, &st), 0);
            assert_true(st.st_blocks < 1000); /* thin */
            assert_int_equal(unlink(w->to), 0);
        }
    }
    world_free(w);
}

/* An overlay of our own making names what it stands on, as QEMU would have written it. */
static void test_image_new_stands_on_another(void **unused)
{
    (void)unused;
    struct world *w = world_new(TYPE(COLD));
    CLEANUP(mem_free) char *base = xasprintf("%s/images/base.qcow2", w->dir);
    CLEANUP(mem_free) char *longer = xcalloc(1, 2000);
    memset(longer, 'x', 1999);
    const struct image_below below = {base, "qcow2"}, bad = {longer, "qcow2"}, odd = {base, ""};
    Godwit__VmDiskFacts f = GODWIT__VM_DISK_FACTS__INIT;
    assert_int_equal(image_new(base, "qcow2", 1 << 20, NULL), 0);
    assert_int_equal(image_new(w->to, "raw", 1 << 20, &below), -EOPNOTSUPP);
    assert_int_equal(image_new(w->to, "qcow2", 1 << 20, &bad), -ENAMETOOLONG);
    assert_int_equal(unlink(w->to), 0);
    assert_int_equal(image_new(w->to, "qcow2", 1 << 20, &odd), -ENAMETOOLONG);
    assert_int_equal(unlink(w->to), 0);
    assert_int_equal(image_new(w->to, "qcow2", 1 << 20, &below), 0);
    image_chain(w->to, "qcow2", &f);
    assert_int_equal(f.n_images, 2);
    assert_string_equal(f.images[0]->trouble, "");
    assert_string_equal(f.images[0]->backing, base);
    assert_string_equal(f.images[0]->backing_format, "qcow2");
    assert_string_equal(f.images[1]->path, base);
    for (size_t i = 0; i < f.n_images; i++)
        (void)image_free(f.images[i]);
    free(f.images);
    world_free(w);
}

/* What was brought goes again, unless somebody stands on it, or it is not what was brought. */
static void test_brought_bases_go_when_nobody_stands_on_them(void **unused)
{
    enum { NOBODY, A_MACHINE, A_MOVE, ANOTHER_FILE, WAS_HERE };
    static const struct {
        int who;
        bool stays;
    } cases[] = {
        {NOBODY,       false},
        {A_MACHINE,    true },
        {A_MOVE,       true },
        {ANOTHER_FILE, true },
        {WAS_HERE,     true },
    };
    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = world_new(TYPE(COLD));
        CLEANUP(mem_free) char *base = xasprintf("%s/images/base.qcow2", w->dir);
        CLEANUP(mem_free) char *brought = xasprintf("brought %s", base);
        CLEANUP(mem_free) char *uses = xasprintf("uses %s", base);
        CLEANUP(note_free) struct note *mine = NULL;
        CLEANUP(note_free) struct note *other = NULL;
        static char qcow2[] = "qcow2";
        Godwit__VmMoveBase b = GODWIT__VM_MOVE_BASE__INIT, *list[] = {&b};
        const struct image_below below = {base, qcow2};
        b.source = b.path = base;
        b.format = qcow2;
        w->plan.bases = list;
        w->plan.n_bases = 1;
        assert_int_equal(image_new(base, qcow2, 1 << 20, NULL), 0);
        assert_int_equal(note_open(w->states[1], MOVE, "bases", &mine), 0);
        CLEANUP(mem_free) char *identity = note_identity(base);
        if (cases[i].who != WAS_HERE)
            assert_int_equal(note_add(mine, NOTE_FACT, brought, identity, NULL), 0);
        if (cases[i].who == A_MACHINE) {
            CLEANUP(mem_free)
            char *def = xasprintf("<domain><name>db</name><uuid>22222222-2222-4333-8444-"
                                  "555555555501</uuid><devices><disk type='file'><driver "
                                  "type='qcow2'/><source file='%s'/><target dev='vda'/></disk>"
                                  "</devices></domain>",
                                  w->to);
            assert_int_equal(image_new(w->to, qcow2, 1 << 20, &below), 0);
            struct fake_machine *m =
                fake_define(&w->there, "22222222-2222-4333-8444-555555555501", def);
            (void)snprintf(m->name, sizeof m->name, "db");
        }
        if (cases[i].who == A_MOVE) {
            assert_int_equal(note_open(w->states[1], "job.1", "bases", &other), 0);
            assert_int_equal(note_add(other, NOTE_FACT, uses, "1", NULL), 0);
        }
        if (cases[i].who == ANOTHER_FILE) {
            CLEANUP(mem_free) char *aside = xasprintf("%s.aside", base);
            assert_int_equal(rename(base, aside), 0);
            assert_int_equal(file_write(base, 0600, "mine", 4), 0);
        }
        assert_true(order(w, DESTINATION, "bases", UNDO) >= 0);
        assert_int_equal(there(base), cases[i].stays);
        assert_true(order(w, DESTINATION, "bases", UNDO) >= 0);
        world_free(w);
    }
}

/* A digest is of all of a file, and of files alone. */
static void test_digests_of_bases(void **unused)
{
    (void)unused;
    struct world *w = world_new(TYPE(COLD));
    uint8_t sum[SHA256_LEN], want[SHA256_LEN];
    uint64_t bytes = 0;
    sha256_of("content", 7, want);
    assert_int_equal(vm_base_digest(w->from, -1, sum, &bytes), 0);
    assert_memory_equal(sum, want, SHA256_LEN);
    assert_int_equal(bytes, 7);
    assert_int_equal(vm_base_digest(w->dir, -1, sum, &bytes), -EINVAL);
    assert_int_equal(vm_base_digest(w->to, -1, sum, &bytes), -ENOENT);
    world_free(w);
}

/* Whose notes lie here is told until the move is forgotten. */
static void test_an_open_move_is_told(void **unused)
{
    (void)unused;
    struct world *w = world_new(TYPE(COLD));
    assert_non_null(fake_define(&w->here, UUID, xml));
    CLEANUP(mem_free) char *none = vm_open_move(w->states[0], UUID);
    assert_string_equal(none, "");
    assert_int_equal(order(w, SOURCE, "fence", DO), 1);
    CLEANUP(mem_free) char *open = vm_open_move(w->states[0], UUID);
    assert_string_equal(open, MOVE);
    CLEANUP(mem_free)
    char *other = vm_open_move(w->states[0], "22222222-2222-4333-8444-555555555501");
    assert_string_equal(other, "");
    assert_int_equal(order(w, SOURCE, "fence", UNDO), 1);
    assert_int_equal(order(w, SOURCE, "forget", DO), 1);
    CLEANUP(mem_free) char *gone = vm_open_move(w->states[0], UUID);
    assert_string_equal(gone, "");
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_running_is_not_fenced),
        cmocka_unit_test(test_fails_at_each_act),
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_in_the_way),
        cmocka_unit_test(test_undo_removes_only_ours),
        cmocka_unit_test(test_bad_orders),
        cmocka_unit_test(test_redefine),
        cmocka_unit_test(test_kept_for_a_while),
        cmocka_unit_test(test_damaged_note),
        cmocka_unit_test(test_image_new),
        cmocka_unit_test(test_image_new_stands_on_another),
        cmocka_unit_test(test_digests_of_bases),
        cmocka_unit_test(test_redefine_of_a_snapshot),
        cmocka_unit_test(test_brought_bases_go_when_nobody_stands_on_them),
        cmocka_unit_test(test_an_open_move_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
