/* What more there is to read of a mirror; see mirror_reads.h. */
#include "src/http/mirror_reads.h"

#include "base/mem.h"
#include "src/http/to_json.h"

bool mirror_available_tables(struct call *c, struct err *err)
{
    struct peer_table_list l = {0};
    if (!engine_mirror_available_tables(c->engine, c->args[0], &l, err))
        return false;
    c->reply = peer_tables_to_json(&l);
    peer_table_list_free(&l);
    return true;
}

/* --- History ---------------------------------------------------------------------------------- */
struct runs_query {
    int limit;
    int64_t offset;
};
#define AT(member) offsetof(struct runs_query, member)
static const struct field runs_rows[] = {
    {.name = "limit", .type = FIELD_INT, .offset = AT(limit), .min = 1, .max = 500},
    {.name = "offset", .type = FIELD_INT64, .offset = AT(offset), .min = 0, .max = INT64_MAX / 2},
};
const struct field_table mirror_runs_query = FIELD_TABLE(runs_rows);

static bool runs(struct call *c, const char *mirror, struct err *err)
{
    struct runs_query q = {.limit = 50};
    struct run_page page;
    if (!fields_read(&mirror_runs_query, c->query, true, &q, NULL, err) ||
        !engine_mirror_runs(c->engine, mirror, q.limit, q.offset, &page, err))
        return false;
    c->reply = json_pack("{s:o, s:I, s:I, s:i}", "runs", runs_to_json(&page), "total",
                         (json_int_t)page.total, "offset", (json_int_t)q.offset, "limit", q.limit);
    run_page_free(&page);
    return true;
}

bool mirror_runs(struct call *c, struct err *err)
{
    return runs(c, c->args[0], err);
}

bool all_runs(struct call *c, struct err *err)
{
    return runs(c, NULL, err);
}

/* --- Slots, configuration --------------------------------------------------------------------- */
bool all_slots(struct call *c, struct err *err)
{
    struct slot_list l;
    (void)err;
    c->is_quiet = true; /* asked every few seconds by who looks at them */
    engine_slots(c->engine, &l);
    c->reply = slots_to_json(&l);
    slot_list_free(&l);
    return true;
}

bool mirror_show_config(struct call *c, struct err *err)
{
    struct mirror_config m;
    if (!engine_mirror_config(c->engine, c->args[0], &m, err))
        return false;
    c->reply = mirror_config_to_json(&m);
    mirror_config_free(&m);
    return true;
}

/* --- Comparisons ------------------------------------------------------------------------------ */
bool mirror_verify_report(struct call *c, struct err *err)
{
    struct verify_report r;
    if (!engine_mirror_report(c->engine, c->args[0], &r, err))
        return false;
    c->reply = verify_to_json(&r);
    verify_report_free(&r);
    return true;
}
