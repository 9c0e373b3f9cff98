/* A question to a peer's server in a caller's thread: it has ten seconds in all (or what
 * probe_begin_long was told), and ends with the process. */
#ifndef BUNNY_PEER_PROBE_H
#define BUNNY_PEER_PROBE_H

#include "control/engine_private.h"
#include "pg/pg.h"

#define PROBE_LIMIT_MS 10000

struct probe {
    struct engine *engine;
    const atomic_bool *give_up; /* NULL: nobody does */
    int limit_ms;
    int64_t deadline; /* clock_mono_ms */
    struct peer peer;
    struct pg_conn *conn;
    struct task task;
};

/* On success p->conn is open; call probe_end in every case. */
bool probe_begin(struct probe *p, struct engine *e, const char *name, struct err *err) MUST_CHECK;
/* The same for many questions that may take limit_ms in all; logging in has ten seconds of it. One
 * that meets a lock fails after two. */
bool probe_begin_long(struct probe *p, struct engine *e, const char *name, int limit_ms,
                      const atomic_bool *give_up, struct err *err) MUST_CHECK;
void probe_end(struct probe *p);
/* What a failure means to the caller: our limit, the end of the process, or a server that cannot
 * be reached. The server's own words stay. Returns false. */
bool probe_explain(struct probe *p, struct err *err);

#endif
