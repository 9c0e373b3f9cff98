/* Saving what a screen shows: its lines as they stand there, then all of what it shows a part of.
 */
#include "ui/save.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "ui/columns.h"
#include "ui/format.h"
#include "ui/listing.h"
#include "ui/moves.h"
#include "ui/panes.h"
#include "ui/terminal.h"
#include "ui/text.h"

enum {
    LINE_MOST = 512,
};

static void put_line(struct buf *b, const char *line)
{
    char *clean = text_clean(line);
    size_t n = strlen(clean);
    while (n && clean[n - 1] == ' ')
        n--;
    clean[n] = '\0';
    buf_printf(b, "%s\n", clean);
    free(clean);
}

static void put_screen(struct buf *b)
{
    int rows, cols;
    terminal_size(&rows, &cols);
    for (int y = 0; y < rows; y++) {
        wchar_t wide[LINE_MOST + 1] = L"";
        char text[5];
        struct buf line = {0};
        (void)mvinnwstr(y, 0, wide, cols < LINE_MOST ? cols : LINE_MOST);
        for (const wchar_t *w = wide; *w; w++) {
            text_encode((unsigned long)*w, text);
            buf_puts(&line, text);
        }
        put_line(b, buf_text(&line));
        buf_free(&line);
    }
}

static void put_log(struct app *a, struct buf *b)
{
    struct log_window w;
    char at[FORMAT_SIZE];
    pane_log_fetch(a, moves_log(a), true, 0, &w);
    buf_puts(b, "\n");
    for (size_t i = 0; i < w.n; i++) {
        const struct log_line *l = &w.rows[i].line;
        struct buf line = {0};
        buf_printf(&line, "%s %-5s %-8s %s%s%s%s%s", format_date_time(l->at, at),
                   log_level_name(l->level), l->component, l->mirror, *l->mirror ? ": " : "",
                   l->text, *l->details ? "  " : "", l->details);
        put_line(b, buf_text(&line));
        buf_free(&line);
    }
}

/* All rows of a list of which not all fit. */
static void put_rows(struct app *a, const struct rows *r, struct buf *b)
{
    buf_puts(b, "\n");
    for (size_t i = 0; i < r->n; i++) {
        struct buf line = {0};
        for (int t = 0; t < a->n_titles; t++) {
            const struct column *c = &a->drawn->columns[a->titles[t].column];
            char text[LINE_MOST] = "";
            enum role role = ROLE_TEXT;
            if (c->draw)
                continue;
            c->cell(a, r->items[i], text, sizeof text, &role);
            buf_printf(&line, "%s%s", t ? "  " : "", text);
        }
        put_line(b, buf_text(&line));
        buf_free(&line);
    }
}

static void put_page(const struct facts *f, struct buf *b)
{
    buf_puts(b, "\n");
    for (size_t i = 0; i < f->n; i++) {
        struct buf line = {0};
        buf_printf(&line, "%-*s  %s", f->label_width, f->items[i].label, f->items[i].text);
        put_line(b, buf_text(&line));
        buf_free(&line);
    }
}

static bool write_new(const char *path, const struct buf *b)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool ok = fd >= 0 && write(fd, b->data, b->len) == (ssize_t)b->len;
    int why = errno;
    if (fd >= 0 && close(fd) != 0)
        ok = false;
    if (fd >= 0 && !ok)
        (void)unlink(path);
    errno = why;
    return ok;
}

void do_save(struct app *a)
{
    const char *dir = getenv("TMPDIR");
    char at[32] = "";
    time_t now = time(NULL);
    struct tm tm;
    struct buf b = {0};
    const struct rows *r = listing_of(a).rows;
    put_screen(&b);
    if (moves_log(a))
        put_log(a, &b);
    else if (r && a->drawn && (int)r->n > r->height)
        put_rows(a, r, &b);
    else if (!r)
        put_page(&a->page, &b);
    localtime_r(&now, &tm);
    (void)strftime(at, sizeof at, "%Y%m%d-%H%M%S", &tm);
    char *path = mem_printf("%s/bunnydb-screen-%s-%03d.txt", dir && *dir ? dir : "/tmp", at,
                            (int)(clock_wall_us() / 1000 % 1000));
    if (write_new(path, &b))
        app_say(a, SEVERITY_OK, "saved: %s", path);
    else
        app_say(a, SEVERITY_ERROR, "not saved: %s: %s", strerror(errno), path);
    free(path);
    buf_free(&b);
}
