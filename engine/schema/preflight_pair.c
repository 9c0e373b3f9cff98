/* What is to be known of two servers together, whatever the tables are: encodings, sort order,
 * versions. */
#include "schema/preflight_private.h"

#include <string.h>

static const char sql[] =
    "SELECT pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,"
    " coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', ''),"
    " quote_ident(current_database()) FROM pg_database d WHERE d.datname = current_database()";

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
    for (size_t col = 1; col <= 3; col++) {
        static const char *const names[] = {"", "collation", "character types", "ICU locale"};
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

bool preflight_pair(struct preflight *k, struct err *err)
{
    struct pg_result *a = NULL, *b = NULL;
    bool ok = pg_exec(k->source, k->source_task, PREFLIGHT_MS, sql, &a, err) &&
              pg_exec(k->dest, k->dest_task, PREFLIGHT_MS, sql, &b, err);
    if (ok) {
        check_encodings(k, pg_text(a, 0, 0), pg_text(b, 0, 0));
        check_order(k, a, b);
        check_versions(k);
    }
    pg_free(a);
    pg_free(b);
    return ok;
}
