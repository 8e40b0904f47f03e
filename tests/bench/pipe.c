/* pipe: one transfer between two folders of this machine over loopback, without orchestrator, to
 * measure and profile the data path. Not installed.
 *   godwit-pipe both SOURCE DESTINATION STATE [OPTION…]
 *   godwit-pipe send|receive SOURCE DESTINATION STATE port=N [OPTION…]
 * OPTION: lanes=N compress=auto|on|off delete dry-run checksum delta evidence only-failed
 * rate=BYTES verbose */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "tests/unit/transfer/harness.h"

static void on_signal(int sig)
{
    (void)sig;
    harness_cancel();
}

static bool option(struct harness *h, const char *text)
{
    struct transfer_options *o = &h->options;
    if (strncmp(text, "lanes=", 6) == 0)
        o->lanes = (uint32_t)strtoul(text + 6, NULL, 10);
    else if (strncmp(text, "port=", 5) == 0)
        h->port = (uint16_t)strtoul(text + 5, NULL, 10);
    else if (strcmp(text, "compress=on") == 0)
        o->compress = COMPRESS_ON;
    else if (strcmp(text, "compress=off") == 0)
        o->compress = COMPRESS_OFF;
    else if (strcmp(text, "delete") == 0)
        o->delete_extras = true;
    else if (strcmp(text, "dry-run") == 0)
        o->dry_run = true;
    else if (strcmp(text, "checksum") == 0)
        o->checksum = true;
    else if (strcmp(text, "delta") == 0)
        o->delta = true;
    else if (strcmp(text, "evidence") == 0)
        o->evidence = true;
    else if (strcmp(text, "only-failed") == 0)
        o->only_failed = true;
    else if (strncmp(text, "rate=", 5) == 0)
        h->rate = strtoull(text + 5, NULL, 10);
    else if (strcmp(text, "verbose") == 0)
        h->verbose = true;
    else
        return strcmp(text, "compress=auto") == 0;
    return true;
}

static void show(const char *side, struct step_result *r)
{
    static const char *const names[] = {"?", "done", "partial", "failed", "stopped"};
    const struct counters *c = &r->counters;
    (void)printf("%s %s: files %" PRIu64 " bytes %" PRIu64 " entries %" PRIu64 " sent %" PRIu64
                 " wire %" PRIu64 " saved %" PRIu64 " again %" PRIu64 " unchanged %" PRIu64
                 " changed_meta %" PRIu64 " deleted %" PRIu64 " failed %" PRIu64
                 " skipped_meta %" PRIu64 " total %" PRIu64 " ms %" PRIu64 " %s\n",
                 side, names[r->status <= STEP_STOPPED ? r->status : 0], c->files, c->bytes,
                 c->entries, c->sent_bytes, c->wire_bytes, c->delta_saved, c->again_bytes,
                 c->unchanged_files, c->changed_meta, c->deleted, c->failed, c->skipped_meta,
                 c->total_files, c->elapsed_ms, r->fault.text);
    for (size_t i = 0; i < r->ngroups; i++)
        (void)printf("  %s %s: %" PRIu64 " e.g. '%s'\n", r->groups[i].what,
                     strerror(r->groups[i].err), r->groups[i].count,
                     r->groups[i].nexamples ? r->groups[i].examples[0] : "");
    step_result_done(r);
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        (void)fprintf(stderr, "usage: godwit-pipe both|send|receive SOURCE DESTINATION STATE …\n");
        return 2;
    }
    struct harness h = {.source = argv[2], .destination = argv[3], .state = argv[4]};
    for (int i = 5; i < argc; i++)
        if (!option(&h, argv[i])) {
            (void)fprintf(stderr, "unknown option %s\n", argv[i]);
            return 2;
        }
    (void)signal(SIGTERM, on_signal);
    (void)file_mkdirs(h.state, 0700);
    struct step_result sent = {0}, received = {0};
    int64_t from = clock_mono_us();
    bool both = strcmp(argv[1], "both") == 0, send = strcmp(argv[1], "send") == 0;
    if (both)
        harness_run(&h, &sent, &received);
    else if (send)
        harness_send(&h, &sent);
    else
        harness_receive(&h, &received);
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    (void)printf("seconds %.3f cpu %.3f rss_kib %ld\n", (double)(clock_mono_us() - from) / 1e6,
                 seconds(u.ru_utime) + seconds(u.ru_stime), u.ru_maxrss);
    bool ok = (!both && !send) || sent.status == STEP_DONE;
    ok = ok && (send || received.status == STEP_DONE);
    if (both || send)
        show("source", &sent);
    if (!send)
        show("destination", &received);
    return ok ? 0 : 1;
}
