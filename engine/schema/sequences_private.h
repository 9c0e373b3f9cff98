/* What sequences.c (values) and sequences_list.c (which sequences) share; nobody else includes it.
 */
#ifndef BUNNY_SEQUENCES_PRIVATE_H
#define BUNNY_SEQUENCES_PRIVATE_H

#include "schema/schema_private.h"
#include "schema/sequences.h"

#define SEQUENCES_MS 10000 /* one question or statement */

struct followed {
    uint32_t oid;
    char *name; /* at the source, quoted and qualified, as all names here */
    bool is_readable, is_descending;
    char *dest_table, *column; /* the column that owns it, or whose default calls it */
    char how[2];               /* "i": the column's identity; "a": owned by it; "z": called */
    uint32_t dest_oid;         /* 0: no counterpart */
    char *dest_schema, *dest_name, *dest;
    bool is_writable;
    int missed; /* listings in a row without a counterpart */
    struct sequence_value source, dest_value, kept;
    struct sequence_value left; /* the destination's that was looked up to be nobody's of us */
    bool is_back; /* the source's went back, to back, and until back_lsn is not yet applied */
    struct sequence_value back;
    lsn_t back_lsn;
    bool has_passed;             /* a comparison has seen it follow */
    struct sequence_value first; /* the source's at the first look of a comparison */
};

struct sequences {
    struct sequences_owner owner;
    bool is_fresh;
    /* array literals: the mapped tables at the source, their names at the destination, excluded
     * columns */
    char *oids, *dest_schemas, *dest_tables, *excluded_oids, *excluded_nums;
    size_t n_tables;
    char **schemas; /* of each table, at both sides: source, destination's, its name there */
    char **dest_schema_of, **dest_name_of;
    size_t n, cap;
    struct followed *items;
    bool is_listed;
    int64_t list_at; /* monotonic ms */
    struct name_list told;
};

void followed_free(struct followed *f); /* the contents */
/* Lists the sequences and prepares the statements that read their values. What is known of those
 * that were listed before is kept. */
bool sequences_list(struct sequences *q, struct pg_conn *source, struct pg_conn *dest,
                    struct task *task, struct err *err) MUST_CHECK;
bool sequences_is_followed(const struct followed *f);
/* Appends the query that reads the values of up to SCHEMA_BRANCHES of those that are followed:
 * (index in items, last_value, is_called). *from: the first item, and where the next query goes on.
 * False: there are none any more. */
bool sequences_put_query(const struct sequences *q, bool is_dest, size_t *from, struct buf *sql);
bool sequence_is_same(const struct sequence_value *a, const struct sequence_value *b);
bool sequence_is_ahead(bool is_descending, const struct sequence_value *a,
                       const struct sequence_value *b);
/* Writes the source's values of n of them; they are ours to write while the epoch is ours. */
bool sequences_write(struct sequences *q, struct pg_conn *dest, struct task *task,
                     const size_t *which, size_t n, bool *is_fenced, struct err *err) MUST_CHECK;

#endif
