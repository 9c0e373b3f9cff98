/* Definitions: what the source's tables look like, what has to run at the destination so that they
 * exist there, and whether both servers can carry a mirror at all (preflight).
 *
 * Everything here runs in the calling thread on connections that the caller owns, reads the
 * servers' catalogs with an empty search_path, and keeps no state. A struct schema is immutable
 * once read: copy workers and the stream may share it. */
#ifndef BUNNY_SCHEMA_H
#define BUNNY_SCHEMA_H

#include "engine.h"
#include "pg/pg.h"
#include "schema/traits.h"

struct schema_column {
    char *name;
    int attnum;        /* at the source */
    char *type;        /* format_type, schema-qualified where it is not built in: "numeric(5,2)" */
    uint32_t type_oid; /* at the source */
    bool is_built_in;  /* a type of pg_catalog (or an array of one): same OID on both sides */
    bool can_binary;   /* is_built_in, has send and receive: safe in binary formats */
    bool not_null;
    bool is_generated;  /* GENERATED ALWAYS AS (…) STORED: neither copied nor streamed */
    char identity;      /* 'a' always, 'd' by default, 0 none */
    bool is_excluded;   /* by the mapping */
    char *default_expr; /* pg_get_expr, or the generation expression; NULL none */
    char *collation;    /* qualified and quoted, when not the type's default; NULL */
    char *comment;
};

enum schema_index_kind {
    INDEX_PLAIN,      /* CREATE INDEX */
    INDEX_UNIQUE,     /* CREATE UNIQUE INDEX, no constraint */
    INDEX_PRIMARY,    /* constraint */
    INDEX_CONSTRAINT, /* unique or exclusion constraint */
};
struct schema_index {
    enum schema_index_kind kind;
    char *name;
    char *create_sql; /* for the destination: CREATE INDEX …, or ALTER TABLE … ADD CONSTRAINT … */
    char *branches_sql; /* of a partitioned table's: makes those of its partitions too, each as it
                         * is at the source, where create_sql lets the server choose; NULL: none */
    bool is_replica_identity;
    bool is_valid;   /* of the source's always, but for those that are partial */
    bool is_partial; /* of a partitioned table, made ON ONLY it, and not every partition has one
                      * under it: neither has the destination's */
    int n_branches;  /* those under it, all the way down; of the destination's if it is partial */
    size_t tail;     /* where in create_sql the part behind all names begins */
    bool needs_objects; /* functions, operators, … that are not mirrored: schema_create tries it */
    int64_t bytes;      /* at the source, with those of partitions; 0: not in_transaction */
    bool is_collated;   /* its first column is sorted by a collation */
    /* Of a constraint that can be made in two steps, so that other indexes are built meanwhile;
     * else NULL: the name of an index like its own, CREATE INDEX of that name, and what ALTER TABLE
     * then says to make it the constraint's (and gives it the constraint's name). */
    char *twin, *twin_sql, *adopt_sql;
};
/* Of twins; such an index is never the operator's. */
#define SCHEMA_TWIN_PREFIX "_bunnydb_"
struct schema_fkey {
    char *name;
    int to;        /* index of the table it refers to */
    char *add_sql; /* … ADD CONSTRAINT … FOREIGN KEY … DEFERRABLE INITIALLY DEFERRED NOT VALID */
    char *validate_sql; /* NULL when it was not valid at the source (or cannot be NOT VALID) */
};

/* A relation of the source that holds rows: an ordinary table, or a leaf partition of a mapped
 * partitioned table (each leaf is published, copied and streamed as itself). */
struct schema_table {
    uint32_t oid; /* at the source */
    char *schema, *name;
    char *dest_schema, *dest_name;
    int mapping;         /* index of the struct table_map it comes from */
    bool is_partitioned; /* a partitioned parent: created, never copied or streamed */
    bool is_unlogged;
    bool is_text_only; /* a column of the destination's, written or not, has a type that cannot be
                        * received: the server then takes no binary COPY */
    char replica_identity; /* pg_class.relreplident: 'd' 'f' 'i' 'n' */
    size_t n_columns;
    struct schema_column *columns; /* in attnum order, dropped ones left out */
    size_t n_indexes;
    /* Primary key first. Those of a partitioned parent belong to all its partitions: they are built
     * on the parent once every partition has its rows (the server then builds one on each), and are
     * not listed again with the partitions. Without with_indexes: only the primary key, the replica
     * identity and what a mapped foreign key refers to. */
    struct schema_index *indexes;
    size_t n_fkeys;
    struct schema_fkey *fkeys;
    size_t n_key;
    char **key;          /* column names of the primary key, in key order; none: n_key 0 */
    int64_t pages;       /* heap size in blocks now (pg_relation_size), for ctid ranges */
    int64_t bytes;       /* pages * block size, and TOAST */
    int64_t index_bytes; /* of all its indexes, as statistics say */
    double rows;         /* reltuples; -1 unknown */
};

enum schema_object {
    OBJECT_SCHEMA,
    OBJECT_EXTENSION,
    OBJECT_COLLATION,
    OBJECT_TYPE,
    OBJECT_SEQUENCE,
    OBJECT_TABLE,
};

/* What values of a composite, or rows of a table, in columns are made of: the text of such a value
 * is that of all attributes in their order. (layouts.c) */
struct schema_layout {
    uint32_t type, relation; /* at the source */
    char *schema, *name;     /* the same on both sides */
    bool is_table;           /* or a view …; else a composite */
    size_t n, cap;
    struct schema_attribute {
        int number; /* attnum at the source */
        char *name, *type;
    } * attributes;
    size_t n_users, users_cap;
    struct schema_layout_user {
        int table; /* index of the table whose column holds such values, by whatever is around them
                    */
        char *column;
    } * users;
};
/* A column that holds values whose attributes are others at the destination. */
struct layout_gap {
    int table;
    const char *column; /* of the schema */
    bool is_table;      /* rows of a table */
    bool is_shorter;    /* the destination only lacks the last ones: no value fits in silence */
    bool is_known;      /* the book has parts of what they are values of */
    char *why;          /* "rows of public.a, whose …", and what helps */
};
struct layout_gaps {
    struct layout_gap *items;
    size_t n, cap;
};
void layout_gaps_free(struct layout_gaps *g); /* the contents */

struct schema {
    size_t n_tables;
    struct schema_table *tables; /* parents before their partitions, then by name */
    size_t n_before;
    struct schema_statement {
        char *sql;     /* NULL: it cannot be created from here, and must exist */
        char *what;    /* "type public.mood", for logs and errors */
        bool optional; /* when it fails the mirror goes on, with a warning and the statement */
        enum schema_object object;
        char *schema, *name; /* of the object at the destination (schema "" for a schema itself) */
        char *source_schema; /* where that is another one; NULL */
        bool is_part;        /* runs only right after the object itself was created */
        int older_than;      /* only destinations older than this version can have it; 0: all can */
        int below;       /* makes the table a child of the table with this index + 1; 0: of none */
        int after_table; /* a type that is made of the row type of the table with this index + 1,
                          * and of none that comes later; 0: of none */
        char *labels;    /* of an enum: an array literal; NULL for all others */
        char *needs;     /* without what a table cannot be made: an array of "function" or
                          * "operator class", its schema, its name, and so on; NULL: nothing */
        char *sets;      /* it sets a sequence: for sequences_keep_sql; NULL: it does not */
    } * before; /* schemas, extensions, types, sequences, tables: in order, before the copy */
    size_t n_after;
    struct schema_statement *after; /* sequence values and ownership …: after the copy */
    size_t n_layouts;
    struct schema_layout *layouts; /* of the source; by type */
    struct trait_list traits;      /* comments, statistics …: schema_run_after gives them */
    bool has_left_out;  /* schema_create could not make all of it: a comparison says what and why */
    int server_version; /* of the source */
};
void schema_free(struct schema *s);
/* By the names at the source, or at the destination. NULL when there is none. */
const struct schema_table *schema_find(const struct schema *s, const char *src_schema,
                                       const char *src_table);
const struct schema_table *schema_find_dest(const struct schema *s, const char *dest_schema,
                                            const char *dest_table);

/* Resolves "*" mappings against the source (a table that is also named by itself keeps its own
 * mapping; partitions come with their mapped parent), fills in defaults (dest names), refuses
 * duplicates, two sources for one destination, and tables that do not exist (all of them in one
 * error). Returns the new list; free each with table_map_free, then the array. */
bool schema_resolve_maps(struct pg_conn *source, struct task *task, const struct table_map *maps,
                         size_t n, struct table_map **out, size_t *n_out,
                         struct err *err) MUST_CHECK;

/* Reads all definitions of the mapped tables in one transaction of the connection (inside one that
 * is open already, if so: it runs no BEGIN of its own when in_transaction). */
bool schema_read(struct pg_conn *source, struct task *task, const struct table_map *maps, size_t n,
                 bool with_indexes, bool with_fkeys, bool in_transaction, struct schema **out,
                 struct err *err) MUST_CHECK;

/* Fails with ERR_SNAPSHOT_STALE when tables or columns that were read in this transaction have
 * other names by now. What the server's functions write (a default, an index) has the names of now,
 * whatever snapshot the transaction has: columns that have exchanged their names would be taken for
 * each other. schema_read asks it by itself, unless in_transaction. */
bool schema_check_names(struct pg_conn *source, struct task *task, const struct schema *s,
                        struct err *err) MUST_CHECK;

/* schema_read for some of the mappings of a mirror: where partitions in other schemas go is decided
 * by all of them. */
bool schema_read_some(struct pg_conn *source, struct task *task, const struct mirror_config *all,
                      const struct table_map *maps, size_t n, bool with_indexes, bool with_fkeys,
                      bool in_transaction, struct schema **out, struct err *err) MUST_CHECK;

/* Creates at the destination what of s->before is missing there, everything that is wrong being
 * found before the first statement runs. Indexes and foreign keys that an existing table has
 * already (by name, or a primary key by any name) are taken off the lists of s, and so are those
 * that need functions which the destination lacks (with a warning). Tables that exist are compared:
 * every column we write must be there, and no other may be NOT NULL without a default (ERR_SCHEMA
 * names all of them). Binary agreement is checked: a column whose type at the destination differs
 * gets can_binary = false, and its table may be is_text_only. These are the only changes of s, made
 * before it is shared. create = false: only the comparison, missing tables are ERR_TABLE_MISSING.
 */
bool schema_create(struct pg_conn *dest, struct task *task, struct schema *s, bool create,
                   const char *mirror, struct err *err) MUST_CHECK;

/* Runs s->after, when the tables have their rows, and gives what schema_create has made its traits.
 * A sequence that only tables outside of s use there is left alone. What is written to the others
 * is remembered for the mirror of mirror_id (sequences.h). */
bool schema_run_after(struct pg_conn *dest, struct task *task, const struct schema *s,
                      const char *mirror_id, const char *mirror, struct err *err) MUST_CHECK;
/* ERR_TABLE_MISSING names all tables of s that the destination does not have. Their columns are
 * not compared: where the stream stands they may be others than the source's are now. */
bool schema_check_tables(struct pg_conn *dest, struct task *task, const struct schema *s,
                         struct err *err) MUST_CHECK;

/* Columns of s whose values would land in other attributes at the destination, or do not fit there.
 * mirror_id: what was renamed is told by its book of parts. */
bool schema_look_at_layouts(struct pg_conn *dest, struct task *task, const char *mirror_id,
                            const struct schema *s, struct layout_gaps *out,
                            struct err *err) MUST_CHECK;

/* Whether columns of the schema's tables hold rows of the table (an index). */
bool schema_is_in_columns(const struct schema *s, int table);
/* Of a statement that adds a column of a domain, which the rows that are there shall not have the
 * domain's default in: beside columns that hold rows of the table the server allows no other
 * default either, so that the domain is without one for that moment. */
void schema_without_default(struct buf *sql, const char *domain);

/* What a destination relation really is: the stream prepares its statements from this. */
struct dest_column {
    char *name;
    char *type; /* format_type */
    uint32_t type_oid;
    bool is_generated;
    bool has_equality; /* a default btree or hash operator class with = */
    char *equals;      /* that operator: "=", or qualified when pg_catalog does not have it */
    char *base;    /* what a domain is stored as: a domain over an enum has no = itself; or NULL */
    char *uniques; /* "OID:columns …" of the unique indexes that it is a column of and that are
                    * always in force for every row; empty: none */
    char *plain;   /* format_type without a modifier */
    char *array; /* the type of arrays whose elements are such values; NULL: it is an array itself,
                  * or composite, which unnest would take apart */
    char delimiter;        /* between elements of such an array's text */
    bool is_deterministic; /* equal values have the same bytes, as far as the collation goes */
    bool is_moved;   /* in this session a foreign key gives it another value when the row that it
                      * refers to is deleted or gets another key */
    bool is_indexed; /* the first one of an index in which a value is looked up */
};
struct dest_table {
    bool exists;
    bool is_partitioned;
    size_t n_columns;
    struct dest_column *columns;
    size_t n_key;
    char **key;             /* of its primary key; none: 0 */
    bool is_cascaded;       /* in this session ON DELETE CASCADE deletes its rows, too */
    bool is_key_deferrable; /* inside a transaction several rows may have the same key */
    /* Nothing but its own indexes and checks looks at a change of a row, in this session: no
     * trigger fires, no rule or row security is there, no partition is a foreign table. */
    bool is_plain;
    size_t n_uniques; /* unique and exclusion indexes, of the partition that has most */
};
void dest_table_free(struct dest_table *t); /* the contents */
/* A row for each of some tables ($1, an array of their quoted names), or of their partitions, that
 * is not is_plain (any more). */
extern const char schema_seen_sql[];
bool schema_read_dest(struct pg_conn *dest, struct task *task, const char *schema,
                      const char *table, struct dest_table *out, struct err *err) MUST_CHECK;

/* --- Synchronisation: the destination's definitions follow the source's ------------------------
 */
/* Compares the mapped tables and all they need on both sides (c->tables are resolved mappings), and
 * lists what makes the destination's definitions those of the source, in order. What only the
 * destination has stays. Changes nothing; works in transactions of its own that are rolled back, so
 * neither connection may be inside one. Tables of the mapping that the source has no more are
 * STEP_MANUAL. mirror_id: whose book of parts to read (see below); NULL: none. */
bool schema_diff(struct pg_conn *source, struct pg_conn *dest, struct task *task,
                 const struct mirror_config *c, const char *mirror_id, struct schema_plan *out,
                 struct err *err) MUST_CHECK;
/* The same for tables that are about to be copied anew, in the source's transaction that is open:
 * what their columns need before (types, columns), even where it loses the rows that are there
 * (keeps_rows: their values are cast, as well as the server can). */
bool schema_refit(struct pg_conn *source, struct pg_conn *dest, struct task *task,
                  const struct mirror_config *c, const char *mirror_id, bool keeps_rows,
                  struct schema_plan *out, struct err *err) MUST_CHECK;
/* Runs the plan's STEP_RUN in one transaction that never waits long for a lock (it is tried again a
 * few times instead, then ERR_SQL with 55P03). Steps whose time has not come where the stream
 * stands are left out; another diff brings them again. What fails is named with its statement, and
 * nothing is changed then, but for steps with runs_first (adding to an enum), which are harmless
 * and not repeated. What the destination refuses and may lack becomes a note of the plan, which the
 * book remembers; such notes of before are tried again. */
bool schema_plan_run(struct pg_conn *dest, struct task *task, struct schema_plan *plan,
                     const struct schema_point *at, const char *mirror, struct err *err) MUST_CHECK;
/* Which steps of a plan the server refuses that may be refused, when a copy has left some out: they
 * become notes of the plan, which the book remembers. Everything else stays as it is; a step that
 * takes seconds is not waited for. */
bool schema_plan_try(struct pg_conn *dest, struct task *task, struct schema_plan *plan,
                     const char *mirror, struct err *err) MUST_CHECK;

/* The book of parts, _bunnydb.table_parts at the destination: which columns (by attnum), indexes,
 * constraints … each mirrored table had when definitions were last the same on both sides. It tells
 * a renamed column from a dropped and an added one, what was dropped at the source from what is the
 * operator's own at the destination, and whether the source has rewritten a table since. It is
 * made and removed with _bunnydb.progress; schema_plan_run keeps it. */
extern const char schema_book_create_sql[]; /* the table; schema _bunnydb exists */
/* Writes the book for the tables of c anew: after their first snapshot, or when they were copied
 * again. in_transaction: the source's definitions are those of the snapshot its transaction has. */
bool schema_book_write(struct pg_conn *source, struct pg_conn *dest, struct task *task,
                       const struct mirror_config *c, const char *mirror_id, bool in_transaction,
                       struct err *err) MUST_CHECK;

/* Preflight, as engine.md and troubleshooting.md say. Everything that is wrong goes to findings;
 * an error return means that the question itself could not be asked. */
bool preflight_source(struct pg_conn *source, struct task *task, struct findings *f,
                      struct err *err) MUST_CHECK;
bool preflight_dest(struct pg_conn *dest, struct task *task, struct findings *f,
                    struct err *err) MUST_CHECK;
/* For one mirror: rights on each table, replica identities, slot and publication names free at the
 * source (when it is new), destination tables (absent, or empty when a snapshot is to be made, or
 * present when not), source and destination not the same database. maps are resolved ones.
 * mirror_id: of a mirror that exists, to which these tables come; NULL: it is new. What the mirror
 * knows of types may be older at the destination: it follows. */
bool preflight_mirror(struct pg_conn *source, struct pg_conn *dest, struct task *task,
                      const struct mirror_config *c, const char *mirror_id, struct findings *f,
                      struct err *err) MUST_CHECK;
/* The preflight of a mirror of every table, and all that is worth knowing before one is made;
 * changes nothing. dest may be NULL: nobody has said where to. What a server refuses to say is a
 * finding; false: the source does not answer. survey_free(out) in every case. */
bool schema_survey(struct pg_conn *source, struct task *source_task, struct pg_conn *dest,
                   struct task *dest_task, struct survey *out, struct err *err) MUST_CHECK;
/* For engine_peer_tables. */
bool schema_list_tables(struct pg_conn *c, struct task *task, struct peer_table_list *out,
                        struct err *err) MUST_CHECK;

#endif
