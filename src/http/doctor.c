/* GET /v1/mirrors/{name}/doctor: the checklist of what may be wrong with a mirror. */
#include "base/clock.h"
#include "src/http/mirror_reads.h"
#include "src/http/to_json.h"

static json_t *check_to_json(const struct finding *x)
{
    json_t *o = json_object();
    json_put_text(o, "check", x->code);
    json_put_text(o, "state", severity_name(x->severity));
    json_put_text(o, "text", x->cause);
    json_put_text(o, "remedy", x->remedy[0] ? x->remedy : NULL);
    json_put_text(o, "action", x->action[0] ? x->action : NULL);
    return o;
}

bool mirror_doctor(struct call *c, struct err *err)
{
    struct findings f;
    char at[CLOCK_TEXT_SIZE];
    bool is_well = true;
    if (!engine_mirror_doctor(c->engine, c->args[0], NULL, &f, err))
        return false;
    json_t *array = json_array();
    for (size_t i = 0; i < f.n; i++) {
        json_array_append_new(array, check_to_json(&f.items[i]));
        is_well &= f.items[i].severity < SEVERITY_WARNING;
    }
    c->reply = json_object();
    json_put_text(c->reply, "mirror", c->args[0]);
    json_put_text(c->reply, "taken_at", clock_format(clock_wall_us(), at));
    json_object_set_new(c->reply, "healthy", json_boolean(is_well));
    json_object_set_new(c->reply, "checks", array);
    findings_free(&f);
    return true;
}
