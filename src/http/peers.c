/* The endpoints under /v1/peers; see peers.h. */
#include "src/http/peers.h"

#include <string.h>

#include "src/http/to_json.h"
#include "src/spec.h"

static bool reply_peer(struct call *c, const char *name, struct err *err)
{
    struct peer p = {0};
    if (!engine_peer_get(c->engine, name, &p, err))
        return false;
    c->reply = peer_to_json(&p);
    peer_free(&p);
    return true;
}

bool peers_list(struct call *c, struct err *err)
{
    struct peer_list l = {0};
    if (!engine_peers(c->engine, &l, err))
        return false;
    c->reply = json_array();
    for (size_t i = 0; i < l.n; i++)
        json_array_append_new(c->reply, peer_to_json(&l.items[i]));
    peer_list_free(&l);
    return true;
}

bool peers_add(struct call *c, struct err *err)
{
    struct peer_spec s;
    bool ok = peer_spec_read(c->body, false, &s, NULL, err) &&
              engine_peer_create(c->engine, &s.peer, err) && reply_peer(c, s.peer.name, err);
    if (ok)
        c->status = 201;
    peer_free(&s.peer);
    return ok;
}

bool peers_show(struct call *c, struct err *err)
{
    return reply_peer(c, c->args[0], err);
}

bool peers_change(struct call *c, struct err *err)
{
    struct peer_spec s;
    unsigned given = 0;
    const char *name = c->args[0];
    bool ok = peer_spec_read(c->body, true, &s, &given, err);
    if (ok && s.peer.name && strcmp(s.peer.name, name) != 0)
        ok = err_set(err, ERR_INVALID, "field \"name\": a peer cannot be renamed");
    ok = ok && engine_peer_update(c->engine, name, &s.peer, given, err) && reply_peer(c, name, err);
    peer_free(&s.peer);
    return ok;
}

bool peers_remove(struct call *c, struct err *err)
{
    if (!engine_peer_delete(c->engine, c->args[0], err))
        return false;
    c->reply = json_pack("{s:s}", "deleted", c->args[0]);
    return true;
}

/* Whether a failed test is our failure, not what the test found out about the server. */
static bool is_ours(enum err_code code)
{
    return code == ERR_PEER_NOT_FOUND || code == ERR_SHUTTING_DOWN || code == ERR_CATALOG ||
           code == ERR_INTERNAL;
}

bool peers_test(struct call *c, struct err *err)
{
    struct peer_report r = {0};
    if (!engine_peer_test(c->engine, c->args[0], &r, err)) {
        if (is_ours(err->code))
            return false;
        c->reply = json_pack("{s:b}", "success", 0);
        json_put_text(c->reply, "error", err->text);
        json_put_text(c->reply, "code", err_name(err->code));
        json_put_text(c->reply, "hint", err->hint);
        return true;
    }
    c->reply =
        json_pack("{s:b, s:i, s:o, s:o}", "success", 1, "version_num", r.version_num, "as_source",
                  findings_to_json(r.as_source.items, r.as_source.n), "as_destination",
                  findings_to_json(r.as_destination.items, r.as_destination.n));
    json_put_text(c->reply, "version", r.version);
    peer_report_free(&r);
    return true;
}

bool peers_tables(struct call *c, struct err *err)
{
    struct peer_table_list l = {0};
    if (!engine_peer_tables(c->engine, c->args[0], &l, err))
        return false;
    c->reply = peer_tables_to_json(&l);
    peer_table_list_free(&l);
    return true;
}
