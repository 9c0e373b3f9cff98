/* The preflight of a mirror; see servers.h. */
#include "control/servers.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/peer_probe.h"
#include "schema/schema.h"

const struct table_map *servers_find_map(const struct mirror_config *c, const struct table_map *t)
{
    for (size_t i = 0; i < c->n_tables; i++)
        if (!strcmp(c->tables[i].source_table, t->source_table) &&
            !strcmp(c->tables[i].source_schema, t->source_schema))
            return &c->tables[i];
    return NULL;
}

static bool resolve_tables(struct mirror_config *c, struct probe *source, struct err *err)
{
    struct table_map *maps;
    size_t n;
    if (!schema_resolve_maps(source->conn, &source->task, c->tables, c->n_tables, &maps, &n, err)) {
        if (err->code == ERR_CONNECT || err->code == ERR_CANCELLED || err->code == ERR_TIMEOUT)
            return probe_explain(source, err);
        return false;
    }
    for (size_t i = 0; i < c->n_tables; i++)
        table_map_free(&c->tables[i]);
    free(c->tables);
    c->tables = maps;
    c->n_tables = n;
    return true;
}

enum news {
    NEWS_NONE,
    NEWS_TABLE,   /* its destination has to be absent or empty, or there when nothing is copied */
    NEWS_CONTENT, /* other columns go to the table it went to before: that one has to fit */
};

static enum news news_of(const struct table_map *t, const struct mirror_row *present)
{
    const struct table_map *old = present ? servers_find_map(&present->config, t) : NULL;
    if (!old || strcmp(old->dest_table, t->dest_table) != 0 ||
        strcmp(old->dest_schema, t->dest_schema) != 0)
        return NEWS_TABLE;
    return table_map_is_same(old, t) ? NEWS_NONE : NEWS_CONTENT;
}

static bool check_tables(const struct mirror_config *c, const struct mirror_row *present,
                         enum news which, struct probe *source, struct probe *dest,
                         struct findings *f, struct err *err)
{
    struct mirror_config part = *c;
    part.all = c->tables;
    part.n_all = c->n_tables;
    part.n_tables = 0;
    part.tables = mem_calloc(c->n_tables, sizeof *part.tables);
    for (size_t i = 0; i < c->n_tables; i++)
        if (news_of(&c->tables[i], present) == which)
            part.tables[part.n_tables++] = c->tables[i]; /* borrowed */
    if (which == NEWS_CONTENT)
        part.do_initial_snapshot = false;
    bool ok = !part.n_tables || preflight_mirror(source->conn, dest->conn, &source->task, &part,
                                                 present ? present->mirror_id : NULL, f, err);
    free(part.tables);
    return ok || probe_explain(source, err);
}

static bool ask_servers(struct mirror_config *c, const struct mirror_row *present,
                        struct probe *source, struct probe *dest, struct findings *f,
                        struct err *err)
{
    /* The server's state first: what is wrong with it is worth knowing with any table list. */
    if (!preflight_source(source->conn, &source->task, f, err))
        return probe_explain(source, err);
    if (!preflight_dest(dest->conn, &dest->task, f, err))
        return probe_explain(dest, err);
    return resolve_tables(c, source, err) &&
           check_tables(c, present, NEWS_TABLE, source, dest, f, err) &&
           check_tables(c, present, NEWS_CONTENT, source, dest, f, err);
}

static bool refuse(const struct mirror_config *c, const struct findings *f, struct err *err)
{
    size_t errors = 0;
    const char *first = "";
    for (size_t i = 0; i < f->n; i++)
        if (f->items[i].severity == SEVERITY_ERROR && !errors++)
            first = f->items[i].title;
    err_set(err, ERR_PREFLIGHT, "The servers are not ready for mirror %s: %s%s", c->name, first,
            errors > 1 ? ", and more" : "");
    return err_hint(err, "%zu finding%s; each says what to do.", errors, errors > 1 ? "s" : "");
}

bool servers_check(struct engine *e, struct mirror_config *c, const struct mirror_row *present,
                   struct findings *f, struct err *err)
{
    struct probe source = {0}, dest = {0};
    bool ok = probe_begin(&source, e, c->source_peer, err) &&
              probe_begin(&dest, e, c->dest_peer, err) &&
              ask_servers(c, present, &source, &dest, f, err);
    probe_end(&source);
    probe_end(&dest);
    return ok && (!findings_have_errors(f) || refuse(c, f, err));
}
