/* test_vm_library: a copy of a machine comes into a library whole or not at all; what lies there is
 * never replaced nor removed; a machine that runs is refused; the machine itself is left alone. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/vm/state.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/vm/stage_world.h"

struct library {
    struct world *w;
    char *folder, *entry, *image;
};

static struct library library_new(void)
{
    struct library l = {.w = world_new(TYPE(LIBRARY))};
    CLEANUP(mem_free) char *xml = xml_of(l.w->from);
    l.folder = xasprintf("%s/library", l.w->dir);
    l.entry = xasprintf("%s/web", l.folder);
    l.image = xasprintf("%s/web.raw", l.entry);
    assert_int_equal(file_mkdirs(l.folder, 0700), 0);
    free(l.w->to);
    l.w->to = xstrdup(l.image);
    l.w->disk.path = l.w->to;
    l.w->plan.library = l.folder;
    fake_define(&l.w->here, UUID, xml)->autostart = true;
    return l;
}

static void library_free(struct library *l)
{
    const struct fake_machine *m = fake_machine(&l->w->here, UUID);
    assert_true(m && m->autostart && there(l->w->from)); /* whatever happened */
    world_free(l->w);
    free(l->folder);
    free(l->entry);
    free(l->image);
}

static void came(struct library *l)
{
    static char nvram[] = "/var/lib/libvirt/qemu/nvram/web_VARS.fd",
                home[] = VM_TPM_HOME "/" UUID "/tpm2",
                tpm[] = VM_TPM_HOME "/" UUID "/tpm2/tpm2-00.permall";
    static uint8_t data[] = "secret";
    CLEANUP(mem_free) char *xml = xml_of(l->w->from);
    Godwit__VmStateFile f[3], *list[3];
    for (size_t i = 0; i < ARRAY_SIZE(f); i++) {
        godwit__vm_state_file__init(&f[i]);
        f[i].data = (ProtobufCBinaryData){.data = data, .len = 6};
        f[i].mode = 0644;
        list[i] = &f[i];
    }
    f[0].path = nvram;
    f[1].path = home;
    f[1].folder = true;
    f[2].path = tpm;
    arrived(l->w, xml, list, ARRAY_SIZE(list));
}

static int mode_of(const char *folder, const char *name)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", folder, name);
    struct stat st;
    return stat(path, &st) < 0 ? -1 : (int)(st.st_mode & 07777);
}

/* Nothing but what is to be there: the rest can be removed as an empty folder. */
static bool is_empty_but(const char *folder, const char *entry)
{
    bool had = !entry || note_remove_tree(entry) == 0;
    return had && rmdir(folder) == 0;
}

static void a_copy_is_whole_and_the_machine_stays(void **state)
{
    struct library l = library_new();
    CLEANUP(mem_free) char *text = NULL;
    CLEANUP(mem_free) char *path = xasprintf("%s/web.xml", l.entry);
    CLEANUP(mem_free) char *notes = note_folder(l.w->states[1], MOVE);
    size_t n = 0;
    (void)state;
    assert_int_equal(order(l.w, DESTINATION, "reserve", DO), 1);
    assert_false(there(l.entry));
    came(&l);
    assert_int_equal(order(l.w, DESTINATION, "shelve", DO), 1);
    assert_int_equal(order(l.w, DESTINATION, "shelve", DO), 0); /* after a crash */
    assert_true(there(l.image));
    assert_int_equal(file_read(path, 4096, &text, &n), 0);
    assert_non_null(strstr(text, l.image)); /* its disks as they lie here */
    assert_null(strstr(text, l.w->from));
    assert_int_equal(mode_of(l.entry, "web.xml"), 0600);
    assert_int_equal(mode_of(l.entry, "nvram/web_VARS.fd"), 0600);
    assert_int_equal(mode_of(l.entry, "tpm/" UUID "/tpm2/tpm2-00.permall"), 0600);
    assert_int_equal(mode_of(l.entry, "tpm"), 0700);
    assert_int_equal(order(l.w, DESTINATION, "forget", DO), 1);
    assert_int_equal(order(l.w, SOURCE, "forget", DO), 1);
    assert_false(there(notes));
    assert_null(fake_machine(&l.w->there, UUID));
    assert_true(is_empty_but(l.folder, l.entry));
    library_free(&l);
}

/* Taken back before, and after it had its name. */
static void taken_back_nothing_is_left(void **state)
{
    (void)state;
    for (int named = 0; named < 2; named++) {
        struct library l = library_new();
        assert_int_equal(order(l.w, DESTINATION, "reserve", DO), 1);
        came(&l);
        if (named)
            assert_int_equal(order(l.w, DESTINATION, "shelve", DO), 1);
        assert_true(order(l.w, DESTINATION, "shelve", UNDO) >= 0);
        assert_true(order(l.w, DESTINATION, "reserve", UNDO) >= 0);
        assert_int_equal(order(l.w, DESTINATION, "forget", DO), 1);
        assert_true(is_empty_but(l.folder, NULL));
        library_free(&l);
    }
}

static void what_lies_there_stays(void **state)
{
    struct library l = library_new();
    CLEANUP(mem_free) char *mine = xasprintf("%s/mine", l.entry);
    (void)state;
    assert_int_equal(file_mkdirs(l.entry, 0700), 0);
    assert_int_equal(order(l.w, DESTINATION, "reserve", DO), -EEXIST);
    assert_int_equal(rmdir(l.entry), 0);
    assert_int_equal(order(l.w, DESTINATION, "reserve", DO), 1);
    came(&l);
    /* Somebody was faster. */
    assert_int_equal(file_mkdirs(l.entry, 0700), 0);
    assert_int_equal(file_write(mine, 0600, "mine", 4), 0);
    assert_int_equal(order(l.w, DESTINATION, "shelve", DO), -EEXIST);
    assert_true(order(l.w, DESTINATION, "shelve", UNDO) >= 0);
    assert_true(order(l.w, DESTINATION, "reserve", UNDO) >= 0);
    assert_true(there(mine));
    assert_true(is_empty_but(l.folder, l.entry));
    library_free(&l);
}

static void what_did_not_come_is_not_shelved(void **state)
{
    struct library l = library_new();
    CLEANUP(mem_free) char *staged = beside(l.w, DESTINATION, "vda");
    (void)state;
    assert_int_equal(order(l.w, DESTINATION, "reserve", DO), 1);
    assert_int_equal(order(l.w, DESTINATION, "shelve", DO), -ENOENT); /* no definition */
    came(&l);
    assert_int_equal(unlink(staged), 0);
    assert_int_equal(order(l.w, DESTINATION, "shelve", DO), -ENOENT);
    assert_false(there(l.entry));
    came(&l);
    assert_int_equal(order(l.w, DESTINATION, "shelve", DO), 1); /* on what was begun */
    library_free(&l);
}

static void a_machine_that_runs_is_refused(void **state)
{
    struct library l = library_new();
    (void)state;
    fake_machine(&l.w->here, UUID)->is = VIRT_RUNNING;
    assert_true(order(l.w, SOURCE, "copy", DO) < 0);
    assert_true(order(l.w, SOURCE, "copy", UNDO) >= 0);
    assert_int_equal(fake_machine(&l.w->here, UUID)->is, VIRT_RUNNING);
    library_free(&l);
}

static void nothing_lands_outside_of_its_folder(void **state)
{
    static const struct {
        const char *library, *name, *path; /* below the world's folder; NULL: as it is */
    } cases[] = {
        {"",   NULL,     NULL                   },
        {NULL, "../web", NULL                   },
        {NULL, "..",     NULL                   },
        {NULL, "",       NULL                   },
        {NULL, NULL,     "library/web.raw"      },
        {NULL, NULL,     "library/web/a/web.raw"},
        {NULL, NULL,     "images/web.raw"       },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct library l = library_new();
        CLEANUP(mem_free) char *library = xstrdup(cases[i].library ? cases[i].library : l.folder);
        CLEANUP(mem_free) char *name = xstrdup(cases[i].name ? cases[i].name : "web");
        CLEANUP(mem_free)
        char *path = cases[i].path ? xasprintf("%s/%s", l.w->dir, cases[i].path) : xstrdup(l.image);
        l.w->plan.library = library;
        l.w->plan.name = name;
        l.w->disk.path = path;
        assert_int_equal(order(l.w, DESTINATION, "reserve", DO), -EBADMSG);
        library_free(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_whole_and_the_machine_stays),
        cmocka_unit_test(taken_back_nothing_is_left),
        cmocka_unit_test(what_lies_there_stays),
        cmocka_unit_test(what_did_not_come_is_not_shelved),
        cmocka_unit_test(a_machine_that_runs_is_refused),
        cmocka_unit_test(nothing_lands_outside_of_its_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
