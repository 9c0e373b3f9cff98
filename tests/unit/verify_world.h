/* Two servers with other settings, a database on each, and a verify job between them. All of it
 * belongs to one thread. What must work and does not ends the test. */
#ifndef BUNNY_TEST_VERIFY_WORLD_H
#define BUNNY_TEST_VERIFY_WORLD_H

#include "copy/verify.h"

#define ICU "LOCALE_PROVIDER icu ICU_LOCALE 'de-DE'" /* another collation, for world_open */

struct world {
    struct pg_target source, dest;
    struct pg_conn *src, *dst;    /* for the test's own statements */
    struct pg_conn *exporters[2]; /* hold the snapshots, NULL: none */
    struct schema *schema;
    struct verify_job *job;
    const char *const *left_out;
    int workers; /* 2 */
    int done_fd;
};

/* Starts both servers, or ends the program as server_start does. */
void servers_start(void);
void servers_stop(void);
/* Empty databases "a" at the source and "b" at the destination; extra: for CREATE DATABASE. */
void world_open(struct world *w, const char *source_extra, const char *dest_extra);
void world_close(struct world *w);

void world_run(struct pg_conn *c, const char *sql);
int64_t world_int(struct pg_conn *c, const char *sql);

/* Reads the definitions of all tables of public (or of maps), creates what is missing at the
 * destination, and copies all rows, as a mirror does. */
void world_mirror(struct world *w);
void world_mirror_maps(struct world *w, const struct table_map *maps, size_t n);
/* Exports both snapshots. */
void world_export(struct world *w);
void world_start(struct world *w);
bool world_wait(struct world *w, int limit_ms);
/* Export, start, wait, finish: all of which must go well. */
void world_verify(struct world *w, struct verify_report *out);

/* Of the report; fails the test when there is no such table. */
const struct verify_table *found(const struct verify_report *r, const char *table);
/* State, and equal, differing, missing, extra rows. */
void assert_table(const struct verify_report *r, const char *table, enum verify_state state,
                  int64_t equal, int64_t differing, int64_t missing, int64_t extra);
/* A row is named so often; values joined with "|". */
int count_named(const struct verify_table *t, enum verify_kind kind, const char *values);

#endif
