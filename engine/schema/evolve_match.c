/* Which column of a relation message is which; see evolve.h. Both sides are in the order of
 * attnum, so that this is an alignment: the cheapest one is taken, if all cheapest ones agree about
 * the columns that the source still has. */
#include "schema/evolve.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define NEVER 1000000

/* What a column of the message may be. */
struct candidate {
    int attnum;
    const struct known_column *was, *now; /* NULL: was not there, is not there (any more) */
    bool is_new, is_needed;
};

struct match {
    size_t n_candidates, cap, n;
    struct candidate *candidates;
    const struct evolve_column *columns;
    int *head, *tail; /* cost of [i candidates][k columns] up to there, and from there on */
};

static int *cell(const struct match *m, int *costs, size_t i, size_t k)
{
    return &costs[i * (m->n + 1) + k];
}

static int highest(const struct known_table *t)
{
    return t->n ? t->columns[t->n - 1].attnum : 0;
}

static void collect(struct match *m, const struct known_table *was, const struct known_table *now)
{
    size_t i = 0, k = 0;
    int last = highest(was);
    while (i < was->n || k < now->n) {
        int a = i < was->n ? was->columns[i].attnum : NEVER;
        int b = k < now->n ? now->columns[k].attnum : NEVER;
        struct candidate c = {.attnum = a < b ? a : b};
        c.was = a <= b ? &was->columns[i++] : NULL;
        const struct known_column *here = b <= a ? &now->columns[k++] : NULL;
        c.now = here && here->name && !here->is_generated ? here : NULL;
        c.is_new = c.attnum > last;
        c.is_needed = c.was && c.now;
        if (!c.was && !c.now && (!c.is_new || here->is_generated))
            continue; /* dropped before, or not in the stream */
        MEM_PUSH(m->candidates, m->n_candidates, m->cap, c);
    }
}

static bool is_same_type(const struct known_column *a, const struct evolve_column *b)
{
    return a && (!a->type || (a->type == b->type && a->typmod == b->typmod));
}

static bool is_same_name(const struct known_column *a, const struct evolve_column *b)
{
    return a && a->name && strcmp(a->name, b->name) == 0;
}

/* How much has to have happened for this to be that. */
static int cost_of(const struct candidate *c, const struct evolve_column *r)
{
    bool name = is_same_name(c->was, r) || is_same_name(c->now, r);
    bool type = is_same_type(c->was, r) || is_same_type(c->now, r);
    if (!c->was && !c->now)
        return 3; /* came and went: nothing says what it was */
    if ((is_same_name(c->was, r) && is_same_type(c->was, r)) ||
        (is_same_name(c->now, r) && is_same_type(c->now, r)))
        return 0;
    return name && type ? 1 : name || type ? 2 : 5;
}

/* One that the source still has and that was not there yet: so were all after it. */
static bool ends_all(const struct candidate *c)
{
    return c->is_new && c->now;
}

static int skip_cost(const struct match *m, const struct candidate *c)
{
    if (c->is_needed)
        return NEVER;
    for (size_t k = 0; c->was && k < m->n; k++)
        if (is_same_name(c->was, &m->columns[k]))
            return 1;
    return 0;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

static void fill_head(struct match *m)
{
    for (size_t i = 0; i <= m->n_candidates; i++)
        for (size_t k = 0; k <= m->n; k++) {
            int cost = i || k ? NEVER : 0;
            const struct candidate *c = i ? &m->candidates[i - 1] : NULL;
            if (c && k)
                cost =
                    least(cost, *cell(m, m->head, i - 1, k - 1) + cost_of(c, &m->columns[k - 1]));
            /* behind one that is not there yet nothing else may come */
            if (c && (!ends_all(c) || k == m->n))
                cost = least(cost, *cell(m, m->head, i - 1, k) + skip_cost(m, c));
            *cell(m, m->head, i, k) = least(cost, NEVER);
        }
}

static void fill_tail(struct match *m)
{
    for (size_t i = m->n_candidates + 1; i-- > 0;)
        for (size_t k = m->n + 1; k-- > 0;) {
            int cost = i == m->n_candidates && k == m->n ? 0 : NEVER;
            const struct candidate *c = i < m->n_candidates ? &m->candidates[i] : NULL;
            if (c && k < m->n)
                cost = least(cost, *cell(m, m->tail, i + 1, k + 1) + cost_of(c, &m->columns[k]));
            if (c && (!ends_all(c) || k == m->n))
                cost = least(cost, *cell(m, m->tail, i + 1, k) + skip_cost(m, c));
            *cell(m, m->tail, i, k) = least(cost, NEVER);
        }
}

/* In how many ways the candidate is used in the cheapest alignments; *at: in one of them. */
static size_t ways_of(const struct match *m, size_t i, int best, size_t *at)
{
    const struct candidate *c = &m->candidates[i];
    size_t ways = 0;
    for (size_t k = 0; k < m->n; k++)
        if (*cell(m, m->head, i, k) + cost_of(c, &m->columns[k]) +
                *cell(m, m->tail, i + 1, k + 1) ==
            best) {
            ways++;
            *at = k;
        }
    for (size_t k = 0; k <= m->n; k++)
        if ((!ends_all(c) || k == m->n) &&
            *cell(m, m->head, i, k) + skip_cost(m, c) + *cell(m, m->tail, i + 1, k) == best) {
            *at = ways++ ? *at : m->n;
            break;
        }
    return ways;
}

/* A name that went to a new column: when it did cannot be told from the names. */
static bool is_reused(const struct match *m, const struct candidate *c)
{
    for (size_t i = 0; c->is_new && c->now && i < m->n_candidates; i++) {
        const struct candidate *old = &m->candidates[i];
        if (old->was && !old->now && strcmp(old->was->name, c->now->name) == 0)
            return true;
    }
    return false;
}

/* Of columns that the source has dropped since it is enough to know some place. */
static void follow_cheapest(const struct match *m, int *attnums)
{
    size_t i = 0, k = 0;
    while (i < m->n_candidates && k < m->n) {
        const struct candidate *c = &m->candidates[i];
        if (cost_of(c, &m->columns[k]) + *cell(m, m->tail, i + 1, k + 1) == *cell(m, m->tail, i, k))
            attnums[k++] = c->attnum;
        i++;
    }
}

static bool is_certain(const struct match *m, const int *attnums)
{
    int best = *cell(m, m->tail, 0, 0);
    for (size_t i = 0; i < m->n_candidates; i++) {
        const struct candidate *c = &m->candidates[i];
        size_t at = m->n;
        if (!c->now)
            continue;
        if (ways_of(m, i, best, &at) != 1)
            return false;
        if (at < m->n && (attnums[at] != c->attnum || is_reused(m, c)))
            return false;
    }
    return true;
}

bool evolve_match(const struct known_table *was, const struct known_table *now, size_t n,
                  const struct evolve_column *columns, int *attnums)
{
    struct match m = {.n = n, .columns = columns};
    collect(&m, was, now);
    size_t cells = (m.n_candidates + 1) * (n + 1);
    m.head = mem_calloc(cells, sizeof *m.head);
    m.tail = mem_calloc(cells, sizeof *m.tail);
    fill_head(&m);
    fill_tail(&m);
    bool ok = *cell(&m, m.tail, 0, 0) < NEVER;
    if (ok) {
        follow_cheapest(&m, attnums);
        ok = is_certain(&m, attnums);
    }
    free(m.candidates);
    free(m.head);
    free(m.tail);
    return ok;
}
