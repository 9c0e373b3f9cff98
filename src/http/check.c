/* The preflight of a whole database; see check.h. */
#include "src/http/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "src/http/to_json.h"

/* --- What was found --------------------------------------------------------------------------- */
/* The facts of one server, null when it was not asked. */
static json_t *side_to_json(const json_t *facts, const char *side, const char *peer)
{
    json_t *o = json_incref(json_object_get(facts, side));
    if (!peer)
        return json_null();
    if (!o)
        o = json_object();
    json_put_text(o, "peer", peer);
    return o;
}

static void put_findings(json_t *all, const struct findings *f, const char *about)
{
    size_t i;
    json_t *array = findings_to_json(f->items, f->n), *x;
    json_array_foreach(array, i, x)
    {
        json_put_text(x, "about", about);
    }
    json_array_extend(all, array);
    json_decref(array);
}

/* The most severe first, whatever they are about. */
static json_t *all_findings(const struct survey *s)
{
    json_t *sorted = json_array(), *all = json_array(), *x;
    size_t i;
    put_findings(all, &s->source, "source");
    put_findings(all, &s->destination, "destination");
    put_findings(all, &s->tables, "tables");
    put_findings(all, &s->objects, "objects");
    for (int severity = SEVERITY_ERROR; severity >= SEVERITY_OK; severity--)
        json_array_foreach(all, i, x)
        {
            const char *name = json_string_value(json_object_get(x, "severity"));
            if (!strcmp(name, severity_name((enum severity)severity)))
                json_array_append(sorted, x);
        }
    json_decref(all);
    return sorted;
}

static json_t *table_to_json(const struct surveyed_table *t)
{
    struct peer_table_list one = {.items = (struct peer_table *)&t->table, .n = 1};
    json_t *list = peer_tables_to_json(&one), *codes = json_array();
    json_t *o = json_incref(json_array_get(list, 0));
    json_decref(list);
    json_object_del(o, "reason");
    json_object_del(o, "extension");
    for (size_t i = 0; i < t->verdict.n; i++)
        json_array_append_new(codes, json_string(t->verdict.codes[i]));
    json_put_text(o, "verdict", verdict_name(&t->verdict));
    json_object_set_new(o, "findings", codes);
    return o;
}

static json_t *summary_to_json(const struct survey *s)
{
    int64_t bytes = 0, rows = 0, unknown = 0;
    size_t counts[SEVERITY_ERROR + 1] = {0};
    for (size_t i = 0; i < s->n; i++) {
        const struct surveyed_table *t = &s->items[i];
        counts[t->verdict.worst]++;
        if (t->verdict.worst == SEVERITY_ERROR)
            continue;
        bytes += t->table.bytes;
        rows += t->table.estimated_rows > 0 ? t->table.estimated_rows : 0;
        unknown += t->table.estimated_rows < 0;
    }
    bool is_ready = !findings_have_errors(&s->source) && !findings_have_errors(&s->destination) &&
                    !findings_have_errors(&s->tables) && !findings_have_errors(&s->objects);
    return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "ready", is_ready, "tables",
                     (json_int_t)s->n, "mirrored", (json_int_t)counts[SEVERITY_OK], "remarks",
                     (json_int_t)(counts[SEVERITY_INFO] + counts[SEVERITY_WARNING]), "impossible",
                     (json_int_t)counts[SEVERITY_ERROR], "estimated_bytes", (json_int_t)bytes,
                     "estimated_rows", (json_int_t)rows, "tables_without_estimate",
                     (json_int_t)unknown);
}

/* --- The mirror that it would be -------------------------------------------------------------- */
static void put_ident(struct buf *b, const char *name)
{
    buf_putc(b, '"');
    for (; *name; name++) {
        if (*name == '"')
            buf_putc(b, '"');
        buf_putc(b, *name);
    }
    buf_putc(b, '"');
}

/* As table_mappings read it: in double quotes where a plain name would mean something else. */
static void put_name(struct buf *b, const char *name)
{
    if (strpbrk(name, "\".*=:,"))
        put_ident(b, name);
    else
        buf_puts(b, name);
}

static void put_mapping(json_t *mappings, const char *schema, const char *table)
{
    struct buf b = {0};
    put_name(&b, schema);
    buf_putc(&b, '.');
    if (table)
        put_name(&b, table);
    else
        buf_putc(&b, '*');
    json_t *m = json_object();
    json_put_text(m, "source_table", buf_text(&b));
    json_array_append_new(mappings, m);
    buf_free(&b);
}

/* All that can be mirrored: whole schemas where that says the same. Items are in the order of
 * schemas. */
static json_t *mappings_to_json(const struct survey *s)
{
    json_t *mappings = json_array();
    bool is_all = true;
    for (size_t i = 0; i < s->n; i++)
        is_all = is_all && s->items[i].table.can_mirror;
    for (size_t from = 0, to; from < s->n; from = to) {
        const char *schema = s->items[from].table.schema;
        bool is_whole = is_all || s->has_whole_schemas;
        for (to = from; to < s->n && !strcmp(s->items[to].table.schema, schema); to++)
            is_whole = is_whole && s->items[to].table.can_mirror;
        if (is_whole)
            put_mapping(mappings, schema, NULL);
        for (size_t i = from; !is_whole && i < to; i++)
            if (s->items[i].table.can_mirror)
                put_mapping(mappings, schema, s->items[i].table.table);
    }
    return mappings;
}

static json_t *survey_to_json(const struct survey *s, const char *source, const char *dest)
{
    json_t *facts = report_to_json(&s->facts), *tables = json_array();
    for (size_t i = 0; i < s->n; i++)
        json_array_append_new(tables, table_to_json(&s->items[i]));
    json_t *mirror = json_object();
    json_put_text(mirror, "source_peer", source);
    json_put_text(mirror, "destination_peer", dest);
    json_object_set_new(mirror, "table_mappings", mappings_to_json(s));
    json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "summary", summary_to_json(s), "source",
                          side_to_json(facts, "source", source), "destination",
                          side_to_json(facts, "destination", dest), "findings", all_findings(s),
                          "tables", tables, "mirror", mirror);
    json_decref(facts);
    return o;
}

/* --- The request ------------------------------------------------------------------------------ */
struct check_body {
    char destination[NAME_SIZE];
};
static const struct field check_rows[] = {
    {.name = "destination",
     .type = FIELD_TEXT,
     .offset = offsetof(struct check_body, destination),
     .min = 1,
     .max = NAME_SIZE - 1,
     .is_nullable = true},
};
static const struct field_table check_fields = FIELD_TABLE(check_rows);

/* In the body a peer is a field, not the address. */
static bool has_destination(struct call *c, const char *name, struct err *err)
{
    struct peer p = {0};
    if (!*name || engine_peer_get(c->engine, name, &p, err)) {
        peer_free(&p);
        return true;
    }
    if (err->code == ERR_PEER_NOT_FOUND)
        c->error_status = 400;
    return err_context(err, "field \"destination\"");
}

static bool has_source(struct call *c, struct err *err)
{
    struct peer p = {0};
    bool ok = engine_peer_get(c->engine, c->args[0], &p, err);
    peer_free(&p);
    return ok;
}

bool peers_check(struct call *c, struct err *err)
{
    struct check_body b = {0};
    struct survey s = {0};
    bool ok = fields_read(&check_fields, c->body, true, &b, NULL, err) && has_source(c, err) &&
              has_destination(c, b.destination, err);
    const char *dest = b.destination[0] ? b.destination : NULL;
    ok = ok && engine_peer_check(c->engine, c->args[0], dest, &s, err);
    if (ok)
        c->reply = survey_to_json(&s, c->args[0], dest);
    survey_free(&s);
    return ok;
}
