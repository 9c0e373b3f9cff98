/* What the console shows, and whom it asks: a table of functions with two implementations. One is
 * the engine in this process (model_of_engine), the other an engine in another process, reached by
 * its API (src/attach/link.h). The screens know nothing but this.
 *
 * Threads: any; the functions marked (waits) may take as long as their limit, and are called by the
 * console's helper threads only. The others return at once. Memory and errors as in engine.h. */
#ifndef BUNNY_UI_MODEL_H
#define BUNNY_UI_MODEL_H

#include <string.h>

#include "engine.h"

struct model {
    void *arg; /* the first argument of all functions */
    /* The present picture; never NULL. Given back with release, whose value is used up then. */
    const struct picture *(*picture)(void *arg);
    void (*release)(void *arg, const struct picture *p);
    /* fd (made with wake_new) is signalled after the picture, the log or the connection changed. */
    void (*subscribe)(void *arg, int fd);
    void (*unsubscribe)(void *arg, int fd);
    /* As engine_log_tail. */
    size_t (*log_tail)(void *arg, const char *mirror, enum log_level least, struct log_row *out,
                       size_t max);
    /* As the functions of engine.h of that name. (waits) */
    bool (*command)(void *arg, const char *mirror, const struct mirror_request *r, int limit_ms,
                    struct err *err);
    bool (*report)(void *arg, const char *mirror, struct verify_report *out, struct err *err);
    bool (*cutover)(void *arg, const char *mirror, const atomic_bool *give_up, struct cutover *out,
                    struct err *err);
    bool (*doctor)(void *arg, const char *mirror, const atomic_bool *give_up, struct findings *out,
                   struct err *err);
    /* As engine_slots; it fails only where the engine is in another process. (waits) */
    bool (*slots)(void *arg, struct slot_list *out, struct err *err);
    /* As engine_mirror_runs; mirror NULL: of all. (waits) */
    bool (*runs)(void *arg, const char *mirror, int limit, struct run_page *out, struct err *err);
    /* As the functions of engine.h of that name. (waits) */
    bool (*config)(void *arg, const char *mirror, struct mirror_config *out, struct err *err);
    bool (*schema_plan)(void *arg, const char *mirror, struct schema_plan *out, struct err *err);
    bool (*peers)(void *arg, struct peer_list *out, struct err *err);
    bool (*peer_test)(void *arg, const char *peer, struct peer_report *out, struct err *err);
    /* fields 0: makes the peer; else changes these (enum peer_field). (waits) */
    bool (*peer_save)(void *arg, const struct peer *p, unsigned fields, struct err *err);
    bool (*peer_delete)(void *arg, const char *peer, struct err *err);
    /* As engine_peer_check, engine_mirror_available_tables, engine_mirror_create and
     * engine_mirror_set_tables. findings: of a refusal; freed by the caller in every case. (waits)
     */
    bool (*survey)(void *arg, const char *source, const char *dest, struct survey *out,
                   struct err *err);
    bool (*available)(void *arg, const char *mirror, struct peer_table_list *out, struct err *err);
    bool (*create)(void *arg, const struct mirror_config *c, struct findings *findings,
                   struct err *err);
    bool (*set_tables)(void *arg, const char *mirror, const char *by,
                       const struct table_map *tables, size_t n, struct findings *findings,
                       struct err *err);
    /* Writes all that a bug report about the mirror needs into a new file, whose path is *path
     * (caller frees). NULL: cannot be had. (waits) */
    bool (*bundle)(const char *state_dir, const char *mirror, char **path, struct err *err);
    const char *state_dir; /* of the process; for bundle */
    const char *by;        /* who asks for what is asked here: "ana (console)" */
    /* Whether the picture is of now. Else why not, and since when (us); what it shows is the last
     * that was known. NULL: it always is. */
    bool (*is_connected)(void *arg, int64_t *since, struct err *why);
    bool is_attached;  /* the engine is in another process, and goes on when the console ends */
    bool is_read_only; /* no command will be asked for */
};

/* As picture_find; the console is linked into programs without an engine, too. */
static inline const struct mirror_status *model_find(const struct picture *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (!strcmp(p->mirrors[i].name, name))
            return &p->mirrors[i];
    return NULL;
}

/* The engine in this process; *out is valid as long as it is open. */
void model_of_engine(struct engine *e, struct model *out);

#endif
