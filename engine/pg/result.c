/* Reading results. A struct pg_result is libpq's PGresult under another name, so that nothing is
 * allocated for it beside what libpq has. */
#include "pg/pg_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void pg_free(struct pg_result *r)
{
    PQclear(result_pq(r));
}

size_t pg_rows(const struct pg_result *r)
{
    return (size_t)PQntuples(result_pq(r));
}

size_t pg_cols(const struct pg_result *r)
{
    return (size_t)PQnfields(result_pq(r));
}

const char *pg_col_name(const struct pg_result *r, size_t col)
{
    const char *name = PQfname(result_pq(r), (int)col);
    return name ? name : "";
}

unsigned pg_col_type(const struct pg_result *r, size_t col)
{
    return PQftype(result_pq(r), (int)col);
}

/* libpq answers an index out of range through the notice receiver and with NULL or 1. */
const char *pg_text(const struct pg_result *r, size_t row, size_t col)
{
    const char *text = PQgetvalue(result_pq(r), (int)row, (int)col);
    return text ? text : "";
}

bool pg_is_null(const struct pg_result *r, size_t row, size_t col)
{
    return PQgetisnull(result_pq(r), (int)row, (int)col) != 0;
}

bool pg_bool(const struct pg_result *r, size_t row, size_t col)
{
    return !strcmp(pg_text(r, row, col), "t");
}

int64_t pg_int(const struct pg_result *r, size_t row, size_t col)
{
    return strtoll(pg_text(r, row, col), NULL, 10);
}

lsn_t pg_lsn(const struct pg_result *r, size_t row, size_t col)
{
    lsn_t lsn = 0;
    return lsn_parse(pg_text(r, row, col), &lsn) ? lsn : 0;
}

int64_t pg_affected(const struct pg_result *r)
{
    return strtoll(PQcmdTuples(result_pq(r)), NULL, 10);
}

/* bool, the numbers, and everything else as text: pg_type.dat's OIDs never change. */
static enum report_kind kind_of(unsigned type)
{
    static const unsigned numbers[] = {20, 21, 23, 26, 700, 701, 1700};
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        if (type == numbers[i])
            return REPORT_NUMBER;
    return type == 16 ? REPORT_BOOL : REPORT_TEXT;
}

void pg_report(struct report_section *s, const struct pg_result *r)
{
    for (size_t i = 0; i < pg_rows(r); i++) {
        struct report_row *row = report_add_row(s);
        for (size_t j = 0; j < pg_cols(r); j++)
            report_add(row, pg_col_name(r, j), kind_of(pg_col_type(r, j)),
                       pg_is_null(r, i, j) ? NULL : pg_text(r, i, j));
    }
}
