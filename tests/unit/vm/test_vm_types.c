/* The acts of moves by saved memory, warm ones and storage on one host, against hosts in memory and
 * real files: each fails at each call and is taken back; what was saved is never used once it is
 * older than the disks. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/vm/memory_priv.h"
#include "agent/vm/used.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/vm/stage_world.h"

static char in_memory[80];

/* Its machine runs at the source, or is off there where only that moves; with so much memory. */
static struct world *begin(Godwit__VmMoveType type, const char *memory)
{
    struct world *w = world_new(type);
    (void)snprintf(in_memory, sizeof in_memory, "%s/memory", w->dir);
    vm_memory_home = in_memory;
    CLEANUP(mem_free) char *xml = xml_with(w->from, memory);
    fake_define(&w->here, UUID, xml)->is = type == TYPE(QUICK_STORAGE) ? VIRT_OFF : VIRT_RUNNING;
    return w;
}

/* ── quick ── */

/* Definition that "define" would have put there. */
static void defined_there(struct world *w)
{
    CLEANUP(mem_free) char *xml = xml_of(w->to);
    assert_non_null(fake_define(&w->there, UUID, xml));
}

static void test_quick(void **unused)
{
    (void)unused;
    struct world *w = begin(TYPE(QUICK), "");
    CLEANUP(mem_free) char *memory = beside(w, SOURCE, VM_MEMORY_NAME);
    assert_int_equal(order(w, SOURCE, "save", DO), 1);
    assert_true(there(memory));
    assert_int_equal(fake_machine(&w->here, UUID)->is, VIRT_OFF);
    assert_int_equal(order(w, SOURCE, "save", DO), 0); /* after a crash */
    defined_there(w);
    assert_int_equal(order(w, DESTINATION, "start", DO), 1);
    assert_int_equal(fake_machine(&w->there, UUID)->is, VIRT_RUNNING);
    assert_int_equal(w->there.went_on, 1);
    assert_int_equal(order(w, SOURCE, "drop", DO), 1);
    assert_int_equal(order(w, SOURCE, "forget", DO), 1);
    assert_false(there(memory));
    assert_true(there(w->from));
    world_free(w);
}

/* It ran at the destination: what comes back is what it had in memory there. */
static void test_quick_back(void **unused)
{
    (void)unused;
    static const struct {
        const char *fails;
        unsigned went_on; /* at the source: else it starts anew */
    } cases[] = {
        {NULL,   1},
        {"save", 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = begin(TYPE(QUICK), "");
        CLEANUP(mem_free) char *memory = beside(w, SOURCE, VM_MEMORY_NAME);
        assert_int_equal(order(w, SOURCE, "save", DO), 1);
        defined_there(w);
        assert_int_equal(order(w, DESTINATION, "start", DO), 1);
        w->there.fail_named = cases[i].fails;
        assert_true(order(w, DESTINATION, "start", UNDO) >= 0);
        assert_int_equal(fake_machine(&w->there, UUID)->is, VIRT_OFF);
        assert_true(order(w, SOURCE, "save", UNDO) >= 0);
        assert_int_equal(fake_machine(&w->here, UUID)->is, VIRT_RUNNING);
        assert_int_equal(w->here.went_on, cases[i].went_on);
        assert_false(there(memory));
        world_free(w);
    }
}

/* A destination that could not take it in: nothing ran there, and what was saved still counts. */
static void test_quick_not_taken(void **unused)
{
    (void)unused;
    struct world *w = begin(TYPE(QUICK), "");
    assert_int_equal(order(w, SOURCE, "save", DO), 1);
    defined_there(w);
    w->there.fail_named = "restore";
    assert_true(order(w, DESTINATION, "start", DO) < 0);
    assert_true(order(w, DESTINATION, "start", UNDO) >= 0);
    assert_true(order(w, SOURCE, "save", UNDO) >= 0);
    assert_int_equal(w->here.went_on, 1);
    assert_int_equal(fake_machine(&w->here, UUID)->is, VIRT_RUNNING);
    world_free(w);
}

/* Its agent was killed with the mark made: as long as no disk was written to, what was saved
 * counts, here and at the source; afterwards it does nowhere. */
static void test_quick_marked(void **unused)
{
    (void)unused;
    static const struct {
        bool written, back;
        unsigned went_on[2]; /* at the source, at the destination */
    } cases[] = {
        {false, false, {0, 1}},
        {false, true,  {1, 0}},
        {true,  false, {0, 0}},
        {true,  true,  {0, 0}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = begin(TYPE(QUICK), "");
        CLEANUP(mem_free) char *memory = beside(w, SOURCE, VM_MEMORY_NAME);
        assert_int_equal(order(w, SOURCE, "save", DO), 1);
        defined_there(w);
        assert_int_equal(used_mark(memory, &w->plan), 0);
        if (cases[i].written)
            assert_int_equal(file_write(w->from, 0640, "another content", 15), 0);
        if (cases[i].back)
            assert_true(order(w, SOURCE, "save", UNDO) >= 0);
        else
            assert_int_equal(order(w, DESTINATION, "start", DO), cases[i].written ? -ESTALE : 1);
        assert_int_equal(w->here.went_on, cases[i].went_on[0]);
        assert_int_equal(w->there.went_on, cases[i].went_on[1]);
        if (cases[i].back)
            assert_int_equal(fake_machine(&w->here, UUID)->is, VIRT_RUNNING);
        world_free(w);
    }
}

/* What the mark says is read back from storage that another host writes too. */
static void test_mark_that_is_none(void **unused)
{
    (void)unused;
    static const char *const cases[] = {"",
                                        "s",
                                        "s?\n/etc/hostname\n",
                                        "d1.000000000 1\n/x\n",
                                        "s1.000000000 1\n",
                                        "\n\n",
                                        "s1.0 1\nrelative\n"};
    struct world *w = begin(TYPE(QUICK), "");
    CLEANUP(mem_free) char *memory = xasprintf("%s/m", w->dir);
    CLEANUP(mem_free) char *mark = xasprintf("%s.used", memory);
    assert_false(used_is(memory, true));
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(file_write(mark, 0600, cases[i], strlen(cases[i])), 0);
        assert_true(used_is(memory, true));
    }
    used_unmark(memory);
    assert_false(used_is(memory, true));
    assert_int_equal(used_mark(memory, &w->plan), 0);
    assert_false(used_is(memory, true));
    assert_false(used_is(memory, false));
    assert_int_equal(chmod(w->from, 0400), 0); /* not written */
    assert_false(used_is(memory, true));
    assert_int_equal(unlink(w->from), 0);
    assert_true(used_is(memory, true));
    world_free(w);
}

/* ── warm: from the moment on at which the copy follows ── */

/* The saved memory lies beside its disk, or in this host's memory. */
static char *saved_at(const struct world *w)
{
    static char move[] = MOVE;
    const struct vm_stage_run r = {
        .order = &(Godwit__VmMoveOrder){.move = move, .role = SOURCE},
          .plan = &w->plan
    };
    return vm_memory_at(&r);
}

static void warm_quick_fails(unsigned at, bool done, bool quick)
{
    struct world *w = begin(TYPE(WARM_QUICK), quick ? "<memory unit='MiB'>1</memory>" : "");
    const char *home = vm_memory_home;
    CLEANUP(mem_free) char *slow = beside(w, SOURCE, VM_MEMORY_NAME);
    fake_machine(&w->here, UUID)->mirrored = true;
    w->here.fail_at = at; /* suspend, mirror_end, save */
    w->here.done_anyway = done;
    int rc = order(w, SOURCE, "save", DO);
    CLEANUP(mem_free) char *memory = saved_at(w);
    assert_int_equal(strcmp(memory, slow) != 0, quick);
    assert_int_equal(rc < 0, at >= 1 && at <= 3);
    assert_int_equal(rc >= 0, there(memory) && fake_machine(&w->here, UUID)->is == VIRT_OFF &&
                                  !(done && at == 3));
    w->here.fail_at = 0;
    assert_true(order(w, SOURCE, "save", UNDO) >= 0);
    assert_int_equal(fake_machine(&w->here, UUID)->is, VIRT_RUNNING);
    assert_false(there(memory));
    assert_int_equal(rmdir(home), 0);
    world_free(w);
}

/* The source's agent was killed with the machine held: its copies ended with it, and nothing is
 * tried again while the machine stands still. */
static void test_warm_cut_off(void **unused)
{
    (void)unused;
    static const struct {
        Godwit__VmMoveType type;
        const char *stage;
    } cases[] = {
        {TYPE(WARM_QUICK), "save" },
        {TYPE(WARM),       "pause"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = begin(cases[i].type, "");
        assert_true(order(w, SOURCE, cases[i].stage, DO) < 0);
        assert_int_equal(w->fault.what_next, FAULT_STOP_JOB);
        assert_int_equal(fake_machine(&w->here, UUID)->is, VIRT_PAUSED);
        assert_true(order(w, SOURCE, cases[i].stage, UNDO) >= 0);
        assert_int_equal(fake_machine(&w->here, UUID)->is, VIRT_RUNNING);
        world_free(w);
    }
}

static void test_warm_quick_source(void **unused)
{
    (void)unused;
    for (unsigned at = 0; at <= 4; at++)
        for (int done = 0; done < 2; done++)
            for (int quick = 0; quick < 2; quick++)
                warm_quick_fails(at, done, quick);
}

/* What went on elsewhere is of no use here, wherever it lay. */
static void test_warm_quick_dropped(void **unused)
{
    (void)unused;
    struct world *w = begin(TYPE(WARM_QUICK), "<memory unit='MiB'>1</memory>");
    const char *home = vm_memory_home;
    fake_machine(&w->here, UUID)->mirrored = true;
    assert_int_equal(order(w, SOURCE, "save", DO), 1);
    CLEANUP(mem_free) char *memory = saved_at(w);
    assert_true(there(memory));
    assert_int_equal(order(w, SOURCE, "fence", DO), 1);
    assert_int_equal(order(w, SOURCE, "drop", DO), 1);
    assert_int_equal(order(w, SOURCE, "forget", DO), 1);
    assert_int_equal(rmdir(home), 0);
    world_free(w);
}

/* Its memory goes over while its hypervisor ends; nothing else is done with it before it is off. */
static void test_warm_quick_in_a_hurry(void **unused)
{
    (void)unused;
    for (int back = 0; back < 2; back++) {
        struct world *w = begin(TYPE(WARM_QUICK), "<memory unit='MiB'>1</memory>");
        fake_machine(&w->here, UUID)->mirrored = true;
        w->here.falls = 4;
        assert_int_equal(order(w, SOURCE, "save", DO), 1);
        assert_int_equal(fake_machine(&w->here, UUID)->is, VIRT_PAUSED);
        CLEANUP(mem_free) char *memory = saved_at(w);
        assert_true(there(memory));
        if (back) {
            assert_true(order(w, SOURCE, "save", UNDO) >= 0);
            assert_int_equal(fake_machine(&w->here, UUID)->is, VIRT_RUNNING);
            assert_int_equal(w->here.went_on, 1);
        } else {
            assert_int_equal(order(w, SOURCE, "save", DO), 0); /* after a crash */
            assert_int_equal(fake_machine(&w->here, UUID)->is, VIRT_OFF);
            fake_machine(&w->here, UUID)->is = VIRT_PAUSED;
            fake_machine(&w->here, UUID)->falls = 4;
            assert_int_equal(order(w, SOURCE, "fence", DO), 1);
            assert_int_equal(fake_machine(&w->here, UUID)->is, VIRT_OFF);
            assert_int_equal(order(w, SOURCE, "drop", DO), 1);
            assert_null(fake_machine(&w->here, UUID));
        }
        world_free(w);
    }
}

static void test_warm_source(void **unused)
{
    (void)unused;
    struct world *w = begin(TYPE(WARM), "");
    assert_int_equal(order(w, SOURCE, "pause", DO), -EIO); /* nothing is being copied */
    assert_true(order(w, SOURCE, "pause", UNDO) >= 0);
    assert_int_equal(fake_machine(&w->here, UUID)->is, VIRT_RUNNING);
    fake_machine(&w->here, UUID)->mirrored = true;
    assert_int_equal(order(w, SOURCE, "pause", DO), 1);
    assert_int_equal(fake_machine(&w->here, UUID)->is, VIRT_PAUSED);
    assert_int_equal(order(w, SOURCE, "pause", DO), 1); /* after a crash */
    assert_int_equal(order(w, SOURCE, "fence", DO), 1);
    assert_false(there(w->from));
    assert_int_equal(order(w, SOURCE, "fence", UNDO), 1);
    assert_int_equal(order(w, SOURCE, "pause", UNDO), 1);
    assert_int_equal(fake_machine(&w->here, UUID)->is, VIRT_RUNNING);
    /* For good: what is held ends with it. */
    fake_machine(&w->here, UUID)->mirrored = true;
    assert_int_equal(order(w, SOURCE, "pause", DO), 1);
    assert_int_equal(order(w, SOURCE, "fence", DO), 1);
    assert_int_equal(order(w, SOURCE, "drop", DO), 1);
    assert_null(fake_machine(&w->here, UUID));
    world_free(w);
}

/* Rooms for copies that come while it runs: staged, not in place. */
static void test_warm_reserve(void **unused)
{
    (void)unused;
    struct world *w = begin(TYPE(WARM), "");
    CLEANUP(mem_free) char *staged = beside(w, DESTINATION, "vda");
    assert_int_equal(order(w, DESTINATION, "reserve", DO), 1);
    assert_int_equal(order(w, DESTINATION, "reserve", DO), 1);
    assert_true(there(staged));
    assert_false(there(w->to));
    assert_true(order(w, DESTINATION, "seed", UNDO) >= 0);
    assert_int_equal(order(w, DESTINATION, "reserve", UNDO), 1);
    assert_int_equal(rmdir(w->images), 0);
    world_free(w);
}

/* A boot of the source must not start what runs elsewhere by then. */
static void test_autostart_is_held(void **unused)
{
    (void)unused;
    struct world *w = begin(TYPE(LIVE_VSM), "");
    fake_machine(&w->here, UUID)->autostart = true;
    assert_true(order(w, SOURCE, "state", DO) < 0); /* there is no lane */
    assert_false(fake_machine(&w->here, UUID)->autostart);
    assert_true(order(w, SOURCE, "state", DO) < 0);
    assert_int_equal(order(w, SOURCE, "state", UNDO), 1);
    assert_true(fake_machine(&w->here, UUID)->autostart);
    world_free(w);
}

/* After a live move the source's libvirt knows nothing of the machine: where its files were stands
 * in the note of "state". */
static void test_files_of_a_live_move(void **unused)
{
    (void)unused;
    struct world *w = begin(TYPE(LIVE), "");
    static const char nvram[] = "/var/lib/libvirt/qemu/nvram/no-such-machine.fd";
    struct note *n = NULL;
    fake_done(&w->here);
    assert_int_equal(note_open(w->states[0], MOVE, "state", &n), 0);
    assert_int_equal(note_add(n, NOTE_FACT, "nvram", nvram, NULL), 0);
    n = note_free(n);
    assert_int_equal(order(w, SOURCE, "drop", DO), 1);
    assert_int_equal(note_open(w->states[0], MOVE, "drop", &n), 0);
    assert_string_equal(note_fact(n, "nvram"), nvram);
    n = note_free(n);
    assert_int_equal(order(w, SOURCE, "forget", DO), 1);
    world_free(w);
}

/* ── seen from outside ── */

static void test_answers(void **unused)
{
    (void)unused;
    static char open_port[64], closed[64], refused[64],
        closed_arp[] = "arp 127.0.0.1", name[] = "tcp localhost:1", nonsense[] = "ping 127.0.0.1";
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    (void)snprintf(open_port, sizeof open_port, "tcp 127.0.0.1:%u", (unsigned)ntohs(a.sin_port));
    (void)snprintf(closed, sizeof closed, "tcp 127.0.0.1");
    (void)snprintf(refused, sizeof refused, "tcp 127.0.0.1:%u/", (unsigned)ntohs(a.sin_port));
    const struct {
        char *text;
        int want;
    } cases[] = {
        {open_port,  1      },
        {closed_arp, 1      },
        {closed,     -EINVAL},
        {refused,    -EINVAL},
        {name,       -EINVAL},
        {nonsense,   -EINVAL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = begin(TYPE(LIVE), "");
        CLEANUP(mem_free) char *xml = xml_of(w->to);
        fake_define(&w->there, UUID, xml)->is = VIRT_RUNNING;
        w->plan.answers = cases[i].text;
        assert_int_equal(order(w, DESTINATION, "answers", DO), cases[i].want);
        world_free(w);
    }
    (void)close(fd);
}

/* ── storage alone ── */

static void test_shift(void **unused)
{
    (void)unused;
    static const Godwit__VmMoveType types[] = {TYPE(LIVE_STORAGE), TYPE(QUICK_STORAGE)};
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        struct world *w = begin(types[i], "");
        w->here.looks = 3;
        assert_int_equal(order(w, SOURCE, "shift", DO), 1);
        assert_int_equal(order(w, SOURCE, "shift", DO), 1);
        assert_true(there(w->to));
        assert_false(there(w->from));
        assert_non_null(strstr(fake_machine(&w->here, UUID)->xml, w->to));
        assert_int_equal(order(w, DESTINATION, "forget", DO), 0); /* the same notes */
        assert_int_equal(order(w, SOURCE, "forget", DO), 1);
        assert_int_equal(rmdir(w->source), 0);
        world_free(w);
    }
}

static void test_shift_fails_at_each_act(void **unused)
{
    (void)unused;
    static const Godwit__VmMoveType types[] = {TYPE(LIVE_STORAGE), TYPE(QUICK_STORAGE)};
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        for (unsigned at = 0; at <= 4; at++)
            for (int done = 0; done < 2; done++) {
                struct world *w = begin(types[i], "");
                w->here.fail_at = at; /* mirror, pivot, define */
                w->here.done_anyway = done;
                int rc = order(w, SOURCE, "shift", DO);
                assert_int_equal(rc < 0, at >= 1 && at <= (i == 0 ? 3 : 1));
                w->here.fail_at = 0;
                assert_true(order(w, SOURCE, "shift", UNDO) >= 0);
                assert_true(there(w->from));
                assert_non_null(strstr(fake_machine(&w->here, UUID)->xml, w->from));
                assert_false(fake_machine(&w->here, UUID)->mirrored);
                assert_int_equal(rmdir(w->images), 0);
                world_free(w);
            }
}

/* Its host had no power while it used the copy: what it wrote there comes back. */
static void test_shift_back_when_off(void **unused)
{
    (void)unused;
    struct world *w = begin(TYPE(LIVE_STORAGE), "");
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    assert_int_equal(order(w, SOURCE, "shift", DO), 1);
    assert_int_equal(file_write(w->to, 0600, "written since", 13), 0);
    fake_machine(&w->here, UUID)->is = VIRT_OFF;
    assert_true(order(w, SOURCE, "shift", UNDO) >= 0);
    assert_int_equal(file_read(w->from, 100, &text, &len), 0);
    assert_string_equal(text, "written since");
    assert_non_null(strstr(fake_machine(&w->here, UUID)->xml, w->from));
    world_free(w);
}

/* One that ran and is off by nobody's wish runs again when its move was taken back. */
static void test_forget_starts_what_fell(void **unused)
{
    static const struct {
        const char *reason;
        bool ran, runs;
    } cases[] = {
        {"",                true,  true },
        {"crashed",         true,  true },
        {VIRT_SHUT_DOWN,    true,  false},
        {VIRT_SWITCHED_OFF, true,  false},
        {"",                false, false},
    };
    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = begin(TYPE(LIVE_VSM), "");
        w->plan.runs = cases[i].ran;
        fake_machine(&w->here, UUID)->is = VIRT_OFF;
        fake_machine(&w->here, UUID)->reason = cases[i].reason;
        assert_true(order(w, SOURCE, "migrate", UNDO) >= 0);
        assert_int_equal(order(w, SOURCE, "forget", DO), 1);
        assert_int_equal(fake_machine(&w->here, UUID)->is == VIRT_RUNNING, cases[i].runs);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quick),
        cmocka_unit_test(test_quick_back),
        cmocka_unit_test(test_quick_not_taken),
        cmocka_unit_test(test_quick_marked),
        cmocka_unit_test(test_mark_that_is_none),
        cmocka_unit_test(test_warm_cut_off),
        cmocka_unit_test(test_warm_quick_source),
        cmocka_unit_test(test_warm_quick_dropped),
        cmocka_unit_test(test_warm_quick_in_a_hurry),
        cmocka_unit_test(test_warm_source),
        cmocka_unit_test(test_warm_reserve),
        cmocka_unit_test(test_autostart_is_held),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_files_of_a_live_move),
        cmocka_unit_test(test_shift),
        cmocka_unit_test(test_shift_back_when_off),
        cmocka_unit_test(test_forget_starts_what_fell),
        cmocka_unit_test(test_shift_fails_at_each_act),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
