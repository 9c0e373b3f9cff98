/* Definitions that change at the source; see definitions.h. */
#include "control/definitions.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/drift.h"
#include "stream/sync_rows.h"

#define SETTLE_MS 500 /* changes rarely come alone */
#define STATEMENT_MS 60000

bool definitions_are_automatic(const struct mirror *m)
{
    return !strcmp(m->row.config.schema_changes, "auto");
}

/* --- when ------------------------------------------------------------------------------------- */

void definitions_want(struct mirror *m, int delay_ms)
{
    m->wants_sync = true;
    m->sync_at = clock_mono_ms() + delay_ms;
    m->sync_past = 0;
}

/* After what the stream has followed. Comparing ends the run: where a transaction takes longer than
 * changes take to settle, it would be read again each time, and never be done. */
static void want_after_commit(struct mirror *m)
{
    definitions_want(m, SETTLE_MS);
    m->sync_past = m->live.last_lsn;
}

/* A copy or a comparison of rows would begin anew: it goes first. */
bool definitions_are_due(const struct mirror *m)
{
    return m->wants_sync && m->row.snapshot_done && m->row.wish == WISH_RUN && !m->is_copying &&
           !m->verification && m->sync_after == 0 && clock_mono_ms() >= m->sync_at &&
           (m->sync_past == 0 || m->sync_past != m->live.last_lsn);
}

bool definitions_note(struct run *r, struct err *err)
{
    struct mirror *m = r->m;
    struct mirror_seen now;
    if (!drift_see(r->source, &m->task, STATEMENT_MS, m->row.config.publication, &now, err))
        return err_context(err, "look at the source's definitions");
    pthread_mutex_lock(&m->lock);
    m->source_seen = now;
    pthread_mutex_unlock(&m->lock);
    atomic_store(&m->is_republishing, false);
    return true;
}

bool definitions_are_to_blame(const struct err *err)
{
    return err->code == ERR_SCHEMA || err->code == ERR_TABLE_MISSING || err->code == ERR_CONFLICT ||
           err->code == ERR_REFUSED || err->code == ERR_SOURCE_TABLE ||
           (err->code == ERR_SQL && err_class_of(err) == CLASS_ASK);
}

bool definitions_may_heal(struct mirror *m, const struct err *err)
{
    if (!definitions_are_automatic(m) || !m->row.snapshot_done || !definitions_are_to_blame(err))
        return false;
    bool is_first = m->healed_at != m->live.last_lsn || m->healed_code != err->code;
    m->healed_at = m->live.last_lsn;
    m->healed_code = err->code;
    definitions_want(m, 0);
    m->is_stuck = true;
    m->sync_after = 0;
    if (is_first)
        log_info("schema", m->row.config.name,
                 "definitions are compared, as a change does not fit: "
                 "%s%s%s",
                 err->sqlstate, err->sqlstate[0] ? " " : "", err->text);
    return is_first;
}

/* --- the stream follows ------------------------------------------------------------------------
 */

/* By hand: sync-schema allows what the source had done when it was asked for. */
static bool allows(void *arg, lsn_t lsn)
{
    const struct mirror *m = ((struct run *)arg)->m;
    return definitions_are_automatic(m) || lsn < m->allowed;
}

struct table_name definitions_table(const struct run *r, int table)
{
    const struct table_map *map = &r->m->row.config.tables[r->schema->tables[table].mapping];
    struct table_name name;
    str_copy(name.schema, sizeof name.schema, map->source_schema);
    str_copy(name.table, sizeof name.table, map->source_table);
    return name;
}

static bool wish(struct run *r, int table, const char *why, struct err *err)
{
    const char *mirror = r->m->row.config.name;
    struct table_name name = definitions_table(r, table);
    if (!catalog_copies_add(r->m->engine->catalog, mirror, &name, 1, err))
        return false;
    log_info("schema", mirror, "table=%s.%s is copied again: %s", name.schema, name.table, why);
    return true;
}

/* The wish is recorded; the next run sets the table aside before it reads on, and the rows that
 * this one has not committed come again. */
static bool copy(void *arg, int table, const char *why, struct err *err)
{
    struct run *r = arg;
    if (!wish(r, table, why, err))
        return false;
    definitions_want(r->m, SETTLE_MS);
    return err_set(err, ERR_CANCELLED, "a table is to be copied again");
}

static void followed(void *arg)
{
    want_after_commit(((struct run *)arg)->m);
}

struct adapt_options definitions_adapt(struct run *r)
{
    return (struct adapt_options){.source = run_source,
                                  .maps = r->m->row.config.tables,
                                  .drop_columns = !strcmp(r->m->row.config.dropped_columns, "drop"),
                                  .allows = allows,
                                  .copy = copy,
                                  .followed = followed,
                                  .arg = r};
}

/* --- what the stream does not tell -------------------------------------------------------------
 */

static bool is_same(const struct known_column *a, const struct known_column *b)
{
    return a && b && a->name && b->name && strcmp(a->name, b->name) == 0 && a->type == b->type &&
           a->typmod == b->typmod;
}

/* A new column in the place of one of the same name and type: the messages look the same. */
static bool is_replaced(const struct known_table *was, const struct known_table *now)
{
    for (size_t i = 0; i < now->n; i++) {
        const struct known_column *c = &now->columns[i];
        const struct known_column *old = c->name ? known_column_named(was, c->name) : NULL;
        if (old && old->attnum != c->attnum && old->type && old->type == c->type &&
            old->typmod == c->typmod) {
            const struct known_column *there = known_column_at(now, old->attnum);
            if (!there || !there->name)
                return true;
        }
    }
    return false;
}

const char *definitions_reason(const struct known_table *was, const struct known_table *now,
                               bool is_rewritten)
{
    if (was->member && now->member && was->member != now->member)
        return "it was not in the publication for a while, and what was changed meanwhile is not "
               "in the stream";
    if (is_rewritten)
        return "ALTER TABLE has rewritten its rows at the source, which is not in the stream";
    if (is_replaced(was, now))
        return "one of its columns was dropped and added again at the source";
    return NULL;
}

/* The source is ahead of the stream by a column: whether its files were written anew since says,
 * when the stream comes to it, what the rows of before have in it. */
static bool has_new_column(const struct known_table *was, const struct known_table *now)
{
    for (size_t i = 0; i < now->n; i++)
        if (now->columns[i].name && !now->columns[i].is_generated &&
            !known_column_at(was, now->columns[i].attnum))
            return true;
    return false;
}

/* Only what cannot mean anything any more. False: as it was. */
static bool refresh(struct known_table *was, const struct known_table *now)
{
    if (has_new_column(was, now))
        return false;
    bool is_new = was->filenode != now->filenode || (now->member && was->member != now->member);
    is_new = is_new || was->toast != now->toast;
    was->filenode = now->filenode;
    was->toast = now->toast;
    was->member = now->member ? now->member : was->member;
    for (size_t i = 0; i < was->n; i++) {
        struct known_column *c = &was->columns[i];
        const struct known_column *here = known_column_at(now, c->attnum);
        if (!is_same(c, here) || strcmp(c->stamp, here->stamp) == 0)
            continue;
        str_copy(c->stamp, sizeof c->stamp, here->stamp);
        is_new = true;
    }
    return is_new;
}

/* The operator has altered the destination's table in the same way, and says so by a retry: there
 * is a column of another type at the source, and here it has that type already. */
static bool is_done_by_hand(const struct run *r, int i, const struct known_table *was,
                            const struct known_table *now, bool *out, struct err *err)
{
    const struct schema_table *t = &r->schema->tables[i];
    struct dest_table d;
    size_t n_changed = 0, n_same = 0;
    *out = false;
    if (!r->m->trusts || is_replaced(was, now) || was->member != now->member)
        return true;
    if (!schema_read_dest(r->dest, &r->m->task, t->dest_schema, t->dest_name, &d, err))
        return false;
    for (size_t c = 0; c < t->n_columns; c++) {
        const struct known_column *old = known_column_at(was, t->columns[c].attnum);
        const struct known_column *new = known_column_at(now, t->columns[c].attnum);
        if (!old || !new || (old->type == new->type && old->typmod == new->typmod))
            continue;
        n_changed++;
        for (size_t k = 0; k < d.n_columns; k++)
            n_same += !strcmp(d.columns[k].name, t->columns[c].name) &&
                      !strcmp(d.columns[k].type, t->columns[c].type);
    }
    dest_table_free(&d);
    *out = n_changed && n_same == n_changed;
    return true;
}

struct look {
    struct run *r;
    struct table_name_list wishes;
    struct sync_row_list rows;
    struct buf names, sql;
    bool may;
};

static bool is_copied_anyway(const struct look *l, const struct table_name *name)
{
    return sync_row_list_has_aside(&l->rows, name) ||
           table_name_list_has(&l->wishes, name->schema, name->table);
}

static bool look_at_table(struct look *l, int i, struct known_table *was,
                          const struct known_table *now, struct err *err)
{
    struct run *r = l->r;
    const struct schema_table *t = &r->schema->tables[i];
    struct table_name name = definitions_table(r, i);
    bool is_done = false, is_rewritten;
    if (is_copied_anyway(l, &name))
        return true;
    if (!known_ask_rewritten(r->source, &r->m->task, KNOWN_ROWS_MS, was, now, &is_rewritten, err))
        return false;
    const char *why = definitions_reason(was, now, is_rewritten);
    if (why && !is_done_by_hand(r, i, was, now, &is_done, err))
        return false;
    if (is_done)
        log_warn("schema", r->m->row.config.name,
                 "table=%s.%s was rewritten at the source, and its "
                 "types are the same here: taken as equal, as a retry was asked for",
                 t->schema, t->name);
    if (!why || is_done) {
        if (!t->is_partitioned && !was->columns[0].type)
            return true; /* not known by this version yet */
        if (refresh(was, now))
            known_put_sql(&l->sql, was, r->m->row.mirror_id, t->dest_schema, t->dest_name);
        return true;
    }
    if (l->may || was->member != now->member)
        return wish(r, i, why, err);
    buf_printf(&l->names, "%s%s.%s: %s", l->names.len ? "; " : "", t->schema, t->name, why);
    return true;
}

static bool look_at_all(struct look *l, const struct known *was, const struct known *now,
                        struct err *err)
{
    struct run *r = l->r;
    bool ok = catalog_copies(r->m->engine->catalog, r->m->row.config.name, &l->wishes, err) &&
              sync_rows_read(r->dest, &r->m->task, r->m->row.mirror_id, &l->rows, err);
    for (size_t i = 0; ok && i < r->schema->n_tables; i++) {
        struct known_table *a = known_find(was, r->schema->tables[i].oid);
        const struct known_table *b = known_find(now, r->schema->tables[i].oid);
        if (a && b && a->n)
            ok = look_at_table(l, (int)i, a, b, err);
    }
    if (ok && l->sql.len)
        ok = pg_exec(r->dest, &r->m->task, STATEMENT_MS, buf_text(&l->sql), NULL, err);
    if (!ok || !l->names.len)
        return ok;
    err_set(err, ERR_SCHEMA, "rows of the source are others than those that were copied: %.600s",
            buf_text(&l->names));
    return err_hint(err, "sync-schema copies these tables again; the others go on meanwhile, and "
                         "nothing is lost.");
}

/* --- what the destination has lost -------------------------------------------------------------
 */

static bool has_column(const struct dest_table *d, const char *name)
{
    for (size_t i = 0; i < d->n_columns; i++)
        if (!strcmp(d->columns[i].name, name))
            return true;
    return false;
}

/* By either name: a rename may not have been followed yet. */
static const char *find_lost(const struct schema_table *t, const struct known_table *was,
                             const struct dest_table *d)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        const struct schema_column *c = &t->columns[i];
        const struct known_column *old = known_column_at(was, c->attnum);
        if (old && old->name && old->type && !c->is_excluded && !c->is_generated &&
            !has_column(d, c->name) && !has_column(d, old->name))
            return old->name;
    }
    return NULL;
}

static bool look_for_lost(struct run *r, int i, const struct known_table *was, struct err *err)
{
    const struct schema_table *t = &r->schema->tables[i];
    struct dest_table d;
    if (!schema_read_dest(r->dest, &r->m->task, t->dest_schema, t->dest_name, &d, err))
        return false;
    const char *lost = d.exists ? find_lost(t, was, &d) : NULL;
    char *why = lost ? mem_printf("its column %s is gone at the destination", lost) : NULL;
    bool ok = !lost || wish(r, i, why, err);
    free(why);
    dest_table_free(&d);
    return ok;
}

void definitions_note_lost(struct run *r, const struct err *reason)
{
    struct known was = {0};
    struct err err = {0};
    if (!r->schema || !r->m->row.snapshot_done || !definitions_are_to_blame(reason))
        return;
    pg_close(r->dest, true);
    r->dest = NULL;
    bool ok = run_connect_dest(r, &err) &&
              known_read(r->dest, &r->m->task, r->m->row.mirror_id, 0, &was, &err);
    for (size_t i = 0; ok && i < r->schema->n_tables; i++) {
        const struct known_table *t = known_find(&was, r->schema->tables[i].oid);
        ok = !t || look_for_lost(r, (int)i, t, &err);
    }
    if (!ok && err.code != ERR_CANCELLED)
        log_warn("schema", r->m->row.config.name, "columns that are gone were not looked for: %s",
                 err.text);
    known_free(&was);
}

static uint32_t *list_oids(const struct schema *s)
{
    uint32_t *oids = mem_calloc(s->n_tables + 1, sizeof *oids);
    for (size_t i = 0; i < s->n_tables; i++)
        oids[i] = s->tables[i].oid;
    return oids;
}

bool definitions_look(struct run *r, bool may, struct err *err)
{
    struct look l = {.r = r, .may = may};
    struct known was = {0}, now = {0};
    const struct schema *s = r->schema;
    uint32_t *oids = list_oids(s);
    bool ok = known_read(r->dest, &r->m->task, r->m->row.mirror_id, 0, &was, err) &&
              known_ask(r->source, &r->m->task, r->m->row.config.publication, s->n_tables, oids,
                        &now, err) &&
              look_at_all(&l, &was, &now, err);
    table_name_list_free(&l.wishes);
    sync_row_list_free(&l.rows);
    buf_free(&l.names);
    buf_free(&l.sql);
    known_free(&was);
    known_free(&now);
    free(oids);
    return ok;
}

bool definitions_tend(struct run *r, struct apply *a, struct err *err)
{
    struct known now = {0}, *was = apply_known(a);
    if (!atomic_exchange(&r->m->shall_refresh, false))
        return true;
    struct pg_conn *source;
    uint32_t *oids = list_oids(r->schema);
    bool ok =
        run_source(r, &source, err) && known_ask(source, &r->m->task, r->m->row.config.publication,
                                                 r->schema->n_tables, oids, &now, err);
    for (size_t i = 0; ok && i < was->n; i++) {
        const struct known_table *t = known_find(&now, was->tables[i].oid);
        if (t && !was->tables[i].is_stale && was->tables[i].n &&
            !definitions_reason(&was->tables[i], t, known_rewrite(&was->tables[i], t)))
            (void)refresh(&was->tables[i], t);
    }
    known_free(&now);
    free(oids);
    return ok;
}
