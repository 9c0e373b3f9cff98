/* Definitions that change in the stream; see adapt.h. */
#include "stream/adapt.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "schema/evolve.h"

#define SHORT_MS 60000
/* Readers queue behind whoever waits for an ALTER TABLE's lock; the batch is tried again. */
#define LOCK_TIMEOUT "5s"

struct adapt {
    struct adapt_options o;
    struct known known;
};

struct adapt *adapt_new(const struct adapt_options *o)
{
    struct adapt *f = mem_calloc(1, sizeof *f);
    f->o = *o;
    return f;
}

void adapt_free(struct adapt *f)
{
    if (!f)
        return;
    known_free(&f->known);
    free(f);
}

bool adapt_is_on(const struct adapt *f)
{
    return f->o.source != NULL;
}

struct known *adapt_known(struct adapt *f)
{
    return &f->known;
}

bool adapt_open(struct adapt *f, const struct adapt_place *p, struct err *err)
{
    return !adapt_is_on(f) || known_read(p->dest, p->task, p->mirror_id, 0, &f->known, err);
}

bool adapt_knows(const struct adapt *f, uint32_t oid)
{
    return adapt_is_on(f) && known_find(&f->known, oid);
}

void adapt_forget(struct adapt *f, uint32_t oid)
{
    struct known_table *t = known_find(&f->known, oid);
    if (t) {
        t->is_stale = true;
        return;
    }
    struct known_table new = {.oid = oid, .is_stale = true};
    MEM_PUSH(f->known.tables, f->known.n, f->known.cap, new);
    for (size_t i = f->known.n - 1; i > 0 && f->known.tables[i - 1].oid > oid; i--) {
        f->known.tables[i] = f->known.tables[i - 1];
        f->known.tables[i - 1] = new;
    }
}

bool adapt_fits(const struct adapt *f, const struct pgo_message *m)
{
    const struct known_table *t = adapt_is_on(f) ? known_find(&f->known, m->relation) : NULL;
    if (!t)
        return true;
    if (t->is_stale || t->n != m->n_columns)
        return false;
    for (size_t i = 0; i < t->n; i++)
        if (t->columns[i].type != m->columns[i].type_oid ||
            t->columns[i].typmod != m->columns[i].typmod ||
            strcmp(t->columns[i].name, m->columns[i].name) != 0)
            return false;
    return true;
}

bool adapt_is_unsure(const struct adapt *f, uint32_t oid, const char *column)
{
    const struct known_table *t = adapt_is_on(f) ? known_find(&f->known, oid) : NULL;
    const struct known_column *c = t ? known_column_named(t, column) : NULL;
    return c && strcmp(c->stamp, KNOWN_PASSING) == 0;
}

/* --- what is known now ------------------------------------------------------------------------ */

static void replace(struct adapt *f, struct known_table *with)
{
    struct known_table *t = known_find(&f->known, with->oid);
    if (!t)
        return;
    known_table_free(t);
    *t = *with;
    *with = (struct known_table){0};
}

/* A table that a copy has written; not there: nothing is known of it. */
static bool refresh(struct adapt *f, const struct adapt_place *p, uint32_t oid, struct err *err)
{
    struct known one;
    struct known_table *t = known_find(&f->known, oid);
    if (!known_read(p->dest, p->task, p->mirror_id, oid, &one, err))
        return false;
    if (one.n) {
        replace(f, &one.tables[0]);
    } else {
        size_t at = (size_t)(t - f->known.tables);
        known_table_free(t);
        f->known.n--;
        memmove(t, t + 1, (f->known.n - at) * sizeof *t);
    }
    known_free(&one);
    return true;
}

/* --- following -------------------------------------------------------------------------------- */

static void name_table(const struct pgo_message *m, struct buf *b)
{
    buf_printf(b, "%s.%s", m->schema, m->table);
}

static bool refuse(const struct evolution *e, const struct pgo_message *m, struct err *err)
{
    struct buf name = {0}, sql = {0};
    name_table(m, &name);
    for (size_t i = 0; i < e->n; i++)
        buf_printf(&sql, "%s; ", e->steps[i].sql);
    err_set(err, ERR_SCHEMA, "%s has another definition at the source from here on (%s)%s%s",
            buf_text(&name), e->changes && e->changes[0] ? e->changes : "its columns differ",
            e->why ? ": " : "", e->why ? e->why : "");
    if (e->verdict == EVOLVE_COPY)
        err_hint(err, "sync-schema lets the destination follow and copies the table again; nothing "
                      "is lost meanwhile.");
    else
        err_hint(err, "sync-schema runs at this place of the stream: %.350s", buf_text(&sql));
    buf_free(&name);
    buf_free(&sql);
    return false;
}

static bool run(const struct adapt_place *p, const char *sql, struct err *err)
{
    return pg_exec(p->dest, p->task, 0, sql, NULL, err);
}

/* A deferred check that is still due stands in the way of ALTER TABLE, as it does at the source. */
static bool run_steps(const struct adapt_place *p, const struct evolution *e, const char **failed,
                      struct err *err)
{
    bool ok =
        run(p, "SET CONSTRAINTS ALL IMMEDIATE; SET LOCAL lock_timeout = '" LOCK_TIMEOUT "'", err);
    for (size_t i = 0; ok && i < e->n; i++) {
        ok = run(p, e->steps[i].sql, err);
        *failed = ok ? NULL : e->steps[i].sql;
    }
    ok = ok && run(p, "SET LOCAL lock_timeout = 0; SET CONSTRAINTS ALL DEFERRED", err);
    return ok && run(p, e->record_sql, err);
}

static void log_steps(const struct adapt_place *p, const struct evolution *e,
                      const struct pgo_message *m)
{
    log_info("schema", p->mirror,
             "table=%s.%s definition changes in the stream at=" LSN_FMT " steps=%zu: %s", m->schema,
             m->table, LSN_ARGS(p->lsn), e->n, e->changes ? e->changes : "");
    for (size_t i = 0; i < e->n; i++)
        log_write(LOG_LEVEL_INFO, "schema", p->mirror, e->steps[i].sql, "ran %s", e->steps[i].what);
}

/* What the server refuses is done on the emptied table, before it is copied again. */
static bool run_or_copy(struct adapt *f, const struct adapt_place *p, struct evolution *e,
                        const struct pgo_message *m, int table, struct err *err)
{
    const char *failed = NULL;
    if (run_steps(p, e, &failed, err)) {
        log_steps(p, e, m);
        for (size_t i = 0; i < e->n_after; i++)
            replace(f, &e->after[i]);
        if (f->o.followed)
            f->o.followed(f->o.arg);
        return true;
    }
    if (!failed || err->code != ERR_SQL || err_class_of(err) == CLASS_RETRY)
        return err_context(err, "follow the definition of %s.%s", m->schema, m->table);
    log_write(LOG_LEVEL_WARN, "schema", p->mirror, failed, "table=%s.%s refused: %s %s", m->schema,
              m->table, err->sqlstate, err->text);
    char *why = mem_printf("the destination refused to follow it: %s", err->text);
    bool ok = f->o.copy(f->o.arg, table, why, err);
    free(why);
    return ok;
}

static bool decide(struct adapt *f, const struct adapt_place *p, struct evolution *e,
                   const struct pgo_message *m, int table, struct err *err)
{
    bool may = e->verdict == EVOLVE_RUN && !e->n;
    may = may || f->o.allows(f->o.arg, p->lsn);
    switch (e->verdict) {
    case EVOLVE_GONE:
        return true; /* what still fits is applied */
    case EVOLVE_RUN:
        return may ? run_or_copy(f, p, e, m, table, err) : refuse(e, m, err);
    case EVOLVE_COPY:
        return may ? f->o.copy(f->o.arg, table, e->why, err) : refuse(e, m, err);
    case EVOLVE_ASK:
        (void)refuse(e, m, err);
        return err_hint(err, "%s", e->why);
    }
    return err_set(err, ERR_INTERNAL, "a change of an unknown kind");
}

bool adapt_change(struct adapt *f, const struct adapt_place *p, const struct pgo_message *m,
                  int table, struct err *err)
{
    struct known_table *was = known_find(&f->known, m->relation);
    if (was->is_stale && !refresh(f, p, m->relation, err))
        return false;
    if (adapt_fits(f, m))
        return true;
    struct pg_conn *source;
    if (!f->o.source(f->o.arg, &source, err))
        return false;
    struct evolve_column *columns = mem_calloc(m->n_columns + 1, sizeof *columns);
    for (size_t i = 0; i < m->n_columns; i++)
        columns[i] = (struct evolve_column){.name = m->columns[i].name,
                                            .type = m->columns[i].type_oid,
                                            .typmod = m->columns[i].typmod,
                                            .is_key = m->columns[i].is_key};
    const struct evolve_request q = {.source = source,
                                     .dest = p->dest,
                                     .task = p->task,
                                     .mirror_id = p->mirror_id,
                                     .schema = p->schema,
                                     .maps = f->o.maps,
                                     .table = table,
                                     .known = &f->known,
                                     .was = known_find(&f->known, m->relation),
                                     .n = m->n_columns,
                                     .columns = columns,
                                     .drop_columns = f->o.drop_columns};
    struct evolution e;
    bool ok = schema_evolve(&q, &e, err);
    ok = ok && decide(f, p, &e, m, table, err);
    evolution_free(&e);
    free(columns);
    return ok;
}
