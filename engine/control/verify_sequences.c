/* The values of sequences are compared; see verify_sequences.h.
 *
 * They follow by looks of their own, so that one look at both sides says little: those that lag
 * behind get their time, as long as somebody follows them. */
#include "control/verify_sequences.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

#define CONNECT_MS 15000
#define AGAIN_MS 300
#define BEHIND_MS 15000 /* for those that follow: rows that come first may take a while */
#define IN_USE_MS 1500  /* for those that nobody follows */

struct look {
    const struct verify_sequences_plan *plan;
    struct pg_conn *source, *dest;
    struct sequences *sequences;
    struct sequence_difference *found;
    size_t n;
};

static bool connect_both(struct look *l, struct err *err)
{
    const struct verify_sequences_plan *p = l->plan;
    struct task *task = &p->errand->task;
    char *app = mem_printf("bunnydb verify %s", p->owner.mirror);
    bool ok =
        (pg_connect(p->source, PG_SQL, app, NULL, task, CONNECT_MS, &l->source, err) ||
         err_context(err, "source")) &&
        (pg_connect(p->dest, PG_SQL, app, "-c lock_timeout=2s", task, CONNECT_MS, &l->dest, err) ||
         err_context(err, "destination"));
    free(app);
    return ok;
}

static bool are_in_use(const struct look *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++)
        n += l->found[i].is_in_use;
    return n == l->n;
}

static bool find(struct look *l, struct err *err)
{
    int64_t began = clock_mono_ms();
    for (;;) {
        free(l->found);
        if (!sequences_compare(l->sequences, l->source, l->dest, &l->plan->errand->task, &l->found,
                               &l->n, err))
            return false;
        if (!l->n || clock_mono_ms() - began > (are_in_use(l) ? IN_USE_MS : BEHIND_MS))
            return true;
        l->plan->want_look(l->plan->arg);
        if (!errand_sleep(l->plan->errand, AGAIN_MS, err))
            return false;
    }
}

static void add(struct verify_report *r, const struct sequence_difference *d, bool is_repaired)
{
    struct verify_table t = {.state = is_repaired ? VERIFY_EQUAL : VERIFY_DIFFERENT,
                             .reason = mem_strdup("a sequence: its value"),
                             .source_rows = 1,
                             .dest_rows = 1,
                             .equal = is_repaired,
                             .differing = !is_repaired,
                             .repaired = is_repaired,
                             .n_rows = 1};
    str_copy(t.source_schema, sizeof t.source_schema, d->source_schema);
    str_copy(t.source_table, sizeof t.source_table, d->source_name);
    str_copy(t.dest_schema, sizeof t.dest_schema, d->dest_schema);
    str_copy(t.dest_table, sizeof t.dest_table, d->dest_name);
    t.rows = mem_calloc(1, sizeof *t.rows);
    *t.rows =
        (struct verify_row){.kind = VERIFY_DIFFERING, .is_repaired = is_repaired, .n_values = 1};
    t.rows->values = mem_calloc(1, sizeof *t.rows->values);
    t.rows->values[0] =
        mem_printf("sequence: last_value %lld%s at the source, %lld%s at the destination",
                   (long long)d->source, d->source_called ? "" : " (not called yet)",
                   (long long)d->dest, d->dest_called ? "" : " (not called yet)");
    r->tables = mem_realloc(r->tables, (r->n_tables + 1) * sizeof *r->tables);
    r->tables[r->n_tables++] = t;
}

bool verify_sequences(const struct verify_sequences_plan *plan, struct verify_report *report,
                      struct err *err)
{
    struct look l = {.plan = plan, .sequences = sequences_new(plan->schema, &plan->owner, false)};
    bool ok =
        connect_both(&l, err) && find(&l, err) &&
        (!plan->repairs || !l.n || sequences_repair(l.sequences, l.dest, &plan->errand->task, err));
    for (size_t i = 0; i < l.n; i++)
        add(report, &l.found[i], ok && plan->repairs);
    free(l.found);
    sequences_free(l.sequences);
    pg_close(l.source, !ok);
    pg_close(l.dest, !ok);
    return ok || err_context(err, "compare the sequences");
}
