/* The history of the message line, newest first. */
#include "ui/app.h"

#include "base/mem.h"
#include "ui/format.h"

static void messages_draw(struct app *a)
{
    static const enum role roles[] = {ROLE_OK, ROLE_TEXT, ROLE_WARN, ROLE_FAIL};
    static const char *const words[] = {"OK", "INFO", "WARN", "ERROR"};
    const struct rect *r = &a->layout.list;
    char t[FORMAT_SIZE], label[28];
    size_t kept = a->n_messages < MESSAGES ? a->n_messages : MESSAGES;
    draw_rule(&a->paint, r->y, r->x, r->w, ROLE_STRONG, "messages, newest first", NULL);
    facts_clear(&a->page);
    for (size_t i = 1; i <= kept; i++) {
        const struct message *m = &a->messages[(a->n_messages - i) % MESSAGES];
        str_printf(label, sizeof label, "%s %-5s", format_time(m->at, true, t), words[m->level]);
        facts_add(&a->page, roles[m->level], 0, label, "%s", m->text);
    }
    struct rect body = {r->y + 1, r->x, r->h - 1, r->w};
    if (kept == 0)
        draw_text(&a->paint, body.y, body.x + 1, body.w - 1, ROLE_DIM, "no messages yet");
    facts_draw_page(&a->paint, &a->page, &body, &a->page_top);
    a->cursor_y = body.y;
}

const struct screen screen_messages = {"Messages", LAYOUT_PAGE, messages_draw};
