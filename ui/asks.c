/* Questions before something is done; see asks.h. */
#include "ui/asks.h"

#include <string.h>

#include "base/mem.h"
#include "ui/format.h"
#include "ui/mirror_pages.h"

void ask_begin(struct app *a, const struct mirror_status *m, enum mirror_command kind)
{
    struct confirm *c = &a->confirm;
    *c = (struct confirm){.order = {.kind = kind}, .state = m->state};
    str_copy(c->order.mirror, sizeof c->order.mirror, m->name);
}

void ask_line(struct app *a)
{
    a->mode = MODE_CONFIRM;
}

void confirm_submit(struct app *a)
{
    const struct confirm *c = &a->confirm;
    const struct mirror_status *m = model_find(a->picture, c->order.mirror);
    char text[300];
    order_text(&c->order, text, sizeof text);
    if (!m || m->state != c->state)
        app_say(a, SEVERITY_WARNING, "%s: not done, its state has changed meanwhile", text);
    else if (commands_submit(a->commands, &c->order))
        app_say(a, SEVERITY_INFO, "%s: under way", text);
    else
        app_say(a, SEVERITY_ERROR, "%s: too many commands are waiting", text);
}

/* --- quit ------------------------------------------------------------------------------------ */
static void quit_detach(struct app *a)
{
    a->done = true;
    a->end = CONSOLE_DETACHED;
}

static void quit_stop(struct app *a)
{
    a->done = true;
    a->end = CONSOLE_QUIT;
}

void quit_ask(struct app *a)
{
    static const struct choice choices[] = {{'d', "[ d Detach ]", quit_detach},
                                            {'s', "[ s Stop cleanly ]", quit_stop},
                                            {'c', "[ c Cancel ]", NULL}};
    struct facts *f = &a->dialog.lines;
    const char *hint = a->options->attach_hint;
    char title[96];
    int n = 0;
    if (a->model->is_attached) { /* nothing ends but this screen */
        quit_detach(a);
        return;
    }
    for (size_t i = 0; a->picture && i < a->picture->n; i++)
        n += app_is_mirror_active(&a->picture->mirrors[i]);
    if (n == 0) {
        quit_stop(a); /* nothing runs that would stop */
        return;
    }
    facts_clear(f);
    facts_add(f, ROLE_TEXT, 0, "Detach", "the screen goes, all mirrors go on\n%s",
              hint ? hint : "stop it later with SIGTERM");
    facts_add(f, ROLE_TEXT, 0, "Stop cleanly",
              "nothing is lost; the sources keep WAL until bunnydb runs again");
    str_printf(title, sizeof title, "Quit bunnydb? %d mirror%s at work", n, n == 1 ? "" : "s");
    dialog_open(a, title, choices, COUNT_OF(choices));
}

/* --- verify and repair ----------------------------------------------------------------------- */
static int64_t bytes_of(const struct mirror_status *m)
{
    int64_t n = 0;
    for (size_t i = 0; i < m->n_tables; i++)
        n += m->tables[i].bytes_total;
    return n;
}

void ask_verify(struct app *a, const struct mirror_status *m)
{
    char size[FORMAT_SIZE], time[APP_MINUTES];
    ask_begin(a, m, MIRROR_VERIFY);
    app_minutes(a, m->name, false, bytes_of(m), time);
    str_printf(a->confirm.text, sizeof a->confirm.text,
               "verify %s: reads %zu table%s (%s%s%s) once on either side, the stream goes on",
               m->name, m->n_tables, format_s((int64_t)m->n_tables),
               format_bytes(bytes_of(m), size), *time ? ", " : "", time);
    ask_line(a);
}

void ask_repair(struct app *a, const struct mirror_status *m)
{
    static const struct choice choices[] = {{'r', "[ r Repair ]", confirm_submit},
                                            {'c', "[ c Cancel ]", NULL}};
    struct facts *f = &a->dialog.lines;
    char title[NAME_SIZE + 64];
    ask_begin(a, m, MIRROR_REPAIR);
    facts_clear(f);
    facts_add(f, ROLE_STRONG, 0, "rows", "%lld of %s were found to differ",
              (long long)sheet_differences(&a->sheet), m->name);
    facts_add(f, ROLE_TEXT, 0, "does",
              "compares all tables again, makes each row that differs what it is at the source "
              "while the stream goes on, and compares once more");
    facts_add(f, ROLE_TEXT, 0, "loses",
              "what was changed in mirrored columns of those rows at %s alone", m->dest_peer);
    str_printf(title, sizeof title, "Repair rows of %s?", m->name);
    dialog_open(a, title, choices, COUNT_OF(choices));
}

/* --- resync ---------------------------------------------------------------------------------- */
static void typed(struct app *a)
{
    if (!strcmp(a->typed, a->confirm.typed_name))
        confirm_submit(a);
    else
        app_say(a, SEVERITY_INFO, "not done: that is not %s", a->confirm.typed_name);
}

/* Level 3. */
static void ask_name(struct app *a)
{
    struct order *o = &a->confirm.order;
    struct prompt *p = &a->prompt;
    bool truncates = o->strategy && !strcmp(o->strategy, "truncate");
    a->confirm.typed_name = *o->table ? o->table : o->mirror;
    str_printf(p->label, sizeof p->label, "type %s to %s", a->confirm.typed_name,
               !o->strategy ? "delete this mirror"
               : truncates  ? "empty and copy it"
               : *o->table  ? "swap it"
                            : "swap all its tables");
    *a->typed = *p->before = '\0';
    p->target = a->typed;
    p->size = sizeof a->typed;
    p->done = typed;
    a->mode = MODE_PROMPT;
}

static void choose_swap(struct app *a)
{
    a->confirm.order.strategy = "swap";
    if (*a->confirm.order.table)
        confirm_submit(a);
    else
        ask_name(a);
}

static void choose_truncate(struct app *a)
{
    a->confirm.order.strategy = "truncate";
    ask_name(a);
}

void ask_resync(struct app *a, const struct mirror_status *m, const struct table_status *t)
{
    static const struct choice choices[] = {{'s', "[ s Swap ]", choose_swap},
                                            {'e', "[ e Empty and copy ]", choose_truncate},
                                            {'c', "[ c Cancel ]", NULL}};
    struct facts *f = &a->dialog.lines;
    char title[2 * NAME_SIZE + 32], size[FORMAT_SIZE], rows[FORMAT_SIZE];
    char time[APP_MINUTES];
    ask_begin(a, m, t ? MIRROR_RESYNC_TABLE : MIRROR_RESYNC);
    if (t)
        str_copy(a->confirm.order.table, sizeof a->confirm.order.table, t->source);
    int64_t bytes = t ? t->bytes_total : bytes_of(m);
    facts_clear(f);
    if (t && *t->error)
        facts_add(f, ROLE_FAIL, 0, "now", "%s", t->error);
    if (t)
        facts_add(f, ROLE_TEXT, 0, "copies", "%s%s%s; the other tables go on",
                  t->rows_total < 0 ? "" : format_count(t->rows_total, rows),
                  t->rows_total < 0 ? "" : " rows, ", format_bytes(bytes, size));
    else
        facts_add(f, ROLE_TEXT, 0, "copies", "%s%zu table%s, %s",
                  m->n_tables == 1 ? "its " : "all ", m->n_tables, format_s((int64_t)m->n_tables),
                  format_bytes(bytes, size));
    if (*app_minutes(a, m->name, true, bytes, time))
        facts_add(f, ROLE_TEXT, 0, "time", "%s, if it goes as the last copy did", time);
    facts_add(f, ROLE_TEXT, 0, "Swap",
              "readers keep the old rows until the new ones are there; needs %s beside them at %s",
              format_bytes(bytes, size), m->dest_peer);
    facts_add(f, ROLE_WARN, 0, "Empty", "readers find nothing until the rows have come");
    bool swaps = !strcmp(m->resync_strategy, "swap");
    facts_add(f, ROLE_TEXT, 0, "usual", "%s (%s), as the mirror is configured",
              swaps ? "Swap" : "Empty", m->resync_strategy);
    str_printf(title, sizeof title, "Copy %s again?", t ? t->source : m->name);
    dialog_open(a, title, choices, COUNT_OF(choices));
}

/* --- sync-schema ------------------------------------------------------------------------------ */
/* Tables that are copied, each once. */
static size_t count_copies(const struct schema_plan *p)
{
    size_t copies = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct schema_step *s = &p->items[i];
        bool is_again = s->kind == STEP_NOTE || !s->needs_copy;
        for (size_t k = 0; !is_again && k < i; k++)
            is_again = p->items[k].needs_copy && p->items[k].kind != STEP_NOTE &&
                       p->items[k].table && s->table && !strcmp(p->items[k].table, s->table);
        copies += !is_again;
    }
    return copies;
}

void ask_sync(struct app *a, const struct mirror_status *m)
{
    static const struct choice choices[] = {{'r', "[ r Run them ]", confirm_submit},
                                            {'c', "[ c Cancel ]", NULL}};
    struct facts *f = &a->dialog.lines;
    char title[NAME_SIZE + 64];
    size_t n;
    const struct schema_plan *p = mirror_plan(a, &n);
    size_t copies = p ? count_copies(p) : 0;
    ask_begin(a, m, MIRROR_SYNC_SCHEMA);
    facts_clear(f);
    facts_add(f, ROLE_STRONG, 0, "runs", "%zu statement%s at %s, those that are due by then", n,
              n == 1 ? "" : "s", m->dest_peer);
    facts_add(f, ROLE_TEXT, 0, "holds",
              "the stream waits meanwhile; ALTER TABLE locks its table, "
              "and may rewrite it");
    if (copies)
        facts_add(f, ROLE_WARN, 0, "copies", "%zu table%s afterwards", copies,
                  copies == 1 ? "" : "s");
    facts_add(f, ROLE_TEXT, 0, "keeps", "the slot, and all rows");
    str_printf(title, sizeof title, "Let the definitions of %s follow?", m->name);
    dialog_open(a, title, choices, COUNT_OF(choices));
}

/* --- delete ----------------------------------------------------------------------------------- */
static void choose_delete(struct app *a)
{
    ask_name(a);
}

static void choose_forget(struct app *a)
{
    a->confirm.order.kind = MIRROR_FORCE_DELETE;
    ask_name(a);
}

void ask_delete(struct app *a, const struct mirror_status *m)
{
    static const struct choice choices[] = {{'d', "[ d Delete ]", choose_delete},
                                            {'f', "[ f Forget ]", choose_forget},
                                            {'c', "[ c Cancel ]", NULL}};
    struct facts *f = &a->dialog.lines;
    char title[NAME_SIZE + 32];
    ask_begin(a, m, MIRROR_DELETE);
    facts_clear(f);
    facts_add(f, ROLE_WARN, 0, "Delete", "slot %s and publication %s go from %s", m->slot_name,
              m->publication, m->source_peer);
    facts_add(f, ROLE_TEXT, 0, "keeps", "the tables at %s, with their rows", m->dest_peer);
    facts_add(f, ROLE_WARN, 0, "Forget",
              "the same, also when a server is gone: the log says what is left there");
    facts_add(f, ROLE_TEXT, 0, "after", "only a new mirror, with a new copy, brings it back");
    str_printf(title, sizeof title, "Delete mirror %s?", m->name);
    dialog_open(a, title, choices, COUNT_OF(choices));
}
