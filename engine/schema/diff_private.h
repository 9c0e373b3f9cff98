/* What the files diff*.c share while two sides are compared. A struct diff lives on the stack of
 * schema_diff and belongs to its thread.
 *
 * The destination is read into the same structures as the source (struct reader), and each step
 * that is found is also done to that picture, with what the server would do to partitions and
 * children by itself. What is compared later sees the destination as it will be. */
#ifndef BUNNY_DIFF_PRIVATE_H
#define BUNNY_DIFF_PRIVATE_H

#include "schema/schema_private.h"

/* --- The book of parts (book.c) ----------------------------------------------------------------
 */
enum book_kind {
    BOOK_TABLE = 't',    /* number: relfilenode; name, detail: source table and schema of the map */
    BOOK_COLUMN = 'c',   /* number: attnum */
    BOOK_EXCLUDED = 'x', /* number: attnum */
    BOOK_INDEX = 'i',    /* constraints that are indexes too */
    BOOK_CHECK = 'k',    /* of tables and of domains */
    BOOK_FKEY = 'f',
    BOOK_OPTION = 'o',    /* storage parameter */
    BOOK_COMMENT = 'm',   /* number: attnum, 0 the table */
    BOOK_LABEL = 'e',     /* of an enum; number: OID of the label */
    BOOK_ATTRIBUTE = 'b', /* of a composite; number: attnum */
    BOOK_TRAIT = 'a',     /* number: 0; oid: 0 if it is not a table's */
    BOOK_REFUSED =
        'r', /* number: of the statement; name: what it does; detail: the server's word */
    /* What is known where the stream stands (known.h), no part of struct book. */
    BOOK_STREAMED = 's', /* column; number: attnum */
    BOOK_FILENODE = 'n', /* number: relfilenode */
    /* Nor is what the mirror's own places are (places.h, published.h). */
    BOOK_PLACE = 'd',     /* at the destination; number: attnum at the source, 0 the table */
    BOOK_PUBLISHED = 'p', /* oid: 0; number: OID of the publication */
};
struct book_part {
    uint32_t oid; /* of the table or type at the source */
    enum book_kind kind;
    int64_t number;
    char *name, *detail;
    char *dest_schema, *dest_name; /* of the table or type */
};
struct book {
    bool exists; /* there is a book table, and something about this mirror in it */
    bool can_write;
    size_t n, cap;
    struct book_part *items; /* by oid, kind, number, name */
};
bool book_read(struct pg_conn *dest, struct task *task, const char *mirror_id, struct book *out,
               struct err *err) MUST_CHECK;
void book_free(struct book *b);
/* Strings are copied; detail may be NULL. */
void book_add(struct book *b, uint32_t oid, enum book_kind kind, int64_t number, const char *name,
              const char *detail, const char *dest_schema, const char *dest_name);
/* Borrowed; NULL: none. name NULL: any; number < 0: any. */
const struct book_part *book_find(const struct book *b, uint32_t oid, enum book_kind kind,
                                  int64_t number, const char *name);
/* Whether it has parts of that kind of the destination's table or type. b may be NULL. */
bool book_knows(const struct book *b, enum book_kind kind, const char *dest_schema,
                const char *dest_name);
/* Statements that replace all of mirror_id by b, but for what was refused. Caller frees. */
char *book_sql(const struct book *b, const char *mirror_id);
/* Statements that replace what is known of the tables and types that b has parts of, or that had
 * their places at the destination before them. Of all others nothing is touched: the stream may be
 * writing about them. Caller frees. */
char *book_sql_about(const struct book *b, const char *mirror_id);
/* Statements that replace what is known of these tables and types by what b says. */
/* "DELETE …; INSERT …": what the destination refuses and refused before, of a plan that was run. */
char *book_sql_refused(const struct schema_plan *plan);
/* BOOK_REFUSED's number of a statement. */
int64_t book_number_of(const char *sql);
char *book_sql_of(const struct book *b, const char *mirror_id, const uint32_t *oids, size_t n);
/* A statement for a step that renames parts, "(oid, number), …": the book says so also where other
 * steps are left, for which book_sql_of has restored what it said before all of them. In one that
 * has the names of after the plan it finds nothing. Caller frees. */
char *book_sql_renamed(const char *mirror_id, enum book_kind kind, const char *parts,
                       const char *from, const char *to);

/* --- The comparison ----------------------------------------------------------------------------
 */
/* The order is a rule, not left to who finds a step: what is given up goes first, then columns
 * (their types before defaults), then what hangs on columns, and last what looks at rows. What is
 * given up waits for no place in the stream; what hangs on a column that a copy has to bring is
 * left out until then (diff.c). */
enum stage {
    STAGE_FIRST,   /* outside of the transaction */
    STAGE_UNTIE,   /* tables of types that change */
    STAGE_OBJECT,  /* schemas, extensions, collations, types, sequences */
    STAGE_RELEASE, /* constraints and indexes that have to go */
    STAGE_LOOSEN,  /* NOT NULL that has to go, by the names that columns have before the plan */
    STAGE_COLUMN,
    STAGE_DETACH, /* partitions that go: new ones may take their place */
    STAGE_TABLE,  /* new tables */
    STAGE_DETAIL, /* options, comments … of tables */
    STAGE_INDEX,
    STAGE_CHECK,
    STAGE_FKEY,
    STAGE_VALIDATE,
    STAGE_SEQUENCE, /* values and owners */
    STAGE_TRAIT,    /* comments, statistics … */
    STAGE_COUNT,
};

/* A destination column as it was when read. */
struct old_column {
    int attnum;
    char *name, *type, *collation;
    bool is_identity;
};
/* Beside the tables of the destination. */
struct old_table {
    size_t n;
    struct old_column *columns;
    bool is_renamed; /* a column was renamed, or went */
};

/* Beside the tables of the source. */
struct pair {
    int dest;         /* index of its table in d->dst, or -1 */
    bool is_new;      /* no such table: it is created */
    bool is_attached; /* new, and a partition that was a table before, perhaps with rows */
    bool at_point;    /* one of its steps is, and so all are: they count on new names */
    bool is_unfit;    /* something else has its name, or a name has no room there: left alone */
    bool *is_pending; /* a byte a column: the destination has it not, or under another name */
    bool has_pending;
    bool *is_renamed;   /* a byte a column: by this plan */
    bool *is_own_index; /* a byte an index: left to the operator, not in the book */
};

/* Beside the tables of the source, while partitions have other names at the destination. */
struct moved {
    const struct book_part *from; /* borrowed from the book: the table is there by this name, which
                                   * diff_moved makes the new one */
    bool is_displaced;            /* its name there is still another one's: it is missing */
};

struct diff {
    struct pg_conn *source, *dest;
    struct task *task;
    const struct mirror_config *config;
    const char *mirror_id;
    struct reader src, dst;
    struct table_map *src_maps; /* those of the config that the source has; borrowed contents */
    int *map_index;             /* of each: its place in the config */
    size_t n_src_maps;
    bool is_at_types; /* what is compared at the moment */
    bool is_refit;    /* the tables are empty, their rows come anew: nothing can be lost */
    bool keeps_rows;  /* … but for readers, who have the old ones until then */
    struct pair *pairs;
    struct moved *moved;
    struct old_table *old;
    bool *exists;  /* per statement of src.s->before */
    char *kinds;   /* the same: relkind, or typtype */
    bool *is_left; /* the same: it is neither made nor changed */
    struct book book, next;
    struct name_list at_point_types; /* the same, of types */
    struct name_list remade;         /* indexes and constraints that steps make: as trait_place() */
    struct trait_list there;         /* the destination's traits */
    struct schema_plan stages[STAGE_COUNT];
    size_t n_marked[STAGE_COUNT]; /* of these, steps whose about is known */
};

/* Adds a step; sql and what are taken over. table: index in src, or -1. The result is borrowed
 * until the next step, for its flags. */
struct schema_step *diff_run(struct diff *d, enum stage stage, int table, char *sql, char *what);
struct schema_step *diff_manual(struct diff *d, enum stage stage, int table, char *sql, char *what,
                                char *why);
void diff_note(struct diff *d, enum stage stage, int table, char *sql, char *what, char *why);

/* The step is only right at its point of the stream, and with it all others of the table (and what
 * hangs under it), or those that use the type; while it is left, the book stays as it is for them.
 */
void diff_table_at_point(struct diff *d, struct schema_step *s, int table);
void diff_type_at_point(struct diff *d, struct schema_step *s, uint32_t oid, const char *name);
/* Steps create or change objects that the tables need: what is tried now may fail only because they
 * have not run yet. */
bool diff_makes_objects(const struct diff *d);
/* The step renames a column: so does what is known where the stream stands (known.h). */
void diff_streamed_name(struct diff *d, struct schema_step *s, int table, const char *from,
                        const char *to);
/* "ALTER TABLE [ONLY] schema.table " of source table i at the destination. */
struct buf alter_table(const struct diff *d, int i, bool only);
/* "ALTER TABLE [ONLY] schema.table ALTER COLUMN column " */
struct buf alter_column(const struct diff *d, int i, const char *column, bool only);
/* "what schema.table.part" (part NULL: of the table). Caller frees. */
char *diff_what(const struct diff *d, int i, const char *what, const char *part);
/* In the destination's picture, by name; NULL: none. */
struct schema_column *find_column(const struct schema_table *t, const char *name);
struct schema_table *dest_of(struct diff *d, int i); /* of source table i; NULL: none */
/* What a step does to a column of the destination's picture, and to that of partitions and children
 * that have it from there (picture.c). */
struct column_change {
    enum change_kind {
        CHANGE_RENAME,
        CHANGE_TYPE,
        CHANGE_NOT_NULL,
        CHANGE_PLAIN, /* generated no more */
        CHANGE_ADD,
        CHANGE_DROP,
    } kind;
    const char *name;
    const char *text;                   /* RENAME: the new name; TYPE: the type */
    const char *collation;              /* TYPE */
    bool not_null;                      /* NOT_NULL, ADD */
    const struct schema_column *column; /* ADD: the source's */
    const struct read_column *extra;    /* ADD */
    const char *default_expr;           /* ADD */
};
/* Columns move: pointers to them are found anew afterwards. */
void picture_change(struct diff *d, int j, const struct column_change *change);
/* A partition of the table with that OID, or one that inherits from it. */
bool diff_is_child(const struct read_table *rt, uint32_t parent);
/* Calls f for destination table j's partitions and children, and theirs. */
void for_descendants(struct diff *d, int j, void (*f)(struct diff *, int child, void *arg),
                     void *arg);
/* Asks a question that may take long: *known = false when it took longer than some seconds or was
 * refused. The connection is in a transaction. *answer: caller frees. */
bool ask_text(struct pg_conn *c, struct task *task, const char *sql, char **answer, bool *known,
              struct err *err) MUST_CHECK;
bool ask_slowly(struct pg_conn *c, struct task *task, const char *sql, bool *answer, bool *known,
                struct err *err) MUST_CHECK;

/* Parts of schema_diff, in order. Each adds steps, and to d->next what is then the same. */
/* Fills d->moved, before the destination is read; the steps, after which d->book has the new names
 * (diff_moved.c). */
bool diff_find_moved(struct diff *d, struct err *err) MUST_CHECK;
void diff_moved(struct diff *d);
/* Tables with names that the destination would cut off are left alone until these are changed. */
bool diff_names(struct diff *d, struct err *err) MUST_CHECK;
bool diff_types(struct diff *d, struct err *err) MUST_CHECK;
bool diff_objects(struct diff *d, struct err *err) MUST_CHECK;
bool diff_columns(struct diff *d, int i, struct err *err) MUST_CHECK;
/* Column c of source table i beside the one of that name at the destination (diff_column.c). */
bool diff_column(struct diff *d, int i, size_t c, struct err *err) MUST_CHECK;
/* Of a table that is copied again: sequences of columns that the source has dropped, and others
 * have their names now. */
bool diff_drop_sequences(struct diff *d, int i, struct err *err) MUST_CHECK;
/* Adds a generated column of that name. */
bool diff_add_generated(struct diff *d, int i, const char *name, struct err *err) MUST_CHECK;
/* A column of the destination may be NULL from now on; why is for the case that its own primary key
 * forbids it. */
void diff_drop_not_null(struct diff *d, int i, const char *column, const char *why);
/* Nothing counts in that column of the destination any more, nor in what inherits it. */
void diff_drop_identity(struct diff *d, int i, char *column);
/* For an identity that is added: "([SEQUENCE NAME …] START WITH …)", caller frees; NULL: error. */
char *identity_options(struct diff *d, int i, int attnum, struct err *err) MUST_CHECK;
/* The value of that identity's sequence is to be set. */
void want_sequence_value(struct diff *d, int i, int attnum);
/* The destination's primary key will go (diff_indexes.c). */
bool drops_primary_key(const struct diff *d, int i);
bool diff_new_table(struct diff *d, int i, struct err *err) MUST_CHECK;
bool diff_table_details(struct diff *d, int i, struct err *err) MUST_CHECK;
/* It leaves parents that it has at the destination only: before its columns are compared. */
void diff_leave_parents(struct diff *d, int i);
bool diff_indexes(struct diff *d, int i, struct err *err) MUST_CHECK;
void diff_identity_of_table(struct diff *d, int i); /* its replica identity */
/* Drops a foreign key of the destination that the mirror made. */
void diff_drop_fkey(struct diff *d, int i, const char *name);
/* The destination lacks this object of the source's, which a step creates. */
bool diff_is_new(const struct diff *d, enum schema_object object, const char *schema,
                 const char *name);
bool diff_checks(struct diff *d, int i, struct err *err) MUST_CHECK;
bool diff_fkeys(struct diff *d, int i, struct err *err) MUST_CHECK;
bool diff_sequences(struct diff *d, struct err *err) MUST_CHECK;
/* A step makes that index or constraint of source table i: it has no traits yet. */
void diff_remade(struct diff *d, int i, const char *name);
bool diff_traits(struct diff *d, struct err *err) MUST_CHECK;
void diff_remember_traits(struct diff *d);
bool diff_gone_tables(struct diff *d, struct err *err) MUST_CHECK;
void diff_remember(struct diff *d); /* the tables' parts, in d->next */
/* And those of an earlier book that the source has no more and the destination still has: a copy of
 * the rows does not make them the operator's own. */
void diff_remember_kept(struct diff *d, const struct book *before);

/* What rows that were there before have in a column that the source has added (fill.c). */
enum fill_kind {
    FILL_NULL,
    FILL_VALUE,
    FILL_UNKNOWN, /* each its own, or it can no longer be told */
};
struct fill {
    enum fill_kind kind;
    char *value;     /* as text */
    bool is_default; /* and the column's default is that same constant */
};
bool diff_fill(struct diff *d, int i, const struct schema_column *c, struct fill *out,
               struct err *err) MUST_CHECK;

/* True when every value of one type is one of the other, the same to its users (widen.c). */
bool type_widens(const char *from, const char *to);

/* The same as schema_look_at_layouts; book: NULL, names have to be the same. */
bool layouts_look(struct pg_conn *dest, struct task *task, const struct schema *s,
                  const struct book *book, struct layout_gaps *out, struct err *err) MUST_CHECK;
/* Tables with values that may be in other attributes are to be copied again. */
bool diff_layouts(struct diff *d, struct err *err) MUST_CHECK;

/* Comparing definitions by what the destination's server makes of them (shadow.c). */
enum shadow_verdict {
    SHADOW_SAME,
    SHADOW_DIFFERENT,
    SHADOW_REFUSED, /* the source's cannot be made there */
    SHADOW_NONE,    /* there is no shadow to try it on */
};
enum shadow_kind {
    SHADOW_INDEX,      /* tails of CREATE INDEX */
    SHADOW_CONSTRAINT, /* "CHECK (…)", "UNIQUE (…)" */
    SHADOW_DEFAULT,    /* expressions; column: whose */
    SHADOW_GENERATED,
};
struct shadow_question {
    enum shadow_kind kind;
    bool is_unique;
    const struct schema_column *column; /* of the source */
    const char *from, *to; /* destination's (NULL: only whether the other can be made), source's */
};
/* why: what the server said to SHADOW_REFUSED or SHADOW_NONE. */
bool shadow_compare(struct diff *d, int i, const struct shadow_question *q,
                    enum shadow_verdict *out, struct err *why, struct err *err) MUST_CHECK;

#endif
