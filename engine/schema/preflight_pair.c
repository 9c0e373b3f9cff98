/* What is to be known of two servers together: encodings, names that one of them has no room for,
 * sort order and which tables depend on it, versions. */
#include "schema/preflight_private.h"

#include <string.h>

#include "schema/names.h"

/* The collation's version is of the library that is there now: servers before 15 do not say it. */
#define FACTS_SQL(version)                                                                 \
    "SELECT pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,"                    \
    " coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', ''), " version \
    " FROM pg_database d WHERE d.datname = current_database()"
#define FIRST_FACT 1 /* of sort order */
#define LAST_FACT 4
static const char facts_sql[] =
    FACTS_SQL("coalesce(pg_database_collation_actual_version(d.oid), '')");
static const char old_facts_sql[] = FACTS_SQL("''");

/* Whatever sorts or changes text by the database's own collation (OID 100, "default"), and is kept
 * by the server: generated columns, expressions that are unique, partitions. Equality of text as it
 * is does not depend on it. */
static const char dependents_sql[] =
    "WITH u AS (SELECT u.i, c.oid, format('%I.%I', n.nspname, c.relname) AS name" EACH_TARGET ")"
    " SELECT u.i, format('%s.%I', u.name, a.attname) AS what, 'generated: ' ||"
    "  pg_get_expr(ad.adbin, ad.adrelid) AS note FROM u JOIN pg_attribute a ON a.attrelid = u.oid"
    "  AND a.attgenerated <> '' AND NOT a.attisdropped JOIN pg_attrdef ad ON ad.adrelid = u.oid"
    "  AND ad.adnum = a.attnum WHERE EXISTS (SELECT FROM pg_depend d JOIN pg_attribute s"
    "   ON s.attrelid = u.oid AND s.attnum = d.refobjsubid AND s.attcollation = 100"
    "   AND s.attnum <> a.attnum WHERE d.classid = 'pg_attrdef'::regclass AND d.objid = ad.oid"
    "   AND d.refclassid = 'pg_class'::regclass AND d.refobjid = u.oid)"
    " UNION ALL SELECT u.i, format('%I', k.relname), 'index of ' || u.name FROM u"
    "  JOIN pg_index x ON x.indrelid = u.oid JOIN pg_class k ON k.oid = x.indexrelid"
    "  WHERE (x.indisunique AND x.indexprs IS NOT NULL OR x.indisexclusion)"
    "  AND 100 = ANY (x.indcollation::oid[])"
    " UNION ALL SELECT u.i, u.name, 'partitioned by ' || pg_get_partkeydef(u.oid) FROM u"
    "  JOIN pg_partitioned_table p ON p.partrelid = u.oid WHERE (p.partstrat = 'r'"
    "  OR p.partexprs IS NOT NULL) AND 100 = ANY (p.partcollation::oid[]) ORDER BY 1, 2";

static void check_encodings(struct preflight *k, const char *source, const char *dest)
{
    char what[200], statement[300];
    str_printf(what, sizeof what, "%s to %s", source, dest);
    str_printf(statement, sizeof statement,
               "CREATE DATABASE name TEMPLATE template0 ENCODING '%s';",
               strcmp(source, "SQL_ASCII") == 0 ? "SQL_ASCII" : "UTF8");
    if (strcmp(source, dest) == 0)
        return;
    findings_begin(k->f, "encoding", SEVERITY_WARNING);
    if (strcmp(source, "SQL_ASCII") == 0) {
        preflight_item(k, -1, what, NULL, statement);
        findings_end(k->f, "the source's text has no encoding",
                     "Whatever is not valid in the destination's encoding stops the mirror.", "");
    } else if (strcmp(dest, "SQL_ASCII") == 0) {
        preflight_item(k, -1, what, "text arrives as UTF-8, and is not checked there", statement);
        findings_end(k->f, "the destination has no encoding", "", "");
    } else if (strcmp(dest, "UTF8") != 0) {
        preflight_item(k, -1, what, NULL, statement);
        findings_end(k->f, "the destination's encoding does not have every character",
                     "A row with a character that cannot be represented stops the mirror.", "");
    } else {
        findings_end(k->f, "", "", ""); /* UTF-8 has all of them */
    }
}

static void check_order(struct preflight *k, const struct pg_result *a, const struct pg_result *b)
{
    findings_begin(k->f, "sort_order", SEVERITY_INFO);
    for (size_t col = FIRST_FACT; col <= LAST_FACT; col++) {
        static const char *const names[] = {"", "collation", "character types", "ICU locale",
                                            "version of the collation"};
        char note[300];
        str_printf(note, sizeof note, "%.120s at the source, %.120s at the destination",
                   pg_text(a, 0, col)[0] ? pg_text(a, 0, col) : "none",
                   pg_text(b, 0, col)[0] ? pg_text(b, 0, col) : "none");
        if (strcmp(pg_text(a, 0, col), pg_text(b, 0, col)) != 0)
            preflight_item(k, -1, names[col], note, NULL);
    }
    findings_end(
        k->f, "text may sort and compare in another way at the destination",
        "Queries may return rows in another order; partitions by ranges of text, and checks"
        " that compare text, may refuse rows.",
        "CREATE DATABASE … TEMPLATE template0 LC_COLLATE … LC_CTYPE … as the source has"
        " them");
}

static void check_versions(struct preflight *k)
{
    int source = pg_version(k->source) / 10000, dest = pg_version(k->dest) / 10000;
    char what[60];
    str_printf(what, sizeof what, "%d to %d", source, dest);
    findings_begin(k->f, "destination_older", SEVERITY_WARNING);
    if (dest < source)
        preflight_item(k, -1, what, NULL, NULL);
    findings_end(k->f, "the destination is older than the source",
                 "Types and definitions that only newer servers know cannot be made there.",
                 "use a destination of the same version or a newer one");
}

static bool ask_facts(struct preflight *k, struct pg_result **a, struct pg_result **b,
                      struct err *err)
{
    const char *source = pg_version(k->source) >= 150000 ? facts_sql : old_facts_sql;
    const char *dest = pg_version(k->dest) >= 150000 ? facts_sql : old_facts_sql;
    return read_steadily(k->source, k->source_task, &k->tries, PREFLIGHT_MS, source, 0, NULL, a,
                         err) &&
           read_steadily(k->dest, k->dest_task, &k->tries, PREFLIGHT_MS, dest, 0, NULL, b, err);
}

static bool is_other_order(const struct pg_result *a, const struct pg_result *b)
{
    for (size_t col = FIRST_FACT; col <= LAST_FACT; col++)
        if (strcmp(pg_text(a, 0, col), pg_text(b, 0, col)) != 0)
            return true;
    return false;
}

static bool tell_dependents(struct preflight *k, struct err *err)
{
    struct pg_result *res = NULL;
    const char *values[] = {k->oids};
    if (!read_steadily(k->source, k->source_task, &k->tries, PREFLIGHT_MS, dependents_sql, 1,
                       values, &res, err))
        return false;
    findings_begin(k->f, "depends_on_sort_order", SEVERITY_WARNING);
    for (size_t row = 0; row < pg_rows(res); row++)
        preflight_item(k, pg_int(res, row, 0) - 1, pg_text(res, row, 1), pg_text(res, row, 2),
                       NULL);
    findings_end(k->f, "it depends on how text sorts or compares, and the databases differ in that",
                 "A generated column may get another value at the destination, a row may be a"
                 " duplicate there, or belong to another partition or none.",
                 "CREATE DATABASE … TEMPLATE template0 LC_COLLATE … LC_CTYPE … as the source has"
                 " them");
    pg_free(res);
    return true;
}

/* Nobody has said where to: a destination in UTF8 is likely, and no other has less room. */
bool preflight_names(struct preflight *k, struct err *err)
{
    struct long_name_list l;
    enum severity severity = k->dest ? SEVERITY_ERROR : SEVERITY_WARNING;
    if (!names_find_long(k->source, k->source_task, k->dest, k->dest_task, k->oids, k->excludes, &l,
                         err)) {
        long_name_list_free(&l);
        return preflight_refused(k, "the length of names", severity, err);
    }
    findings_begin(k->f, "name_too_long", severity);
    for (size_t i = 0; i < l.n; i++)
        if (l.items[i].is_again)
            preflight_verdict(k, l.items[i].table);
        else
            preflight_item(k, l.items[i].table, l.items[i].object, l.items[i].note,
                           l.items[i].statement);
    findings_end(k->f,
                 k->dest ? "a name is too long for the destination"
                         : "a name is too long for a destination in UTF8",
                 "PostgreSQL keeps 63 bytes of a name, and in the destination's encoding it has"
                 " more: what is made there would not be found by it.",
                 "");
    long_name_list_free(&l);
    return true;
}

bool preflight_order(struct preflight *k, struct err *err)
{
    struct pg_result *a = NULL, *b = NULL;
    bool ok = ask_facts(k, &a, &b, err) && (!is_other_order(a, b) || tell_dependents(k, err));
    pg_free(a);
    pg_free(b);
    return ok;
}

bool preflight_pair(struct preflight *k, struct err *err)
{
    struct pg_result *a = NULL, *b = NULL;
    bool ok = ask_facts(k, &a, &b, err);
    if (ok) {
        check_encodings(k, pg_text(a, 0, 0), pg_text(b, 0, 0));
        check_order(k, a, b);
        check_versions(k);
    }
    pg_free(a);
    pg_free(b);
    return ok;
}
