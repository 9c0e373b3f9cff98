/* Changes that wait, and their net effect; see chunk.h. */
#include "stream/chunk.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define FIRST_SLOTS 64 /* a power of two */

void chunk_free(struct chunk *c)
{
    arena_free(&c->arena);
    free(c->changes);
    for (size_t i = 0; i < c->cap_groups; i++) {
        free(c->groups[i].nets);
        free(c->groups[i].slots);
    }
    free(c->groups);
    free(c->group_of);
    *c = (struct chunk){0};
}

void chunk_clear(struct chunk *c)
{
    for (size_t i = 0; i < c->n_groups; i++)
        c->group_of[c->groups[i].target->number] = 0;
    arena_reset(&c->arena);
    c->n = c->n_groups = c->bytes = c->memory = 0;
    c->is_last = false;
    c->end_lsn = 0;
}

struct pgo_message chunk_message(const struct chunk *c, const struct change *x)
{
    return (struct pgo_message){.kind = x->kind,
                                .relation = c->groups[x->group].target->oid,
                                .next = x->next,
                                .old_kind = x->old_kind,
                                .old = x->old};
}

/* --- copies ---------------------------------------------------------------------------------- */

/* Values and their bytes in one piece, each value with its end. */
static bool copy_tuple(struct chunk *c, const struct pgo_tuple *from, struct pgo_tuple *to)
{
    size_t bytes = from->n * sizeof *from->values;
    for (size_t i = 0; i < from->n; i++)
        bytes += from->values[i].data ? (size_t)from->values[i].len + 1 : 0;
    to->n = from->n;
    to->values = arena_take(&c->arena, bytes);
    c->memory += bytes;
    if (!to->values)
        return false;
    char *at = (char *)(to->values + to->n);
    for (size_t i = 0; i < from->n; i++) {
        to->values[i] = from->values[i];
        if (!from->values[i].data)
            continue;
        memcpy(at, from->values[i].data, from->values[i].len);
        to->values[i].data = at;
        at += from->values[i].len;
        *at++ = '\0';
    }
    return true;
}

/* --- groups ---------------------------------------------------------------------------------- */

/* A group that is used again keeps the memory of the one before. */
static struct group *new_group(struct chunk *c)
{
    if (c->n_groups == c->cap_groups) {
        size_t before = c->cap_groups;
        mem_grow((void **)&c->groups, &c->cap_groups, c->n_groups, sizeof *c->groups);
        memset(c->groups + before, 0, (c->cap_groups - before) * sizeof *c->groups);
    }
    return &c->groups[c->n_groups++];
}

static void set_slots(struct group *g, size_t n)
{
    if (n > g->cap_slots) {
        g->slots = mem_realloc(g->slots, n * sizeof *g->slots);
        g->cap_slots = n;
    }
    g->n_slots = n;
    if (n)
        memset(g->slots, 0, n * sizeof *g->slots);
}

static int group_of(struct chunk *c, struct target *t)
{
    size_t number = (size_t)t->number;
    if (number >= c->cap_group_of) {
        size_t cap = 2 * number + 8;
        c->group_of = mem_realloc(c->group_of, cap * sizeof *c->group_of);
        memset(c->group_of + c->cap_group_of, 0, (cap - c->cap_group_of) * sizeof *c->group_of);
        c->cap_group_of = cap;
    }
    if (!c->group_of[number]) {
        struct group *g = new_group(c);
        g->target = t;
        g->is_exact = t->way == TARGET_ROWS;
        g->is_set = g->is_copied = false;
        g->n_changes = 0;
        g->n_nets = 0;
        set_slots(g, t->way == TARGET_KEYED ? FIRST_SLOTS : 0);
        c->group_of[number] = (int)c->n_groups;
    }
    return c->group_of[number] - 1;
}

/* --- keys ------------------------------------------------------------------------------------ */

static uint32_t hash_key(const struct target *t, const struct pgo_value *v)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < t->n_keys; i++) {
        const struct pgo_value *k = &v[t->keys[i]];
        for (uint32_t j = 0; j < k->len; j++)
            h = (h ^ (unsigned char)k->data[j]) * 16777619u;
        h = (h ^ (k->data ? k->len : UINT32_MAX)) * 16777619u;
    }
    return h ^ h >> 15;
}

static bool is_same_key(const struct target *t, const struct pgo_value *a,
                        const struct pgo_value *b)
{
    for (size_t i = 0; i < t->n_keys; i++) {
        const struct pgo_value *x = &a[t->keys[i]], *y = &b[t->keys[i]];
        if (!x->data != !y->data || x->len != y->len ||
            (x->len && memcmp(x->data, y->data, x->len) != 0))
            return false;
    }
    return true;
}

static bool has_whole_key(const struct target *t, const struct pgo_tuple *tuple)
{
    for (size_t i = 0; i < t->n_keys; i++)
        if (tuple->values[t->keys[i]].kind != 't')
            return false;
    return true;
}

static uint32_t *find_slot(const struct group *g, const struct pgo_value *key, uint32_t hash)
{
    size_t mask = g->n_slots - 1;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
        uint32_t n = g->slots[at];
        if (!n || (g->nets[n - 1].hash == hash && is_same_key(g->target, g->nets[n - 1].key, key)))
            return &g->slots[at];
    }
}

static void grow_slots(struct group *g)
{
    set_slots(g, 8 * g->n_slots); /* few times: each looks at all that are there */
    for (size_t i = 0; i < g->n_nets; i++) {
        size_t mask = g->n_slots - 1, at = g->nets[i].hash & mask;
        while (g->slots[at])
            at = (at + 1) & mask;
        g->slots[at] = (uint32_t)i + 1;
    }
}

/* The key's net effect so far; *is_first: there is none yet. */
static struct net *net_of(struct group *g, const struct pgo_value *key, bool *is_first)
{
    uint32_t hash = hash_key(g->target, key);
    uint32_t *slot = find_slot(g, key, hash);
    *is_first = !*slot;
    if (*slot)
        return &g->nets[*slot - 1];
    struct net n = {.hash = hash, .key = key};
    MEM_PUSH(g->nets, g->n_nets, g->cap_nets, n);
    *slot = (uint32_t)g->n_nets;
    if (2 * g->n_nets > g->n_slots)
        grow_slots(g);
    return &g->nets[g->n_nets - 1];
}

/* --- net effect ------------------------------------------------------------------------------ */

/* Values that did not change are those of before. */
static const struct pgo_value *merge(struct chunk *c, const struct pgo_value *before,
                                     const struct pgo_tuple *next)
{
    size_t unchanged = 0;
    for (size_t i = 0; i < next->n; i++)
        unchanged += next->values[i].kind == 'u';
    if (!unchanged)
        return next->values;
    struct pgo_value *v = arena_take(&c->arena, next->n * sizeof *v);
    for (size_t i = 0; v && i < next->n; i++)
        v[i] = next->values[i].kind == 'u' ? before[i] : next->values[i];
    return v;
}

/* False: not the effect of changes that fit each other. */
static bool note(struct chunk *c, struct net *n, bool is_first, const struct change *x)
{
    bool is_insert = x->kind == PGO_INSERT;
    if (is_first)
        n->was_there = !is_insert;
    else if (n->is_there == is_insert)
        return false;
    n->is_there = x->kind != PGO_DELETE;
    n->is_new |= is_insert;
    if (is_insert || (is_first && x->kind == PGO_UPDATE))
        n->values = x->next.values;
    else if (x->kind == PGO_UPDATE)
        n->values = merge(c, n->values, &x->next);
    return x->kind == PGO_DELETE || n->values;
}

/* --- whole rows ------------------------------------------------------------------------------ */

static void link_net(struct group *g, size_t i)
{
    uint32_t *slot = &g->slots[g->nets[i].hash & (g->n_slots - 1)];
    g->nets[i].next = *slot;
    *slot = (uint32_t)i + 1;
}

/* The net has left a row with its values. */
static void leave_row(struct group *g, size_t i)
{
    if (!g->n_slots)
        return;
    g->nets[i].hash = hash_key(g->target, g->nets[i].values);
    if (g->n_nets <= g->n_slots) {
        link_net(g, i);
        return;
    }
    set_slots(g, 8 * g->n_slots);
    for (size_t k = 0; k < g->n_nets; k++)
        if (g->nets[k].is_there)
            link_net(g, k);
}

/* Most chunks of most tables are nothing but new rows: those are known by their values from the
 * first change on that looks for one. */
static void know_rows(struct group *g)
{
    size_t n = FIRST_SLOTS;
    while (n < g->n_nets)
        n *= 2;
    set_slots(g, n);
    for (size_t i = 0; i < g->n_nets; i++)
        leave_row(g, i);
}

/* A net that has left such a row, which is taken from it; NULL: none. */
static struct net *take_row(struct group *g, const struct pgo_value *row)
{
    if (!g->n_slots)
        know_rows(g);
    uint32_t hash = hash_key(g->target, row);
    for (uint32_t *at = &g->slots[hash & (g->n_slots - 1)]; *at; at = &g->nets[*at - 1].next) {
        struct net *n = &g->nets[*at - 1];
        if (n->hash != hash || !is_same_key(g->target, n->values, row))
            continue;
        *at = n->next;
        n->is_there = false;
        return n;
    }
    return NULL;
}

static bool is_complete(const struct target *t, const struct pgo_tuple *row)
{
    for (size_t i = 0; i < t->n_keys; i++)
        if (row->values[t->keys[i]].kind != 't' && row->values[t->keys[i]].kind != 'n')
            return false;
    return true;
}

/* False: its effect on a whole row is not known. */
static bool note_whole(struct chunk *c, struct group *g, const struct change *x)
{
    struct net new = {.was_there = x->kind != PGO_INSERT, .is_new = x->kind == PGO_INSERT};
    struct net *n = NULL;
    if (new.was_there) {
        if (x->old_kind != 'O' || !is_complete(g->target, &x->old))
            return false;
        new.key = x->old.values;
        n = take_row(g, new.key);
    }
    if (!n) {
        MEM_PUSH(g->nets, g->n_nets, g->cap_nets, new);
        n = &g->nets[g->n_nets - 1];
    }
    n->is_there = x->kind != PGO_DELETE;
    if (!n->is_there)
        return true;
    n->values = merge(c, x->old.values, &x->next);
    if (!n->values)
        return false;
    if (n->is_new)
        n->key = n->values;
    leave_row(g, (size_t)(n - g->nets));
    return true;
}

/* An old row with a key comes with a key that changes, and beside one whose values lie outside the
 * row. */
static bool has_other_key(const struct target *t, const struct change *x)
{
    return x->kind == PGO_UPDATE && x->old_kind && !is_same_key(t, x->old.values, x->next.values);
}

static bool note_change(struct chunk *c, struct group *g, const struct change *x)
{
    const struct target *t = g->target;
    if (t->is_whole)
        return note_whole(c, g, x);
    if (t->way == TARGET_INSERTS) {
        struct net n = {.is_there = true, .is_new = true, .values = x->next.values};
        if (x->kind != PGO_INSERT)
            return false;
        MEM_PUSH(g->nets, g->n_nets, g->cap_nets, n);
        return true;
    }
    const struct pgo_tuple *named = x->kind == PGO_DELETE ? &x->old : &x->next;
    if ((x->old_kind && x->old_kind != 'K') || (x->kind == PGO_DELETE && !x->old_kind) ||
        !has_whole_key(t, named) || (x->old_kind && !has_whole_key(t, &x->old)) ||
        has_other_key(t, x))
        return false;
    bool is_first;
    struct net *n = net_of(g, named->values, &is_first);
    return (is_first || !t->is_one_each) && note(c, n, is_first, x);
}

bool chunk_add(struct chunk *c, struct target *t, const struct pgo_message *m, size_t bytes,
               lsn_t lsn, struct err *err)
{
    struct change x = {.kind = m->kind,
                       .old_kind = m->old_kind,
                       .bytes = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes,
                       .lsn = lsn};
    if ((m->kind != PGO_DELETE && !copy_tuple(c, &m->next, &x.next)) ||
        (m->old_kind && !copy_tuple(c, &m->old, &x.old)))
        return err_set(err, ERR_MEMORY, "no memory for a change of %zu bytes", bytes);
    x.group = group_of(c, t);
    MEM_PUSH(c->changes, c->n, c->cap, x);
    c->bytes += bytes;
    struct group *g = &c->groups[x.group];
    g->n_changes++;
    if (!g->is_exact)
        g->is_exact = !note_change(c, g, &c->changes[c->n - 1]);
    return true;
}
