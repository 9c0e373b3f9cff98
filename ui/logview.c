/* A view of the log; see logview.h. */
#include "ui/logview.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "ui/format.h"
#include "ui/text.h"

void logview_set_mirror(struct logview *v, const char *mirror)
{
    if (!strcmp(v->mirror, mirror))
        return;
    str_copy(v->mirror, sizeof v->mirror, mirror);
    v->paused = false;
    v->left = 0;
}

void logview_fetch(const struct logview *v, const struct model *m, struct log_row *rows, size_t max,
                   int64_t newest_id, struct log_window *w)
{
    w->rows = rows;
    w->n = m->log_tail(m->arg, *v->mirror ? v->mirror : NULL, v->least, rows, max);
    while (newest_id && w->n && rows[w->n - 1].id > newest_id)
        w->n--;
    w->bottom = w->n;
    if (!w->n)
        return;
    w->bottom = w->n - 1;
    /* The anchor may have left the ring or be below the level now: take what stands before it. */
    while (v->paused && w->bottom > 0 && rows[w->bottom].id > v->anchor)
        w->bottom--;
    w->newer = w->n - 1 - w->bottom;
}

void logview_move(struct logview *v, const struct log_window *w, long delta, int64_t now)
{
    if (!w->n)
        return;
    long to = (long)w->bottom + delta;
    to = to < 0 ? 0 : to;
    if (to >= (long)w->n - 1) {
        v->paused = false;
        return;
    }
    if (!v->paused)
        v->paused_at = now;
    v->paused = true;
    v->anchor = w->rows[to].id;
}

static bool line_matches(const struct log_line *l, const char *search)
{
    return text_contains(l->text, search) || text_contains(l->component, search) ||
           text_contains(l->details, search);
}

bool logview_find(struct logview *v, const struct log_window *w, int direction, int64_t now)
{
    if (!*v->search)
        return false;
    for (long i = (long)w->bottom + direction; i >= 0 && i < (long)w->n; i += direction)
        if (line_matches(&w->rows[i].line, v->search)) {
            logview_move(v, w, i - (long)w->bottom, now);
            return true;
        }
    return false;
}

void logview_title(const struct logview *v, const struct log_window *w, const char *follow,
                   char *out, size_t size)
{
    char at[FORMAT_SIZE];
    static const char *const levels[] = {"debug and up", "info and up", "warn and up", "errors"};
    const char *of = *v->mirror ? v->mirror : "all mirrors";
    if (!v->paused)
        str_printf(out, size, "log: %s, %s, following", of, levels[v->least]);
    else
        str_printf(out, size, "log: %s, %s, held %s, %zu newer: %s follow", of, levels[v->least],
                   format_time(v->paused_at, true, at), w->newer, follow);
}

/* What one row says, as one text: lines of details follow when wrapped. */
static void row_text(const struct logview *v, const struct log_row *row, char *out, size_t size)
{
    char at[FORMAT_SIZE];
    const struct log_line *l = &row->line;
    str_printf(out, size, "%s %-5s %-7s %s%s%s%s%s", format_time(l->at, true, at),
               log_level_name(l->level), l->component, *v->mirror ? "" : l->mirror,
               *v->mirror || !*l->mirror ? "" : ": ", l->text, *l->details && v->wrap ? "\n" : "",
               v->wrap ? l->details : "");
}

enum {
    ROW_TEXT = 1200, /* time, level, component, mirror, text, details */
    INDENT = 23,     /* of what goes on below */
};

/* The next piece of a row; *s moves on. */
static void row_piece(const struct painter *p, const char **s, int width, bool first, char *out,
                      size_t size)
{
    int room = first ? width : width > 2 * INDENT ? width - INDENT : width;
    size_t n = text_break(*s, p->theme->unicode, room);
    str_copy_n(out, size, *s, n);
    out[strcspn(out, "\n")] = '\0';
    *s += n;
}

static int row_lines(const struct painter *p, const struct logview *v, const struct log_row *row,
                     int width)
{
    char text[ROW_TEXT], piece[ROW_TEXT];
    if (!v->wrap)
        return 1;
    row_text(v, row, text, sizeof text);
    const char *s = text;
    int n = 0;
    do
        row_piece(p, &s, width, n++ == 0, piece, sizeof piece);
    while (*s);
    return n;
}

static enum role row_role(const struct logview *v, const struct log_line *l)
{
    if (*v->search && line_matches(l, v->search))
        return ROLE_KEY;
    switch (l->level) {
    case LOG_LEVEL_DEBUG:
        return ROLE_DIM;
    case LOG_LEVEL_INFO:
        return ROLE_TEXT;
    case LOG_LEVEL_WARN:
        return ROLE_WARN;
    case LOG_LEVEL_ERROR:
        return ROLE_FAIL;
    }
    return ROLE_TEXT;
}

/* Skips left columns of an unwrapped line. */
static const char *row_skip(const char *s, int left)
{
    size_t used;
    for (; left > 0 && *s; left--, s += used)
        text_decode(s, &used);
    return s;
}

static void row_draw(const struct painter *p, const struct logview *v, const struct log_row *row,
                     const struct rect *r, int y)
{
    char text[ROW_TEXT], piece[ROW_TEXT];
    enum role role = row_role(v, &row->line);
    row_text(v, row, text, sizeof text);
    if (!v->wrap) {
        if (y >= r->y)
            draw_text(p, y, r->x + 1, r->w - 1, role, row_skip(text, v->left));
        return;
    }
    const char *s = text;
    for (int n = 0; *s; n++) {
        int indent = n > 0 && r->w - 1 > 2 * INDENT ? INDENT : 0;
        row_piece(p, &s, r->w - 1, n == 0, piece, sizeof piece);
        if (y + n >= r->y && y + n < r->y + r->h)
            draw_text(p, y + n, r->x + 1 + indent, r->w - 1 - indent, role, piece);
    }
}

void logview_draw(const struct painter *p, const struct logview *v, const struct log_window *w,
                  const char *none, const struct rect *r)
{
    if (!w->n) {
        draw_text(p, r->y, r->x + 1, r->w - 1, ROLE_DIM, none);
        return;
    }
    /* Up from the bottom line until the pane is full, then down. */
    int lines = 0;
    size_t i = w->bottom + 1;
    while (i > 0 && lines < r->h)
        lines += row_lines(p, v, &w->rows[--i], r->w - 1);
    int y = lines > r->h ? r->y + r->h - lines : r->y;
    for (; i <= w->bottom; i++) {
        row_draw(p, v, &w->rows[i], r, y);
        y += row_lines(p, v, &w->rows[i], r->w - 1);
    }
}
