/* One case of schema synchronisation: both sides are the same, then the source changes; what is
 * planned, that it works, that nothing is left, and that both sides are the same again. All cases
 * share two databases, in which each has schema t to itself. */
#ifndef BUNNY_TEST_DIFF_FIXTURE_H
#define BUNNY_TEST_DIFF_FIXTURE_H

#include "tests/unit/schema_fixture.h"

#define NO_PLAN ""

struct diff_case {
    const char *name;
    const char *before;     /* at the source; then it is mirrored */
    const char *rows;       /* at the destination */
    const char *after;      /* at the source */
    const char *dest_after; /* at the destination */
    /* Each step: a letter for its kind (r run, m manual, n note), its flags (o optional, f first,
     * l late, p at point, c copy), and its statement with ` for ", or "-"; a line each. */
    const char *plan;           /* x after them: refused before, tried again */
    const char *again;          /* the same after the plan was run; NULL: as plan without r lines */
    const char *allowed[8];     /* see fixture_assert_same; the last is NULL */
    const char *map;            /* NULL: "t.*" */
    const char *check, *answer; /* a question to the destination afterwards */
    bool no_book;
    bool same_rows; /* t.a holds the same ones on both sides in the end */
};

/* Group set-up: cluster, databases, connections. */
int diff_start(void **state);
int diff_stop(void **state);
extern struct pg_conn *diff_source, *diff_dest;
extern const struct schema_point diff_end; /* the stream has applied everything */

void diff_prepare(const struct diff_case *c);
void diff_plan(const struct diff_case *c, struct schema_plan *out);
bool diff_try(struct pg_conn *source, struct pg_conn *dest, struct schema_plan *out,
              struct err *err);
void diff_write_book(const char *map); /* of one of the mapped tables */
void diff_write_book_in_transaction(void);
/* The text that a case's plan is compared with; caller frees. */
char *diff_text(const struct schema_plan *p);
void diff_assert_text(const char *expected, const struct schema_plan *p);
void diff_run_plan(struct schema_plan *p);
/* All of it. */
void diff_check(const struct diff_case *c);

#endif
