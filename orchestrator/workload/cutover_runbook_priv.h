/* cutover_runbook_priv: what the files of the runbook share. Pure. */
#pragma once
#include <stdbool.h>

#include "orchestrator/workload/cutover_runbook.h"

struct page {
    const struct runbook *b;
    const json_t *plan;
    json_t *list;
    bool source; /* whose host the next command is for */
};

static inline const char *page_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* One command, or a remark that begins with "#". */
__attribute__((format(printf, 2, 3))) void page_say(struct page *g, const char *fmt, ...);
void page_addresses(struct page *g); /* of the plan's moves; cutover_runbook_net.c */

/* Of ifupdown and netplan the file is found by the interface's name, by this command. malloc'd. */
bool runbook_finds_file(const json_t *interface);
char *runbook_finder(bool netplan, const char *name);
/* An address as a pattern: nothing else is in it that means anything. malloc'd. */
char *runbook_pattern(const char *address);

/* The routes of a move that stand under KEY: in its manager's file; as they are at once. */
void page_routes_kept(struct page *g, const json_t *interface, const json_t *move, const char *key);
void page_routes_live(struct page *g, const json_t *interface, const json_t *move, const char *key);
