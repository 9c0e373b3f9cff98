/* Questions to a peer's server for whoever sets up a mirror: does it answer, can it be a source or
 * a destination, which tables has it. Each has ten seconds in all. */
#include "control/peer_probe.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "control/peer_target.h"
#include "schema/schema.h"

static bool is_over(void *arg)
{
    struct probe *p = arg;
    return atomic_load(&p->engine->is_stopping) || (p->give_up && atomic_load(p->give_up)) ||
           clock_mono_ms() >= p->deadline;
}

bool probe_explain(struct probe *p, struct err *err)
{
    if (!err)
        return false;
    if (err->code == ERR_CANCELLED && atomic_load(&p->engine->is_stopping))
        return engine_explain_cancel(p->engine, err);
    if (err->code == ERR_CANCELLED || err->code == ERR_TIMEOUT) {
        err_set(err, ERR_PEER_UNREACHABLE, "peer \"%s\" did not answer within %d s", p->peer.name,
                p->limit_ms / 1000);
        return err_hint(err, "Check host, port and firewall, and whether the server is overloaded "
                             "or a lock blocks its catalogs.");
    }
    if (!p->conn && err->code != ERR_INVALID)
        err->code = ERR_PEER_UNREACHABLE;
    return err_context(err, "peer \"%s\"", p->peer.name);
}

void probe_end(struct probe *p)
{
    pg_close(p->conn, true);
    peer_free(&p->peer);
}

static bool begin(struct probe *p, struct engine *e, const char *name, int limit_ms,
                  const char *settings, const atomic_bool *give_up, struct err *err)
{
    struct pg_target target;
    *p = (struct probe){.engine = e,
                        .give_up = give_up,
                        .limit_ms = limit_ms,
                        .deadline = clock_mono_ms() + limit_ms};
    p->task = (struct task){.wake_fd = -1, .is_cancelled = is_over, .arg = p, .tick_ms = 100};
    if (!catalog_peer_get(e->catalog, name, &p->peer, err))
        return false;
    peer_target(&p->peer, &target);
    if (!pg_connect(&target, PG_SQL, "bunnydb/probe", settings, &p->task, PROBE_LIMIT_MS, &p->conn,
                    err)) {
        p->conn = NULL;
        return probe_explain(p, err);
    }
    return true;
}

bool probe_begin(struct probe *p, struct engine *e, const char *name, struct err *err)
{
    return begin(p, e, name, PROBE_LIMIT_MS, NULL, NULL, err);
}

bool probe_begin_long(struct probe *p, struct engine *e, const char *name, int limit_ms,
                      const atomic_bool *give_up, struct err *err)
{
    return begin(p, e, name, limit_ms, "-c lock_timeout=2s", give_up, err);
}

bool engine_peer_test(struct engine *e, const char *name, struct peer_report *out, struct err *err)
{
    struct probe p;
    *out = (struct peer_report){0};
    bool ok = probe_begin(&p, e, name, err);
    if (ok) {
        out->version_num = pg_version(p.conn);
        str_printf(out->version, sizeof out->version, "%d.%d", out->version_num / 10000,
                   out->version_num % 10000);
        ok = (preflight_source(p.conn, &p.task, &out->as_source, err) &&
              preflight_dest(p.conn, &p.task, &out->as_destination, err)) ||
             probe_explain(&p, err);
    }
    if (!ok)
        peer_report_free(out);
    probe_end(&p);
    return ok;
}

bool engine_peer_tables(struct engine *e, const char *name, struct peer_table_list *out,
                        struct err *err)
{
    struct probe p;
    *out = (struct peer_table_list){0};
    bool ok = probe_begin(&p, e, name, err) &&
              (schema_list_tables(p.conn, &p.task, out, err) || probe_explain(&p, err));
    if (!ok)
        peer_table_list_free(out);
    probe_end(&p);
    return ok;
}

#define CHECK_LIMIT_MS 30000

/* A destination that cannot be reached is a finding: what the source says is worth knowing. */
static bool check_source(struct probe *source, struct engine *e, const char *dest_name,
                         struct survey *out, struct err *err)
{
    struct probe dest = {0};
    bool has_dest = false;
    if (dest_name) {
        struct err why = {0};
        has_dest = probe_begin_long(&dest, e, dest_name, CHECK_LIMIT_MS, NULL, &why);
        if (!has_dest && why.code == ERR_PEER_UNREACHABLE)
            findings_add(&out->destination, "destination_unreachable", SEVERITY_ERROR,
                         "the destination could not be reached", why.text,
                         why.hint[0] ? why.hint
                                     : "check host, port and firewall, and what the peer says of"
                                       " them",
                         "");
        else if (!has_dest) {
            *err = why;
            probe_end(&dest);
            return false;
        }
    }
    bool ok = schema_survey(source->conn, &source->task, has_dest ? dest.conn : NULL, &dest.task,
                            out, err) ||
              probe_explain(source, err);
    probe_end(&dest);
    return ok;
}

/* A slot that nobody reads may be that of a mirror which is paused: not one to be dropped. */
static void spare_slot(struct finding *x, struct finding_item *item, const struct picture *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (strcmp(p->mirrors[i].slot_name, item->name) != 0)
            continue;
        char *note =
            mem_printf("%s, of mirror %s", item->note ? item->note : "", p->mirrors[i].name);
        free(item->note);
        free(item->statement);
        item->note = note;
        item->statement = NULL;
        str_copy(x->remedy, sizeof x->remedy, "resume or delete the mirrors that its items name");
    }
}

static void spare_own_slots(struct engine *e, struct findings *f)
{
    const struct picture *p = engine_picture(e);
    for (size_t i = 0; i < f->n; i++)
        for (size_t k = 0; k < f->items[i].n_items; k++)
            if (!strcmp(f->items[i].code, "slot_holds_wal"))
                spare_slot(&f->items[i], &f->items[i].items[k], p);
    picture_release(p);
}

bool engine_peer_check(struct engine *e, const char *source_name, const char *dest_name,
                       struct survey *out, struct err *err)
{
    struct probe source;
    *out = (struct survey){0};
    bool ok = probe_begin_long(&source, e, source_name, CHECK_LIMIT_MS, NULL, err) &&
              check_source(&source, e, dest_name, out, err);
    spare_own_slots(e, &out->source);
    probe_end(&source);
    return ok;
}
