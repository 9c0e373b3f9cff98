/* The panes below a list; see panes.h. */
#include "ui/panes.h"

#include "ui/actions.h"
#include "ui/mirrors.h"
#include "ui/moves.h"

void pane_facts_draw(struct app *a, enum role role, const char *title, const struct facts *f)
{
    const struct rect *r = &a->layout.finding;
    if (r->h == 0)
        return;
    draw_rule(&a->paint, r->y, r->x, r->w, role, title, NULL);
    struct rect body = {r->y + 1, r->x, r->h - 1, r->w};
    facts_draw(&a->paint, f, &body);
}

void pane_finding_draw(struct app *a, const struct mirror_status *m)
{
    char title[256] = "";
    struct facts f = {0};
    enum role role = ROLE_STRONG;
    if (m) {
        mirror_facts(a, m, &f, title, sizeof title);
        role = m->state == MIRROR_ERROR ? ROLE_FAIL : ROLE_STRONG;
    }
    pane_facts_draw(a, role, title, &f);
    facts_free(&f);
}

void pane_log_fetch(struct app *a, const struct logview *v, bool all, int height,
                    struct log_window *w)
{
    bool deep = all || v->paused || v->until.id || a->frozen;
    size_t max = deep ? LOGVIEW_ROWS : (size_t)(height > 1 ? height : 1);
    if (max > LOGVIEW_ROWS)
        max = LOGVIEW_ROWS;
    *w = (struct log_window){0};
    logview_fetch(v, a->model, a->log_rows, max, a->frozen ? a->frozen_log_id : 0, w);
}

void pane_log_lines_draw(struct app *a, const struct logview *v, const struct log_window *w,
                         const struct rect *r)
{
    char none[96];
    action_text(a,
                v->least <= LOG_LEVEL_INFO ? "nothing logged yet"
                : moves_log(a) == v
                    ? "nothing logged at this level; {more} shows more"
                    : "nothing logged at this level; {pane}, then {more} shows more",
                none, sizeof none);
    logview_draw(&a->paint, v, w, none, r);
}

void pane_log_draw(struct app *a, struct logview *v, const char *mirror)
{
    const struct rect *r = &a->layout.log;
    char title[256], back[24], key[16];
    struct log_window w;
    if (r->h == 0)
        return;
    logview_set_mirror(v, mirror);
    pane_log_fetch(a, v, false, r->h, &w);
    action_text(a, "{follow}", key, sizeof key);
    logview_title(v, &w, key, title, sizeof title);
    draw_rule(&a->paint, r->y, r->x, r->w, a->focus_log ? ROLE_KEY : ROLE_STRONG, title,
              a->focus_log ? action_text(a, "{pane} back", back, sizeof back) : NULL);
    if (a->layout.side_by_side)
        draw_divider(&a->paint, r);
    struct rect body = {r->y + 1, r->x, r->h - 1, r->w};
    pane_log_lines_draw(a, v, &w, &body);
    if (a->focus_log) {
        a->cursor_y = r->y;
        a->cursor_x = r->x;
    }
}
