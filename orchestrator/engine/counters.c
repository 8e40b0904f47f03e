/* counters: sums, merges, packed and JSON forms of the counters that steps report. Pure. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "orchestrator/engine/engine_priv.h"

#define PACKED_MAX 1024

/* How a figure grows from one attempt to the next. */
enum growth {
    GROWS_SUM,    /* each attempt adds */
    GROWS_LATEST, /* the last attempt says it all */
    GROWS_TOTAL,  /* what is known of the whole */
};

#define FIELD(f, g)                                                                                \
    {                                                                                              \
#f, offsetof(Godwit__Counters, f), g                                                       \
    }
static const struct field {
    const char *name;
    size_t off;
    enum growth growth;
} fields[] = {
    FIELD(files, GROWS_SUM),
    FIELD(bytes, GROWS_SUM),
    FIELD(entries, GROWS_SUM),
    FIELD(sent_bytes, GROWS_SUM),
    FIELD(wire_bytes, GROWS_SUM),
    FIELD(unchanged_files, GROWS_LATEST),
    FIELD(unchanged_bytes, GROWS_LATEST),
    FIELD(deleted, GROWS_SUM),
    FIELD(failed, GROWS_LATEST),
    FIELD(total_files, GROWS_TOTAL),
    FIELD(total_bytes, GROWS_TOTAL),
    FIELD(skipped_meta, GROWS_SUM),
    FIELD(again_bytes, GROWS_SUM),
    FIELD(changed_meta, GROWS_SUM),
    FIELD(delta_saved, GROWS_SUM),
    FIELD(renamed, GROWS_SUM),
    FIELD(elapsed_ms, GROWS_SUM),
    FIELD(changed_folders, GROWS_LATEST),
    FIELD(next_pass_ms, GROWS_LATEST),
    FIELD(parts_bytes, GROWS_LATEST),
};

static uint64_t get(const Godwit__Counters *c, const struct field *f)
{
    uint64_t v;
    memcpy(&v, (const char *)c + f->off, sizeof v);
    return v;
}

static void set(Godwit__Counters *c, const struct field *f, uint64_t v)
{
    memcpy((char *)c + f->off, &v, sizeof v);
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

void counters_copy(Godwit__Counters *to, const Godwit__Counters *c)
{
    Godwit__Counters r;
    godwit__counters__init(&r);
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        set(&r, &fields[i], get(c, &fields[i]));
    r.lanes = c->lanes;
    r.total_known = c->total_known;
    *to = r;
}

void counters_add(Godwit__Counters *to, const Godwit__Counters *c)
{
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        set(to, &fields[i], sum(get(to, &fields[i]), get(c, &fields[i])));
    to->lanes += c->lanes;
}

void counters_max(Godwit__Counters *to, const Godwit__Counters *c)
{
    uint64_t failed = sum(to->failed, c->failed);
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (get(c, &fields[i]) > get(to, &fields[i]))
            set(to, &fields[i], get(c, &fields[i]));
    to->failed = failed;
    if (c->lanes > to->lanes)
        to->lanes = c->lanes;
    to->total_known = to->total_known || c->total_known;
}

void counters_follow(const Godwit__Counters *before, const Godwit__Counters *now,
                     Godwit__Counters *ret)
{
    Godwit__Counters r;
    godwit__counters__init(&r);
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        uint64_t a = get(before, &fields[i]), b = get(now, &fields[i]);
        if (fields[i].growth == GROWS_SUM)
            set(&r, &fields[i], sum(a, b));
        else if (fields[i].growth == GROWS_LATEST || now->total_known)
            set(&r, &fields[i], b);
        else
            set(&r, &fields[i], a > b ? a : b);
    }
    /* What an earlier attempt put there is found unchanged by the next. */
    r.unchanged_files = minus(r.unchanged_files, before->files);
    r.unchanged_bytes = minus(r.unchanged_bytes, before->bytes);
    r.lanes = now->lanes;
    r.total_known = now->total_known;
    *ret = r;
}

/* Each figure may begin anew by itself; when the time does, all have. What was sent again is the
 * one figure that the agent keeps through a restart. */
void counters_carry(Godwit__Counters *base, const Godwit__Counters *was,
                    const Godwit__Counters *now)
{
    bool restarted = now->elapsed_ms < was->elapsed_ms;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        uint64_t a = get(was, &fields[i]), b = get(now, &fields[i]);
        if (fields[i].growth != GROWS_SUM ||
            fields[i].off == offsetof(Godwit__Counters, again_bytes))
            continue;
        if (restarted || b < a)
            set(base, &fields[i], sum(get(base, &fields[i]), a));
    }
}

void counters_clamp(Godwit__Counters *c)
{
    uint64_t files = minus(c->total_files, c->files), bytes = minus(c->total_bytes, c->bytes);
    if (c->total_known && c->unchanged_files > files)
        c->unchanged_files = files;
    if (c->total_known && c->unchanged_bytes > bytes)
        c->unchanged_bytes = bytes;
}

bool counters_same(const Godwit__Counters *a, const Godwit__Counters *b)
{
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (fields[i].off != offsetof(Godwit__Counters, elapsed_ms) &&
            get(a, &fields[i]) != get(b, &fields[i]))
            return false;
    return true;
}

size_t counters_pack(const Godwit__Counters *c, uint8_t **ret)
{
    *ret = xmalloc(godwit__counters__get_packed_size(c));
    return godwit__counters__pack(c, *ret);
}

/* What is not readable is zero: these are figures for people, no more. */
void counters_unpack(const void *p, size_t n, Godwit__Counters *ret)
{
    godwit__counters__init(ret);
    Godwit__Counters *c = n <= PACKED_MAX ? godwit__counters__unpack(NULL, n, p) : NULL;
    if (c) {
        counters_copy(ret, c);
        godwit__counters__free_unpacked(c, NULL);
    }
}

void tally_pack(const struct tally *t, uint8_t **ret, size_t *retlen)
{
    const Godwit__Counters *const parts[] = {&t->base, &t->cur};
    struct buf b;
    buf_init(&b, 2UL * PACKED_MAX);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        uint8_t *packed = NULL;
        size_t n = counters_pack(parts[i], &packed);
        buf_put_blob(&b, packed, n);
        free(packed);
    }
    *ret = b.data;
    *retlen = b.len;
}

void tally_unpack(const void *p, size_t n, struct tally *ret)
{
    Godwit__Counters *const parts[] = {&ret->base, &ret->cur};
    struct cursor c = cursor_of(p, n);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        size_t len = 0;
        const void *blob = cursor_blob(&c, PACKED_MAX, &len);
        counters_unpack(blob, blob ? len : 0, parts[i]);
    }
}

json_t *counters_json(const Godwit__Counters *c)
{
    json_t *j = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        uint64_t v = get(c, &fields[i]);
        (void)json_object_set_new(j, fields[i].name,
                                  json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v));
    }
    (void)json_object_set_new(j, "lanes", json_integer(c->lanes));
    (void)json_object_set_new(j, "total_known", json_boolean(c->total_known));
    return j;
}
