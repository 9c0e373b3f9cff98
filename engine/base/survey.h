/* What a check of a whole database found: facts of both servers, findings, and a verdict on each
 * table. Plain data that belongs to whoever declared it; zero-initialised it is empty. No locks. */
#ifndef BUNNY_SURVEY_H
#define BUNNY_SURVEY_H

#include "base/model.h"
#include "base/report.h"

/* What the findings say of one table. */
struct verdict {
    enum severity worst; /* SEVERITY_OK: mirrored as it is; SEVERITY_ERROR: it cannot be mirrored */
    char **codes;        /* of the findings that name it */
    size_t n, cap;
};
void verdict_add(struct verdict *v, const char *code, enum severity severity);
void verdict_free(struct verdict *v);              /* the contents */
const char *verdict_name(const struct verdict *v); /* "mirrored" "remarks" "impossible" */

struct surveyed_table {
    struct peer_table table;
    struct verdict verdict;
};

struct survey {
    struct report facts; /* "source" and "destination" */
    /* About the source's server, the destination's, the tables, and what is not mirrored. */
    struct findings source, destination, tables, objects;
    struct surveyed_table *items; /* by schema and name; partitions come with their root */
    size_t n;
    /* Every table of a schema may be named at once, "schema.*", when all of them can be mirrored,
     * though others cannot: it has no partitions of theirs. */
    bool has_whole_schemas;
};
void survey_free(struct survey *s); /* the contents */

#endif
