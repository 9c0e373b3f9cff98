/* Cutover as the API says it; see cutover.h. */
#include "src/http/cutover.h"

#include "base/clock.h"
#include "base/mem.h"
#include "src/http/to_json.h"

static json_t *check_to_json(const struct cutover_check *k)
{
    json_t *o = json_object(), *items = json_array();
    json_put_text(o, "check", k->name);
    json_put_text(o, "state", cutover_state_name(k->state));
    json_put_text(o, "text", k->text);
    for (size_t i = 0; i < k->n_items; i++) {
        json_t *item = json_object();
        json_put_text(item, "name", k->items[i].name);
        json_put_text(item, "note", k->items[i].note);
        json_put_text(item, "statement", k->items[i].statement);
        json_array_append_new(items, item);
    }
    json_object_set_new(o, "items", items);
    return o;
}

/* What remains first: somebody has to act, then what comes by itself. */
static json_t *checks_to_json(const struct cutover *r)
{
    json_t *array = json_array();
    for (int state = CUTOVER_CANNOT; state >= CUTOVER_OK; state--)
        for (size_t i = 0; i < r->n; i++)
            if ((int)r->checks[i].state == state)
                json_array_append_new(array, check_to_json(&r->checks[i]));
    return array;
}

static json_t *cutover_to_json(const char *mirror, const struct cutover *r)
{
    char at[CLOCK_TEXT_SIZE], lsn[LSN_TEXT_SIZE];
    json_t *o = json_object();
    json_put_text(o, "mirror", mirror);
    json_object_set_new(o, "ready", json_boolean(cutover_is_ready(r)));
    json_put_text(o, "taken_at", clock_format(r->taken_at, at));
    json_put_text(o, "lsn", r->lsn ? lsn_format(r->lsn, lsn) : NULL);
    json_object_set_new(o, "read_only", json_boolean(r->is_read_only));
    json_put_text(o, "undo", r->undo);
    json_object_set_new(o, "checks", checks_to_json(r));
    return o;
}

bool mirror_cutover(struct call *c, struct err *err)
{
    struct cutover r;
    if (!engine_mirror_cutover(c->engine, c->args[0], NULL, &r, err))
        return false;
    c->reply = cutover_to_json(c->args[0], &r);
    cutover_free(&r);
    return true;
}

struct cutover_body {
    bool read_only;
};
static const struct field cutover_rows[] = {
    {.name = "read_only",
     .type = FIELD_BOOL,
     .offset = offsetof(struct cutover_body, read_only),
     .is_required = true},
};
static const struct field_table cutover_fields = FIELD_TABLE(cutover_rows);

bool mirror_set_read_only(struct call *c, struct err *err)
{
    struct cutover_body b = {0};
    return fields_read(&cutover_fields, c->body, false, &b, NULL, err) &&
           engine_mirror_read_only(c->engine, c->args[0], b.read_only, err) &&
           mirror_cutover(c, err);
}
