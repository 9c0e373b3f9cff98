/* What a diagnosis asks the servers: one table for each of the two. */
#ifndef BUNNY_DIAGNOSE_SQL_H
#define BUNNY_DIAGNOSE_SQL_H

#include <stdbool.h>
#include <stddef.h>

enum question_param {
    PARAM_NONE,
    PARAM_SLOT,
    PARAM_PUBLICATION,
    PARAM_MIRROR_ID,
    PARAM_SCHEMAS, /* text[], one element a table */
    PARAM_TABLES,
    PARAM_COUNT,
};
#define QUESTION_PARAMS 2

struct question {
    const char *name; /* of the section */
    bool is_list;
    const char *sql;
    enum question_param params[QUESTION_PARAMS]; /* $1, $2 */
};
extern const struct question source_questions[], dest_questions[];
extern const size_t source_question_count, dest_question_count;

#endif
