/* Two databases and what lies around a copy job: mappings, definitions, the exported snapshot.
 * Shared by the test and the measurement of the copy room. All of it belongs to one thread. */
#ifndef BUNNY_TEST_COPY_PAIR_H
#define BUNNY_TEST_COPY_PAIR_H

#include "copy/snapshot.h"

struct copy_pair {
    struct pg_target source, dest;
    struct pg_conn *src, *dst;
    struct pg_conn *exporter; /* holds the snapshot that a job imports */
    char *snapshot;
    struct pg_conn *guard; /* from pair_guard on */
    struct schema *schema;
    struct snapshot_job *job;
    int done_fd;
    int workers;       /* for both of the plan's numbers */
    const char *fence; /* of the plan; NULL: none */
    int rows_per_part;
};

/* Ends the program with the error when a step that must work does not. */
void pair_run(struct pg_conn *c, const char *sql);
int64_t pair_int(struct pg_conn *c, const char *sql);
void pair_open(struct copy_pair *p, const char *host, int port, const char *source,
               const char *dest_host, int dest_port, const char *dest);
void pair_close(struct copy_pair *p);
/* Reads all tables of public, creates them at the destination, exports a snapshot. */
void pair_prepare(struct copy_pair *p);
/* Keeps the tables as they are; pair_start does it when it was not done. */
bool pair_guard(struct copy_pair *p, struct err *err);
void pair_start(struct copy_pair *p);
/* Waits for the end, at most so long; false: it is not over. */
bool pair_wait(struct copy_pair *p, int limit_ms);
bool pair_finish(struct copy_pair *p, struct err *err);

#endif
