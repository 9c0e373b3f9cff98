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
    v->from = v->until = (struct log_row_place){0};
}

/* Only what is in the range. */
static void cut(const struct logview *v, struct log_row *rows, struct log_window *w)
{
    size_t first = 0;
    while (v->until.id && w->n && rows[w->n - 1].id > v->until.id)
        w->n--;
    while (first < w->n && rows[first].id < v->from.id)
        first++;
    w->n -= first;
    if (first)
        memmove(rows, rows + first, w->n * sizeof *rows);
}

void logview_fetch(const struct logview *v, const struct model *m, struct log_row *rows, size_t max,
                   int64_t newest_id, struct log_window *w)
{
    w->rows = rows;
    w->n = m->log_tail(m->arg, *v->mirror ? v->mirror : NULL, v->least, rows, max);
    while (newest_id && w->n && rows[w->n - 1].id > newest_id)
        w->n--;
    cut(v, rows, w);
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

/* ", from 14:29:58 to 14:31:19" */
static void put_range(const struct logview *v, char *out, size_t size)
{
    char from[FORMAT_SIZE], to[FORMAT_SIZE];
    bool begins = v->from.id, ends = v->until.id;
    str_printf(out, size, "%s%s%s%s", begins ? ", from " : "",
               begins ? format_time(v->from.at, true, from) : "",
               !ends    ? ""
               : begins ? " to "
                        : ", until ",
               ends ? format_time(v->until.at, true, to) : "");
}

void logview_title(const struct logview *v, const struct log_window *w, const char *follow,
                   char *out, size_t size)
{
    char at[FORMAT_SIZE], range[2 * FORMAT_SIZE + 16];
    static const char *const levels[] = {"debug and up", "info and up", "warn and up", "errors"};
    const char *of = *v->mirror ? v->mirror : "all mirrors";
    put_range(v, range, sizeof range);
    if (!v->paused)
        str_printf(out, size, "log: %s, %s%s, %s", of, levels[v->least], range,
                   v->until.id ? "at its end" : "following");
    else if (*range)
        str_printf(out, size, "log: %s, %s%s, %zu newer: %s follow", of, levels[v->least], range,
                   w->newer, follow);
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

static struct log_row_place place_of(const struct log_row *row)
{
    return (struct log_row_place){.id = row->id, .at = row->line.at};
}

void logview_from(struct logview *v, const struct painter *p, const struct log_window *w,
                  const struct rect *r)
{
    size_t i = w->bottom;
    if (v->from.id || !w->n) {
        v->from = (struct log_row_place){0};
        return;
    }
    for (int lines = row_lines(p, v, &w->rows[i], r->w - 1); i > 0; i--) {
        lines += row_lines(p, v, &w->rows[i - 1], r->w - 1);
        if (lines > r->h)
            break;
    }
    v->from = place_of(&w->rows[i]);
}

void logview_until(struct logview *v, const struct log_window *w)
{
    bool is_set = v->until.id || !w->n;
    v->until = is_set ? (struct log_row_place){0} : place_of(&w->rows[w->bottom]);
    v->paused = v->paused && is_set;
}

void logview_follow(struct logview *v)
{
    v->paused = false;
    v->until = (struct log_row_place){0};
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
