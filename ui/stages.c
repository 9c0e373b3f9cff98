/* How far a mirror is, and what flows; see stages.h. */
#include "ui/stages.h"

#include <string.h>

#include "base/mem.h"
#include "ui/draw.h"
#include "ui/format.h"
#include "ui/mirrors.h"
#include "ui/text.h"

enum {
    GRAPH_X = 34,
    GRAPH = 20,
    REST_X = GRAPH_X + GRAPH + 3, /* what stands right of the graphs */
    BAR = 6,
};
enum stage {
    STAGE_SETUP, /* everything before the slot */
    STAGE_SLOT,
    STAGE_DEFINITIONS,
    STAGE_COPY,
    STAGE_INDEXES,
    STAGE_ANALYZE,
    STAGE_FKEYS,
    STAGE_CATCH_UP,
    STAGE_STREAM,
    STAGE_COUNT
};
static const struct {
    const char *name, *phase; /* phase: as the engine says it */
} stages[STAGE_COUNT] = {
    [STAGE_SETUP] = {"setup", "connecting"},
    [STAGE_SLOT] = {"slot", "creating_slot"},
    [STAGE_DEFINITIONS] = {"schema", "reading_schema"},
    [STAGE_COPY] = {"copy", "copying"},
    [STAGE_INDEXES] = {"indexes", "building_indexes"},
    [STAGE_ANALYZE] = {"analyze", "analyzing"},
    [STAGE_FKEYS] = {"foreign keys", "adding_foreign_keys"},
    [STAGE_CATCH_UP] = {"catch up", "catching_up"},
    [STAGE_STREAM] = {"stream", "streaming"},
};

/* Where it is, or where it goes on when it is paused or has failed. */
static enum stage stage_of(const struct mirror_status *m)
{
    bool works = m->state == MIRROR_INITIALIZING || m->state == MIRROR_SNAPSHOTTING;
    for (int i = 0; works && i < STAGE_COUNT; i++)
        if (!strcmp(m->phase, stages[i].phase))
            return (enum stage)i;
    if (m->tables_done < m->tables_total || m->state == MIRROR_SNAPSHOTTING)
        return STAGE_COPY;
    if (m->state == MIRROR_INITIALIZING)
        return STAGE_SETUP;
    bool behind = m->state == MIRROR_RUNNING && (!strcmp(m->phase, "catching_up") ||
                                                 !strcmp(m->phase, stages[STAGE_SETUP].phase));
    return behind ? STAGE_CATCH_UP : STAGE_STREAM;
}

static enum role role_of(const struct mirror_status *m)
{
    switch (m->state) {
    case MIRROR_INITIALIZING:
    case MIRROR_SNAPSHOTTING:
        return ROLE_BUSY;
    case MIRROR_RUNNING:
        return ROLE_OK;
    case MIRROR_PAUSED:
    case MIRROR_STOPPED:
        return ROLE_HELD;
    case MIRROR_ERROR:
        return ROLE_FAIL;
    }
    return ROLE_TEXT;
}

/* What there is to say of a stage beside its name. */
static void stage_more(const struct app *a, const struct mirror_status *m, int i, char *out,
                       size_t size)
{
    char bar[BAR * 4 + 1], percent[FORMAT_SIZE];
    int done = 0, all = 0;
    *out = '\0';
    if (i == STAGE_COPY && m->tables_done < m->tables_total && m->bytes_total > 0) {
        theme_bar(&a->theme, BAR, (double)m->bytes_done / (double)m->bytes_total, bar, sizeof bar);
        str_printf(out, size, " %s %s", bar,
                   format_percent(m->bytes_done, m->bytes_total, percent));
    } else if (i == STAGE_INDEXES && m->tables_done < m->tables_total) {
        for (size_t k = 0; k < m->n_tables; k++) {
            done += m->tables[k].indexes_done;
            all += m->tables[k].indexes_total;
        }
        if (all > 0)
            str_printf(out, size, " %d/%d", done, all);
    }
}

static void line_draw(struct app *a, const struct mirror_status *m)
{
    const struct rect *r = &a->layout.stages;
    char more[80];
    enum stage now = stage_of(m);
    int x = r->x + 1, end = r->x + r->w;
    for (int i = 0; i < STAGE_COUNT && x < end; i++) {
        bool on = i == (int)now;
        enum role role = on ? role_of(m) : i < (int)now ? ROLE_TEXT : ROLE_DIM;
        stage_more(a, m, i, more, sizeof more);
        if (i > 0)
            x += draw_textf(&a->paint, r->y + 1, x, end - x, ROLE_DIM, " %s ",
                            theme_rule(&a->theme));
        x += draw_textf(&a->paint, r->y + 1, x, end - x, role, "%s%s%s%s", on ? "[" : "",
                        stages[i].name, more, on ? "]" : "");
    }
}

/* "workers 9 at 3 tables, 43 queued", "7 queued" */
static void work_text(const struct mirror_status *m, char *out, size_t size)
{
    int workers = 0, tables = 0, queued = 0;
    for (size_t i = 0; i < m->n_tables; i++) {
        const struct table_status *t = &m->tables[i];
        workers += t->workers;
        tables += t->workers > 0;
        queued += !strcmp(t->state, "queued");
    }
    *out = '\0';
    if (workers)
        str_printf(out, size, "workers %d at %d table%s%s", workers, tables, format_s(tables),
                   queued ? ", " : "");
    size_t n = strlen(out);
    if (queued)
        str_printf(out + n, size - n, "%d queued", queued);
}

static void right_draw(struct app *a, int y, const char *text)
{
    const struct rect *r = &a->layout.flow;
    int w = text_columns(text, a->theme.unicode);
    if (w + 2 < r->w)
        draw_text(&a->paint, y, r->x + r->w - w - 1, w, ROLE_TEXT, text);
}

static void rate_draw(struct app *a, const struct mirror_status *m, int y)
{
    const struct rect *r = &a->layout.flow;
    char rows[FORMAT_SIZE], bytes[FORMAT_SIZE], work[80], age[FORMAT_SIZE], xmin[40];
    draw_textf(&a->paint, y, r->x, GRAPH_X - 1, ROLE_TEXT, " %-5s  %s rows/s, %sB/s",
               m->state == MIRROR_SNAPSHOTTING ? "copy" : "apply",
               format_count((int64_t)m->rows_per_second, rows),
               format_bytes((int64_t)m->bytes_per_second, bytes));
    draw_scaled_graph(&a->paint, y, r->x + GRAPH_X, GRAPH, ROLE_TEXT, m->rows_history, LAG_HISTORY);
    work_text(m, work, sizeof work);
    draw_text(&a->paint, y, r->x + REST_X, r->w - REST_X - 17, ROLE_TEXT, work);
    if (!m->slot.sampled_at || !m->slot.exists || m->slot.xmin_age < 0)
        return;
    str_printf(xmin, sizeof xmin, "xmin age %s", format_count(m->slot.xmin_age, age));
    right_draw(a, y, xmin);
}

static void lag_draw(struct app *a, const struct mirror_status *m, int y)
{
    const struct rect *r = &a->layout.flow;
    char lag[FORMAT_SIZE], bytes[FORMAT_SIZE];
    int errors = 0;
    for (size_t i = 0; i < ERROR_HISTORY; i++)
        errors += m->error_history[i];
    draw_textf(&a->paint, y, r->x, GRAPH_X - 1, ROLE_TEXT, " lag    %s%s%s to catch up",
               m->lag_seconds >= 0 ? format_seconds(m->lag_seconds, lag) : "",
               m->lag_seconds >= 0 ? ", " : "", format_bytes(m->lag_bytes, bytes));
    draw_graph(&a->paint, y, r->x + GRAPH_X, GRAPH, m->lag_history, LAG_HISTORY);
    draw_textf(&a->paint, y, r->x + REST_X, r->w - REST_X, errors ? ROLE_FAIL : ROLE_TEXT,
               "errors/h %d", errors);
}

static void wal_draw(struct app *a, const struct mirror_status *m, int y)
{
    const struct rect *r = &a->layout.flow;
    const struct slot_status *s = &m->slot;
    char source[LSN_TEXT_SIZE], applied[LSN_TEXT_SIZE], flushed[LSN_TEXT_SIZE];
    char kept[FORMAT_SIZE], most[FORMAT_SIZE], text[80];
    bool known = s->sampled_at && s->exists, limited = s->safe_wal_size >= 0;
    draw_textf(&a->paint, y, r->x, r->w - 22, ROLE_TEXT,
               " WAL    source %s   last change %s   confirmed %s",
               mirror_lsn(mirror_source_lsn(m), source), mirror_lsn(m->last_lsn, applied),
               mirror_lsn(known ? s->confirmed_flush : 0, flushed));
    if (!known)
        return;
    str_printf(text, sizeof text, "kept %s%s%s", format_bytes(s->retained_bytes, kept),
               limited ? " of " : "",
               limited ? format_bytes(s->retained_bytes + s->safe_wal_size, most) : "");
    right_draw(a, y, text);
}

void stages_draw(struct app *a, const struct mirror_status *m)
{
    const struct rect *r = &a->layout.flow;
    if (r->h < 4)
        return;
    draw_rule(&a->paint, a->layout.stages.y, r->x, r->w, ROLE_STRONG, "stages", NULL);
    line_draw(a, m);
    draw_rule(&a->paint, r->y, r->x, r->w, ROLE_STRONG, "flow", NULL);
    rate_draw(a, m, r->y + 1);
    lag_draw(a, m, r->y + 2);
    wal_draw(a, m, r->y + 3);
}
