/* Targets: a relation of the stream bound to its destination table, and the SQL of each kind of
 * change to it. Columns are bound by name, never by position. Owned by the apply of one mirror;
 * used by its thread only. */
#ifndef BUNNY_TARGET_H
#define BUNNY_TARGET_H

#include "schema/schema.h"
#include "stream/pgoutput.h"

struct target_column {
    char *name;
    char *type;           /* at the destination, for casts */
    char *equals;         /* its operator = there */
    char *base;           /* what it is compared as, when it is a domain there; or NULL */
    uint32_t source_type; /* OID at the source */
    bool is_skipped;      /* excluded by the mapping */
    bool is_key;          /* part of the replica identity */
    bool is_unsure;       /* no row is found by its value: see adapt_is_unsure */
    bool is_dest_key;     /* part of the destination's primary key */
    char *uniques;        /* as in struct dest_column */
    char *plain, *array;  /* the same */
    char delimiter;
    bool is_name;  /* of type name at the destination */
    bool is_moved; /* as in struct dest_column */
};

/* Columns whose values narrow a search: each set of those that are not NULL is a statement. */
#define MAX_NARROW 8

/* How the changes of a table may be sent, from the least to the most. */
enum target_way {
    TARGET_ALONE,   /* others look at them (triggers, rules, foreign keys): each at its place among
                     * all changes of all tables */
    TARGET_ROWS,    /* each at its place among the changes of its own table */
    TARGET_INSERTS, /* rows that are inserted one behind the other as one statement; of is_whole
                     * the net effect of all changes */
    TARGET_KEYED,   /* the net effect of all changes: a row is named by values whose text is equal
                     * where they are, and one index enforces that */
};

/* How a row is found at the destination. */
enum target_where {
    WHERE_NONE,  /* INSERT */
    WHERE_KEY,   /* replica identity columns */
    WHERE_PKEY,  /* old row is whole (REPLICA IDENTITY FULL): by the destination's primary key */
    WHERE_IMAGE, /* the same, without a key: one row with the same image */
};

struct target_statement {
    char name[32];
    char *sql;
    enum pgo_kind op;
    enum target_where where;
    unsigned char *mask; /* UPDATE: a byte a column, 1 = unchanged TOAST, not written */
    int n_params;
    unsigned narrows; /* WHERE_IMAGE: a bit for each of the target's narrow columns, 1 = the search
                       * begins with its value */
    uint64_t used;    /* when it was last asked for, as a count */
    bool is_reusing;  /* new, under the name of one that it replaces: the server drops that first */
    bool is_sure;     /* it cannot touch more than one row */
    bool is_moved; /* UPDATE of a row that a foreign key of the destination may have given what it
                    * gets, before the source's own change of it came: it is found then, too */
};

struct target {
    uint32_t oid;        /* at the source */
    int number;          /* its place with the apply; part of statement names */
    char *source;        /* "schema.table", for people */
    char *dest;          /* quoted and qualified */
    bool is_partitioned; /* the destination: ctid alone does not name a row */
    bool is_parent;      /* a partitioned root: only truncated */
    int table;           /* index in struct schema */
    size_t n_columns;
    struct target_column *columns; /* in the order of the relation message */
    bool has_names;
    bool is_cascaded;   /* as in struct dest_table */
    bool has_dest_key;  /* it is streamed as a whole: an old row is found by it … */
    bool is_key_shared; /* … unless it is deferrable, and only narrows the search */
    size_t n_narrow;
    int narrow[MAX_NARROW]; /* columns whose values narrow the search for a whole row */
    size_t n_indexed;       /* so many of them, the first ones, are indexed */
    bool is_key_unique;     /* a unique index says that the replica identity names one row */
    enum target_way way;
    bool is_one_each; /* there are further unique indexes: no change is left out for a later one,
                       * which would hide that it meets a row that should not be there */
    bool is_whole;    /* TARGET_INSERTS: old rows come whole, and no index tells them apart */
    size_t n_keys;
    int *keys; /* columns of the replica identity, of a TARGET_KEYED; of is_whole all that go to the
                * destination */
    int rest;  /* chunks that its changes go one by one, and how often that was so */
    int rests;
    size_t n_named;
    int *named; /* columns that name a row for people: the replica identity, or of a whole row the
                 * destination's key */
    size_t n_statements, cap_statements;
    struct target_statement **statements;
    uint64_t asked; /* for statements, so far */
};

/* Binds a relation message to its table. Everything that does not fit is ERR_SCHEMA, naming it. */
bool target_bind(const struct pgo_message *relation, const struct schema_table *table, int index,
                 const struct dest_table *dest, int number, struct target **out,
                 struct err *err) MUST_CHECK;
/* ERR_SCHEMA when a column has another type at the source than in the binding before (NULL: none):
 * the rows that ALTER TABLE rewrote are not in the stream. */
bool target_check_types(const struct target *before, const struct target *now,
                        struct err *err) MUST_CHECK;
/* The same against the definition that the table was copied with. */
bool target_check_copied(const struct target *now, const struct schema_table *copied,
                         struct err *err) MUST_CHECK;
/* The relation message is older than the copy: the columns' types are those of the copy. */
void target_take_types(struct target *t, const struct schema_table *copied);
void target_free(struct target *t);
/* For target_bind: fills way and what belongs to it. */
void target_choose_way(struct target *t, const struct pgo_message *relation,
                       const struct dest_table *dest);
/* Whether all columns of the index that a token of uniques ("OID:columns") names are in the replica
 * identity. */
bool target_key_covers(const struct target *t, const char *text, size_t len);

/* The statement for a change, made when it is the first of its kind (*is_new: to be prepared). A
 * table has only so many: a new one may take the place of the one that was not asked for longest.
 * NULL with *err when the change has no usable key. */
const struct target_statement *target_statement_for(struct target *t, const struct pgo_message *m,
                                                    bool *is_new, struct err *err);
/* ERR_PROTOCOL when the change has another number of columns than the relation; ERR_REFUSED when
 * the destination would take a value for another one without a word. */
bool target_check_values(const struct target *t, const struct pgo_message *m,
                         struct err *err) MUST_CHECK;
/* The parameters of that statement, slices of the message; values has room for 3 * n_columns. */
int target_params(const struct target *t, const struct target_statement *s,
                  const struct pgo_message *m, const char **values);

#endif
