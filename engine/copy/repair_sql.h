/* The statements of a repair, for repair.c alone: rows are found by key, read as text at the source
 * and written as such, as the stream does. Columns that the mirror does not write keep their
 * values. */
#ifndef BUNNY_COPY_REPAIR_SQL_H
#define BUNNY_COPY_REPAIR_SQL_H

#include "base/model.h"
#include "schema/schema.h"

struct repair_table {
    const struct schema_table *def; /* NULL: nothing to repair */
    struct verify_table *out;
    bool is_open;
    struct dest_table sides[2]; /* what source and destination have */
    size_t n;                   /* columns that the mirror writes */
    const char **columns;
    const struct dest_column **types; /* at the destination */
    bool has_others; /* the destination has columns that the mirror does not write */
};

struct repair_row {
    struct repair_table *table;
    struct verify_row *named;
    /* of the round: */
    char **values; /* as the source has it, NULL: SQL's NULL; NULL as a whole: it has no such row */
    size_t bytes;
    int64_t touched; /* rows */
    bool is_left;
    char refused[6]; /* SQLSTATE; empty: it was not */
};
void repair_row_reset(struct repair_row *row);

/* Reads what both sides have; does nothing the second time. ERR_SCHEMA when they do not fit. */
bool repair_table_open(struct repair_table *t, struct pg_conn *source, struct pg_conn *dest,
                       struct task *task, struct err *err) MUST_CHECK;
void repair_table_close(struct repair_table *t);

/* The rows of one table at the source: number (of rows[]), and the columns. Caller frees. */
char *repair_read_sql(const struct repair_row *rows, size_t n);
void repair_take_values(struct repair_row *row, const struct pg_result *res, size_t at);

enum repair_way {
    REPAIR_IN_PLACE, /* deletions, updates, insertions */
    REPAIR_ANEW,     /* all of the rows are deleted, then inserted */
};
bool repair_can_write_anew(const struct repair_row *rows, size_t n);
/* In the transaction that is open: writes them, checks deferred constraints, and notes how many
 * rows each touched. */
bool repair_write(struct pg_conn *dest, struct task *task, struct repair_row *rows, size_t n,
                  enum repair_way way, struct err *err) MUST_CHECK;

#endif
