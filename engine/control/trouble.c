/* What the stream met that should not be: changes that found no row, rows in the way of a change,
 * rows that the destination does not allow. Counted by mapped table, kept in the catalog until the
 * table was copied again (or compared, or what was in the way is gone); see mirror_private.h. */
#include "control/mirror_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define SAVE_MS 1000
#define LOG_WINDOW_MS 1000
#define LOG_LINES 10 /* in one window; the others are only counted */

static struct row_trouble *find(struct mirror *m, const char *code, const char *source)
{
    for (size_t i = 0; i < m->n_troubles; i++)
        if (!strcmp(m->troubles[i].code, code) && !strcmp(m->troubles[i].source, source))
            return &m->troubles[i];
    return NULL;
}

static struct row_trouble *find_or_add(struct mirror *m, const char *code, const char *source)
{
    struct row_trouble *t = find(m, code, source);
    if (t)
        return t;
    struct row_trouble new = {.first_at = clock_wall_us()};
    str_copy(new.code, sizeof new.code, code);
    str_copy(new.source, sizeof new.source, source);
    MEM_PUSH(m->troubles, m->n_troubles, m->cap_troubles, new);
    return &m->troubles[m->n_troubles - 1];
}

/* --- the catalog -------------------------------------------------------------------------------
 */

void trouble_load(struct mirror *m)
{
    struct err err = {0};
    if (!catalog_troubles_load(m->engine->catalog, m->row.config.name, &m->troubles, &m->n_troubles,
                               &err))
        log_error("super", m->row.config.name, "cannot read what was missed before: %s", err.text);
    m->cap_troubles = m->n_troubles;
}

void trouble_save(struct mirror *m)
{
    struct err err = {0};
    if (!m->has_new_trouble)
        return;
    m->trouble_saved_at = clock_mono_ms();
    if (catalog_troubles_save(m->engine->catalog, m->row.config.name, m->troubles, m->n_troubles,
                              &err))
        m->has_new_trouble = false;
    else
        log_error("super", m->row.config.name, "cannot keep what was missed: %s", err.text);
    show_save_counters(m);
}

void trouble_tick(struct mirror *m)
{
    if (m->has_new_trouble && clock_mono_ms() - m->trouble_saved_at >= SAVE_MS)
        trouble_save(m);
}

static void changed(struct mirror *m)
{
    m->has_new_trouble = true;
    show_dirty(m);
}

/* --- what the stream tells ---------------------------------------------------------------------
 */

/* A table is copied again as it is mapped: partitions with their root. */
static void mapped_name(const struct run *r, int table, char *out, size_t size)
{
    const struct table_map *t = &r->m->row.config.tables[r->schema->tables[table].mapping];
    str_printf(out, size, "%s.%s", t->source_schema, t->source_table);
}

static const char *kind_name(enum pgo_kind kind)
{
    return kind == PGO_INSERT ? "insert" : kind == PGO_UPDATE ? "update" : "delete";
}

static void log_miss(struct mirror *m, const struct table_status *t, const struct apply_miss *miss)
{
    int64_t now = clock_mono_ms();
    if (now - m->missed_window_at >= LOG_WINDOW_MS) {
        m->missed_window_at = now;
        m->missed_lines = 0;
    }
    if (m->missed_lines++ >= LOG_LINES) {
        m->missed_unlogged += miss->n;
        return;
    }
    log_warn("apply", m->row.config.name,
             "table=%s %s found no row at the destination key=%s lsn=" LSN_FMT
             " missing=%lld unlogged=%lld",
             t->source, kind_name(miss->kind), miss->key[0] ? miss->key : "none",
             LSN_ARGS(miss->lsn), (long long)t->rows_missing, (long long)m->missed_unlogged);
    m->missed_unlogged = miss->n - 1;
}

void trouble_missed(struct run *r, const struct apply_miss *miss)
{
    struct mirror *m = r->m;
    struct table_status *t = &m->tables[miss->table];
    char source[sizeof t->source];
    mapped_name(r, miss->table, source, sizeof source);
    struct row_trouble *x = find_or_add(m, "rows_missing", source);
    t->rows_missing += miss->n;
    m->live.counters.rows_missing += miss->n;
    x->count += miss->n;
    x->last_at = clock_wall_us();
    x->lsn = miss->lsn;
    str_copy(x->operation, sizeof x->operation, kind_name(miss->kind));
    str_copy(x->key, sizeof x->key, miss->key);
    log_miss(m, t, miss);
    changed(m);
}

/* Each retry meets the same one again. */
static bool is_known(const struct row_trouble *x, const struct apply_miss *miss)
{
    return x->count && x->lsn == miss->lsn && !strcmp(x->key, miss->key);
}

void trouble_refused(struct run *r, const struct apply_miss *what, enum err_code code)
{
    struct mirror *m = r->m;
    struct table_status *t = &m->tables[what->table];
    char source[sizeof t->source];
    mapped_name(r, what->table, source, sizeof source);
    struct row_trouble *x = find_or_add(m, err_name(code), source);
    x->last_at = clock_wall_us();
    if (is_known(x, what))
        return;
    if (code == ERR_CONFLICT) {
        t->rows_conflicting++;
        m->live.counters.rows_conflicting++;
    }
    x->count++;
    x->lsn = what->lsn;
    str_copy(x->operation, sizeof x->operation, kind_name(what->kind));
    str_copy(x->key, sizeof x->key, what->key);
    changed(m);
}

/* --- what ends it ------------------------------------------------------------------------------
 */

static bool is_missing(const struct row_trouble *x)
{
    return !strcmp(x->code, "rows_missing");
}

static void drop(struct mirror *m, size_t i, const char *why)
{
    log_info("super", m->row.config.name, "resolved: %s table=%s count=%lld, %s",
             m->troubles[i].code, m->troubles[i].source, (long long)m->troubles[i].count, why);
    m->troubles[i] = m->troubles[--m->n_troubles];
    changed(m);
}

void trouble_passed(struct mirror *m, lsn_t lsn)
{
    for (size_t i = m->n_troubles; i-- > 0;)
        if (!is_missing(&m->troubles[i]) && m->troubles[i].lsn < lsn)
            drop(m, i, "the change was applied");
}

void trouble_resolved(struct mirror *m, const char *source, lsn_t until, const char *why)
{
    for (size_t i = m->n_troubles; i-- > 0;)
        if ((!source || !strcmp(m->troubles[i].source, source)) && m->troubles[i].lsn < until)
            drop(m, i, why);
}

static lsn_t emptied_at(const struct batch *b, size_t table)
{
    for (size_t i = 0; i < b->n_deltas; i++)
        if (b->deltas[i].table == (int)table)
            return b->deltas[i].emptied;
    return 0;
}

/* The first of the places where its tables were emptied; 0: not all of them were. */
static lsn_t mapping_emptied_at(const struct run *r, const struct batch *b, int mapping)
{
    const struct schema *s = r->schema;
    lsn_t first = 0;
    for (size_t i = 0; i < s->n_tables; i++) {
        if (s->tables[i].mapping != mapping || s->tables[i].is_partitioned)
            continue;
        lsn_t lsn = emptied_at(b, i);
        if (!lsn)
            return 0;
        first = !first || lsn < first ? lsn : first;
    }
    return first;
}

void trouble_emptied(struct run *r, const struct batch *b)
{
    struct mirror *m = r->m;
    for (size_t i = 0; m->n_troubles && i < b->n_deltas; i++) {
        if (!b->deltas[i].emptied)
            continue;
        int mapping = r->schema->tables[b->deltas[i].table].mapping;
        lsn_t until = mapping_emptied_at(r, b, mapping);
        char source[sizeof m->tables[0].source];
        mapped_name(r, b->deltas[i].table, source, sizeof source);
        if (until)
            trouble_resolved(m, source, until, "the source has emptied the table since");
        for (size_t k = 0; until && !find(m, "rows_missing", source) && k < m->n_tables; k++)
            if (r->schema->tables[k].mapping == mapping)
                m->tables[k].rows_missing = 0;
    }
}

void trouble_forget_unmapped(struct mirror *m)
{
    const struct mirror_config *c = &m->row.config;
    for (size_t i = m->n_troubles; i-- > 0;) {
        bool is_mapped = false;
        for (size_t k = 0; !is_mapped && k < c->n_tables; k++) {
            char name[2 * NAME_SIZE + 2];
            str_printf(name, sizeof name, "%s.%s", c->tables[k].source_schema,
                       c->tables[k].source_table);
            is_mapped = !strcmp(name, m->troubles[i].source);
        }
        if (!is_mapped)
            drop(m, i, "the table left the mirror");
    }
}

/* --- findings ----------------------------------------------------------------------------------
 */

static void add_missing(const struct mirror *m, const struct row_trouble *x, struct findings *out)
{
    char title[160], cause[400], remedy[512], since[CLOCK_TEXT_SIZE];
    clock_format(x->first_at, since);
    str_printf(title, sizeof title, "%lld change%s of %.100s found no row at the destination",
               (long long)x->count, x->count == 1 ? "" : "s", x->source);
    str_printf(cause, sizeof cause,
               "rows of the source are not there: somebody changed the destination; since %s, last "
               "%s%s%.200s",
               since, x->operation, x->key[0] ? " of key " : "", x->key);
    str_printf(
        remedy, sizeof remedy,
        "Copy the table again: bunnydb resync %s %.130s (POST /v1/mirrors/%s/resync/%.130s). "
        "verify shows which rows differ; once it finds the table equal this is over, too.",
        m->row.config.name, x->source, m->row.config.name, x->source);
    findings_add(out, x->code, SEVERITY_WARNING, title, cause, remedy, "resync");
}

/* While the mirror does not run into it at this moment: before a retry, after a restart. */
static void add_refused(const struct row_trouble *x, struct findings *out)
{
    char title[160], cause[400];
    enum err_code code = !strcmp(x->code, err_name(ERR_CONFLICT)) ? ERR_CONFLICT : ERR_REFUSED;
    str_printf(title, sizeof title, "%s: %.90s", err_meaning(code), x->source);
    str_printf(cause, sizeof cause, "%s%s%.200s in transaction " LSN_FMT, x->operation,
               x->key[0] ? " of key " : "", x->key, LSN_ARGS(x->lsn));
    findings_add(out, x->code, SEVERITY_ERROR, title, cause,
                 code == ERR_CONFLICT
                     ? "Remove or correct the row that is in its way, then retry: the change is "
                       "applied, nothing is lost. Or resync the table."
                     : "Change the destination's definition (sync-schema shows how they differ), "
                       "then retry: nothing is lost.",
                 "retry");
}

void trouble_findings(const struct mirror *m, struct findings *out)
{
    bool is_told = m->failure.code == ERR_CONFLICT || m->failure.code == ERR_REFUSED;
    for (size_t i = 0; i < m->n_troubles; i++)
        if (is_missing(&m->troubles[i]))
            add_missing(m, &m->troubles[i], out);
        else if (!is_told)
            add_refused(&m->troubles[i], out);
}
