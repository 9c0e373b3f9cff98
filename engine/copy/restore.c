/* Bringing foreign keys back; see restore.h. */
#include "copy/restore.h"

#include <stdlib.h>
#include <string.h>

#include "base/beat.h"
#include "base/log.h"
#include "base/mem.h"

#define CONNECT_MS 15000
#define SHORT_LOCK "400ms" /* as in empty.c: the stream may wait behind us */
#define LONG_LOCK "1500ms"
#define VALIDATE_LOCK "10s" /* nothing that the stream does waits behind this lock */
#define PATIENCE 12
#define TRIES 40
#define PAUSE_MS 700

struct restore {
    struct errand errand;
    struct restore_plan plan;
    char *mirror, *mirror_id;
    struct pg_conn *dest;
    int n_left;
    struct findings findings;
};

static bool is_validation(const char *sql)
{
    return strstr(sql, " VALIDATE CONSTRAINT ") != NULL;
}

static bool run_one(struct pg_conn *dest, struct task *task, const char *lock, const char *sql,
                    struct err *err)
{
    struct err ignored = {0};
    struct buf b = {0};
    buf_printf(&b, "BEGIN; SET LOCAL lock_timeout = '%s'", lock);
    bool ok = pg_exec(dest, task, CONNECT_MS, buf_text(&b), NULL, err) &&
              pg_exec(dest, task, 0, sql, NULL, err) && pg_exec(dest, task, 0, "COMMIT", NULL, err);
    buf_free(&b);
    if (!ok && pg_is_alive(dest))
        (void)!pg_exec(dest, task, CONNECT_MS, "ROLLBACK", NULL, &ignored);
    return ok;
}

static bool run_patiently(struct restore *r, const char *sql, struct err *err)
{
    for (int n = 1;; n++) {
        const char *lock = is_validation(sql) ? VALIDATE_LOCK
                           : n > PATIENCE     ? LONG_LOCK
                                              : SHORT_LOCK;
        if (run_one(r->dest, &r->errand.task, lock, sql, err))
            return true;
        bool is_lock = pg_server_error_is(err, "55P03") || pg_server_error_is(err, "40P01");
        if (!is_lock || n == TRIES || !errand_sleep(&r->errand, PAUSE_MS, err))
            return false;
    }
}

/* The table, what it refers to or a column is there no more, nor would the key be. */
static bool is_gone(const struct err *err)
{
    return pg_server_error_is(err, "42P01") || pg_server_error_is(err, "3F000") ||
           pg_server_error_is(err, "42703");
}

/* True when the statement needs no further try. is_told: an earlier one of the row was refused. */
static bool is_settled(const struct restore *r, const char *sql, bool is_told,
                       const struct err *err)
{
    if (pg_server_error_is(err, "42710")) /* it is back already */
        return true;
    if (is_told && pg_server_error_is(err, "42704"))
        return true; /* the constraint that was not added just now */
    if (is_gone(err) || pg_server_error_is(err, "42704")) {
        log_write(LOG_LEVEL_WARN, "copy", r->mirror, sql,
                  "a constraint is not added again, as what it is about is gone: %s", err->text);
        return true;
    }
    if (!pg_server_error_is(err, "23503") || !is_validation(sql) || r->plan.others_aside)
        return false;
    log_write(LOG_LEVEL_WARN, "copy", r->mirror, sql,
              "a foreign key is back, but rows at the destination violate it: %s", err->text);
    return true;
}

static void tell(struct restore *r, const struct sync_row *row, const char *sql,
                 const struct err *err)
{
    char title[160], cause[400], remedy[512];
    log_write(LOG_LEVEL_WARN, "copy", r->mirror, sql,
              "a constraint could not be added again table=%s.%s: %s %s", row->name.schema,
              row->name.table, err->sqlstate, err->text);
    str_printf(title, sizeof title, "A constraint is not back after the copy of %.50s.%.50s",
               row->name.schema, row->name.table);
    str_printf(cause, sizeof cause, "%s%s%s", err->sqlstate, err->sqlstate[0] ? " " : "",
               err->text);
    str_printf(remedy, sizeof remedy,
               "The rows are complete. It is tried again now and then, and after each sync-schema. "
               "The statement: %.380s",
               sql);
    findings_add(&r->findings, "foreign_key_missing", SEVERITY_WARNING, title, cause, remedy,
                 "sync-schema");
}

static bool restore_row(struct restore *r, const struct sync_row *row, struct err *err)
{
    bool is_told = false;
    for (size_t i = 0; i < row->n_restore; i++) {
        const char *sql = row->restore[i];
        if (run_patiently(r, sql, err) || is_settled(r, sql, is_told, err)) {
            err_clear(err);
            continue;
        }
        bool is_early = pg_server_error_is(err, "23503") && r->plan.others_aside;
        if (!is_early && err->code != ERR_CANCELLED && !is_told)
            tell(r, row, sql, err);
        is_told = true;
        if (!pg_refuses_definition(err))
            return false; /* else those of other keys may well go */
    }
    if (is_told)
        return false;
    log_info("copy", r->mirror, "constraints are back table=%s.%s", row->name.schema,
             row->name.table);
    return sync_rows_restored(r->dest, &r->errand.task, &r->plan.owner, &row->name, err);
}

static void restore_rows(struct restore *r, const struct sync_row_list *rows)
{
    /* Where keys act on the stream's session, one to a table that is not complete would stop it. */
    bool must_wait = r->plan.others_aside && !pg_is_replica_role(r->dest);
    int n_left = 0;
    for (size_t i = 0; i < rows->n; i++) {
        struct err err = {0};
        if (rows->items[i].is_aside)
            continue;
        if (must_wait || !restore_row(r, &rows->items[i], &err))
            n_left++;
        if (err.code == ERR_CANCELLED || !pg_is_alive(r->dest))
            return;
    }
    r->n_left = n_left;
}

static void restore_main(void *arg)
{
    struct restore *r = arg;
    struct sync_row_list rows = {0};
    struct err err = {0};
    struct buf app = {0};
    beat_does("brings foreign keys back");
    buf_printf(&app, "bunnydb copy %s", r->mirror);
    if (pg_connect(r->plan.dest, PG_APPLY, buf_text(&app), NULL, &r->errand.task, CONNECT_MS,
                   &r->dest, &err) &&
        sync_rows_read(r->dest, &r->errand.task, r->mirror_id, &rows, &err))
        restore_rows(r, &rows);
    else if (err.code != ERR_CANCELLED)
        log_warn("copy", r->mirror, "foreign keys: %s", err.text);
    sync_row_list_free(&rows);
    pg_close(r->dest, true);
    buf_free(&app);
}

bool restore_start(const struct restore_plan *plan, struct restore **out, struct err *err)
{
    struct restore *r = mem_calloc(1, sizeof *r);
    r->plan = *plan;
    r->mirror = mem_strdup(plan->mirror);
    r->mirror_id = mem_strdup(plan->owner.mirror_id);
    r->plan.owner.mirror_id = r->mirror_id;
    r->n_left = -1;
    errand_init(&r->errand, "b:restore", restore_main, r, plan->wake_fd);
    r->errand.mirror = r->mirror;
    *out = r;
    if (errand_start(&r->errand, err))
        return true;
    (void)!restore_finish(r, NULL);
    *out = NULL;
    return false;
}

bool restore_is_over(struct restore *r)
{
    return errand_is_over(&r->errand);
}

void restore_cancel(struct restore *r)
{
    errand_cancel(&r->errand);
}

int restore_finish(struct restore *r, struct findings *out)
{
    errand_join(&r->errand);
    int n = r->n_left;
    if (out && n >= 0) {
        findings_free(out);
        *out = r->findings;
        r->findings = (struct findings){0};
    }
    findings_free(&r->findings);
    free(r->mirror);
    free(r->mirror_id);
    free(r);
    return n;
}

void restore_before_deletion(struct pg_conn *dest, struct task *task, const char *mirror,
                             const char *mirror_id, bool is_complete)
{
    struct sync_row_list rows = {0};
    struct pg_result *r = NULL;
    struct err err = {0};
    if (!pg_exec(dest, task, CONNECT_MS,
                 "SELECT pg_catalog.to_regclass('_bunnydb.table_sync') IS NOT NULL", &r, &err) ||
        !pg_bool(r, 0, 0) || !sync_rows_read(dest, task, mirror_id, &rows, &err)) {
        pg_free(r);
        return; /* the removal of the rows will say what is wrong */
    }
    pg_free(r);
    for (size_t i = 0; i < rows.n; i++)
        for (size_t k = 0; k < rows.items[i].n_restore; k++) {
            const char *sql = rows.items[i].restore[k];
            if ((rows.items[i].is_aside || !is_complete) && is_validation(sql))
                continue;
            if (!run_one(dest, task, LONG_LOCK, sql, &err) && !pg_server_error_is(&err, "42710"))
                log_write(LOG_LEVEL_WARN, "copy", mirror, sql,
                          "a foreign key that was dropped for a copy is not back: %s", err.text);
        }
    sync_row_list_free(&rows);
}
