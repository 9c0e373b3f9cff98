/* Traits: what belongs to a table, a type or a sequence beside its definition, and is set by a
 * statement of its own: comments, compression, statistics, clustering, the names of an index's
 * parts. Each is one row with a text as its value, so that both sides are compared alike. */
#ifndef BUNNY_SCHEMA_TRAITS_H
#define BUNNY_SCHEMA_TRAITS_H

#include "pg/pg.h"

struct schema;

enum trait_of {
    TRAIT_OF_TABLE = 't',
    TRAIT_OF_COLUMN = 'c',     /* part: its name */
    TRAIT_OF_INDEX = 'i',      /* part: its name */
    TRAIT_OF_CONSTRAINT = 'k', /* part: its name */
    TRAIT_OF_STATISTICS = 's', /* part: "schema.name"; the object itself is a trait too */
    TRAIT_OF_BRANCH = 'n', /* the name of an index that is part of a partitioned one, the part */
    TRAIT_OF_OBJECT = 'o', /* a type, a sequence … of schema.before; part: an attribute … */
};
struct trait {
    int table; /* index in schema.tables, or -1 */
    enum trait_of of;
    char *what;  /* "comment on index" */
    char *part;  /* what of the table or object has it; "" itself */
    char *owner; /* the object, as schema_statement.what; NULL: a table */
    char *stem;  /* the statement's beginning; that of TRAIT_OF_BRANCH is the destination's own */
    char *value; /* and its end; NULL: there is none, but there is the part */
    char *reset; /* the end that takes it away; NULL: nothing does. A statistics object's is a
                  * statement of its own, and comes before the value if that changes */
    bool needs_objects; /* functions, … that are not mirrored */
    bool is_made;       /* of something that schema_create has made */
};
/* In the order of table, of, what, part. */
struct trait_list {
    size_t n, cap;
    struct trait *items;
};

/* Those of the tables of s (as they are called at the destination, if is_dest), and of what
 * s->before creates. With all: a row also for each part that has no such trait. */
bool traits_read(struct pg_conn *c, struct task *task, const struct schema *s,
                 const char *excluded_oids, const char *excluded_nums, bool is_dest,
                 struct trait_list *out, struct err *err) MUST_CHECK;
void traits_free(struct trait_list *l); /* the contents */
/* The same one of another list; NULL: none. */
const struct trait *traits_find(const struct trait_list *l, const struct trait *like);
/* The list has a row for the part, with whatever trait. */
bool traits_have_part(const struct trait_list *l, const struct trait *like);
void traits_sort(struct trait_list *l);
/* It is the object itself, not something about it. */
bool trait_is_object(const struct trait *t);
bool trait_is_of_schema(const struct trait *t);
/* Its column is left out by the mapping. */
bool trait_is_excluded(const struct schema *s, const struct trait *t);
/* What makes the destination's (there; NULL: it has none) like the source's. Caller frees. */
char *trait_sql(const struct trait *t, const struct trait *there);

/* Gives what schema_create has made its traits: those that count for the rows when is_early, the
 * others once everything is built. What cannot be is a warning. */
bool traits_apply(struct pg_conn *dest, struct task *task, const struct schema *s, bool is_early,
                  const char *mirror, struct err *err) MUST_CHECK;

#endif
