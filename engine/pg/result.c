/* Reading results. A struct pg_result is libpq's PGresult under another name, so that nothing is
 * allocated for it beside what libpq has. */
#include "pg/pg_private.h"

#include <stdlib.h>
#include <string.h>

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
