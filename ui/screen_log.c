/* One log on the whole screen: of a mirror, or of everything. */
#include "ui/actions.h"
#include "ui/panes.h"

enum {
    LEVEL_COLS = 100, /* from which on there is room for one more key */
};

static void log_draw(struct app *a)
{
    const struct rect *r = &a->layout.list;
    char title[256], key[16], keys[64];
    struct log_window w;
    pane_log_fetch(a, &a->page_log, false, r->h, &w);
    action_text(a, "{follow}", key, sizeof key);
    logview_title(&a->page_log, &w, key, title, sizeof title);
    const char *hint = r->w < LEVEL_COLS ? "{filter} search  {wrap} wrap  {from}{until} time"
                                         : "{filter} search  {wrap} wrap  {from}{until} time  "
                                           "{more}{less} level";
    draw_rule(&a->paint, r->y, r->x, r->w, ROLE_STRONG, title,
              action_text(a, hint, keys, sizeof keys));
    struct rect body = {r->y + 1, r->x, r->h - 1, r->w};
    pane_log_lines_draw(a, &a->page_log, &w, &body);
    a->cursor_y = r->y + r->h - 1;
}

const struct screen screen_log = {"Log", LAYOUT_PAGE, log_draw};
