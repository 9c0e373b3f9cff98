/* The last page before a mirror is made, or its tables are changed: what will be done, and all that
 * the servers were found to lack for it. */
#include <string.h>

#include "base/mem.h"
#include "ui/actions.h"
#include "ui/format.h"

static const enum role roles[] = {ROLE_OK, ROLE_TEXT, ROLE_WARN, ROLE_FAIL};

static void put_finding(struct facts *f, const struct finding *x)
{
    facts_add(f, roles[x->severity], 0, severity_name(x->severity), "%s", x->title);
    facts_add(f, ROLE_TEXT, 0, " ", "  %s", x->cause);
    if (*x->remedy)
        facts_add(f, ROLE_STRONG, 0, " ", "  %s", x->remedy);
}

static void put_all(struct facts *f, const struct findings *all, enum severity severity)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->items[i].severity == severity)
            put_finding(f, &all->items[i]);
}

static void put_new(struct app *a, struct facts *f)
{
    const struct mirror_config *c = &a->wizard.config;
    struct wizard_sum s = wizard_sum(&a->wizard);
    char bytes[FORMAT_SIZE], rows[FORMAT_SIZE];
    facts_add(f, ROLE_STRONG, 0, "mirror", "%s, from %s to %s", c->name, c->source_peer,
              c->dest_peer);
    facts_add(f, ROLE_STRONG, 0, "tables", "%zu, about %s row%s, %s", s.tables,
              format_count(s.rows, rows), format_s(s.rows), format_bytes(s.bytes, bytes));
    facts_add(f, ROLE_TEXT, 0, "copy", "%s",
              c->do_initial_snapshot ? "all rows, then the stream"
                                     : "none: the stream only, from now on");
    facts_add(f, ROLE_TEXT, 0, "rules", "schema_changes %s, on_table_error %s, resync_strategy %s",
              c->schema_changes, c->on_table_error, c->resync_strategy);
    facts_add(f, ROLE_TEXT, 0, "also", "indexes %s, foreign keys %s",
              c->replicate_indexes ? "yes" : "no", c->replicate_foreign_keys ? "yes" : "no");
}

static void put_change(struct app *a, struct facts *f)
{
    const struct wizard *w = &a->wizard;
    struct wizard_sum s = wizard_sum(w);
    const struct mirror_status *m = model_find(a->picture, w->config.name);
    char bytes[FORMAT_SIZE];
    facts_add(f, ROLE_STRONG, 0, "mirror", "%s: %zu table%s afterwards", w->config.name, s.tables,
              format_s((int64_t)s.tables));
    if (s.added)
        facts_add(
            f, ROLE_BUSY, 0, "adds", "%zu, %s to copy%s", s.added, format_bytes(s.bytes, bytes),
            m && m->state == MIRROR_PAUSED ? " once it is resumed" : " while the others go on");
    for (size_t i = 0; i < w->n; i++)
        if (w->picks[i].is_in && !w->picks[i].was_in)
            facts_add(f, ROLE_TEXT, 0, " ", "  %s", w->picks[i].name);
    if (s.removed)
        facts_add(f, ROLE_WARN, 0, "removes", "%zu; their rows at the destination stay", s.removed);
    for (size_t i = 0; i < w->n; i++)
        if (!w->picks[i].is_in && w->picks[i].was_in)
            facts_add(f, ROLE_TEXT, 0, " ", "  %s", w->picks[i].name);
}

static void put_preflight(struct app *a, struct facts *f)
{
    const struct wizard *w = &a->wizard;
    const struct survey *s = &a->lists[SHEET_SURVEY].survey;
    facts_add(f, ROLE_TEXT, 0, "", "%s", "");
    if (*w->error) {
        facts_add(f, ROLE_FAIL, 0, "refused", "%s", w->error);
        for (int k = SEVERITY_ERROR; k > SEVERITY_OK; k--)
            put_all(f, &w->findings, (enum severity)k);
        return;
    }
    if (!w->is_new)
        return;
    bool errors = findings_have_errors(&s->source) || findings_have_errors(&s->destination);
    facts_add(f, errors ? ROLE_FAIL : ROLE_OK, 0, "preflight", "%s",
              errors ? "the servers are not ready:" : "both servers are ready");
    for (int k = SEVERITY_ERROR; k > SEVERITY_OK; k--) {
        put_all(f, &s->source, (enum severity)k);
        put_all(f, &s->destination, (enum severity)k);
    }
}

static void summary_draw(struct app *a)
{
    const struct rect *r = &a->layout.list;
    const struct wizard *w = &a->wizard;
    struct facts *f = &a->page;
    char keys[80];
    facts_clear(f);
    draw_rule(&a->paint, r->y, r->x, r->w, ROLE_STRONG,
              w->is_new ? "a new mirror, 3 of 3: what will be done" : "what will be done", NULL);
    if (w->is_busy)
        facts_add(f, ROLE_BUSY, 0, "now", "%s",
                  w->is_new ? "both servers are checked, then it is made" : "under way");
    else
        facts_add(f, ROLE_STRONG, 0, "do", "%s",
                  action_text(a,
                              w->is_new ? "{finish} makes it (asks y), {back} to the tables"
                                        : "{finish} does it (asks y), {back} to the tables",
                              keys, sizeof keys));
    if (w->is_new)
        put_new(a, f);
    else
        put_change(a, f);
    put_preflight(a, f);
    struct rect body = {r->y + 1, r->x, r->h - 1, r->w};
    facts_draw_page(&a->paint, f, &body, &a->page_top);
    a->cursor_y = body.y;
}

const struct screen screen_summary = {"Summary", LAYOUT_PAGE, summary_draw};
