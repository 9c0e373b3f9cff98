/* Names that the destination would keep only a part of: PostgreSQL's have at most 63 bytes in the
 * database's own encoding (docs, "Lexical Structure"), and what is one byte in LATIN1 may be two in
 * UTF8. The server cuts a longer one off without an error, and then nothing is found by its name.
 *
 * Asks both servers on connections of the caller, in its thread; keeps no state. */
#ifndef BUNNY_SCHEMA_NAMES_H
#define BUNNY_SCHEMA_NAMES_H

#include "pg/pg.h"

struct long_name {
    int table;                  /* that has or needs it: its place in the list of OIDs */
    bool is_again;              /* the same one as before, of another table */
    char *object;               /* "column public.t.c" */
    char *note;                 /* "70 bytes in UTF-8" */
    char *statement;            /* that renames it at the source */
    char *owner_schema, *owner; /* the type or sequence that it is or belongs to; "": none */
};
struct long_name_list {
    struct long_name *items;
    size_t n;
};
void long_name_list_free(struct long_name_list *l); /* the contents */

/* Of the source's relations with these OIDs (an array literal), their columns but for those that a
 * mapping leaves out (excludes: for each an array literal of names, and these in one), their
 * indexes and constraints, and the types and sequences that they need. In the order of objects.
 * dest NULL: it has UTF8. */
bool names_find_long(struct pg_conn *source, struct task *source_task, struct pg_conn *dest,
                     struct task *dest_task, const char *oids, const char *excludes,
                     struct long_name_list *out, struct err *err) MUST_CHECK;

/* Whether the destination keeps the whole name. */
bool names_fit(struct pg_conn *dest, struct task *task, const char *name, bool *fits,
               struct err *err) MUST_CHECK;

#endif
