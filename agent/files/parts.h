/* parts: folders of a tree that an inventory also counts by themselves: those that are shared. One
 * may lie in another. Plain data, the same for all walkers. Any thread. */
#pragma once
#include <stddef.h>

#include "agent/files/tally.h"
#include "common/base/cleanup.h"
#include "proto/files.pb-c.h"

#define PARTS_MAX 600  /* more are left out */
#define PARTS_DEEP 16U /* that lie in each other */

struct parts;

/* NULL when none is asked for. Paths below the tree's folder, "" is that itself. */
struct parts *parts_new(const ProtobufCBinaryData *paths, size_t n);
struct parts *parts_free(struct parts *p); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(parts_free, struct parts *)

size_t parts_count(const struct parts *p); /* of NULL: 0 */
/* The numbers of those that the folder rel is or lies in. */
size_t parts_holding(const struct parts *p, const char *rel, size_t len, unsigned ret[PARTS_DEEP]);

/* As messages, each with its sums; parts_told_free(). */
Godwit__InventoryPart **parts_tell(const struct parts *p, const struct tally *sums);
void parts_told_free(Godwit__InventoryPart **list, size_t n);
