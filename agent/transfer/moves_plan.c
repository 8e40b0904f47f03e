/* moves_plan: which renames a block of moves becomes, in which order, and over what. Looks, changes
 * nothing. What does not fit is left out: it is sent. The lane's thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/store/beneath.h"
#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

enum op_state { OP_OUT, OP_OPEN, OP_BUSY, OP_DONE };

struct op {
    struct move move;
    struct bytes to; /* where it belongs */
    struct bytes at; /* where it stands, as the hops so far leave it */
    uint64_t to_hash, at_hash, from_hash;
    struct catalogue_entry row;
    uint64_t dev, ino; /* at this side */
    enum op_state state;
};

struct planning {
    struct rlane *l;
    struct op *ops;
    size_t n;
    struct rows rows;
    struct hops *ret;
};

static uint64_t hash(struct bytes b)
{
    return XXH3_64bits(b.p, b.n);
}

static bool equal(struct bytes a, uint64_t ah, struct bytes b, uint64_t bh)
{
    return ah == bh && a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

static void split(struct bytes path, struct bytes *retfolder, struct bytes *retname)
{
    const char *slash = memrchr(path.p, '/', path.n);
    size_t parent = slash ? (size_t)(slash - path.p) : 0, skip = slash ? parent + 1 : 0;
    *retfolder = (struct bytes){path.p, parent};
    *retname = (struct bytes){path.p + skip, path.n - skip};
}

static bool is_below(struct bytes path, struct bytes top)
{
    return path.n >= top.n && memcmp(path.p, top.p, top.n) == 0 &&
           (path.n == top.n || path.p[top.n] == '/');
}

/* What stands at path, if it is what the catalogue says and may go. */
static bool may_go(struct planning *p, struct bytes path, uint64_t source_ino,
                   struct catalogue_entry *retrow, struct stat *ret)
{
    struct rlane *l = p->l;
    struct bytes folder, name;
    char text[NAME_BYTES_MAX + 1];
    split(path, &folder, &name);
    const struct catalogue_entry *k = rows_find(l->r, &p->rows, folder, name);
    if (!k || k->ino != source_ino || k->ino == 0)
        return false;
    *retrow = *k;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    CLEANUP(fd_close)
    int fd = beneath_open(l->r->root, folder.p, folder.n, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0 || !moves_stands(l->r, fd, text, retrow, ret))
        return false;
    return !S_ISDIR(retrow->mode) || (!touched_has(l->r->touched, path.p, path.n) &&
                                      !extras_hold_left_out(l, fd, folder, text));
}

static void op_begin(struct planning *p, struct op *op)
{
    struct rlane *l = p->l;
    struct stat st;
    size_t len = l->at.len + (l->at.len > 0) + op->move.name.n;
    char *to = xmalloc(len + 1);
    memcpy(to, l->at.path, l->at.len);
    to[l->at.len] = '/';
    memcpy(to + len - op->move.name.n, op->move.name.p, op->move.name.n);
    to[len] = '\0';
    op->to = (struct bytes){to, len};
    op->at = op->move.from;
    op->to_hash = hash(op->to);
    op->at_hash = op->from_hash = hash(op->at);
    if (is_below(op->to, op->at) || is_below(op->at, op->to) ||
        !may_go(p, op->at, op->move.ino, &op->row, &st))
        return;
    op->dev = st.st_dev;
    op->ino = st.st_ino;
    op->state = OP_OPEN;
}

static void hop_add(struct planning *p, const struct op *op, enum hop_how how,
                    const struct catalogue_entry *other)
{
    struct hops *h = p->ret;
    if (h->n == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 16;
        h->all = xrealloc(h->all, h->cap * sizeof *h->all);
    }
    struct hop *x = &h->all[h->n++];
    *x = (struct hop){
        .m = {.from = xmemdup(op->at.p, op->at.n),
              .to = xmemdup(op->to.p, op->to.n),
              .from_len = op->at.n,
              .to_len = op->to.n,
              .dev = op->dev,
              .ino = op->ino,
              .swap = how == HOP_SWAP,
              .other_known = other,
              .row = op->row},
        .how = how
    };
    if (other)
        x->m.other = *other;
}

/* Who of the others stands at path by now? */
static struct op *who_stands(struct planning *p, const struct op *op)
{
    for (size_t i = 0; i < p->n; i++) {
        struct op *o = &p->ops[i];
        if (o != op && (o->state == OP_OPEN || o->state == OP_BUSY) &&
            equal(o->at, o->at_hash, op->to, op->to_hash))
            return o;
    }
    return NULL;
}

static bool has_left(struct planning *p, const struct op *op)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->ops[i].state == OP_DONE &&
            equal(p->ops[i].move.from, p->ops[i].from_hash, op->to, op->to_hash))
            return true;
    return false;
}

/* A folder that nobody wants elsewhere: gone only when extras may be, and nothing is left out. */
static bool folder_may_go(struct planning *p, const struct op *op, const char *name)
{
    const struct transfer_options *o = &p->l->r->spec->options;
    return o->delete_extras && !o->filter && !touched_has(p->l->r->touched, op->to.p, op->to.n) &&
           name[0] != '\0';
}

/* What is none of the block's stands where op is to go. */
static bool over(struct planning *p, const struct op *op, const char *name,
                 const struct stat *there)
{
    struct catalogue_entry other;
    struct stat st;
    bool folder = S_ISDIR(op->row.mode), on_folder = S_ISDIR(there->st_mode);
    if (there->st_ino == op->ino && there->st_dev == op->dev)
        return false; /* another name of it: there is nothing to rename */
    if (op->move.other_ino && folder == on_folder &&
        may_go(p, op->to, op->move.other_ino, &other, &st)) {
        hop_add(p, op, HOP_SWAP, &other);
        return true;
    }
    if (on_folder && beneath_is_empty(p->l->at.fd, name) != 1 && !folder_may_go(p, op, name))
        return false;
    hop_add(p, op, folder == on_folder && !folder ? HOP_OVER : HOP_CLEAR, NULL);
    return true;
}

static void op_plan(struct planning *p, struct op *op) /* NOLINT(misc-no-recursion) */
{
    struct stat st;
    char name[NAME_BYTES_MAX + 1];
    memcpy(name, op->move.name.p, op->move.name.n);
    name[op->move.name.n] = '\0';
    op->state = OP_BUSY;
    struct op *there = who_stands(p, op);
    if (there && there->state == OP_OPEN)
        op_plan(p, there); /* at most the block's entries deep */
    there = equal(op->at, op->at_hash, op->to, op->to_hash) ? NULL : who_stands(p, op);
    enum op_state end = OP_DONE;
    if (equal(op->at, op->at_hash, op->to, op->to_hash)) {
        /* a swap brought it */
    } else if (there) { /* a ring: it waits for us */
        hop_add(p, op, HOP_SWAP, &there->row);
        there->at = op->at;
        there->at_hash = op->at_hash;
    } else if (has_left(p, op) || fstatat(p->l->at.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        hop_add(p, op, HOP_NEW, NULL);
    } else if (!over(p, op, name, &st)) {
        end = OP_OUT;
    }
    op->at = end == OP_DONE ? op->to : op->at;
    op->at_hash = end == OP_DONE ? op->to_hash : op->at_hash;
    op->state = end;
}

/* What is below another comes first: it would go with it. */
static int deepest_first(const void *a, const void *b)
{
    const struct op *const *x = a, *const *y = b;
    return ((*x)->at.n < (*y)->at.n) - ((*x)->at.n > (*y)->at.n);
}

static void plan_all(struct planning *p)
{
    struct op **order = xcalloc(p->n, sizeof(struct op *));
    for (size_t i = 0; i < p->n; i++)
        order[i] = &p->ops[i];
    qsort(order, p->n, sizeof(struct op *), deepest_first);
    for (size_t i = 0; i < p->n; i++)
        if (order[i]->state == OP_OPEN)
            op_plan(p, order[i]);
    free(order);
}

int moves_plan(struct rlane *l, struct cursor *c, uint32_t count, struct hops *ret)
{
    struct planning p = {.l = l, .ops = xcalloc(count, sizeof *p.ops), .n = count, .ret = ret};
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = move_get(c, &p.ops[i].move);
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        op_begin(&p, &p.ops[i]);
    if (rc == 0 && count > 0)
        plan_all(&p);
    rows_done(&p.rows);
    for (uint32_t i = 0; i < count; i++)
        free((char *)(uintptr_t)p.ops[i].to.p);
    free(p.ops);
    return rc;
}

void moves_hops_done(struct hops *h)
{
    for (size_t i = 0; i < h->n; i++)
        catalogue_move_done(&h->all[i].m);
    free(h->all);
    h->all = NULL;
    h->n = h->cap = 0;
}
