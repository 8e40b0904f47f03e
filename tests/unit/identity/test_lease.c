/* test_lease: who holds a lease, what came with it, and a client that ends and begins again. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/identity/lease.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/identity/own_host.h"
#include "tests/unit/test.h"

static struct site v;

static int begin(void **state)
{
    (void)state;
    host_begin();
    v = (struct site){.root = host_root, .search = host_bin};
    host_program("systemd-run", "#!/bin/sh\necho \"$*\" >>@/calls\n");
    return 0;
}

static int end(void **state)
{
    (void)state;
    host_end();
    return 0;
}

static void networkd_tells_what_came_with_it(void **state)
{
    char *dns = NULL, *domain = NULL;
    (void)state;
    assert_int_equal(lease_find(&v, "eth0"), LEASE_UNKNOWN);
    lease_names(&v, "eth0", &dns, &domain);
    assert_null(dns);
    host_put("sys/class/net/eth0/ifindex", "7\n", 0644);
    host_put("run/systemd/netif/leases/7",
             "# private\nADDRESS=192.0.2.7\nDNS=192.0.2.3 192.0.2.4\nDOMAINNAME=lab.test\n", 0644);
    assert_int_equal(lease_find(&v, "eth0"), LEASE_NETWORKD);
    lease_names(&v, "eth0", &dns, &domain);
    assert_string_equal(dns, "192.0.2.3 192.0.2.4");
    assert_string_equal(domain, "lab.test");
    free(dns);
    free(domain);
    host_put("run/systemd/netif/leases/7", "DNS=$(reboot)\nDOMAINNAME=\n", 0644);
    lease_names(&v, "eth0", &dns, &domain);
    assert_null(dns);
    assert_null(domain);
}

/* Its number and words, as the system would tell them. */
static pid_t client(const char *comm)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    static const char words[] = "/sbin/dhclient\0-4\0-pf\0/run/dhclient.eth0.pid\0eth0";
    CLEANUP(mem_free) char *number = xasprintf("%d\n", (int)pid);
    CLEANUP(mem_free) char *name = xasprintf("proc/%d/comm", (int)pid);
    CLEANUP(mem_free) char *line = xasprintf("%s/proc/%d/cmdline", host_root, (int)pid);
    host_put("run/dhclient.eth0.pid", number, 0644);
    host_put(name, comm, 0644);
    assert_int_equal(file_write(line, 0644, words, sizeof words), 0);
    return pid;
}

static void a_client_ends_and_begins_again(void **state)
{
    Godwit__UndoInterface i = GODWIT__UNDO_INTERFACE__INIT;
    struct fault why = {.err = 0};
    char name[] = "eth0";
    (void)state;
    (void)signal(SIGCHLD, SIG_IGN); /* nobody waits for it but the one who ends it */
    pid_t pid = client("dhclient\n");
    i.name = name;
    assert_int_equal(lease_find(&v, "eth0"), LEASE_DHCLIENT);
    assert_int_equal(lease_find(&v, "eth1"), LEASE_UNKNOWN);
    lease_tell(&v, &i);
    assert_int_equal(i.n_client, 5);
    assert_int_equal(lease_begin(&v, &i, &why), 0); /* it runs */
    host_assert_file("calls", "(none)");
    assert_int_equal(lease_end(&v, "eth0", &why), 0);
    assert_int_equal(kill(pid, 0), -1);
    (void)signal(SIGCHLD, SIG_DFL); /* whoever runs a program waits for it */
    CLEANUP(mem_free) char *gone = xasprintf("%s/run/dhclient.eth0.pid", host_root);
    assert_int_equal(unlink(gone), 0);
    assert_int_equal(lease_end(&v, "eth0", &why), 0); /* again */
    assert_int_equal(lease_begin(&v, &i, &why), 0);
    host_assert_file("calls", "-q --collect --service-type=forking /sbin/dhclient -nw "
                              "-4 -pf /run/dhclient.eth0.pid eth0\n");
    for (size_t k = 0; k < i.n_client; k++)
        free(i.client[k]);
    free(i.client);
}

/* A number that is left in a file is somebody else's after a while. */
static void another_process_is_let_alone(void **state)
{
    struct fault why = {.err = 0};
    (void)state;
    (void)signal(SIGCHLD, SIG_IGN);
    pid_t pid = client("postgres\n");
    assert_int_equal(lease_find(&v, "eth0"), LEASE_UNKNOWN);
    assert_int_equal(lease_end(&v, "eth0", &why), 0);
    assert_int_equal(kill(pid, 0), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    (void)signal(SIGCHLD, SIG_DFL);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(networkd_tells_what_came_with_it),
        CASE(a_client_ends_and_begins_again),
        CASE(another_process_is_let_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
