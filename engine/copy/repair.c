/* Rows that differ are repaired; see repair.h. */
#include "copy/repair.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "copy/repair_sql.h"

#define CONNECT_MS 15000
#define READ_MS 10000
#define WRITE_MS 30000
#define BATCH_ROWS 100
#define BATCH_BYTES (16 << 20)
#define WAIT_MS 500
#define MOST_WAIT_MS 10000
#define PATIENCE_MS 900000 /* without any row */

/* A lock that somebody holds is not waited for: the stream stands meanwhile. */
#define OPTIONS "-c lock_timeout=500ms -c synchronous_commit=on"
#define FENCED "22012"

struct repair {
    const struct repair_plan *plan;
    struct verify_report *report;
    struct repair_table *tables; /* of the report's, in its order; def NULL: nothing to repair */
    struct repair_row *rows;
    size_t n, done, cap;
    size_t batch, now; /* how many shall, and how many do take part in the round */
    struct pg_conn *source, *dest;
};

/* --- what is to be done ------------------------------------------------------------------------
 */

static void set_reason(struct verify_table *t, const char *reason)
{
    free(t->reason);
    t->reason = mem_strdup(reason);
}

static const struct schema_table *find_def(const struct schema *s, const struct verify_table *t)
{
    const struct schema_table *def = schema_find(s, t->source_schema, t->source_table);
    return def && !def->is_partitioned ? def : NULL;
}

static bool can_repair(struct verify_table *t)
{
    if (t->state != VERIFY_DIFFERENT)
        return false;
    if (!t->n_key)
        set_reason(t, "a table without a key cannot be repaired row by row: resync it");
    else if (t->differing + t->missing + t->extra > REPAIR_MAX_ROWS)
        set_reason(t, "too many rows differ to be repaired one by one: resync the table");
    else
        return true;
    return false;
}

static void collect(struct repair *r)
{
    r->tables = mem_calloc(r->report->n_tables + 1, sizeof *r->tables);
    for (size_t i = 0; i < r->report->n_tables; i++) {
        struct verify_table *t = &r->report->tables[i];
        if (!can_repair(t))
            continue;
        r->tables[i].def = find_def(r->plan->schema, t);
        r->tables[i].out = t;
        for (size_t k = 0; r->tables[i].def && k < t->n_rows; k++) {
            struct repair_row row = {.table = &r->tables[i], .named = &t->rows[k]};
            MEM_PUSH(r->rows, r->n, r->cap, row);
        }
    }
}

/* --- sessions ----------------------------------------------------------------------------------
 */

static bool connect_source(struct repair *r, const struct verify_pair *pair, struct err *err)
{
    char *app = mem_printf("bunnydb verify %s", r->plan->mirror);
    bool ok = pg_connect(r->plan->source, PG_SQL, app, NULL, r->plan->task, CONNECT_MS, &r->source,
                         err) &&
              pg_begin_snapshot(r->source, r->plan->task, READ_MS, pair->source_snapshot, err);
    free(app);
    return ok || err_context(err, "repair: read the source");
}

static bool connect_dest(struct repair *r, struct err *err)
{
    if (r->dest && pg_is_alive(r->dest))
        return true;
    pg_close(r->dest, true);
    r->dest = NULL;
    char *app = mem_printf("bunnydb verify %s", r->plan->mirror);
    bool ok =
        pg_connect(r->plan->dest, PG_APPLY, app, OPTIONS, r->plan->task, CONNECT_MS, &r->dest, err);
    free(app);
    return ok || err_context(err, "repair: write the destination");
}

/* --- the source's rows -------------------------------------------------------------------------
 */

static bool read_table(struct repair *r, size_t from, size_t to, size_t *bytes, struct err *err)
{
    struct repair_row *rows = &r->rows[from];
    struct pg_result *res;
    char *sql = repair_read_sql(rows, to - from);
    bool ok = pg_exec(r->source, r->plan->task, READ_MS, sql, &res, err);
    free(sql);
    if (!ok)
        return err_context(err, "repair: read rows of %s.%s", rows->table->def->schema,
                           rows->table->def->name);
    for (size_t i = 0; i < pg_rows(res); i++) {
        struct repair_row *row = &rows[pg_int(res, i, 0)];
        repair_take_values(row, res, i);
        *bytes += row->bytes;
    }
    pg_free(res);
    return true;
}

/* In the snapshot, before the stream stands. The batch is what fits into memory and time. */
static bool at_source(void *arg, const struct verify_pair *pair, struct err *err)
{
    struct repair *r = arg;
    size_t bytes = 0, at = r->done, end = r->done + r->batch < r->n ? r->done + r->batch : r->n;
    bool ok = connect_source(r, pair, err);
    while (ok && at < end && bytes < BATCH_BYTES) {
        size_t to = at + 1;
        while (to < end && r->rows[to].table == r->rows[at].table)
            to++;
        ok = repair_table_open(r->rows[at].table, r->source, r->dest, r->plan->task, err) &&
             read_table(r, at, to, &bytes, err);
        at = to;
    }
    r->now = at - r->done;
    pg_close(r->source, true);
    r->source = NULL;
    return ok;
}

/* --- the destination's -------------------------------------------------------------------------
 */

static bool run(struct repair *r, const char *sql, struct err *err)
{
    return pg_exec(r->dest, r->plan->task, WRITE_MS, sql, NULL, err);
}

static bool fence(struct repair *r, struct err *err)
{
    struct buf sql = {0};
    buf_puts(&sql, "BEGIN; SELECT 1 / count(*) FROM (SELECT FROM "
                   "_bunnydb.progress WHERE mirror_id = ");
    pg_quote_literal(&sql, r->plan->mirror_id);
    buf_printf(&sql, " AND epoch = %lld FOR SHARE) ours", (long long)r->plan->epoch(r->plan->arg));
    bool ok = run(r, buf_text(&sql), err);
    buf_free(&sql);
    if (!ok && pg_server_error_is(err, FENCED)) {
        err_set(err, ERR_FENCED, "another process took over this mirror");
        return err_hint(err, "Stop the other bunnydb, then verify again.");
    }
    return ok;
}

static bool is_refusal(const struct err *err)
{
    return err->code == ERR_SQL && err_class_of(err) != CLASS_RETRY;
}

/* Some rows as one; false with an empty error when the server refuses one of them. */
static bool try_rows(struct repair *r, struct repair_row *rows, size_t n, enum repair_way way,
                     struct err *err)
{
    for (size_t i = 0; i < n; i++)
        rows[i].touched = 0;
    if (!run(r, "SET CONSTRAINTS ALL DEFERRED; SAVEPOINT bunny_rows", err))
        return false;
    if (repair_write(r->dest, r->plan->task, rows, n, way, err))
        return run(r, "RELEASE bunny_rows", err);
    if (!is_refusal(err))
        return false;
    for (size_t i = 0; i < n; i++) {
        rows[i].touched = 0;
        str_copy(rows[i].refused, sizeof rows[i].refused, err->sqlstate);
    }
    err_clear(err);
    (void)run(r, "ROLLBACK TO bunny_rows", err);
    return false;
}

static bool has_failed(const struct err *err)
{
    return err->code != ERR_NONE;
}

/* Each row by itself: those that the server refuses are named, the others go on. Twice: what one
 * needs may come after it. */
static bool write_each(struct repair *r, struct repair_row *rows, size_t n, struct err *err)
{
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < n; i++) {
            if (pass && !rows[i].refused[0])
                continue;
            if (try_rows(r, &rows[i], 1, REPAIR_IN_PLACE, err))
                rows[i].refused[0] = '\0';
            else if (has_failed(err))
                return false;
        }
    return true;
}

/* Values that rows have exchanged, say, are in each other's way unless all of them go first. */
static bool write_table(struct repair *r, struct repair_row *rows, size_t n, struct err *err)
{
    bool ok = try_rows(r, rows, n, REPAIR_IN_PLACE, err) ||
              (!has_failed(err) && repair_can_write_anew(rows, n) &&
               try_rows(r, rows, n, REPAIR_ANEW, err));
    for (size_t i = 0; ok && i < n; i++)
        rows[i].refused[0] = '\0';
    return ok || (!has_failed(err) && write_each(r, rows, n, err));
}

static bool write_all(struct repair *r, struct err *err)
{
    struct repair_row *rows = &r->rows[r->done];
    bool ok = try_rows(r, rows, r->now, REPAIR_IN_PLACE, err);
    for (size_t i = 0; ok && i < r->now; i++)
        rows[i].refused[0] = '\0';
    for (size_t at = 0, to; !ok && !has_failed(err) && at < r->now; at = to) {
        for (to = at + 1; to < r->now && rows[to].table == rows[at].table;)
            to++;
        if (!write_table(r, rows + at, to - at, err))
            return false;
    }
    return !has_failed(err);
}

/* Whether it has come to pass is not known: whoever locks the row knows that it has ended. The
 * stream stands as long. */
static void settle(struct repair *r)
{
    struct err ignored = {0};
    struct buf sql = {0};
    pg_close(r->dest, true);
    r->dest = NULL;
    buf_puts(&sql, "SELECT FROM _bunnydb.progress WHERE mirror_id = ");
    pg_quote_literal(&sql, r->plan->mirror_id);
    buf_puts(&sql, " FOR UPDATE");
    if (connect_dest(r, &ignored) &&
        pg_exec(r->dest, r->plan->task, READ_MS, "SET lock_timeout = 0", NULL, &ignored))
        (void)!pg_exec(r->dest, r->plan->task, WRITE_MS, buf_text(&sql), NULL, &ignored);
    pg_close(r->dest, true);
    r->dest = NULL;
    buf_free(&sql);
}

static bool commit(struct repair *r, struct err *err)
{
    if (!hold_keep(r->plan->hold)) {
        err_set(err, ERR_TIMEOUT, "the stream went on before the rows were written");
        return false;
    }
    if (run(r, "COMMIT", err))
        return true;
    settle(r);
    return false;
}

static void leave_aside_alone(struct repair *r)
{
    for (size_t i = 0; i < r->now; i++) {
        struct repair_row *row = &r->rows[r->done + i];
        row->is_left = r->plan->is_aside(r->plan->arg, row->table->def);
    }
}

/* The stream stands exactly where the source's rows were read. */
static bool standing(void *arg, const struct verify_pair *pair, struct err *err)
{
    struct repair *r = arg;
    struct err ignored = {0};
    (void)pair;
    leave_aside_alone(r);
    err_clear(err);
    bool ok = fence(r, err) && write_all(r, err) && commit(r, err);
    if (!ok && r->dest && pg_is_alive(r->dest))
        (void)!pg_exec(r->dest, r->plan->task, READ_MS, "ROLLBACK", NULL, &ignored);
    return ok;
}

/* --- rounds ------------------------------------------------------------------------------------
 */

static void name(const struct repair *r, const struct repair_row *row)
{
    const struct verify_table *t = row->table->out;
    struct buf key = {0};
    for (size_t i = 0; i < t->n_key; i++)
        buf_printf(&key, "%s%s", i ? ", " : "(", t->key[i]);
    for (size_t i = 0; i < t->n_key; i++)
        buf_printf(&key, "%s%s", i ? ", " : ")=(", row->named->values[i]);
    buf_putc(&key, ')');
    if (row->refused[0])
        log_warn("verify", r->plan->mirror,
                 "row not repaired, refused by the destination: table=%s.%s key=%s sqlstate=%s",
                 t->source_schema, t->source_table, buf_text(&key), row->refused);
    else
        log_info("verify", r->plan->mirror, "row repaired: table=%s.%s key=%s was=%s",
                 t->source_schema, t->source_table, buf_text(&key),
                 verify_kind_name(row->named->kind));
    if (row->refused[0] && !t->reason) {
        char *why = mem_printf("the destination refuses a row, key %s (SQLSTATE %s)",
                               buf_text(&key), row->refused);
        set_reason(row->table->out, why);
        free(why);
    }
    buf_free(&key);
}

static void take_results(struct repair *r, lsn_t lsn)
{
    for (size_t i = 0; i < r->now; i++) {
        struct repair_row *row = &r->rows[r->done + i];
        if (row->touched) {
            row->named->is_repaired = true;
            row->table->out->repaired++;
        }
        if (row->touched || row->refused[0])
            name(r, row);
    }
    log_info("verify", r->plan->mirror, "rows looked at again: %zu lsn=" LSN_FMT, r->now,
             LSN_ARGS(lsn));
    r->done += r->now;
}

static bool one_round(struct repair *r, struct err *err)
{
    struct verify_pair pair;
    struct verify_pair_plan plan = {.mirror = r->plan->mirror,
                                    .mirror_id = r->plan->mirror_id,
                                    .source = r->plan->source,
                                    .dest = r->plan->dest,
                                    .hold = r->plan->hold,
                                    .task = r->plan->task,
                                    .at_source = at_source,
                                    .standing = standing,
                                    .arg = r};
    r->now = 0;
    bool ok = connect_dest(r, err) && verify_pair_take(&plan, &pair, err);
    if (ok) {
        take_results(r, pair.lsn);
        verify_pair_free(&pair);
    }
    for (size_t i = 0; i < r->n; i++)
        repair_row_reset(&r->rows[i]);
    pg_close(r->source, true);
    r->source = NULL;
    return ok;
}

static bool is_worth_another_try(const struct err *err)
{
    return err->code != ERR_CANCELLED && err_class_of(err) == CLASS_RETRY &&
           !pg_server_error_is(err, "53400");
}

static bool sleep_a_little(struct repair *r, int ms, struct err *err)
{
    int64_t until = clock_mono_ms() + ms;
    const struct task *task = r->plan->task;
    while (clock_mono_ms() < until) {
        if (task->is_cancelled && task->is_cancelled(task->arg))
            return err_set(err, ERR_CANCELLED, "given up on command");
        beat_move();
        (void)poll(NULL, 0, 50);
    }
    return true;
}

static bool all_rounds(struct repair *r, struct err *err)
{
    int64_t until = clock_mono_ms() + PATIENCE_MS;
    int wait = WAIT_MS;
    while (r->done < r->n) {
        if (one_round(r, err)) {
            until = clock_mono_ms() + PATIENCE_MS;
            wait = WAIT_MS;
            continue;
        }
        if (!is_worth_another_try(err) || clock_mono_ms() + wait >= until)
            return false;
        log_info("verify", r->plan->mirror, "rows are not repaired yet: %s", err->text);
        r->batch = r->batch > 1 ? r->batch / 2 : 1; /* the stream may not stand for long */
        if (!sleep_a_little(r, wait, err))
            return false;
        wait = wait * 2 < MOST_WAIT_MS ? wait * 2 : MOST_WAIT_MS;
    }
    return true;
}

bool repair_run(const struct repair_plan *plan, struct verify_report *report, struct err *err)
{
    struct repair r = {.plan = plan, .report = report, .batch = BATCH_ROWS};
    collect(&r);
    bool ok = all_rounds(&r, err);
    for (size_t i = 0; i < report->n_tables; i++)
        repair_table_close(&r.tables[i]);
    pg_close(r.dest, true);
    free(r.tables);
    free(r.rows);
    return ok || err_context(err, "repair");
}
