/* What the files of schema/ share while definitions are read. Nothing outside schema/ includes
 * this. A struct reader lives on the stack of schema_read and belongs to its thread. */
#ifndef BUNNY_SCHEMA_PRIVATE_H
#define BUNNY_SCHEMA_PRIVATE_H

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "schema/schema.h"

#define SCHEMA_QUERY_MS 60000 /* one question to a catalog */
#define SCHEMA_BRANCHES 100   /* of one UNION ALL: planning them takes the square of their number */

/* --- Lists of names ------------------------------------------------------------------------- */
struct name_list {
    char **items; /* owned */
    size_t n, cap;
};
void name_list_add(struct name_list *l, char *owned);
bool name_list_has(const struct name_list *l, const char *name);
void name_list_free(struct name_list *l);
/* "a, b, c and 12 more": as much as fits into max bytes. Caller frees. */
char *name_list_text(const struct name_list *l, const char *separator, size_t max);

/* --- What reading knows beyond struct schema ------------------------------------------------- */
struct read_column {
    bool is_local; /* declared here, not only inherited */
    bool is_domain;
    bool is_deferred;   /* the default needs objects that are not mirrored: set it afterwards */
    char *dest_default; /* default_expr as the destination needs it */
    char *identity;     /* "(SEQUENCE NAME … START WITH …)", or NULL */
    char *counter; /* "ALTER SEQUENCE … AS …", where that counts in another type than its column's
                    * (as LIKE … INCLUDING IDENTITY makes it); NULL */
    char *storage;     /* "EXTERNAL", when not the type's; NULL */
    char storage_kind; /* pg_attribute.attstorage */
    char *made_of;     /* attnums that a generated column reads, "2 3"; NULL */
    int statistics;    /* -1: the default */
};

struct read_check {
    char *name, *definition; /* "CHECK (…) [NO INHERIT]" */
    bool is_valid, needs_objects;
    bool is_local; /* not only inherited */
};

/* Beside struct schema_fkey, with the same index: what is compared. */
struct read_fkey {
    int to;              /* index of the table that it refers to */
    char *columns, *key; /* attnums "1 2" here and there */
    char *actions;       /* match, update, delete, and the columns that a delete sets */
};

/* Beside struct schema_table, with the same index. */
struct read_table {
    char relkind;
    bool is_partition; /* at the source, of whatever */
    uint32_t parent;   /* OID of the mapped partitioned parent, else 0 */
    size_t n_parents;  /* mapped parents by inheritance, in order */
    uint32_t *parents;
    int64_t filenode;                      /* another one after each rewrite */
    char *part_key, *part_bound, *comment; /* NULL: none */
    char *part_needs; /* what the key is made with: as schema_statement.needs; NULL: nothing */
    struct name_list options; /* "fillfactor='70'" */
    struct read_column *columns;
    size_t n_checks, checks_cap;
    struct read_check *checks;
    size_t n_fkeys, fkeys_cap;
    struct read_fkey *fkeys;
    struct name_list far_fkeys; /* at the destination: those that refer to other tables */
};

struct read_sequence {
    uint32_t oid;
    char *schema, *name;
    char *dest_schema;
    char *options;    /* "START WITH 1 INCREMENT BY …" */
    char *type;       /* "bigint" */
    int owner;        /* index of the table that owns it, or -1 */
    int attnum;       /* the owning column */
    bool is_identity; /* comes with its column */
    bool is_readable;
};

/* What read_add_before gets for it, once its tables are there. */
struct late_type {
    int after; /* index of the last table that it needs */
    char *schema, *name, *sql;
};

struct reader {
    struct pg_conn *conn;
    struct task *task;
    bool with_indexes, with_fkeys;
    const struct table_map *homes; /* all mappings of the mirror; NULL: those that are read */
    size_t n_homes;
    bool with_sizes; /* of indexes, exactly: that waits for who has locked one */
    /* The destination's tables are read, as they are: each mapping is one relation that may be
     * missing, partitions do not come along, and indexes need not be valid. */
    bool is_dest;
    struct schema *s;
    size_t before_cap, after_cap, tables_cap;
    struct read_table *tables;
    size_t read_cap;
    struct late_type *late_types; /* made of row types of mapped tables, and so after these */
    size_t n_late, late_cap;
    struct read_sequence *sequences;
    size_t n_sequences, sequences_cap;
    char *oids;                          /* array literals: s->tables[].oid */
    char *excluded_oids, *excluded_nums; /* table and attnum of each excluded column */
};

/* True when an object (of catalog class, OID oid) that belongs to relation rel needs something
 * that a mirror does not carry: a user's function, operator, other table … */
#define NEEDS_OBJECTS(class, oid, rel)                                                       \
    "EXISTS (SELECT FROM pg_depend nx WHERE nx.classid = '" class                            \
        "'::regclass AND nx.objid = " oid                                                    \
        " AND nx.refobjid >= 16384 AND nx.refclassid NOT IN ('pg_type'::regclass,"           \
        " 'pg_collation'::regclass, 'pg_constraint'::regclass) AND NOT (nx.refclassid = "    \
        "'pg_class'::regclass AND (nx.refobjid = " rel " OR EXISTS (SELECT FROM pg_class nq" \
        " WHERE nq.oid = nx.refobjid AND nq.relkind IN ('S', 'c')))))"

/* The types that a type (pg_type ty) is directly made of: rows of one column. */
#define TYPE_PARTS                                                                        \
    "SELECT ty.typelem WHERE ty.typcategory = 'A' AND ty.typtype = 'b' UNION ALL"         \
    " SELECT ty.typbasetype WHERE ty.typtype = 'd' UNION ALL"                             \
    " SELECT pa.atttypid FROM pg_attribute pa WHERE ty.typtype = 'c'"                     \
    "  AND pa.attrelid = ty.typrelid AND pa.attnum > 0 AND NOT pa.attisdropped UNION ALL" \
    " SELECT pr.rngsubtype FROM pg_range pr WHERE pr.rngtypid = ty.oid UNION ALL"         \
    " SELECT pd.refobjid FROM pg_depend pd WHERE ty.typtype = 'm'"                        \
    "  AND pd.classid = 'pg_type'::regclass AND pd.objid = ty.oid AND pd.deptype = 'i'"   \
    "  AND pd.refclassid = 'pg_type'::regclass"

/* Where partitions go: beside the mapped table, if they are beside it at the source; else to where
 * all mappings of their schema go, or else to a schema of the same name. PARTITION_HOMES is a part
 * of a WITH, and takes two arrays: the schemas of all mappings of the mirror (never of some of
 * them: a table that is copied alone would put its partitions elsewhere), and where they go.
 * PARTITION_HOME's tree has the mapped table's schema as s, where that goes as mds, and n is the
 * partition's pg_namespace. */
#define PARTITION_HOMES(schemas, destinations)                                             \
    "home(s, ds) AS (SELECT h.s, min(h.ds) FROM unnest(" schemas "::text[], " destinations \
    "::text[]) h(s, ds) GROUP BY h.s HAVING min(h.ds) = max(h.ds))"
#define PARTITION_HOME(tree)                                         \
    "CASE WHEN n.nspname = " tree ".s THEN " tree ".mds ELSE"        \
    " coalesce((SELECT home.ds FROM home WHERE home.s = n.nspname)," \
    " n.nspname::text) END COLLATE \"C\""

/* A catalog query with text parameters; at most SCHEMA_QUERY_MS. */
bool read_query(struct reader *r, const char *sql, size_t n, const char *const *values,
                struct pg_result **out, struct err *err) MUST_CHECK;
/* An array literal of one of the names of each mapping. */
char *read_maps_array(const struct table_map *maps, size_t n, size_t offset);
/* A cell as owned text; NULL for SQL NULL. */
char *read_text(const struct pg_result *res, size_t row, size_t col);
/* Appends a statement about an object; sql is taken over. The result is borrowed until the next
 * call, for its flags. */
struct schema_statement *read_add_before(struct reader *r, enum schema_object object,
                                         const char *schema, const char *name, char *sql);
struct schema_statement *read_add_after(struct reader *r, enum schema_object object,
                                        const char *schema, const char *name, char *sql);
/* Index of the table with that OID at the source; -1: not mapped. */
int read_find_oid(const struct reader *r, uint32_t oid);
/* Borrowed; NULL when there is none. */
struct schema_column *read_find_column(const struct schema_table *t, int attnum);

/* Everything: r->conn, task, with_…, is_dest are set, the rest is zero. What it allocates besides
 * r->s is freed by reader_free, also after an error. Runs inside a transaction. */
bool read_everything(struct reader *r, const struct table_map *maps, size_t n,
                     struct err *err) MUST_CHECK;
/* A failed reading is worth another try: the definitions changed meanwhile. The server's functions
 * look at them as they are now, whatever snapshot the transaction has, and do not find what is
 * gone. Waits a moment; err is cleared then. c is in no transaction. */
#define READ_LIMIT_MS 20000
struct read_tries {
    int n;         /* that failed */
    int64_t until; /* monotonic ms; 0: none has failed */
};
bool read_again(struct pg_conn *c, struct task *task, struct read_tries *tries,
                struct err *err) MUST_CHECK;
/* Of a statement that names what the catalog has just named: that is gone, or has another name. The
 * error becomes one of a reading that is worth another try. Always false. */
bool read_note_gone(struct err *err);
/* pg_exec_params for one such statement, again as long as that is worth it. */
bool read_steadily(struct pg_conn *c, struct task *task, struct read_tries *tries, int limit_ms,
                   const char *sql, size_t n, const char *const *values, struct pg_result **out,
                   struct err *err) MUST_CHECK;
/* An error of such a reading is no word about the definitions: it is tried again later. Always
 * false. */
bool read_failed(struct err *err);
void reader_free(struct reader *r);
void read_drop_check(struct read_table *rt, size_t k);
void read_drop_fkey(struct schema_table *t, struct read_table *rt, size_t k);
void read_column_free(struct read_column *rc);    /* the contents */
void schema_column_free(struct schema_column *c); /* the contents */
/* A mapped parent has it, and table i only from there. */
bool check_comes_from_parent(const struct reader *r, size_t i, const struct read_check *c);
/* "CONSTRAINT name CHECK (…)", with NOT VALID if that is asked for. */
void check_put(struct buf *b, const struct read_check *c, bool is_valid);

/* The steps of schema_read, in order. */
bool read_tables(struct reader *r, const struct table_map *maps, size_t n,
                 struct err *err) MUST_CHECK;
bool read_columns(struct reader *r, const struct table_map *maps, struct err *err) MUST_CHECK;
bool read_sequences(struct reader *r, struct err *err) MUST_CHECK;
/* The question for it, of tables $1 (OIDs) without the columns $2 $3; see read_sequences.c. */
extern const char read_sequences_sql[];
bool read_checks(struct reader *r, struct err *err) MUST_CHECK;
bool read_layouts(struct reader *r, struct err *err) MUST_CHECK;
/* Adds schemas, extensions, collations and types to s->before. */
bool read_types(struct reader *r, struct err *err) MUST_CHECK;
void build_sequences(struct reader *r);
void build_tables(struct reader *r);
bool read_indexes(struct reader *r, struct err *err) MUST_CHECK;
bool read_fkeys(struct reader *r, struct err *err) MUST_CHECK;
/* Adds the present values and the ownership of sequences to s->after. */
bool read_sequence_values(struct reader *r, struct err *err) MUST_CHECK;

/* Runs statements in one message, all or none: a round trip and a flush for many. worked = false:
 * the server refused one of them, and nothing was done. (batch.c) */
#define SCHEMA_BATCH 100
bool batch_run(struct pg_conn *dest, struct task *task, const char *const *sql, size_t n,
               bool in_transaction, bool *worked, struct err *err) MUST_CHECK;

struct book;
/* Compares what the destination has with s and finds what is missing; see create.c. */
struct present {
    bool create;               /* what is missing will be made: names that are taken matter */
    const struct book *known;  /* of a mirror that exists: what this knows follows, with a copy or
                                * where the stream comes to it; NULL: nothing does */
    bool *exists;              /* per statement of s->before */
    char *kinds;               /* the same: relkind or typtype, 0; NULL: not asked for */
    struct name_list missing;  /* tables */
    struct name_list problems; /* sentences */
    struct name_list places;   /* for each problem the schema and name of its object */
};
/* problem is taken over. */
void present_add(struct present *p, const char *schema, const char *name, char *problem);
void present_free(struct present *p); /* the contents */
bool compare_objects(struct pg_conn *dest, struct task *task, const struct schema *s,
                     struct present *p, struct err *err) MUST_CHECK;
/* Columns of the destination's tables: problems, and can_binary of s. */
bool compare_columns(struct pg_conn *dest, struct task *task, struct schema *s, struct present *p,
                     const char *mirror, struct err *err) MUST_CHECK;
/* Takes indexes and foreign keys off s that are there; names taken by others are problems. */
bool compare_indexes(struct pg_conn *dest, struct task *task, struct schema *s, struct present *p,
                     struct err *err) MUST_CHECK;
/* Columns whose values do not fit what they are made of there. */
bool compare_layouts(struct pg_conn *dest, struct task *task, const struct schema *s,
                     struct present *p, struct err *err) MUST_CHECK;
void layouts_free(struct schema *s);
void schema_drop_index(struct schema_table *t, size_t i);
void schema_drop_fkey(struct schema_table *t, size_t i);

#endif
