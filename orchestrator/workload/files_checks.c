/* files_checks: what is checked of one pair before it starts: one row a check. Main thread, pure.
 */
#include "orchestrator/workload/files_checks.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/workload/files_contract.h"
#include "orchestrator/workload/files_priv.h"

#define SKEW_WARN_MS 2000
#define SKEW_FAIL_MS 300000 /* Kerberos refuses beyond */
#define SLOW_RATE (1U << 20)

struct ctx {
    bool endpoint;
    const json_t *facts, *options;
    const json_t *source, *destination; /* answers of the probes; NULL: none */
    const json_t *back;                 /* of the destination that tried the source */
    const json_t *place;                /* of the destination, by the probe or the inventory */
    char *text;
    size_t size;
};

__attribute__((format(printf, 3, 4))) static enum check_result
say(const struct ctx *c, enum check_result result, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(c->text, c->size, fmt, ap);
    va_end(ap);
    return result;
}

static uint64_t num(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));
    return v > 0 ? (uint64_t)v : 0;
}

static bool on(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

static const char *str(const json_t *o, const char *key)
{
    const char *v = json_string_value(json_object_get(o, key));
    return v ? v : "";
}

/* Holes need no room. */
static uint64_t bytes_needed(const json_t *inventory)
{
    uint64_t bytes = num(inventory, "bytes"), used = num(inventory, "allocated_bytes");
    return used < bytes ? used : bytes;
}

static enum check_result free_space(const struct ctx *c)
{
    const json_t *inventory = json_object_get(c->facts, "inventory");
    char want[16], have[16];
    if (!c->place)
        return say(c, CHECK_UNKNOWN, "the destination did not answer");
    uint64_t need = bytes_needed(inventory), room = num(c->place, "free");
    text_bytes(room, have);
    if (!inventory)
        return say(c, CHECK_WARN, "%s free; nothing was counted yet", have);
    text_bytes(need, want);
    bool empty = on(c->place, "empty");
    enum check_result bad = empty ? CHECK_FAIL : CHECK_WARN; /* some may be there already */
    return say(c,
               need > room            ? bad
               : need > room / 10 * 9 ? CHECK_WARN
                                      : CHECK_PASS,
               "the source holds %s, %s are free%s", want, have,
               empty ? "" : ", and the destination is not empty");
}

static enum check_result inodes(const struct ctx *c)
{
    const json_t *i = json_object_get(c->facts, "inventory");
    if (!c->place)
        return say(c, CHECK_UNKNOWN, "the destination did not answer");
    if (num(c->place, "inodes") == 0)
        return say(c, CHECK_PASS, "the file system makes inodes as it needs them");
    uint64_t have = num(c->place, "inodes_free");
    uint64_t need = num(i, "files") + num(i, "folders") + num(i, "symlinks") + num(i, "devices") +
                    num(i, "fifos") + num(i, "sockets");
    if (!i)
        return say(c, CHECK_WARN, "%llu free; nothing was counted yet", (unsigned long long)have);
    bool empty = on(c->place, "empty");
    return say(c,
               need <= have ? CHECK_PASS
               : empty      ? CHECK_FAIL
                            : CHECK_WARN,
               "the source has %llu entries, %llu inodes are free", (unsigned long long)need,
               (unsigned long long)have);
}

static enum check_result file_system(const struct ctx *c)
{
    static const char *const features[] = {"xattr", "acl", "flags", "projects"};
    char has[80] = "", key[16];
    size_t len = 0;
    if (!c->place)
        return say(c, CHECK_UNKNOWN, "the destination did not answer");
    for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
        (void)snprintf(key, sizeof key, "has_%s", features[i]);
        if (on(c->place, key))
            len +=
                (size_t)snprintf(has + len, sizeof has - len, "%s%s", len ? ", " : "", features[i]);
    }
    if (on(c->place, "read_only") || !on(c->place, "writable"))
        return say(c, CHECK_FAIL, "%s, %s", str(c->place, "file_system"),
                   on(c->place, "read_only") ? "mounted read-only" : "the agent may not write");
    return say(c, on(c->place, "has_xattr") ? CHECK_PASS : CHECK_WARN, "%s with %s",
               str(c->place, "file_system"), *has ? has : "no attributes");
}

static enum check_result clock_skew(const struct ctx *c)
{
    if (!on(c->source, "clocks"))
        return say(c, CHECK_UNKNOWN, "the clocks were not compared");
    json_int_t ms = json_integer_value(json_object_get(c->source, "skew_ms"));
    json_int_t off = ms < 0 ? -ms : ms;
    return say(c,
               off > SKEW_FAIL_MS   ? CHECK_FAIL
               : off > SKEW_WARN_MS ? CHECK_WARN
                                    : CHECK_PASS,
               "the destination's clock is %lld ms %s", (long long)off,
               ms < 0 ? "behind" : "ahead");
}

static enum check_result lane_port(const struct ctx *c)
{
    if (!c->source)
        return say(c, CHECK_UNKNOWN, "the source did not answer");
    if (on(c->source, "reached"))
        return say(c, CHECK_PASS, "an authenticated lane was opened");
    if (!on(c->source, "tried"))
        return say(c, CHECK_UNKNOWN, "no lane was tried");
    return say(c, CHECK_FAIL, "no lane to %.150s", str(c->source, "error"));
}

/* Nothing of a move goes that way: it is only told. */
static enum check_result lane_port_back(const struct ctx *c)
{
    if (c->endpoint)
        return say(c, CHECK_PASS, "an endpoint: nothing of ours listens there");
    if (!c->back)
        return say(c, CHECK_UNKNOWN, "the destination did not answer");
    if (on(c->back, "back_reached"))
        return say(c, CHECK_PASS, "the source's lane port takes connections");
    if (!on(c->back, "back_tried"))
        return say(c, CHECK_WARN, "the source's lane port is not known");
    return say(c, CHECK_WARN, "the source is not reached at %.150s", str(c->back, "back_error"));
}

/* "3 h 40 min" */
static void duration(uint64_t s, char ret[32])
{
    if (s < 90)
        (void)snprintf(ret, 32, "%llu s", (unsigned long long)s);
    else if (s < 5400)
        (void)snprintf(ret, 32, "%llu min", (unsigned long long)(s / 60));
    else
        (void)snprintf(ret, 32, "%llu h %llu min", (unsigned long long)(s / 3600),
                       (unsigned long long)(s % 3600 / 60));
}

static enum check_result throughput(const struct ctx *c)
{
    char speed[16], want[16], takes[32];
    uint64_t us = num(c->source, "burst_us"), bytes = num(c->source, "burst_bytes");
    if (us == 0 || bytes == 0)
        return say(c, CHECK_UNKNOWN, "nothing was measured");
    uint64_t rate = (uint64_t)((double)bytes * 1e6 / (double)us);
    const json_t *inventory = json_object_get(c->facts, "inventory");
    uint64_t need = bytes_needed(inventory);
    text_bytes(rate, speed);
    text_bytes(need, want);
    duration(rate ? need / rate : 0, takes);
    enum check_result result = rate < SLOW_RATE ? CHECK_WARN : CHECK_PASS;
    if (!inventory)
        return say(c, result, "%s/s by one lane, an answer in %llu us", speed,
                   (unsigned long long)num(c->source, "rtt_us"));
    return say(c, result, "%s/s by one lane, an answer in %llu us: %s take at least %s", speed,
               (unsigned long long)num(c->source, "rtt_us"), want, takes);
}

/* Of an endpoint; a proxy that does not know to try it logs on when the count begins. */
static enum check_result rights_share(const struct ctx *c)
{
    const char *error = str(c->source, "smb_error");
    if (!on(c->source, "smb_tried"))
        return say(c, CHECK_PASS, "an endpoint: its proxy logs on when the count begins");
    if (*error)
        return say(c, CHECK_FAIL, "%s", error);
    return on(c->source, "smb_audit")
               ? say(c, CHECK_PASS, "the account opens the folder, and may read audit ACLs")
               : say(c, CHECK_WARN,
                     "the account opens the folder; without the right \"Manage "
                     "auditing and security log\" audit ACLs stay behind");
}

static enum check_result rights_source(const struct ctx *c)
{
    const json_t *place = json_object_get(c->source, "place");
    if (!c->source)
        return say(c, CHECK_UNKNOWN, "the source did not answer");
    if (c->endpoint)
        return rights_share(c);
    if (!on(c->source, "readable"))
        return say(c, CHECK_FAIL, "the source folder is not there, or the agent may not read it");
    return on(place, "privileged")
               ? say(c, CHECK_PASS, "the agent is root and the folder can be read")
               : say(c, CHECK_WARN, "the agent is not root: it reads what its user may");
}

static enum check_result rights_destination(const struct ctx *c)
{
    if (!c->place)
        return say(c, CHECK_UNKNOWN, "the destination did not answer");
    if (!on(c->place, "writable"))
        return say(c, CHECK_FAIL, "the agent may not write there");
    return on(c->place, "privileged")
               ? say(c, CHECK_PASS, "the agent is root")
               : say(c, CHECK_WARN, "the agent is not root: all will belong to its user");
}

static enum check_result samba(const struct ctx *c)
{
    const json_t *from = json_object_get(json_object_get(c->source, "host"), "samba");
    const json_t *to = json_object_get(json_object_get(c->destination, "host"), "samba");
    const char *a = str(from, "version"), *b = str(to, "version");
    if (c->endpoint)
        return say(c, *b ? CHECK_PASS : CHECK_WARN,
                   *b ? "Samba %s at the destination"
                      : "no Samba at the destination%s: NT ACLs cannot be kept",
                   b);
    if (!c->source || !c->destination)
        return say(c, CHECK_UNKNOWN, "a host did not answer");
    if (!*a)
        return say(c, CHECK_PASS, "no Samba at the source");
    if (!*b)
        return say(c, CHECK_WARN, "Samba %s at the source, none at the destination", a);
    return say(c, strverscmp(a, b) > 0 ? CHECK_WARN : CHECK_PASS,
               "Samba %s at the source, %s at the destination", a, b);
}

static enum check_result losses(const struct ctx *c)
{
    char open[160];
    if (!json_object_get(c->facts, "traits"))
        return say(c, CHECK_WARN, "nothing was counted yet: it is checked before the first byte");
    unsigned n = contract_open(c->facts, c->options, open, sizeof open);
    return n ? say(c, CHECK_FAIL, "would be lost: %s", open)
             : say(c, CHECK_PASS, "nothing is lost that was not accepted");
}

static const json_t *trait_of(const struct ctx *c, const char *name)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(c->facts, "traits"), i, one)
    {
        if (strcmp(str(one, "name"), name) == 0)
            return one;
    }
    return NULL;
}

static enum check_result locked(const struct ctx *c)
{
    const json_t *locks = trait_of(c, "locked-now"), *opened = trait_of(c, "open-now");
    const json_t *first = json_array_get(json_object_get(opened ? opened : locks, "examples"), 0);
    const char *name = json_string_value(first);
    if (locks || opened)
        return say(c, CHECK_WARN,
                   "when they were counted %llu files were open to clients and %llu locked%s%.60s",
                   (unsigned long long)num(opened, "count"),
                   (unsigned long long)num(locks, "count"), name ? ", as " : "", name ? name : "");
    return say(c, CHECK_PASS,
               json_object_get(c->facts, "traits") ? "no file was open to clients or locked"
                                                   : "nothing was counted yet");
}

static enum check_result identities(const struct ctx *c)
{
    if (c->endpoint)
        return say(c, CHECK_PASS, "an endpoint: its SIDs are mapped by the destination's Samba");
    return files_check_identities(c->facts, c->options, c->text, c->size);
}

static const struct row {
    struct check_info info;
    enum check_result (*run)(const struct ctx *c);
} rows[] = {
    {{"free-space", "destination", "make room, or choose another destination", false},                  free_space},
    {{"inodes", "destination", "choose a file system with more inodes", false},                         inodes    },
    {{"file-system", "destination", "mount it for writing, with user_xattr and acl", false},
     file_system                                                                                                  },
    {{"clock-skew", "source", "let both hosts follow one time server", false},                          clock_skew},
    {{"lane-port", "source", "open the destination's lane port (TCP 7410) for the source", false},
     lane_port                                                                                                    },
    {{"lane-port-back", "destination",
      "open the source's lane port (TCP 7410) for the destination: a move does not need it, "
      "sending "
      "back does",
      false},
     lane_port_back                                                                                               },
    {{"throughput", "source",
      "look at the network between both hosts, and at limits (godwit limit)", false},
     throughput                                                                                                   },
    {{"rights-source", "source",
      "run the source's agent as root, and check the path; of an endpoint the credential", false},
     rights_source                                                                                                },
    {{"rights-destination", "destination", "run the destination's agent as root", false},
     rights_destination                                                                                           },
    {{"samba-versions", "both", "install at the destination at least the source's version", false},
     samba                                                                                                        },
    {{"losses-accepted", "destination",
      "godwit inventory show tells why; --accept-loss CLASS accepts it", true},
     losses                                                                                                       },
    {{"identity-maps", "both",
      "give the destination the source's idmap (rid, autorid: the same range, autorid.tdb; ad: the "
      "same range; tdb: net idmap dump there, restore here), or map ids with --map FILE",
      true},
     identities                                                                                                   },
    {{"files-unlocked", "source", "let the users of these files end before the last pass", false},
     locked                                                                                                       },
};

const struct check_info *files_check_info(size_t i)
{
    return i < ARRAY_SIZE(rows) ? &rows[i].info : NULL;
}

enum check_result files_check(size_t i, const struct check_pair *p, char *text, size_t size)
{
    const json_t *probed = json_object_get(p->destination, "place");
    struct ctx c = {.endpoint = p->endpoint,
                    .facts = p->facts,
                    .options = p->options,
                    .source = p->source,
                    .destination = p->destination,
                    .back = p->way_back,
                    .place = json_is_object(probed) ? probed : json_object_get(p->facts, "place"),
                    .text = text,
                    .size = size};
    if (p->to_endpoint && strcmp(rows[i].info.from, "source") != 0 && !rows[i].info.by_facts)
        return say(&c, CHECK_PASS, "an endpoint: the source's agent logs on when it begins");
    if (p->to_endpoint && (rows[i].run == lane_port || rows[i].run == throughput ||
                           rows[i].run == clock_skew || rows[i].run == identities))
        return say(&c, CHECK_PASS, "an endpoint: there is no agent to be asked");
    return rows[i].run(&c);
}
