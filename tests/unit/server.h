/* Throw-away PostgreSQL servers for unit tests (tests/lib/server.sh), in TMPDIR or /tmp. They end,
 * and their files go, with the thread that has started them, whatever happens to it. */
#ifndef BUNNY_TEST_SERVER_H
#define BUNNY_TEST_SERVER_H

#include <sys/types.h>

#include "pg/pg.h"

struct server {
    char dir[128];
    char sock[136];
    int port;
    pid_t pid;
};

/* settings: words of a shell, "'name=value' name=value", for postgresql.conf. Ends the program when
 * the server does not start: with exit code 77 (skipped) and a word on stderr when there is no
 * initdb. */
void server_start(struct server *s, const char *settings);
void server_stop(struct server *s);
/* postgres over the Unix socket; borrowed from s and database. */
struct pg_target server_target(const struct server *s, const char *database);

#endif
