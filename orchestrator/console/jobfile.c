/* jobfile: reads job files in YAML, by the marks that libyaml keeps of each node. Main thread. */
#include "orchestrator/console/jobfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/base/calendar.h"
#include "common/base/cleanup.h"
#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/rate.h"
#include "common/base/text.h"
#include "orchestrator/console/jobspec.h"

struct reader {
    const char *file;
    yaml_document_t *doc;
    struct jobspec *spec;
    struct fault *reterr;
};

struct key {
    const char *name;
    int (*read)(struct reader *r, yaml_node_t *value);
};

/* A key of a job file in quotes and short; malloc'd. */
static char *shown(const char *text)
{
    return text_quote(text, strnlen(text, 80));
}

static int error_at(const struct reader *r, const yaml_mark_t *at, const char *what,
                    const char *text)
{
    CLEANUP(mem_free) char *quoted = text ? shown(text) : xstrdup("");
    return fault_set(r->reterr, FAULT_STOP_JOB, EINVAL, "%s:%zu:%zu: %s%s%s", r->file, at->line + 1,
                     at->column + 1, what, text ? " " : "", quoted);
}

static int error_fault(const struct reader *r, const yaml_mark_t *at, const struct fault *f)
{
    return error_at(r, at, f->text, NULL);
}

/* The text of a scalar; NULL (and an error) for all else. Borrowed. */
static const char *scalar(const struct reader *r, const yaml_node_t *node, const char *what)
{
    if (node->type != YAML_SCALAR_NODE) {
        (void)error_at(r, &node->start_mark, what, NULL);
        return NULL;
    }
    const char *text = (const char *)node->data.scalar.value;
    if (strlen(text) != node->data.scalar.length) {
        (void)error_at(r, &node->start_mark, "a NUL byte has no place here", NULL);
        return NULL;
    }
    return text;
}

static int set_option(struct reader *r, const char *name, const yaml_node_t *value)
{
    const struct option_row *row = option_find(jobspec_options, name, strlen(name));
    CLEANUP(mem_free) char *what = xasprintf("%s wants one value, not a list or a map", name);
    const char *text = scalar(r, value, what);
    if (!text)
        return -EINVAL;
    struct fault f = {0};
    if (option_set(row, r->spec, text, &f) < 0)
        return error_fault(r, &value->start_mark, &f);
    return 0;
}

static int read_name(struct reader *r, yaml_node_t *value)
{
    int rc = set_option(r, "name", value);
    if (rc == 0 && !text_is_name(r->spec->name, 63))
        return error_at(r, &value->start_mark,
                        "a job name has letters, digits, '.', '_' and '-', at most 63; not",
                        r->spec->name);
    return rc;
}

static int read_workload(struct reader *r, yaml_node_t *value)
{
    const char *text = scalar(r, value, "workload wants one word");
    if (!text)
        return -EINVAL;
    if (strcmp(text, "files") != 0)
        return error_at(r, &value->start_mark, "there is only the workload files, not", text);
    return 0;
}

static int read_pairs_limit(struct reader *r, yaml_node_t *value)
{
    return set_option(r, "max-pairs", value);
}

/* Calls the reader of each key of a map; unknown and repeated keys are errors. */
static int read_map(struct reader *r, yaml_node_t *map, const struct key *keys, const char *what)
{
    if (map->type != YAML_MAPPING_NODE)
        return error_at(r, &map->start_mark, what, NULL);
    uint64_t seen = 0;
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
         p++) {
        yaml_node_t *knode = yaml_document_get_node(r->doc, p->key);
        const char *name = scalar(r, knode, "a key is one word");
        if (!name)
            return -EINVAL;
        size_t k = 0;
        while (keys[k].name && strcmp(keys[k].name, name) != 0)
            k++;
        if (!keys[k].name)
            return error_at(r, &knode->start_mark, "unknown key", name);
        if (seen & 1ULL << k)
            return error_at(r, &knode->start_mark, "given twice:", name);
        seen |= 1ULL << k;
        int rc = keys[k].read(r, yaml_document_get_node(r->doc, p->value));
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_rate_limit(struct reader *r, yaml_node_t *value)
{
    uint64_t rate = 0;
    int rc = set_option(r, "rate", value);
    if (rc == 0 && rate_parse(r->spec->rate, &rate) < 0)
        return error_at(r, &value->start_mark,
                        "a rate is such as 200MiB/s or 100Mbit/s, none or unlimited; not",
                        r->spec->rate);
    return rc;
}

/* One line of a calendar; what is wrong with it is told at its place in this file. */
static int check_window(struct reader *r, const yaml_node_t *node, const char *text)
{
    CLEANUP(calendar_free) struct calendar *c = NULL;
    struct calendar_error err;
    if (calendar_parse(text, RATE_UNLIMITED, &c, &err) == 0)
        return 0;
    yaml_mark_t mark = node->start_mark;
    bool quoted = node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (node->start_mark.line == node->end_mark.line)
        mark.column += err.column - 1 + (quoted ? 1 : 0);
    return error_at(r, &mark, err.text, NULL);
}

static int read_calendar(struct reader *r, yaml_node_t *list)
{
    static const char wants[] = "calendar wants a list of windows: - Mon-Fri 08:00-18:00 50MiB/s";
    CLEANUP(mem_free) char *all = xstrdup("");
    if (list->type != YAML_SEQUENCE_NODE)
        return error_at(r, &list->start_mark, wants, NULL);
    for (yaml_node_item_t *i = list->data.sequence.items.start; i < list->data.sequence.items.top;
         i++) {
        const yaml_node_t *node = yaml_document_get_node(r->doc, *i);
        const char *text = scalar(r, node, wants);
        if (!text || check_window(r, node, text) < 0)
            return -EINVAL;
        char *more = xasprintf("%s%s\n", all, text);
        free(all);
        all = more;
        if (strlen(all) > CALENDAR_MAX)
            return error_at(r, &node->start_mark, "the calendar is too large: 16 KiB at most",
                            NULL);
    }
    r->spec->calendar = xstrdup(all);
    return 0;
}

static int read_limits(struct reader *r, yaml_node_t *value)
{
    static const struct key keys[] = {
        {"pairs",    read_pairs_limit},
        {"rate",     read_rate_limit },
        {"calendar", read_calendar   },
        {NULL,       NULL            },
    };
    return read_map(r, value, keys,
                    "limits wants keys and values, such as pairs: 8 or rate: 200MiB/s");
}

/* A list of patterns, or one alone. */
static int set_pattern(struct reader *r, const char *name, const yaml_node_t *node)
{
    struct fault f = {0};
    const char *text = scalar(r, node, "a pattern is one text");
    if (!text)
        return -EINVAL;
    bool pattern = strcmp(name, "exclude") == 0 || strcmp(name, "include") == 0;
    if (pattern && jobspec_filter_check(text, &f) < 0)
        return error_fault(r, &node->start_mark, &f);
    return set_option(r, name, node);
}

static int set_list(struct reader *r, const char *name, yaml_node_t *value)
{
    int rc = 0;
    if (value->type != YAML_SEQUENCE_NODE)
        return set_pattern(r, name, value);
    for (yaml_node_item_t *i = value->data.sequence.items.start;
         rc == 0 && i < value->data.sequence.items.top; i++)
        rc = set_pattern(r, name, yaml_document_get_node(r->doc, *i));
    return rc;
}

/* The option row that a key of "options:" means: dry_run or dry-run. */
static const struct option_row *find_option(const char *name)
{
    char dashed[32];
    size_t n = strlen(name);
    if (n >= sizeof dashed)
        return NULL;
    memcpy(dashed, name, n + 1);
    for (char *p = dashed; *p; p++)
        if (*p == '_')
            *p = '-';
    const struct option_row *row = option_find(jobspec_options, dashed, n);
    return row && jobspec_in_file(row) ? row : NULL;
}

static int read_options(struct reader *r, yaml_node_t *map)
{
    if (map->type != YAML_MAPPING_NODE)
        return error_at(r, &map->start_mark, "options wants keys and values, such as delete: yes",
                        NULL);
    uint64_t seen = 0;
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
         p++) {
        yaml_node_t *knode = yaml_document_get_node(r->doc, p->key);
        const char *name = scalar(r, knode, "a key is one word");
        const struct option_row *row = name ? find_option(name) : NULL;
        if (!name)
            return -EINVAL;
        if (!row)
            return error_at(r, &knode->start_mark, "unknown option", name);
        uint64_t bit = 1ULL << (row - jobspec_options);
        if (seen & bit)
            return error_at(r, &knode->start_mark, "given twice:", name);
        seen |= bit;
        yaml_node_t *value = yaml_document_get_node(r->doc, p->value);
        int rc = row->repeat ? set_list(r, row->name, value) : set_option(r, row->name, value);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Checks one place, so that an error has its own column. */
static int check_place(struct reader *r, const yaml_node_t *node, const char *text, size_t skip)
{
    CLEANUP(mem_free) char *host = NULL;
    CLEANUP(mem_free) char *path = NULL;
    struct fault f = {0};
    size_t at = 0;
    if (place_parse(text, &host, &path, &at, &f) == 0)
        return 0;
    yaml_mark_t mark = node->start_mark;
    bool quoted = node->data.scalar.style == YAML_SINGLE_QUOTED_SCALAR_STYLE ||
                  node->data.scalar.style == YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    if (node->start_mark.line == node->end_mark.line)
        mark.column += skip + at + (quoted ? 1 : 0);
    return error_fault(r, &mark, &f);
}

static int add_pair(struct reader *r, const yaml_node_t *at, const char *source,
                    const char *destination)
{
    CLEANUP(mem_free) char *where = xasprintf("line %zu", at->start_mark.line + 1);
    struct fault f = {0};
    if (jobspec_add(r->spec, source, destination, where, &f) < 0)
        return error_fault(r, &at->start_mark, &f);
    return 0;
}

/* - fs1:/srv/data=new1:/srv/data */
static int read_pair_text(struct reader *r, yaml_node_t *node)
{
    const char *text = scalar(r, node, "");
    size_t eq = 0;
    if (!text)
        return -EINVAL;
    if (pair_split(text, &eq) < 0)
        return error_at(r, &node->start_mark, "not HOST:PATH=HOST:PATH:", text);
    CLEANUP(mem_free) char *source = xmemdup(text, eq);
    if (check_place(r, node, source, 0) < 0 || check_place(r, node, text + eq + 1, eq + 1) < 0)
        return -EINVAL;
    return add_pair(r, node, source, text + eq + 1);
}

/* - source: fs1:/srv/data
 *   destination: new1:/srv/data */
static int read_pair_map(struct reader *r, yaml_node_t *map)
{
    static const char *const names[] = {"source", "destination"};
    const char *places[2] = {NULL, NULL};
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
         p++) {
        yaml_node_t *knode = yaml_document_get_node(r->doc, p->key);
        yaml_node_t *value = yaml_document_get_node(r->doc, p->value);
        const char *name = scalar(r, knode, "a key is one word");
        if (!name)
            return -EINVAL;
        size_t k = strcmp(name, names[0]) == 0 ? 0 : 1;
        if (strcmp(name, names[k]) != 0)
            return error_at(r, &knode->start_mark, "unknown key", name);
        if (places[k])
            return error_at(r, &knode->start_mark, "given twice:", name);
        places[k] =
            scalar(r, value, k == 0 ? "source wants HOST:PATH" : "destination wants HOST:PATH");
        if (!places[k] || check_place(r, value, places[k], 0) < 0)
            return -EINVAL;
    }
    for (size_t k = 0; k < 2; k++)
        if (!places[k])
            return error_at(r, &map->start_mark, "this pair lacks its", names[k]);
    return add_pair(r, map, places[0], places[1]);
}

static int read_pairs(struct reader *r, yaml_node_t *list)
{
    if (list->type != YAML_SEQUENCE_NODE)
        return error_at(r, &list->start_mark, "pairs wants a list: lines that start with \"- \"",
                        NULL);
    for (yaml_node_item_t *i = list->data.sequence.items.start; i < list->data.sequence.items.top;
         i++) {
        yaml_node_t *node = yaml_document_get_node(r->doc, *i);
        int rc = 0;
        if (node->type == YAML_MAPPING_NODE)
            rc = read_pair_map(r, node);
        else if (node->type == YAML_SCALAR_NODE)
            rc = read_pair_text(r, node);
        else
            rc = error_at(r, &node->start_mark,
                          "a pair is source: and destination:, or HOST:PATH=HOST:PATH", NULL);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_document(struct reader *r)
{
    static const struct key keys[] = {
        {"name",     read_name    },
        {"workload", read_workload},
        {"options",  read_options },
        {"limits",   read_limits  },
        {"pairs",    read_pairs   },
        {NULL,       NULL         },
    };
    static const yaml_mark_t start = {0, 0, 0};
    yaml_node_t *root = yaml_document_get_root_node(r->doc);
    if (!root)
        return error_at(r, &start, "the file is empty: it wants at least pairs:", NULL);
    int rc = read_map(r, root, keys, "a job file starts with keys, such as pairs:");
    if (rc == 0 && json_array_size(r->spec->pairs) == 0)
        return error_at(r, &root->start_mark, "there are no pairs", NULL);
    return rc;
}

int jobfile_yaml(struct jobspec *s, const char *file, const char *text, size_t len,
                 struct fault *reterr)
{
    yaml_document_t doc;
    struct reader r = {.file = file, .doc = &doc, .spec = s, .reterr = reterr};
    int rc = jobfile_shape(file, text, len, reterr);
    if (rc < 0)
        return rc;
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return fault_set(reterr, FAULT_STOP_JOB, ENOMEM, "out of memory");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    if (yaml_parser_load(&parser, &doc)) {
        rc = read_document(&r);
        yaml_document_delete(&doc);
    } else {
        rc = error_at(&r, &parser.problem_mark, parser.problem ? parser.problem : "not YAML", NULL);
    }
    yaml_parser_delete(&parser);
    return rc;
}

int jobfile_read(struct jobspec *s, const char *path, struct fault *reterr)
{
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0, n = strlen(path);
    bool standard_input = strcmp(path, "-") == 0;
    int rc = file_read(standard_input ? "/dev/stdin" : path, JOBFILE_MAX, &text, &len);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot read %s: %s", path,
                         rc == -EFBIG ? "larger than 4 MiB" : strerror(-rc));
    bool csv = n > 4 && strcmp(path + n - 4, ".csv") == 0;
    rc = csv ? jobfile_csv(s, path, text, len, reterr) : jobfile_yaml(s, path, text, len, reterr);
    if (rc == 0 && !s->name)
        s->name = standard_input ? NULL : jobspec_name_of(path);
    return rc;
}
