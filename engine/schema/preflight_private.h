/* What the files of a preflight share. Each looks at one side of the matter and adds to the same
 * list of findings. Nothing outside schema/ includes this. A struct preflight lives on the stack of
 * its caller and belongs to its thread. */
#ifndef BUNNY_PREFLIGHT_PRIVATE_H
#define BUNNY_PREFLIGHT_PRIVATE_H

#include "base/survey.h"
#include "schema/schema_private.h"

#define PREFLIGHT_MS 10000 /* one question */

/* A relation that the mirror carries: a mapped one or a partition of it. */
struct target {
    uint32_t oid; /* 0: the source has no such table */
    int mapping;
    char *schema, *name, *dest_schema, *dest_name;
    char *qualified, *dest_qualified; /* as SQL writes them */
    char *exclude;                    /* array literal of column names */
    bool is_parent, is_foreign;
};

struct preflight {
    struct pg_conn *source, *dest; /* dest NULL: nobody has said where to */
    struct task *source_task, *dest_task;
    const struct mirror_config *c;
    const char *mirror_id; /* of one that exists; NULL: none */
    struct findings *f;
    /* A report is wanted: what is only worth knowing is a finding, too, and so is a question that a
     * server refuses. Else such a question is an error, and only errors are looked for. */
    bool is_report;
    struct findings refused;  /* of a report: one, of the questions without an answer */
    struct verdict *verdicts; /* one for each mapping; NULL: nobody asks */
    struct target *targets;
    size_t n, cap;
    struct read_tries tries; /* of all questions together */
    char *oids;              /* array literals, one item a target */
    char *excludes;          /* of array literals */
};

enum question_about {
    ABOUT_SERVER, /* no parameter */
    ABOUT_TABLES, /* $1: oids of the targets */
    ABOUT_KEYS,   /* $1, and $2: the columns that each target leaves out */
};

enum question_for {
    FOR_MIRROR, /* whenever a mirror is made, and in a report */
    FOR_REPORT, /* in a report only */
};

/* Something that may be wrong or worth knowing, and how the catalog is asked for it. */
struct question {
    const char *code;
    enum severity severity;
    enum question_about about;
    enum question_for purpose;
    const char *title;  /* what is wrong, for one of them and for many */
    const char *cause;  /* why that matters; "": see the names */
    const char *remedy; /* what to do where no statement does it */
    const char *sql;    /* a row each: the target's number from 1 or NULL, name, note, statement */
};

/* The targets of k->c->tables, from the source. */
bool preflight_targets(struct preflight *k, struct err *err) MUST_CHECK;
void preflight_free(struct preflight *k);
/* All about the tables of k->c at the source and, when there is one, the destination. */
bool preflight_tables(struct preflight *k, struct err *err) MUST_CHECK;
/* Every table that is not a partition, of no system schema, and each as a mapping onto itself. */
bool list_roots(struct pg_conn *c, struct task *task, struct peer_table_list *out,
                struct err *err) MUST_CHECK;
struct table_map *list_maps(const struct peer_table_list *l); /* caller frees; nothing inside */
/* Asks the connection for those of the questions that are looked for, each a finding. */
bool preflight_ask(struct preflight *k, struct pg_conn *c, struct task *task,
                   const struct question *questions, size_t n, struct err *err) MUST_CHECK;
/* An item of the finding that was begun last, about target i (-1: none of them). */
void preflight_item(struct preflight *k, int64_t i, const char *name, const char *note,
                    const char *statement);
/* The finding that was begun last holds for target i, too. */
void preflight_verdict(struct preflight *k, int64_t i);
/* A question failed: true when that is only an item of k->refused, and what was asked otherwise
 * stands. severity: of what it would have found. */
bool preflight_refused(struct preflight *k, const char *what, enum severity severity,
                       struct err *err);

/* Whether to go on after ok: in a report what was found out so far stands, and a destination that
 * fails is a finding, and asked no more (k->dest is NULL then). Else *err says why. */
bool preflight_go_on(struct preflight *k, bool ok, const char *what, struct err *err);

/* Extensions, collations, types and functions that the targets need: preflight_needs.c. */
bool preflight_needs(struct preflight *k, struct err *err) MUST_CHECK;
/* Names that the destination would cut off: preflight_pair.c. */
bool preflight_names(struct preflight *k, struct err *err) MUST_CHECK;
/* Both servers together: preflight_pair.c. */
bool preflight_pair(struct preflight *k, struct err *err) MUST_CHECK;
/* The targets that depend on how text sorts, when the databases differ in it. */
bool preflight_order(struct preflight *k, struct err *err) MUST_CHECK;

/* What would stop a table, and (in a report) what else is to be known of it: preflight_tables.c. */
extern const struct question table_questions[];
extern const size_t table_question_count;
/* Of the server and of what runs on it now: preflight_server.c. */
extern const struct question server_questions[];
extern const size_t server_question_count;
/* What the database has beside its tables: preflight_objects.c. */
extern const struct question object_questions[];
extern const size_t object_question_count;

#define EACH_TARGET                                                 \
    " FROM unnest($1::oid[]) WITH ORDINALITY u(oid, i)"             \
    " JOIN pg_class c ON c.oid = u.oid AND c.relkind IN ('r', 'p')" \
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
#define TARGET_NAME "format('%I.%I', n.nspname, c.relname)"
/* A statement that begins with "ALTER TABLE name". */
#define ALTER_TARGET(rest) "format('ALTER TABLE %I.%I " rest ";', n.nspname, c.relname)"
/* Of a relation (pg_class c): it is no extension's. */
#define OF_NO_EXTENSION                                               \
    "NOT EXISTS (SELECT FROM pg_depend ox WHERE ox.deptype = 'e' AND" \
    " ox.classid = 'pg_class'::regclass AND ox.objid = c.oid)"
/* Asking for a relation's size waits for whoever has locked it. */
#define NOT_LOCKED(oid)                                                                  \
    oid " NOT IN (SELECT lx.relation FROM pg_locks lx WHERE lx.relation IS NOT NULL AND" \
        " lx.granted AND lx.mode = 'AccessExclusiveLock' AND lx.pid IS DISTINCT FROM"    \
        " pg_backend_pid() AND lx.database = (SELECT ld.oid FROM pg_database ld"         \
        " WHERE ld.datname = current_database()))"
/* Of a schema (pg_namespace n) that is neither the server's nor ours. */
#define OF_USERS "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '_bunnydb')"

#endif
