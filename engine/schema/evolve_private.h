/* What evolve.c (what a table's change means) and evolve_dest.c (the destination's side, and the
 * statements) share. Lives on the stack of schema_evolve. */
#ifndef BUNNY_EVOLVE_PRIVATE_H
#define BUNNY_EVOLVE_PRIVATE_H

#include "schema/evolve.h"
#include "schema/schema_private.h"

/* A column of the message beside what was known. */
struct evolve_pair {
    int attnum;
    const struct known_column *was; /* NULL: new */
    const struct evolve_column *to;
    char *type, *was_type; /* format_type at the source; was_type NULL: new */
    bool is_excluded, is_domain;
    bool is_inherited; /* the new one comes from a parent at the source */
    char *missing;     /* what older rows have in a new one; NULL: nothing */
    char *collation;   /* NULL: the type's */
};

/* A column of the destination, as it will be after the steps so far. */
struct evolve_place {
    char *was;                 /* its name before; NULL: a step adds it */
    char *name, *type, *owner; /* owner: the table that ALTER has to name, quoted */
    bool not_null, is_generated, has_default, has_identity, is_in_key, is_gone;
    bool is_needed; /* by what would not be dropped with it: a view, a generated column;
                     * or its table's rows are values of other columns */
    int booked;     /* attnum that the book of parts has for it; 0: none */
};

/* A table that steps name. What they do to its columns the server does to all that hang under it,
 * too: partitions and children of the mirror. */
struct evolve_owner {
    char *name;      /* quoted */
    bool *is_family; /* a byte a table of the schema: itself, and those under it */
};

struct evolve_work {
    const struct evolve_request *q;
    struct evolution *out;
    const struct schema_table *table;
    size_t n_pairs, n_lost, n_places;
    struct evolve_pair *pairs;
    const struct known_column **lost; /* known before, and no more */
    bool exists, is_partition, is_key_dropped;
    char *self, *root, *key; /* the table, its topmost parent, quoted; its primary key's name */
    struct evolve_place *places;
    size_t n_owners, owners_cap;
    struct evolve_owner *owners;
    struct buf left; /* "child parent,…": OIDs at the destination of what a step makes leave */
    struct buf changes, record;
};

/* The table, and those above it, leave parents that they have at the destination only: before
 * evolve_read_dest, which then does without those (evolve_parents.c). */
bool evolve_leave_parents(struct evolve_work *w, struct err *err) MUST_CHECK;
/* Reads the destination's table. */
bool evolve_read_dest(struct evolve_work *w, struct err *err) MUST_CHECK;
/* Makes the steps out of pairs and lost columns; the verdict becomes ASK where none will do. */
void evolve_make_steps(struct evolve_work *w);
/* Fills in who is_family. */
bool evolve_read_family(struct evolve_work *w, struct err *err) MUST_CHECK;
/* Does a step change that column of ours, and with it the one of its name in table i? */
bool evolve_reaches(const struct evolve_work *w, const struct evolve_place *p, size_t i);
/* By the name before or after the steps; NULL: none. */
const struct evolve_place *evolve_place_was(const struct evolve_work *w, const char *name);
const struct evolve_place *evolve_place_now(const struct evolve_work *w, const char *name);
/* Keeps the book of parts of table i in step with what reaches it. */
void evolve_record_relative(struct evolve_work *w, size_t i);
void evolve_places_free(struct evolve_work *w);

#endif
