/* Publications that change under a stream; see drift.h. */
#include "control/drift.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

/* Rows of pg_publication_rel have other OIDs after a table was taken out and put in again. */
static const char look_sql[] =
    "SELECT p.pubname, pg_catalog.md5(pg_catalog.concat_ws(' ', p.oid, p.xmin, p.pubinsert, "
    "p.pubupdate, "
    "p.pubdelete, p.pubtruncate, pg_catalog.to_jsonb(p) ->> 'pubviaroot', (SELECT "
    "pg_catalog.string_agg(pg_catalog.concat_ws(' ', r.oid, "
    "pg_catalog.to_jsonb(r) ->> 'prqual', pg_catalog.to_jsonb(r) ->> 'prattrs'), ',' ORDER BY "
    "r.oid) FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid))) FROM "
    "pg_catalog.pg_publication p WHERE p.pubname = ANY ($1::pg_catalog.text[])";

/* Tables of the publication with their partitions: names, columns, defaults, constraints,
 * indexes; and all labels of enums and attributes of composites, and of whatever's rows are values.
 * A row of pg_attribute is another one after each ALTER of its column. */
static const char definitions_sql[] =
    "WITH RECURSIVE t(pub, oid) AS (SELECT p.pubname, r.prrelid FROM pg_catalog.pg_publication p "
    "JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid WHERE p.pubname = ANY "
    "($1::pg_catalog.text[]) UNION SELECT t.pub, i.inhrelid FROM t JOIN pg_catalog.pg_inherits i "
    "ON i.inhparent = t.oid JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition)"
    ", a(oid, columns) AS (SELECT a.attrelid, pg_catalog.md5(pg_catalog.string_agg("
    "pg_catalog.concat_ws(' ', a.attnum, a.attname, a.xmin), ',' ORDER BY a.attnum)) FROM "
    "pg_catalog.pg_attribute a WHERE a.attnum > 0 AND a.attrelid IN (SELECT oid FROM t) GROUP BY "
    "a.attrelid), k(oid, parts) AS (SELECT o.rel, pg_catalog.string_agg(o.part::text, ',' ORDER BY "
    "o.part) FROM (SELECT conrelid, oid FROM pg_catalog.pg_constraint UNION ALL SELECT adrelid, "
    "oid "
    "FROM pg_catalog.pg_attrdef UNION ALL SELECT x.indrelid, x.indexrelid FROM "
    "pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid WHERE x.indisvalid "
    "OR i.relkind = 'I' UNION ALL SELECT x.indrelid, h.inhparent FROM pg_catalog.pg_index x JOIN "
    "pg_catalog.pg_inherits h ON h.inhrelid = x.indexrelid) o(rel, part) WHERE o.rel IN (SELECT "
    "oid FROM t) GROUP BY o.rel) "
    "SELECT t.pub, pg_catalog.md5(pg_catalog.string_agg(pg_catalog.concat_ws(' ', "
    "c.oid, c.relname, c.relnamespace, c.relispartition, a.columns, k.parts), "
    "',' ORDER BY "
    "c.oid) || coalesce((SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', e.oid, "
    "e.enumlabel), ',' ORDER BY e.oid) FROM pg_catalog.pg_enum e), '') || coalesce((SELECT "
    "pg_catalog.md5(pg_catalog.string_agg(pg_catalog.concat_ws(' ', y.attrelid, y.attnum, "
    "y.attname, y.attisdropped), ',' ORDER BY y.attrelid, y.attnum)) FROM pg_catalog.pg_class k "
    "JOIN pg_catalog.pg_attribute y ON y.attrelid = k.oid AND y.attnum > 0 WHERE k.relkind = 'c' "
    "OR "
    "(k.oid >= 16384 AND EXISTS (SELECT FROM pg_catalog.pg_type z JOIN pg_catalog.pg_depend d ON "
    "d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid IN (z.oid, "
    "z.typarray) "
    "AND d.deptype = 'n' WHERE z.oid = k.reltype))), '') || coalesce((SELECT "
    "pg_catalog.string_agg(r.oid::text, "
    "',' ORDER BY r.oid) FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON "
    "p.oid = r.prpubid WHERE p.pubname = t.pub), '')), "
    "pg_catalog.md5(pg_catalog.string_agg(c.relfilenode::text, ',' ORDER BY c.oid)) FROM t JOIN "
    "pg_catalog.pg_class c ON c.oid = t.oid LEFT JOIN a ON a.oid = t.oid LEFT JOIN k ON k.oid = "
    "t.oid GROUP BY t.pub";

struct picture_of {
    char publication[NAME_SIZE];
    char digest[40];
    char files[40]; /* of definitions: another one after each rewrite or TRUNCATE */
};

struct pictures {
    size_t n;
    struct picture_of *items;
};

static const struct picture_of *find(const struct pictures *p, const char *publication)
{
    static const struct picture_of none;
    for (size_t i = 0; i < p->n; i++)
        if (!strcmp(p->items[i].publication, publication))
            return &p->items[i];
    return &none;
}

static const char *digest_of(const struct pictures *p, const char *publication)
{
    return find(p, publication)->digest;
}

/* The mirror that is changing it just now, or has looked at it meanwhile, is left alone. */
static bool has_changed(struct mirror *m, const char *before, const char *now, const char *here)
{
    return before[0] && strcmp(before, now) != 0 && !strcmp(before, here) &&
           board_state(mirror_board(m)) == MIRROR_RUNNING && !mirror_is_republishing(m);
}

static void compare(struct mirror *m, const struct mirror_seen *before, const char *publication,
                    const struct picture_of *definitions)
{
    struct mirror_seen here;
    mirror_seen(m, &here);
    mirror_note_files(m, definitions->files);
    if (has_changed(m, before->publication, publication, here.publication)) {
        log_warn("sampler", mirror_name(m),
                 "publication %s has changed at the source: looking at it",
                 mirror_config_of(m)->publication);
        mirror_reconnect(m);
    }
    if (definitions->digest[0] &&
        has_changed(m, before->definitions, definitions->digest, here.definitions)) {
        log_info("sampler", mirror_name(m),
                 "definitions have changed at the source: looking at them");
        mirror_compare(m);
    }
}

static struct pictures take(const struct pg_result *r)
{
    struct pictures p = {.n = pg_rows(r), .items = mem_calloc(pg_rows(r) + 1, sizeof *p.items)};
    for (size_t i = 0; i < p.n; i++) {
        str_copy(p.items[i].publication, sizeof p.items[i].publication, pg_text(r, i, 0));
        str_copy(p.items[i].digest, sizeof p.items[i].digest, pg_text(r, i, 1));
        if (pg_cols(r) > 2)
            str_copy(p.items[i].files, sizeof p.items[i].files, pg_text(r, i, 2));
    }
    return p;
}

static bool ask(struct pg_conn *source, struct task *task, int limit_ms, const char *sql,
                const char *publication, struct pictures *out, struct err *err)
{
    struct pg_result *r;
    struct buf names = {0};
    pg_quote_array(&names, 1, &publication);
    const char *value = buf_text(&names);
    bool ok = pg_exec_params(source, task, limit_ms, sql, 1, &value, &r, err);
    buf_free(&names);
    if (!ok)
        return false;
    *out = take(r);
    pg_free(r);
    return true;
}

/* --- looking again and again -------------------------------------------------------------------
 */

#define LOOKS_AT_REST 2 /* a change may be visible a moment after its WAL is */
#define SKIPS_MAX 15

struct drift {
    struct pictures publications, definitions; /* as they were at the last look */
    lsn_t lsn;                                 /* what the WAL ended with before it */
    int looks, skips;                          /* at that lsn; since the last look */
    bool is_prepared;
};

struct drift *drift_new(void)
{
    return mem_calloc(1, sizeof(struct drift));
}

void drift_free(struct drift *d)
{
    if (!d)
        return;
    free(d->publications.items);
    free(d->definitions.items);
    free(d);
}

void drift_forget(struct drift *d)
{
    d->is_prepared = false;
    d->looks = 0;
}

/* To plan these costs a source more than to run them. */
static bool prepare(struct drift *d, struct pg_conn *source, struct task *task, int limit_ms,
                    struct err *err)
{
    struct buf sql = {0};
    if (d->is_prepared)
        return true;
    buf_printf(&sql, "PREPARE bunnydb_publications AS %s; PREPARE bunnydb_definitions AS %s",
               look_sql, definitions_sql);
    d->is_prepared = pg_exec(source, task, limit_ms, buf_text(&sql), NULL, err);
    buf_free(&sql);
    return d->is_prepared;
}

static bool execute(struct pg_conn *source, struct task *task, int limit_ms, const char *statement,
                    const char *names, struct pictures *out, struct err *err)
{
    struct pg_result *r;
    struct buf sql = {0};
    buf_printf(&sql, "EXECUTE %s (", statement);
    pg_quote_literal(&sql, names);
    buf_puts(&sql, ")");
    bool ok = pg_exec(source, task, limit_ms, buf_text(&sql), &r, err);
    buf_free(&sql);
    if (!ok)
        return false;
    free(out->items);
    *out = take(r);
    pg_free(r);
    return true;
}

static bool look(struct drift *d, struct pg_conn *source, struct task *task, int limit_ms,
                 struct mirror *const *mirrors, size_t n, struct err *err)
{
    struct buf array = {0};
    const char **names = mem_calloc(n + 1, sizeof *names);
    struct mirror_seen *before = mem_calloc(n + 1, sizeof *before);
    for (size_t i = 0; i < n; i++) {
        names[i] = mirror_config_of(mirrors[i])->publication;
        mirror_seen(mirrors[i], &before[i]);
    }
    pg_quote_array(&array, n, names);
    bool ok = prepare(d, source, task, limit_ms, err) &&
              execute(source, task, limit_ms, "bunnydb_publications", buf_text(&array),
                      &d->publications, err) &&
              execute(source, task, limit_ms, "bunnydb_definitions", buf_text(&array),
                      &d->definitions, err);
    for (size_t i = 0; ok && i < n; i++)
        compare(mirrors[i], &before[i], digest_of(&d->publications, names[i]),
                find(&d->definitions, names[i]));
    buf_free(&array);
    free(names);
    free(before);
    return ok;
}

/* Whether all that run have seen what the source showed at the last look. */
static bool is_agreed(const struct drift *d, struct mirror *const *mirrors, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct mirror_seen seen;
        const char *publication = mirror_config_of(mirrors[i])->publication;
        if (board_state(mirror_board(mirrors[i])) != MIRROR_RUNNING)
            continue;
        mirror_seen(mirrors[i], &seen);
        if (strcmp(seen.publication, digest_of(&d->publications, publication)) != 0 ||
            strcmp(seen.definitions, digest_of(&d->definitions, publication)) != 0)
            return false;
    }
    return true;
}

bool drift_look(struct drift *d, struct pg_conn *source, struct task *task, int limit_ms, lsn_t lsn,
                struct mirror *const *mirrors, size_t n, struct err *err)
{
    bool rests = lsn && lsn == d->lsn && d->looks >= LOOKS_AT_REST;
    if (rests && d->skips < SKIPS_MAX && is_agreed(d, mirrors, n)) {
        d->skips++;
        return true;
    }
    d->looks = lsn == d->lsn ? d->looks + 1 : 1;
    d->lsn = lsn;
    d->skips = 0;
    if (look(d, source, task, limit_ms, mirrors, n, err))
        return true;
    d->looks = 0;
    return false;
}

bool drift_see(struct pg_conn *source, struct task *task, int limit_ms, const char *publication,
               struct mirror_seen *out, struct err *err)
{
    struct pictures publications = {0}, definitions = {0};
    bool ok = ask(source, task, limit_ms, look_sql, publication, &publications, err) &&
              ask(source, task, limit_ms, definitions_sql, publication, &definitions, err);
    *out = (struct mirror_seen){0};
    if (ok) {
        str_copy(out->publication, sizeof out->publication, digest_of(&publications, publication));
        str_copy(out->definitions, sizeof out->definitions, digest_of(&definitions, publication));
    }
    free(publications.items);
    free(definitions.items);
    return ok;
}
