/* Which tables' changes of a chunk go as statements of many rows, and which statement each net
 * effect belongs to; see apply_private.h. */
#include "stream/apply_private.h"

#include <string.h>

#define LEAST_CHANGES 24  /* for a statement: fewer cost the destination less one by one */
#define LEAST_SEARCHED 50 /* the same of one that reads a whole table */
#define LEAST_COPIED 1000 /* rows that are inserted */
#define MAX_MASKS 8       /* sets of unchanged columns, each of which is a statement */

enum set_phase set_phase_of(const struct net *n, enum set_phase *second)
{
    *second = SET_NONE;
    if (!n->is_new)
        return n->is_there ? SET_UPDATE : SET_DELETE;
    if (n->was_there && !n->is_there)
        return SET_DELETE; /* what was inserted in its place is gone, too */
    if (n->was_there) {
        *second = SET_INSERT;
        return SET_DELETE;
    }
    if (!n->is_there)
        *second = SET_DELETE_AGAIN;
    return SET_INSERT;
}

bool set_has_same_mask(const struct target *t, const struct net *a, const struct net *b)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if ((a->values[i].kind == 'u') != (b->values[i].kind == 'u'))
            return false;
    return true;
}

static bool writes(const struct target *t, const struct net *n)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (!t->columns[i].is_key && !t->columns[i].is_skipped && n->values[i].kind != 'u')
            return true;
    return false;
}

/* So many statements, one for each set of unchanged columns; 0: too many, or one writes nothing. */
static size_t count_updates(const struct group *g, size_t n_updates)
{
    const struct net *masks[MAX_MASKS];
    size_t n = 0;
    enum set_phase second;
    for (size_t i = 0; i < g->n_nets && n_updates; i++) {
        const struct net *net = &g->nets[i];
        if (set_phase_of(net, &second) != SET_UPDATE)
            continue;
        size_t m = 0;
        while (m < n && !set_has_same_mask(g->target, masks[m], net))
            m++;
        if (m < n)
            continue;
        if (n == MAX_MASKS || !writes(g->target, net))
            return 0;
        masks[n++] = net;
    }
    return n;
}

/* Whether values that an index may find the rows by, if there is one, are in all of them: else each
 * statement might read a whole table for rows that single ones find at once. */
static bool has_way(const struct group *g)
{
    const struct target *t = g->target;
    for (size_t i = 0; i < t->n_indexed; i++) {
        bool is_in_all = true;
        for (size_t k = 0; is_in_all && k < g->n_nets; k++)
            is_in_all =
                (!g->nets[k].was_there && g->nets[k].is_there) || g->nets[k].key[t->narrow[i]].data;
        if (is_in_all)
            return true;
    }
    return !t->n_indexed;
}

/* The same for is_whole: rows that are looked for are looked for in one go. Of those that are only
 * inserted any number is worth it that others are. */
static bool is_worth_a_search(const struct group *g)
{
    const size_t *n = g->n_phase;
    size_t rows = n[SET_DELETE] + n[SET_UPDATE] + n[SET_DELETE_AGAIN];
    size_t searches = (n[SET_DELETE] > 0) + (n[SET_UPDATE] > 0) + (n[SET_DELETE_AGAIN] > 0);
    return rows >= LEAST_SEARCHED * searches && (!searches || has_way(g));
}

/* Worth it when a statement stands for enough changes, on average. */
bool set_is_worth_it(struct group *g)
{
    size_t *n = g->n_phase;
    enum set_phase second;
    memset(n, 0, sizeof g->n_phase);
    if (g->is_exact || g->n_changes < LEAST_CHANGES)
        return false;
    for (size_t i = 0; i < g->n_nets; i++) {
        n[set_phase_of(&g->nets[i], &second)]++;
        n[second]++;
    }
    bool is_whole = g->target->is_whole;
    if (is_whole && !is_worth_a_search(g))
        return false;
    size_t updates = is_whole ? n[SET_UPDATE] > 0 : count_updates(g, n[SET_UPDATE]);
    size_t statements =
        updates + (n[SET_DELETE] > 0) + (n[SET_INSERT] > 0) + (n[SET_DELETE_AGAIN] > 0);
    if ((n[SET_UPDATE] && !updates) || g->n_changes < LEAST_CHANGES * statements)
        return false;
    if (g->target->rest > 0) {
        g->target->rest--;
        return false;
    }
    g->is_copied = n[SET_INSERT] >= LEAST_COPIED;
    return true;
}
