/* A stand-in for the engine, for the console's tests: it implements the functions of engine.h that
 * the console uses, with mirrors from a scenario, and obeys lines from a control pipe. */
#ifndef BUNNY_TESTS_FIXTURE_H
#define BUNNY_TESTS_FIXTURE_H

#include "engine.h"

enum {
    FIXTURE_TABLES = 64,
};
struct fixture_mirror {
    struct mirror_status status; /* tables and findings are filled in when it is published */
    struct table_status tables[FIXTURE_TABLES];
    struct finding finding;
    bool has_finding;
};

/* Fills in the scenario's mirrors (caller frees *out); false when there is no such scenario. */
bool scenario_fill(const char *name, struct fixture_mirror **out, size_t *n);
/* One step in time of a mirror: the snapshot goes on, lag changes. */
void scenario_step(struct fixture_mirror *m, int step);

/* A comparison begins, or ends. */
void scenario_verify(struct fixture_mirror *m);

/* Puts a mirror into a state by its API name ("running", "error", "paused"). */
void fixture_set_state(struct fixture_mirror *m, enum mirror_state s);

/* A line of the record. */
void fixture_record(struct engine *e, const char *what, const char *of);
void fixture_sleep(int ms);
bool fixture_bundle(const char *state_dir, const char *mirror, char **path, struct err *err);

/* Answers to tests that ask whether the console has done everything; see fixture_rest.c. */
void fixture_rest_open(void);
void fixture_late(void);
/* A line of the control pipe was obeyed. */
void fixture_obeyed(void);

bool fixture_change(struct engine *e, const char *name, const struct mirror_request *r,
                    struct err *err);

#endif
