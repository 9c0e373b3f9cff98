/* Runs the steps of a plan at the destination: those that go first one by one, all others in one
 * transaction. Locks are asked for with a short limit: whoever waits for an ALTER TABLE's lock
 * holds up all readers behind it. */
#include "schema/diff_private.h"

#include <stdlib.h>
#include <string.h>

#define SHORT_MS 60000
#define LOCK_TIMEOUT "2s"
#define TRIES 6
#define TRY_TIMEOUT "3s"

static bool run(struct pg_conn *dest, struct task *task, int limit_ms, const char *sql,
                struct err *err)
{
    return pg_exec(dest, task, limit_ms, sql, NULL, err);
}

static bool is_worth_another_try(const struct err *err)
{
    return pg_server_error_is(err, "55P03") || pg_server_error_is(err, "40P01");
}

/* "add column public.t.c: permission denied … (ALTER TABLE …)". */
static bool name_step(const struct schema_step *s, struct err *err)
{
    char text[sizeof err->text];
    str_copy(text, sizeof text, err->text);
    str_printf(err->text, sizeof err->text, "%.160s: %.300s (%s)", s->what, text, s->sql);
    return false;
}

/* As long as it takes: a column or an index of a large table is built anew. */
static bool run_step(struct pg_conn *dest, struct task *task, const struct schema_step *s,
                     struct err *err)
{
    return run(dest, task, 0, s->sql, err) || name_step(s, err);
}

/* A step that was refused before is told in a lower voice. */
static void refuse(struct schema_step *s, const char *mirror, const struct err *why)
{
    log_write(s->is_refused ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "schema", mirror, s->sql,
              "%s %s: %s %s", s->is_refused ? "still left out" : "left out", s->what, why->sqlstate,
              why->text);
    free(s->needs); /* was there, and it is refused for itself */
    s->needs = NULL;
    free(s->why);
    s->why = mem_printf("the destination has refused it: %s %s", why->sqlstate, why->text);
    s->kind = STEP_NOTE;
    s->is_refused = true;
}

/* Is it of a constraint that was refused just now? */
static bool lacks_its_base(const struct schema_plan *plan, struct schema_step *s)
{
    for (size_t i = 0; s->needs && i < plan->n; i++) {
        const struct schema_step *base = &plan->items[i];
        if (!base->is_refused || base->kind != STEP_NOTE || strcmp(base->sql, s->needs) != 0)
            continue;
        if (!s->is_refused)
            s->why = mem_strdup("it follows once the destination takes the constraint");
        s->kind = STEP_NOTE;
        s->is_refused = true;
        return true;
    }
    return false;
}

/* A partitioned table takes a foreign key only at once for all its rows: what one refers to may be
 * in a table that is copied when this is done. */
static bool is_refused_by_rows(const struct schema_step *s, const struct err *why)
{
    return s->is_refusable && pg_server_error_is(why, "23503");
}

static bool try_step(struct pg_conn *dest, struct task *task, struct schema_step *s,
                     const char *mirror, struct err *err)
{
    struct err why = {0};
    if (!run(dest, task, SHORT_MS, "SAVEPOINT bunny_step", err))
        return false;
    bool worked = run(dest, task, 0, s->sql, &why);
    if (!worked &&
        (why.code != ERR_SQL || is_worth_another_try(&why) ||
         (!s->is_optional && !pg_refuses_definition(&why) && !is_refused_by_rows(s, &why)))) {
        *err = why;
        return name_step(s, err);
    }
    if (!worked)
        refuse(s, mirror, &why);
    else
        s->kind = STEP_RUN; /* if it was refused before */
    return run(dest, task, SHORT_MS,
               worked ? "RELEASE SAVEPOINT bunny_step" : "ROLLBACK TO SAVEPOINT bunny_step", err);
}

/* As if everything had been run, then what is not so yet, and last what is so nevertheless. */
static bool record(struct pg_conn *dest, struct task *task, const struct schema_plan *plan,
                   const struct schema_point *at, struct err *err)
{
    bool ok = run(dest, task, SHORT_MS, plan->record_sql, err);
    for (size_t i = 0; ok && i < 2 * plan->n; i++) {
        const struct schema_step *s = &plan->items[i % plan->n];
        bool is_due = schema_step_is_due(plan, s, at);
        const char *sql = is_due ? s->done_sql : s->left_sql;
        if (s->kind == STEP_RUN && sql && is_due == (i >= plan->n))
            ok = run(dest, task, SHORT_MS, sql, err);
    }
    char *refused = ok && plan->mirror_id ? book_sql_refused(plan) : NULL;
    ok = ok && (!refused || run(dest, task, SHORT_MS, refused, err));
    free(refused);
    return ok;
}

static bool run_transaction(struct pg_conn *dest, struct task *task, struct schema_plan *plan,
                            const struct schema_point *at, const char *mirror, struct err *err)
{
    bool ok = run(dest, task, SHORT_MS, "BEGIN; SET LOCAL lock_timeout = '" LOCK_TIMEOUT "'", err);
    for (size_t i = 0; ok && i < plan->n; i++) {
        struct schema_step *s = &plan->items[i];
        bool is_due = schema_step_is_due(plan, s, at) && !s->runs_first;
        if ((!is_due && !schema_step_is_tried(plan, s, at)) || lacks_its_base(plan, s))
            continue;
        ok = s->is_optional || s->is_refusable ? try_step(dest, task, s, mirror, err)
                                               : run_step(dest, task, s, err);
    }
    if (ok && plan->record_sql)
        ok = record(dest, task, plan, at, err) ||
             err_context(err, "write the book of parts at the destination");
    if (ok)
        return run(dest, task, 0, "COMMIT", err);
    /* The first error is the one to report; a lost connection rolls back by itself. */
    struct err ignored = {0};
    if (pg_is_alive(dest) && !run(dest, task, SHORT_MS, "ROLLBACK", &ignored))
        log_debug("schema", mirror, "rollback failed error=\"%s\"", ignored.text);
    return false;
}

/* Adding to an enum cannot be used in the transaction that does it, so that it is done before. */
static bool run_first(struct pg_conn *dest, struct task *task, const struct schema_plan *plan,
                      const struct schema_point *at, const char *mirror, struct err *err)
{
    for (size_t i = 0; i < plan->n; i++) {
        const struct schema_step *s = &plan->items[i];
        if (!schema_step_is_due(plan, s, at) || !s->runs_first)
            continue;
        if (!run_step(dest, task, s, err))
            return false;
        log_write(LOG_LEVEL_INFO, "schema", mirror, s->sql, "ran %s", s->what);
    }
    return true;
}

static void log_steps(const struct schema_plan *plan, const struct schema_point *at,
                      const char *mirror)
{
    for (size_t i = 0; i < plan->n; i++) {
        const struct schema_step *s = &plan->items[i];
        if (schema_step_is_due(plan, s, at) && !s->runs_first)
            log_write(LOG_LEVEL_INFO, "schema", mirror, s->sql, "ran %s", s->what);
    }
    size_t left, n = schema_plan_count(plan, at, &left);
    log_info("schema", mirror, "definitions synchronised: steps=%zu left_for_later=%zu", n, left);
}

/* Waits a little longer each time; readers and the holder of the lock go on meanwhile. */
static bool pause_before(struct pg_conn *dest, struct task *task, int try, struct err *err)
{
    char sql[64];
    str_printf(sql, sizeof sql, "SELECT pg_catalog.pg_sleep(%d.%d)", try / 2, try % 2 ? 5 : 0);
    return run(dest, task, SHORT_MS, sql, err);
}

/* Steps that a copy has tried as well, as far as it came to them. One that follows from another
 * would look at all rows under its lock. */
static bool is_doubtful(const struct schema_step *s)
{
    return s->kind == STEP_RUN && !s->at_point && !s->runs_first && !s->needs &&
           (s->is_optional || s->is_refusable);
}

/* A row that stands against it may be older than the stream's next ones; that of a key hardly. */
static bool is_refusal(const struct schema_step *s, const struct err *why)
{
    return pg_refuses_definition(why) || pg_server_error_is(why, "23503") ||
           (s->is_optional && !s->is_late && !is_worth_another_try(why) &&
            !pg_server_error_is(why, "57014"));
}

static bool ask_for(struct pg_conn *dest, struct task *task, struct schema_step *s,
                    const char *mirror, struct err *err)
{
    struct err why = {0};
    if (!run(dest, task, SHORT_MS, "SAVEPOINT bunny_step", err))
        return false;
    bool worked = run(dest, task, 0, s->sql, &why);
    if (!worked && why.code != ERR_SQL) {
        *err = why;
        return name_step(s, err);
    }
    if (!worked && is_refusal(s, &why))
        refuse(s, mirror, &why);
    return run(dest, task, SHORT_MS, "ROLLBACK TO SAVEPOINT bunny_step", err);
}

bool schema_plan_try(struct pg_conn *dest, struct task *task, struct schema_plan *plan,
                     const char *mirror, struct err *err)
{
    size_t n = 0, n_refused = 0;
    for (size_t i = 0; i < plan->n; i++)
        n += is_doubtful(&plan->items[i]);
    if (!n || !plan->mirror_id)
        return true;
    bool ok = run(dest, task, SHORT_MS,
                  "BEGIN; SET LOCAL lock_timeout = '" LOCK_TIMEOUT
                  "'; SET LOCAL statement_timeout = '" TRY_TIMEOUT "'",
                  err);
    for (size_t i = 0; ok && i < plan->n; i++)
        if (is_doubtful(&plan->items[i]))
            ok = ask_for(dest, task, &plan->items[i], mirror, err);
    ok = ok && run(dest, task, SHORT_MS, "ROLLBACK", err);
    for (size_t i = 0; ok && i < plan->n; i++)
        n_refused += plan->items[i].kind == STEP_NOTE && plan->items[i].is_refused;
    char *sql = ok && n_refused ? book_sql_refused(plan) : NULL;
    ok = ok && (!sql || run(dest, task, SHORT_MS, sql, err));
    free(sql);
    struct err ignored = {0};
    if (!ok && pg_is_alive(dest) && !run(dest, task, SHORT_MS, "ROLLBACK", &ignored))
        log_debug("schema", mirror, "rollback failed error=\"%s\"", ignored.text);
    return ok || err_context(err, "ask what the destination refuses");
}

bool schema_plan_run(struct pg_conn *dest, struct task *task, struct schema_plan *plan,
                     const struct schema_point *at, const char *mirror, struct err *err)
{
    bool ok = run_first(dest, task, plan, at, mirror, err);
    for (int try = 1; ok; try++) {
        ok = run_transaction(dest, task, plan, at, mirror, err);
        if (ok)
            break;
        if (!is_worth_another_try(err) || try == TRIES)
            break;
        log_info("schema", mirror, "a lock is held at the destination, trying again: %s",
                 err->text);
        err_clear(err);
        ok = pause_before(dest, task, try, err);
    }
    if (ok)
        log_steps(plan, at, mirror);
    else if (pg_server_error_is(err, "55P03"))
        err_hint(err, "Another session holds a lock on the table; end its transaction, then "
                      "synchronise again. Nothing was changed.");
    return ok || err_context(err, "synchronise definitions");
}
