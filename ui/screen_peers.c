/* All peers: where they are, who uses them, and whether the last test of the connection went well.
 */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ui/actions.h"
#include "ui/columns.h"
#include "ui/format.h"
#include "ui/lists.h"
#include "ui/panes.h"

static const struct peer *peer_of(const void *line)
{
    return ((const struct line *)line)->of;
}

static char peer_glyph(const void *item, enum role *role)
{
    (void)item;
    *role = ROLE_TEXT;
    return ' ';
}

static void cell_name(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    (void)a, (void)role;
    str_copy(out, size, peer_of(item)->name);
}

static void cell_host(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct peer *p = peer_of(item);
    (void)a, (void)role;
    str_printf(out, size, "%s:%d", p->host, p->port);
}

static void cell_database(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    (void)a, (void)role;
    str_copy(out, size, peer_of(item)->database);
}

static void cell_user(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    (void)a, (void)role;
    str_copy(out, size, peer_of(item)->user);
}

static void cell_ssl(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    (void)a, (void)role;
    str_copy(out, size, peer_of(item)->ssl_mode);
}

static void cell_used(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const char *name = peer_of(item)->name;
    int from = peer_uses(a, name, true), to = peer_uses(a, name, false);
    *role = from + to ? ROLE_TEXT : ROLE_DIM;
    if (from && to)
        str_printf(out, size, "%d from, %d to", from, to);
    else if (from || to)
        str_printf(out, size, "%d %s", from + to, from ? "from" : "to");
    else
        str_copy(out, size, "unused");
}

static void cell_test(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct peer_test *t = peer_last_test(a, peer_of(item)->name);
    char age[FORMAT_SIZE];
    *role = !t ? ROLE_DIM : t->ok ? ROLE_OK : ROLE_FAIL;
    if (!t) {
        str_copy(out, size, "-");
        return;
    }
    int64_t s = (clock_wall_us() - t->at) / 1000000;
    app_tick(a, 1000);
    str_printf(out, size, "%s %s ago%s%s", t->ok ? "ok" : "FAILED", format_age(s < 0 ? 0 : s, age),
               t->ok ? ", PostgreSQL " : ": ", t->text);
}

static double value_used(struct app *a, const void *item)
{
    const char *name = peer_of(item)->name;
    return peer_uses(a, name, true) + peer_uses(a, name, false);
}

static double value_test(struct app *a, const void *item)
{
    const struct peer_test *t = peer_last_test(a, peer_of(item)->name);
    return t ? (double)t->at : -1;
}

static const struct column columns[] = {
    {.title = "PEER", .sorts_usual = true, .cell = cell_name},
    {.title = "ADDRESS", .width = 20, .wide_width = 28, .cell = cell_host},
    {.title = "DATABASE", .width = 8, .wide_width = 14, .min_cols = 56, .cell = cell_database},
    {.title = "USER", .width = 9, .wide_width = 14, .min_cols = 76, .cell = cell_user},
    {.title = "SSL", .width = 11, .min_cols = 110, .cell = cell_ssl},
    {.title = "USED BY",
     .value = value_used,
     .width = 7,
     .wide_width = 14,
     .min_cols = 64,
     .cell = cell_used},
    {.title = "LAST TEST", .value = value_test, .width = 0, .min_cols = 50, .cell = cell_test},
};
const struct column_set columns_of_peers = {"peers", "peer_columns", columns, COUNT_OF(columns),
                                            24,      "name"};

static void put_mirrors(const struct app *a, const char *peer, bool as_source, char *out,
                        size_t size)
{
    *out = '\0';
    for (size_t i = 0; i < a->picture->n; i++) {
        const struct mirror_status *m = &a->picture->mirrors[i];
        size_t n = strlen(out);
        if (!strcmp(as_source ? m->source_peer : m->dest_peer, peer))
            str_printf(out + n, size - n, "%s%s", n ? ", " : "", m->name);
    }
}

static void peer_facts_draw(struct app *a, const struct peer *p)
{
    char keys[160];
    const struct peer_test *t = peer_last_test(a, p->name);
    struct facts f = {0};
    char names[400], options[400] = "", title[NAME_SIZE + 16];
    str_printf(title, sizeof title, "peer %s", p->name);
    facts_add(&f, ROLE_TEXT, 0, "address", "%s:%d, database %s", p->host, p->port, p->database);
    facts_add(&f, ROLE_TEXT, 1, "login", "as %s, %s; ssl_mode %s", p->user,
              p->has_password ? "with a password"
                              : "without a password: pgpass, certificate or the server's trust",
              p->ssl_mode);
    for (size_t i = 0; i < p->n_options; i++) {
        size_t n = strlen(options);
        str_printf(options + n, sizeof options - n, "%s%s=%s", n ? " " : "", p->option_names[i],
                   p->option_values[i]);
    }
    facts_add(&f, ROLE_TEXT, 2, "options", "%s", options);
    put_mirrors(a, p->name, true, names, sizeof names);
    facts_add(&f, ROLE_TEXT, 1, "source of", "%s", names);
    put_mirrors(a, p->name, false, names, sizeof names);
    facts_add(&f, ROLE_TEXT, 1, "destination of", "%s", names);
    if (t)
        facts_add(&f, t->ok ? ROLE_OK : ROLE_FAIL, 0, "test", "%s%s",
                  t->ok ? "connected, PostgreSQL " : "", t->text);
    facts_add(&f, ROLE_STRONG, 4, "do", "%s",
              action_text(a,
                          "{test} test  |  {edit} edit  |  {add} add another  |  {delete} delete",
                          keys, sizeof keys));
    pane_facts_draw(a, ROLE_STRONG, title, &f);
    facts_free(&f);
}

static void peers_draw(struct app *a)
{
    const struct peer *p = lists_selected(&a->peers);
    columns_draw(a, &a->peers, &columns_of_peers, peer_glyph);
    lists_empty_draw(a, &a->lists[SHEET_PEERS], "no peers yet: {add} adds one");
    if (p)
        peer_facts_draw(a, p);
}

const struct screen screen_peers = {"Peers", LAYOUT_TABLE, peers_draw};
