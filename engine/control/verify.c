/* The comparison of a mirror as an errand beside it; see verify.h. */
#include "control/verify.h"

#include <stdlib.h>
#include <string.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"
#include "control/peer_target.h"
#include "control/verify_sequences.h"
#include "copy/errand.h"
#include "copy/repair.h"
#include "copy/verify.h"
#include "copy/verify_pair.h"

#define CONNECT_MS 15000
#define STATEMENT_MS 60000
#define WATCH_MS 250
#define FIRST_WAIT_MS 1000 /* before another try to take the snapshots, doubling */
#define MOST_WAIT_MS 30000
#define PATIENCE_MS 900000
#define MOST_WORKERS 4

struct verification {
    struct errand errand;
    struct catalog *catalog; /* thread-safe by itself */
    struct hold *hold;       /* the mirror's; thread-safe by itself */
    char mirror[NAME_SIZE];
    bool is_called_off; /* by verify_leave */
    bool is_kept;       /* the report is in the catalog; once the errand is over */
    bool repairs;
    atomic_bool wants_look; /* at the sequences, by who follows them */

    pthread_mutex_t lock;
    struct table_name_list aside; /* when the stream stood for the last time, */
    int64_t epoch;                /* and its epoch */
    struct verify_status status;

    /* the errand's own */
    struct mirror_row row;
    struct peer source_peer, dest_peer;
    struct pg_target source, dest;
    struct verify_pair pair;
    struct schema *schema;
    struct verify_report report;
    struct verify_report first; /* of what was repaired since */
};

/* --- the errand: the snapshots -----------------------------------------------------------------
 */

static bool load(struct verification *v, struct err *err)
{
    if (!catalog_mirror_get(v->catalog, v->mirror, &v->row, err) ||
        !catalog_peer_get(v->catalog, v->row.config.source_peer, &v->source_peer, err) ||
        !catalog_peer_get(v->catalog, v->row.config.dest_peer, &v->dest_peer, err))
        return false;
    peer_target(&v->source_peer, &v->source);
    peer_target(&v->dest_peer, &v->dest);
    return true;
}

/* 53400: no slot or no WAL sender is left; that takes an operator. */
static bool is_worth_another_try(const struct err *err)
{
    return err->code != ERR_CANCELLED && err_class_of(err) == CLASS_RETRY &&
           !pg_server_error_is(err, "53400");
}

static bool take_pair(struct verification *v, struct err *err)
{
    struct verify_pair_plan plan = {.mirror = v->mirror,
                                    .mirror_id = v->row.mirror_id,
                                    .source = &v->source,
                                    .dest = &v->dest,
                                    .hold = v->hold,
                                    .task = &v->errand.task};
    int64_t until = clock_mono_ms() + PATIENCE_MS;
    int wait = FIRST_WAIT_MS;
    beat_does("takes a pair of snapshots to be compared");
    while (!verify_pair_take(&plan, &v->pair, err)) {
        if (!is_worth_another_try(err) || clock_mono_ms() + wait >= until)
            return false;
        log_info("verify", v->mirror, "no consistent pair of snapshots yet: %s", err->text);
        if (!errand_sleep(&v->errand, wait, err))
            return false;
        wait = wait * 2 < MOST_WAIT_MS ? wait * 2 : MOST_WAIT_MS;
    }
    log_info("verify", v->mirror, "comparing as of lsn=" LSN_FMT " stood_ms=%lld",
             LSN_ARGS(v->pair.lsn), (long long)v->pair.stood_ms);
    return true;
}

/* The definitions as of the snapshot, not those with which the stream began. */
static bool read_schema(struct verification *v, struct err *err)
{
    const struct mirror_config *c = &v->row.config;
    struct task *task = &v->errand.task;
    struct pg_conn *conn;
    char *app = mem_printf("bunnydb verify %s", v->mirror);
    bool ok = pg_connect(&v->source, PG_SQL, app, NULL, task, CONNECT_MS, &conn, err);
    ok = ok && pg_begin_snapshot(conn, task, STATEMENT_MS, v->pair.source_snapshot, err) &&
         schema_read(conn, task, c->tables, c->n_tables, false, false, true, &v->schema, err);
    free(app);
    pg_close(conn, !ok);
    return ok || err_context(err, "read the source's definitions");
}

/* --- the errand: the comparison ----------------------------------------------------------------
 */

/* Tables that were being copied when the stream stood are not what the source has. */
static const char **leave_out(struct verification *v)
{
    const struct schema *s = v->schema;
    const char **why = mem_calloc(s->n_tables + 1, sizeof *why);
    pthread_mutex_lock(&v->lock);
    for (size_t i = 0; i < s->n_tables; i++)
        if (table_name_list_has(&v->aside, s->tables[i].schema, s->tables[i].name))
            why[i] = "the table is being copied";
    pthread_mutex_unlock(&v->lock);
    return why;
}

static void note_progress(struct verification *v, const struct verify_job *job)
{
    struct verify_status s = {.is_running = true};
    for (size_t i = 0; i < v->schema->n_tables; i++) {
        struct verify_progress p;
        if (v->schema->tables[i].is_partitioned)
            continue;
        verify_progress(job, i, &p);
        s.tables_total++;
        s.tables_done += p.state >= VERIFY_EQUAL;
        s.rows += p.rows;
        s.bytes_done += p.bytes_done;
        s.bytes_total += p.bytes_total;
        s.differences += p.differences;
    }
    pthread_mutex_lock(&v->lock);
    v->status = s;
    pthread_mutex_unlock(&v->lock);
    errand_tell(&v->errand);
}

static void watch(struct verification *v, struct verify_job *job)
{
    struct err cancelled = {0};
    beat_does("looks after the workers of a comparison");
    while (!verify_is_over(job)) {
        note_progress(v, job);
        if (v->pair.repl && verify_is_imported(job))
            verify_pair_free(&v->pair);
        if (!errand_sleep(&v->errand, WATCH_MS, &cancelled)) {
            verify_cancel(job);
            return;
        }
    }
    note_progress(v, job);
}

static int count_workers(const struct mirror_config *c)
{
    int n = c->snapshot_max_parallel_workers;
    return n < 1 ? 1 : n > MOST_WORKERS ? MOST_WORKERS : n;
}

static bool compare(struct verification *v, struct err *err)
{
    const char **left_out = leave_out(v);
    struct verify_plan plan = {.mirror = v->mirror,
                               .source = &v->source,
                               .dest = &v->dest,
                               .source_snapshot = v->pair.source_snapshot,
                               .dest_snapshot = v->pair.dest_snapshot,
                               .schema = v->schema,
                               .left_out = left_out,
                               .lsn = v->pair.lsn,
                               .max_rows = v->repairs ? REPAIR_MAX_ROWS : 0,
                               .workers = count_workers(&v->row.config),
                               .done_fd = v->errand.wake_fd};
    struct verify_job *job;
    bool ok = verify_start(&plan, &job, err);
    free(left_out);
    if (!ok)
        return false;
    watch(v, job);
    return verify_finish(job, &v->report, err);
}

static void count_tables(const struct verify_report *r, int *different, int *others)
{
    *different = *others = 0;
    for (size_t i = 0; i < r->n_tables; i++) {
        *different += r->tables[i].state == VERIFY_DIFFERENT;
        *others += r->tables[i].state != VERIFY_DIFFERENT && r->tables[i].state != VERIFY_EQUAL;
    }
}

static void say(const struct verification *v)
{
    const struct verify_report *r = &v->report;
    int different, others;
    count_tables(r, &different, &others);
    log_write(different || others || r->error ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "verify",
              v->mirror, r->error,
              "comparison %s tables=%zu different=%d not_compared=%d lsn=" LSN_FMT " seconds=%.1f",
              r->ending, r->n_tables, different, others, LSN_ARGS(r->lsn),
              (double)(r->ended_at - r->began_at) / 1e6);
}

/* --- the errand: repair ------------------------------------------------------------------------
 */

static int64_t epoch_of(void *arg)
{
    struct verification *v = arg;
    pthread_mutex_lock(&v->lock);
    int64_t epoch = v->epoch;
    pthread_mutex_unlock(&v->lock);
    return epoch;
}

static bool is_aside(void *arg, const struct schema_table *t)
{
    struct verification *v = arg;
    pthread_mutex_lock(&v->lock);
    bool is = table_name_list_has(&v->aside, t->schema, t->name);
    pthread_mutex_unlock(&v->lock);
    return is;
}

static bool has_differences(const struct verify_report *r)
{
    for (size_t i = 0; i < r->n_tables; i++)
        if (r->tables[i].state == VERIFY_DIFFERENT)
            return true;
    return false;
}

static struct verify_table *find_same(struct verify_report *r, const struct verify_table *t)
{
    for (size_t i = 0; i < r->n_tables; i++)
        if (!strcmp(r->tables[i].source_schema, t->source_schema) &&
            !strcmp(r->tables[i].source_table, t->source_table))
            return &r->tables[i];
    return NULL;
}

/* The rows that were repaired follow those that still differ. */
static void add_repaired(struct verify_table *to, struct verify_table *from)
{
    to->repaired = from->repaired;
    if (to->state == VERIFY_DIFFERENT && from->reason && !to->reason) {
        to->reason = from->reason;
        from->reason = NULL;
    }
    for (size_t i = 0; i < from->n_rows && to->n_rows < VERIFY_MAX_ROWS; i++) {
        if (!from->rows[i].is_repaired)
            continue;
        to->rows = mem_realloc(to->rows, (to->n_rows + 1) * sizeof *to->rows);
        to->rows[to->n_rows++] = from->rows[i]; /* moved */
        from->rows[i] = (struct verify_row){0};
    }
}

/* As many as a report keeps. */
static void cut_rows(struct verify_report *r)
{
    for (size_t i = 0; i < r->n_tables; i++) {
        struct verify_table *t = &r->tables[i];
        while (t->n_rows > VERIFY_MAX_ROWS) {
            struct verify_row *row = &t->rows[--t->n_rows];
            for (size_t k = 0; k < row->n_values; k++)
                free(row->values[k]);
            free(row->values);
        }
    }
}

static bool repair(struct verification *v, struct err *err)
{
    struct repair_plan plan = {.mirror = v->mirror,
                               .mirror_id = v->row.mirror_id,
                               .source = &v->source,
                               .dest = &v->dest,
                               .hold = v->hold,
                               .task = &v->errand.task,
                               .schema = v->schema,
                               .epoch = epoch_of,
                               .is_aside = is_aside,
                               .arg = v};
    return repair_run(&plan, &v->report, err);
}

static bool take_and_compare(struct verification *v, struct err *err)
{
    bool ok = take_pair(v, err) && read_schema(v, err) && compare(v, err);
    verify_pair_free(&v->pair);
    return ok;
}

static bool repair_and_compare(struct verification *v, struct err *err)
{
    int64_t began_at = v->report.began_at;
    say(v);
    beat_does("repairs rows");
    if (!repair(v, err))
        return false;
    v->first = v->report;
    v->report = (struct verify_report){.began_at = began_at};
    schema_free(v->schema);
    v->schema = NULL;
    if (!take_and_compare(v, err))
        return false;
    v->report.began_at = began_at;
    return true;
}

static void want_look(void *arg)
{
    struct verification *v = arg;
    atomic_store(&v->wants_look, true);
    errand_tell(&v->errand);
}

static bool compare_sequences(struct verification *v, struct err *err)
{
    beat_does("compares the values of sequences");
    struct verify_sequences_plan plan = {
        .errand = &v->errand,
        .source = &v->source,
        .dest = &v->dest,
        .schema = v->schema,
        .owner = {.mirror = v->mirror, .mirror_id = v->row.mirror_id, .epoch = epoch_of(v)},
        .repairs = v->repairs,
        .want_look = want_look,
        .arg = v};
    return verify_sequences(&plan, &v->report, err);
}

/* What was repaired is told even when the comparison after it failed. */
static void merge(struct verification *v)
{
    cut_rows(&v->report);
    for (size_t i = 0; i < v->report.n_tables; i++) {
        struct verify_table *from = find_same(&v->first, &v->report.tables[i]);
        if (from)
            add_repaired(&v->report.tables[i], from);
    }
}

/* --- the errand: its end -----------------------------------------------------------------------
 */

/* One that was called off leaves the report before it in its place. */
static void keep(struct verification *v, bool ok, const struct err *why)
{
    struct verify_report *r = &v->report;
    struct err err = {0};
    if (!ok && why->code == ERR_CANCELLED)
        return;
    if (!ok) {
        free(r->error);
        r->ended_at = clock_wall_us();
        r->error = mem_printf("%s%s%s", why->text, why->hint[0] ? ". " : "", why->hint);
        str_copy(r->ending, sizeof r->ending, "failed");
    }
    say(v);
    v->is_kept = catalog_verify_save(v->catalog, v->mirror, r, &err);
    if (!v->is_kept)
        log_error("verify", v->mirror, "cannot keep the report: %s", err.text);
}

static void run(void *arg)
{
    struct verification *v = arg;
    struct err err = {0};
    v->report.began_at = clock_wall_us();
    bool ok = load(v, &err) && take_and_compare(v, &err);
    if (ok && v->repairs && has_differences(&v->report))
        ok = repair_and_compare(v, &err);
    ok = ok && compare_sequences(v, &err);
    merge(v);
    errand_explain(&v->errand, &err);
    keep(v, ok, &err);
}

static void verification_free(struct verification *v)
{
    verify_report_free(&v->report);
    verify_report_free(&v->first);
    schema_free(v->schema);
    peer_free(&v->source_peer);
    peer_free(&v->dest_peer);
    mirror_row_free(&v->row);
    table_name_list_free(&v->aside);
    pthread_mutex_destroy(&v->lock);
    free(v);
}

/* --- the mirror's side -------------------------------------------------------------------------
 */

static void begin(struct mirror *m)
{
    struct err err = {0};
    struct verification *v = mem_calloc(1, sizeof *v);
    v->catalog = m->engine->catalog;
    v->hold = m->hold;
    v->repairs = mirror_is_pending(m, MIRROR_REPAIR);
    str_copy(v->mirror, sizeof v->mirror, m->row.config.name);
    pthread_mutex_init(&v->lock, NULL);
    errand_init(&v->errand, "b:verify", run, v, m->wake_fd);
    v->errand.mirror = v->mirror;
    v->errand.task.is_leaving = true;
    if (errand_start(&v->errand, &err)) {
        m->verification = v;
        return;
    }
    log_error("verify", m->row.config.name, "%s", err.text); /* the next tick tries again */
    errand_join(&v->errand);
    verification_free(v);
}

void verify_end(struct mirror *m)
{
    struct verification *v = m->verification;
    if (!v)
        return;
    errand_join(&v->errand);
    verification_free(v);
    m->verification = NULL;
    m->live.verify = (struct verify_status){0};
    show_dirty(m);
}

static void show_progress(struct mirror *m)
{
    struct verification *v = m->verification;
    pthread_mutex_lock(&v->lock);
    m->live.verify = v->status;
    pthread_mutex_unlock(&v->lock);
    m->live.verify.is_running = true;
    show_dirty(m);
}

/* Tables that were found equal have no rows missing; of what was missed later nothing is known. */
static void forget_trouble(struct mirror *m)
{
    struct verify_report report;
    struct err err = {0};
    if (!catalog_verify_load(m->engine->catalog, m->row.config.name, &report, &err))
        return;
    for (size_t i = 0; i < report.n_tables; i++) {
        const struct verify_table *t = &report.tables[i];
        char name[2 * NAME_SIZE + 2];
        str_printf(name, sizeof name, "%s.%s", t->source_schema, t->source_table);
        if (t->state != VERIFY_EQUAL)
            continue;
        trouble_resolved(m, name, report.lsn, "verify found the table equal");
        for (size_t k = 0; k < m->n_tables; k++)
            if (!strcmp(m->tables[k].source, name))
                m->tables[k].rows_missing = 0;
    }
    verify_report_free(&report);
}

void verify_leave(struct mirror *m)
{
    if (!m->verification || !mirror_leaves(m))
        return;
    m->verification->is_called_off = true;
    errand_cancel(&m->verification->errand);
}

void verify_tick(struct mirror *m)
{
    bool is_wanted = mirror_is_pending(m, MIRROR_VERIFY) || mirror_is_pending(m, MIRROR_REPAIR);
    if (m->verification && m->verification->is_called_off) {
        if (!mirror_leaves(m))
            verify_end(m); /* it goes on after all, and begins anew */
        return;
    }
    if (!m->verification) {
        if (is_wanted && hold_has_stream(m->hold))
            begin(m);
        return;
    }
    if (errand_has_news(&m->verification->errand))
        show_progress(m);
    if (is_wanted && !errand_is_over(&m->verification->errand))
        return;
    if (is_wanted && m->n_troubles)
        forget_trouble(m);
    verify_end(m);
    if (!is_wanted)
        return;
    mirror_end_operation(m, MIRROR_VERIFY);
    mirror_end_operation(m, MIRROR_REPAIR);
}

bool verify_is_running(const struct mirror *m)
{
    return m->verification;
}

bool verify_wants_look(struct mirror *m)
{
    return m->verification && atomic_exchange(&m->verification->wants_look, false);
}

void verify_standing(void *arg, const struct apply *a)
{
    struct verification *v = ((struct run *)arg)->m->verification;
    struct table_name_list names;
    if (!v)
        return;
    aside_names(a, &names);
    pthread_mutex_lock(&v->lock);
    table_name_list_free(&v->aside);
    v->aside = names;
    v->epoch = ((struct run *)arg)->progress->epoch;
    pthread_mutex_unlock(&v->lock);
}

bool engine_mirror_report(struct engine *e, const char *name, struct verify_report *out,
                          struct err *err)
{
    return catalog_verify_load(e->catalog, name, out, err);
}
