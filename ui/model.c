/* The engine in this process as the console's model; see model.h. */
#include "ui/model.h"

static const struct picture *in_picture(void *arg)
{
    return engine_picture(arg);
}

static void in_release(void *arg, const struct picture *p)
{
    (void)arg;
    picture_release(p);
}

static void in_subscribe(void *arg, int fd)
{
    engine_subscribe(arg, fd);
}

static void in_unsubscribe(void *arg, int fd)
{
    engine_unsubscribe(arg, fd);
}

static size_t in_log_tail(void *arg, const char *mirror, enum log_level least, struct log_row *out,
                          size_t max)
{
    return engine_log_tail(arg, mirror, least, out, max);
}

static bool in_command(void *arg, const char *mirror, const struct mirror_request *r, int limit_ms,
                       struct err *err)
{
    return engine_mirror_command(arg, mirror, r, limit_ms, NULL, err);
}

static bool in_report(void *arg, const char *mirror, struct verify_report *out, struct err *err)
{
    return engine_mirror_report(arg, mirror, out, err);
}

static bool in_cutover(void *arg, const char *mirror, const atomic_bool *give_up,
                       struct cutover *out, struct err *err)
{
    return engine_mirror_cutover(arg, mirror, give_up, out, err);
}

static bool in_doctor(void *arg, const char *mirror, const atomic_bool *give_up,
                      struct findings *out, struct err *err)
{
    return engine_mirror_doctor(arg, mirror, give_up, out, err);
}

static bool in_slots(void *arg, struct slot_list *out, struct err *err)
{
    (void)err;
    engine_slots(arg, out);
    return true;
}

static bool in_runs(void *arg, const char *mirror, int limit, struct run_page *out, struct err *err)
{
    return engine_mirror_runs(arg, mirror, limit, 0, out, err);
}

static bool in_config(void *arg, const char *mirror, struct mirror_config *out, struct err *err)
{
    return engine_mirror_config(arg, mirror, out, err);
}

static bool in_schema_plan(void *arg, const char *mirror, struct schema_plan *out, struct err *err)
{
    return engine_mirror_schema_plan(arg, mirror, out, err);
}

static bool in_peers(void *arg, struct peer_list *out, struct err *err)
{
    return engine_peers(arg, out, err);
}

static bool in_peer_test(void *arg, const char *peer, struct peer_report *out, struct err *err)
{
    return engine_peer_test(arg, peer, out, err);
}

static bool in_peer_save(void *arg, const struct peer *p, unsigned fields, struct err *err)
{
    return fields ? engine_peer_update(arg, p->name, p, fields, err)
                  : engine_peer_create(arg, p, err);
}

static bool in_peer_delete(void *arg, const char *peer, struct err *err)
{
    return engine_peer_delete(arg, peer, err);
}

static bool in_survey(void *arg, const char *source, const char *dest, struct survey *out,
                      struct err *err)
{
    return engine_peer_check(arg, source, dest, out, err);
}

static bool in_available(void *arg, const char *mirror, struct peer_table_list *out,
                         struct err *err)
{
    return engine_mirror_available_tables(arg, mirror, out, err);
}

static bool in_create(void *arg, const struct mirror_config *c, struct findings *findings,
                      struct err *err)
{
    return engine_mirror_create(arg, c, findings, err);
}

static bool in_set_tables(void *arg, const char *mirror, const char *by,
                          const struct table_map *tables, size_t n, struct findings *findings,
                          struct err *err)
{
    return engine_mirror_set_tables(arg, mirror, by, tables, n, findings, err);
}

void model_of_engine(struct engine *e, struct model *out)
{
    *out = (struct model){
        .arg = e,
        .by = "console",
        .picture = in_picture,
        .release = in_release,
        .subscribe = in_subscribe,
        .unsubscribe = in_unsubscribe,
        .log_tail = in_log_tail,
        .command = in_command,
        .report = in_report,
        .cutover = in_cutover,
        .doctor = in_doctor,
        .slots = in_slots,
        .runs = in_runs,
        .config = in_config,
        .schema_plan = in_schema_plan,
        .peers = in_peers,
        .peer_test = in_peer_test,
        .peer_save = in_peer_save,
        .peer_delete = in_peer_delete,
        .survey = in_survey,
        .available = in_available,
        .create = in_create,
        .set_tables = in_set_tables,
    };
}
