/* Help, printed from the table of actions: the keys of the screen below, or of all screens. */
#include <string.h>

#include "base/mem.h"
#include "ui/actions.h"
#include "ui/text.h"

enum {
    KEYS_MOST = 14, /* columns of an action's keys */
};

static void help_draw(struct app *a)
{
    const struct rect *r = &a->layout.list;
    enum screen_id of = a->depth > 0 ? a->stack[a->depth - 1] : SCREEN_LIST;
    const char *group = NULL;
    char keys[64], help[160], label[48];
    facts_clear(&a->page);
    int width = 0;
    for (size_t i = 0; i < n_actions; i++) {
        action_key(a, &actions[i], true, keys, sizeof keys);
        int w = text_columns(keys, a->theme.unicode);
        width = w > width && w <= KEYS_MOST ? w : width;
    }
    for (size_t i = 0; i < n_actions; i++) {
        const struct action *k = &actions[i];
        if (!a->help_all && !(k->screens & ON(of)))
            continue;
        if (!group || strcmp(group, k->group)) {
            if (group)
                facts_add(&a->page, ROLE_TEXT, 0, "", "%s", "");
            facts_add(&a->page, ROLE_STRONG, 0, " ", "%s", k->group);
        }
        group = k->group;
        action_key(a, k, true, keys, sizeof keys);
        int pad = width - text_columns(keys, a->theme.unicode);
        str_printf(label, sizeof label, "%s%*s %-11s", keys, pad > 0 ? pad : 0, "", k->name);
        facts_add(&a->page, ROLE_TEXT, 0, label, "%s", action_text(a, k->help, help, sizeof help));
    }
    draw_rule(&a->paint, r->y, r->x, r->w, ROLE_STRONG,
              a->help_all ? "keys of all screens" : "keys of this screen",
              action_text(a, a->help_all ? "{help} this screen" : "{help} all screens", keys,
                          sizeof keys));
    struct rect body = {r->y + 1, r->x, r->h - 1, r->w};
    facts_draw_page(&a->paint, &a->page, &body, &a->page_top);
    a->cursor_y = body.y;
}

const struct screen screen_help = {"Help", LAYOUT_PAGE, help_draw};
