/* Values of sequences; see sequences.h. */
#include "schema/sequences_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define LIST_AGAIN_MS 60000
#define FIND_AGAIN_MS 3000 /* while one has no counterpart */
#define TELL_MISSED 2      /* its table may be about to get it */

const char sequences_create_sql[] =
    "CREATE TABLE IF NOT EXISTS _bunnydb.sequences (mirror_id text NOT NULL, "
    "sequence_schema text NOT NULL, sequence_name text NOT NULL, last_value bigint NOT NULL, "
    "is_called boolean NOT NULL, updated_at timestamptz NOT NULL DEFAULT now(), "
    "PRIMARY KEY (mirror_id, sequence_schema, sequence_name))";

/* A later applier waits for the end of this statement before it takes its epoch, and this one waits
 * for the batch that is being committed. */
static const char write_sql[] =
    "WITH ours AS (SELECT 1 FROM _bunnydb.progress WHERE mirror_id = $1 AND epoch = $2::int8"
    "  FOR SHARE),"
    " u AS (SELECT u.* FROM unnest($3::oid[], $4::text[], $5::text[], $6::int8[], $7::bool[],"
    "  $8::bool[]) u(oid, s, n, v, c, is_set), ours),"
    " kept AS (INSERT INTO _bunnydb.sequences AS k (mirror_id, sequence_schema, sequence_name,"
    "  last_value, is_called) SELECT $1, s, n, v, c FROM u ON CONFLICT (mirror_id,"
    "  sequence_schema, sequence_name) DO UPDATE SET last_value = excluded.last_value,"
    "  is_called = excluded.is_called, updated_at = clock_timestamp())"
    " SELECT (SELECT count(*) FROM ours), count(CASE WHEN u.is_set"
    "  THEN setval(u.oid::regclass, u.v, u.c) END) FROM u";

char *sequences_keep_sql(const char *mirror_id, const char *sets)
{
    struct buf b = {0};
    buf_puts(&b, "INSERT INTO _bunnydb.sequences AS k (mirror_id, sequence_schema, sequence_name, "
                 "last_value, is_called) SELECT ");
    pg_quote_literal(&b, mirror_id);
    buf_printf(&b,
               ", n.nspname, c.relname, %s ON CONFLICT (mirror_id, sequence_schema, sequence_name) "
               "DO UPDATE SET last_value = excluded.last_value, is_called = excluded.is_called, "
               "updated_at = pg_catalog.clock_timestamp()",
               sets);
    return buf_take(&b);
}

/* --- life --------------------------------------------------------------------------------------
 */

static char *array_of(size_t n, char *const *items)
{
    struct buf b = {0};
    pg_quote_array(&b, n, (const char *const *)items);
    return buf_take(&b);
}

static void put_number(struct buf *b, int64_t number)
{
    buf_printf(b, "%c%lld", b->len ? ',' : '{', (long long)number);
}

static char *end_numbers(struct buf *b)
{
    buf_puts(b, b->len ? "}" : "{}");
    return buf_take(b);
}

struct sequences *sequences_new(const struct schema *s, const struct sequences_owner *o,
                                bool is_fresh)
{
    struct sequences *q = mem_calloc(1, sizeof *q);
    struct buf oids = {0}, excluded = {0}, numbers = {0};
    q->owner = *o;
    q->is_fresh = is_fresh;
    q->n_tables = s->n_tables;
    q->schemas = mem_calloc(s->n_tables + 1, sizeof *q->schemas);
    q->dest_schema_of = mem_calloc(s->n_tables + 1, sizeof *q->dest_schema_of);
    q->dest_name_of = mem_calloc(s->n_tables + 1, sizeof *q->dest_name_of);
    for (size_t i = 0; i < s->n_tables; i++) {
        const struct schema_table *t = &s->tables[i];
        q->schemas[i] = mem_strdup(t->schema);
        q->dest_schema_of[i] = mem_strdup(t->dest_schema);
        q->dest_name_of[i] = mem_strdup(t->dest_name);
        put_number(&oids, t->oid);
        for (size_t c = 0; c < t->n_columns; c++) {
            if (!t->columns[c].is_excluded)
                continue;
            put_number(&excluded, t->oid);
            put_number(&numbers, t->columns[c].attnum);
        }
    }
    q->oids = end_numbers(&oids);
    q->excluded_oids = end_numbers(&excluded);
    q->excluded_nums = end_numbers(&numbers);
    q->dest_schemas = array_of(q->n_tables, q->dest_schema_of);
    q->dest_tables = array_of(q->n_tables, q->dest_name_of);
    return q;
}

void sequences_free(struct sequences *q)
{
    if (!q)
        return;
    for (size_t i = 0; i < q->n; i++)
        followed_free(&q->items[i]);
    for (size_t i = 0; i < q->n_tables; i++) {
        free(q->schemas[i]);
        free(q->dest_schema_of[i]);
        free(q->dest_name_of[i]);
    }
    free(q->items);
    free(q->schemas);
    free(q->dest_schema_of);
    free(q->dest_name_of);
    free(q->oids);
    free(q->excluded_oids);
    free(q->excluded_nums);
    free(q->dest_schemas);
    free(q->dest_tables);
    name_list_free(&q->told);
    free(q);
}

void sequences_forget(struct sequences *q)
{
    q->is_listed = false;
}

/* --- the rule ----------------------------------------------------------------------------------
 */

bool sequence_is_same(const struct sequence_value *a, const struct sequence_value *b)
{
    return a->is_known && b->is_known && a->last == b->last && a->is_called == b->is_called;
}

bool sequence_is_ahead(bool is_descending, const struct sequence_value *a,
                       const struct sequence_value *b)
{
    if (a->last == b->last)
        return a->is_called && !b->is_called;
    return is_descending ? a->last < b->last : a->last > b->last;
}

enum sequence_step sequence_decide(bool is_descending, const struct sequence_value *source,
                                   const struct sequence_value *dest,
                                   const struct sequence_value *kept)
{
    if (sequence_is_same(source, dest))
        return SEQUENCE_SAME;
    if (sequence_is_ahead(is_descending, source, dest))
        return SEQUENCE_FORWARD;
    return sequence_is_same(dest, kept) ? SEQUENCE_BACK : SEQUENCE_LEAVE;
}

/* --- looking -----------------------------------------------------------------------------------
 */

static size_t count_followed(const struct sequences *q)
{
    size_t n = 0;
    for (size_t i = 0; i < q->n; i++)
        n += sequences_is_followed(&q->items[i]);
    return n;
}

static void take_values(struct sequences *q, const struct pg_result *res, bool is_dest,
                        bool *has_changed)
{
    for (size_t row = 0; row < pg_rows(res); row++) {
        struct followed *f = &q->items[pg_int(res, row, 0)];
        struct sequence_value v = {true, pg_int(res, row, 1), pg_bool(res, row, 2)};
        struct sequence_value *to = is_dest ? &f->dest_value : &f->source;
        *has_changed |= !sequence_is_same(to, &v);
        *to = v;
    }
}

bool sequences_are_prepared(const struct sequences *q)
{
    return count_followed(q) > SCHEMA_BRANCHES;
}

static bool look_at(struct sequences *q, struct pg_conn *c, struct task *task, bool is_dest,
                    bool *has_changed, struct err *err)
{
    struct buf sql = {0};
    bool ok = true, is_prepared = sequences_are_prepared(q);
    size_t from = 0;
    for (size_t i = 0; ok && sequences_put_query(q, is_dest, &from, &sql); i++) {
        struct pg_result *res = NULL;
        if (is_prepared) {
            buf_reset(&sql);
            buf_printf(&sql, "EXECUTE bunnydb_sequences_%zu", i);
        }
        ok = pg_exec(c, task, SEQUENCES_MS, buf_text(&sql), &res, err) ||
             err_context(err, "read the %s's sequences", is_dest ? "destination" : "source");
        if (ok)
            take_values(q, res, is_dest, has_changed);
        pg_free(res);
        buf_reset(&sql);
    }
    buf_free(&sql);
    return ok;
}

/* Always the source first: what it shows later is further on at most. */
static bool look(struct sequences *q, struct pg_conn *source, struct pg_conn *dest,
                 struct task *task, bool *has_changed, struct err *err)
{
    bool ignored = false;
    return look_at(q, source, task, false, has_changed, err) &&
           look_at(q, dest, task, true, &ignored, err);
}

/* A sequence that was dropped or renamed, or a right that was taken, since they were listed. */
static bool is_list_good(const struct sequences *q)
{
    int64_t limit = LIST_AGAIN_MS;
    for (size_t i = 0; i < q->n; i++)
        if (q->items[i].missed && q->items[i].missed <= TELL_MISSED)
            limit = FIND_AGAIN_MS;
    return q->is_listed && clock_mono_ms() - q->list_at < limit;
}

static bool look_well(struct sequences *q, struct pg_conn *source, struct pg_conn *dest,
                      struct task *task, bool *has_changed, struct err *err)
{
    bool is_listed = is_list_good(q);
    if (is_listed && look(q, source, dest, task, has_changed, err))
        return true;
    if (is_listed && err->code != ERR_SQL)
        return false;
    err_clear(err);
    return sequences_list(q, source, dest, task, err) &&
           look(q, source, dest, task, has_changed, err);
}

bool sequences_look(struct sequences *q, struct pg_conn *source, struct pg_conn *dest,
                    struct task *task, struct err *err)
{
    bool ignored = false;
    return look_well(q, source, dest, task, &ignored, err);
}

/* --- those that went back ----------------------------------------------------------------------
 */

static bool ask_position(struct pg_conn *source, struct task *task, lsn_t *lsn, struct err *err)
{
    struct pg_result *res = NULL;
    if (!pg_exec(source, task, SEQUENCES_MS,
                 "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
                 " ELSE pg_current_wal_insert_lsn() END",
                 &res, err))
        return false;
    *lsn = pg_lsn(res, 0, 0);
    pg_free(res);
    return true;
}

/* The position is asked for after the values: what made them go back committed before it. */
static bool note_back(struct sequences *q, struct pg_conn *source, struct task *task,
                      struct sequences_result *out, struct err *err)
{
    lsn_t now = 0;
    for (size_t i = 0; i < q->n; i++) {
        struct followed *f = &q->items[i];
        bool is_back = sequences_is_followed(f) &&
                       sequence_decide(f->is_descending, &f->source, &f->dest_value, &f->kept) ==
                           SEQUENCE_BACK;
        bool is_known =
            f->is_back && is_back && !sequence_is_ahead(f->is_descending, &f->back, &f->source);
        f->is_back = is_back;
        if (!is_back)
            continue;
        if (!is_known) {
            if (!now && !ask_position(source, task, &now, err))
                return false;
            f->back_lsn = now;
        }
        f->back = f->source;
        out->waiting++;
        if (f->back_lsn > out->until)
            out->until = f->back_lsn;
    }
    return true;
}

/* --- writing -----------------------------------------------------------------------------------
 */

struct list {
    size_t n, cap;
    size_t *items;
};

/* What is the same already is only remembered. */
static bool is_to_be_set(const struct followed *f)
{
    return !sequence_is_same(&f->source, &f->dest_value);
}

static bool is_due(const struct followed *f, lsn_t safe)
{
    if (!sequences_is_followed(f))
        return false;
    switch (sequence_decide(f->is_descending, &f->source, &f->dest_value, &f->kept)) {
    case SEQUENCE_SAME:
        return !sequence_is_same(&f->kept, &f->source);
    case SEQUENCE_FORWARD:
        return true;
    case SEQUENCE_BACK:
        return f->is_back && safe >= f->back_lsn;
    case SEQUENCE_LEAVE:
        return false;
    }
    return false;
}

bool sequences_write(struct sequences *q, struct pg_conn *dest, struct task *task,
                     const size_t *which, size_t n, bool *is_fenced, struct err *err)
{
    struct buf arrays[6] = {{0}};
    char **cells = mem_calloc(6 * n, sizeof *cells);
    char epoch[24];
    const char *values[8] = {q->owner.mirror_id, epoch};
    struct pg_result *res = NULL;
    str_printf(epoch, sizeof epoch, "%lld", (long long)q->owner.epoch);
    for (size_t i = 0; i < n; i++) {
        const struct followed *f = &q->items[which[i]];
        cells[i] = mem_printf("%u", f->dest_oid);
        cells[n + i] = mem_strdup(f->dest_schema);
        cells[2 * n + i] = mem_strdup(f->dest_name);
        cells[3 * n + i] = mem_printf("%lld", (long long)f->source.last);
        cells[4 * n + i] = mem_strdup(f->source.is_called ? "t" : "f");
        cells[5 * n + i] = mem_strdup(is_to_be_set(f) ? "t" : "f");
    }
    for (size_t k = 0; k < 6; k++) {
        pg_quote_array(&arrays[k], n, (const char *const *)cells + k * n);
        values[2 + k] = buf_text(&arrays[k]);
    }
    bool ok = pg_exec_params(dest, task, SEQUENCES_MS, write_sql, 8, values, &res, err);
    if (ok)
        *is_fenced = pg_int(res, 0, 0) == 0;
    pg_free(res);
    for (size_t k = 0; k < 6; k++)
        buf_free(&arrays[k]);
    for (size_t i = 0; i < 6 * n; i++)
        free(cells[i]);
    free(cells);
    return ok;
}

static void written(struct followed *f)
{
    f->kept = f->dest_value = f->source;
    f->is_back = false;
}

/* The same trouble is told once. */
static void tell(struct sequences *q, struct sequences_result *out, const char *code,
                 enum severity severity, const char *sequence, const char *title, const char *cause,
                 const char *remedy, const char *action)
{
    char *mark = mem_printf("%s %s", code, sequence);
    findings_add(&out->trouble, code, severity, title, cause, remedy, action);
    if (name_list_has(&q->told, mark)) {
        free(mark);
        return;
    }
    name_list_add(&q->told, mark);
    log_write(LOG_LEVEL_WARN, "sequence", q->owner.mirror, remedy, "sequence=%s %s: %s", sequence,
              title, cause);
}

static void tell_refused(struct sequences *q, struct sequences_result *out,
                         const struct followed *f, const struct err *err)
{
    char *cause = mem_printf("setval(%s, %lld, %s): %s (%s)", f->dest, (long long)f->source.last,
                             f->source.is_called ? "true" : "false", err->text, err->sqlstate);
    char *title = mem_printf("sequence %.100s cannot take the source's value", f->dest);
    tell(q, out, "sequence_refused", SEVERITY_WARNING, f->dest, title, cause,
         "Give it the limits that it has at the source: sync-schema does that.", "sync-schema");
    free(title);
    free(cause);
}

/* All at once, or each by itself when one is refused. */
static bool write_due(struct sequences *q, struct pg_conn *dest, struct task *task,
                      const struct list *due, struct sequences_result *out, struct err *err)
{
    if (sequences_write(q, dest, task, due->items, due->n, &out->is_fenced, err)) {
        for (size_t i = 0; !out->is_fenced && i < due->n; i++)
            written(&q->items[due->items[i]]);
        return true;
    }
    if (err->code != ERR_SQL || err_class_of(err) == CLASS_RETRY)
        return err_context(err, "set the destination's sequences");
    for (size_t i = 0; i < due->n && !out->is_fenced; i++) {
        struct followed *f = &q->items[due->items[i]];
        err_clear(err);
        if (sequences_write(q, dest, task, &due->items[i], 1, &out->is_fenced, err))
            written(f);
        else if (err->code == ERR_SQL)
            tell_refused(q, out, f, err);
        else
            return err_context(err, "set sequence %s", f->dest);
    }
    err_clear(err);
    return true;
}

/* --- what does not follow ----------------------------------------------------------------------
 */

static void tell_left_out(struct sequences *q, struct sequences_result *out)
{
    for (size_t i = 0; i < q->n; i++) {
        const struct followed *f = &q->items[i];
        if (sequences_is_followed(f) || (f->is_readable && !f->dest_oid && f->missed < TELL_MISSED))
            continue;
        char *title, *cause, *remedy;
        bool at_source = !f->is_readable;
        if (!f->is_readable || f->dest_oid) {
            const char *name = at_source ? f->name : f->dest;
            title = mem_printf("sequence %.100s does not follow", name);
            cause = mem_printf("the %s's user may not %s it", at_source ? "source" : "destination",
                               at_source ? "read" : "read and set");
            remedy =
                mem_printf("At the %s: GRANT SELECT%s ON SEQUENCE %s TO its user; and USAGE "
                           "on its schema.",
                           at_source ? "source" : "destination", at_source ? "" : ", UPDATE", name);
            tell(q, out, "sequence_rights", SEVERITY_WARNING, name, title, cause, remedy, "");
        } else {
            title = mem_printf("sequence %.100s does not follow", f->name);
            cause = mem_printf("no sequence of the mirror's tables at the destination is its "
                               "counterpart; %s.%s is not there or not theirs",
                               f->dest_schema, f->dest_name);
            remedy = mem_strdup("sync-schema creates what is missing. A column that needs no "
                                "sequence at the destination can stay as it is.");
            tell(q, out, "sequence_missing", SEVERITY_INFO, f->name, title, cause, remedy,
                 "sync-schema");
        }
        free(title);
        free(cause);
        free(remedy);
    }
}

/* --- all of it ---------------------------------------------------------------------------------
 */

static void trust_first_look(struct sequences *q)
{
    for (size_t i = 0; q->is_fresh && i < q->n; i++)
        q->items[i].kept = q->items[i].dest_value;
    q->is_fresh = false;
}

static bool is_left(const struct followed *f)
{
    return sequences_is_followed(f) && sequence_decide(f->is_descending, &f->source, &f->dest_value,
                                                       &f->kept) == SEQUENCE_LEAVE;
}

/* One that seems to be in use may have been set by a copy or a synchronisation of the mirror, which
 * remember that at the destination. */
static bool look_who_sets(struct sequences *q, struct pg_conn *source, struct pg_conn *dest,
                          struct task *task, bool *has_changed, struct err *err)
{
    bool is_news = false;
    for (size_t i = 0; i < q->n; i++)
        is_news |=
            is_left(&q->items[i]) && !sequence_is_same(&q->items[i].left, &q->items[i].dest_value);
    if (!is_news)
        return true;
    if (!sequences_list(q, source, dest, task, err) ||
        !look(q, source, dest, task, has_changed, err))
        return false;
    for (size_t i = 0; i < q->n; i++)
        if (is_left(&q->items[i]))
            q->items[i].left = q->items[i].dest_value;
    return true;
}

bool sequences_follow(struct sequences *q, struct pg_conn *source, struct pg_conn *dest,
                      struct task *task, lsn_t safe, struct sequences_result *out, struct err *err)
{
    struct list due = {0};
    *out = (struct sequences_result){0};
    if (!look_well(q, source, dest, task, &out->has_changed, err))
        return false;
    trust_first_look(q);
    if (!look_who_sets(q, source, dest, task, &out->has_changed, err) ||
        !note_back(q, source, task, out, err))
        return false;
    for (size_t i = 0; i < q->n; i++)
        if (is_due(&q->items[i], safe))
            MEM_PUSH(due.items, due.n, due.cap, i);
    bool ok = !due.n || write_due(q, dest, task, &due, out, err);
    free(due.items);
    out->followed = count_followed(q);
    out->waiting = 0;
    for (size_t i = 0; i < q->n; i++)
        out->waiting += q->items[i].is_back;
    tell_left_out(q, out);
    if (!ok)
        findings_free(&out->trouble);
    return ok;
}
