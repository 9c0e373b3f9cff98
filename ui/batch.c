/* One command to all marked lines; see batch.h. */
#include "ui/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ui/deeds.h"
#include "ui/format.h"
#include "ui/listing.h"

void batch_free(struct batch *b)
{
    free(b->items);
    *b = (struct batch){0};
}

/* --- Marks ------------------------------------------------------------------------------------ */
/* The list whose lines may be marked; NULL: the screen has none. */
static struct rows *markable(struct app *a)
{
    struct rows *r = listing_of(a).rows;
    return r == &a->mirrors || r == &a->tables ? r : NULL;
}

bool has_markable(struct app *a, char *reason, size_t size)
{
    bool has = markable(a) && rows_selected(markable(a));
    if (!has)
        str_copy(reason, size, "there is no line to mark");
    return has;
}

void do_mark(struct app *a)
{
    struct rows *r = markable(a);
    rows_mark(r, r->selected, !rows_is_marked(r, r->selected));
    rows_move(r, 1);
}

void do_mark_all(struct app *a)
{
    struct rows *r = markable(a);
    bool all = true;
    for (size_t i = 0; i < r->n; i++)
        all &= rows_is_marked(r, r->items[i]);
    for (size_t i = 0; i < r->n; i++)
        rows_mark(r, r->items[i], !all);
}

static bool is_of_tables(enum mirror_command c)
{
    return c == MIRROR_RESYNC_TABLE;
}

static struct rows *marked_rows(struct app *a, enum mirror_command c)
{
    static const enum mirror_command all[] = {MIRROR_PAUSE, MIRROR_RESUME, MIRROR_RETRY,
                                              MIRROR_RESYNC, MIRROR_RESYNC_TABLE};
    struct rows *r = markable(a);
    bool takes = false;
    for (size_t i = 0; i < COUNT_OF(all); i++)
        takes |= all[i] == c;
    return takes && r && r->n_marks && (r == &a->tables) == is_of_tables(c) ? r : NULL;
}

size_t batch_marked(struct app *a, enum mirror_command c)
{
    const struct rows *r = marked_rows(a, c);
    return r ? r->n_marks : 0;
}

/* --- What is asked for ------------------------------------------------------------------------ */
static const struct table_status *find_table(const struct mirror_status *m, const char *name)
{
    for (size_t i = 0; i < m->n_tables; i++)
        if (!strcmp(m->tables[i].source, name))
            return &m->tables[i];
    return NULL;
}

/* Whether a marked one takes the command now; else why not. */
static bool takes(struct app *a, enum mirror_command c, const char *mark, char *why, size_t size)
{
    const struct mirror_status *m = model_find(a->picture, is_of_tables(c) ? a->mirror : mark);
    struct err err = {0};
    if (!m || (is_of_tables(c) && !find_table(m, mark)))
        str_copy(why, size, "it is gone");
    else if (!command_check(m->name, m->state, &m->operation, c, &err))
        str_copy(why, size, err.text);
    else if (c == MIRROR_RETRY && retry_asks(m))
        str_copy(why, size, "its retry asks for more: by itself, without a mark");
    else
        return true;
    return false;
}

bool batch_can(struct app *a, enum mirror_command c, char *reason, size_t size)
{
    const struct rows *r = marked_rows(a, c);
    char why[200] = "";
    if (!can_command(a, reason, size))
        return false;
    for (size_t i = 0; i < r->n_marks; i++)
        if (takes(a, c, r->marks[i], why, sizeof why))
            return true;
    str_printf(reason, size, "none of %zu marked: %s", r->n_marks, why);
    return false;
}

static void add(struct app *a, enum mirror_command c, const char *mark)
{
    struct batch *b = &a->asked;
    struct batch_item x = {.order = {.kind = c}};
    str_copy(x.order.mirror, sizeof x.order.mirror, is_of_tables(c) ? a->mirror : mark);
    if (is_of_tables(c))
        str_copy(x.order.table, sizeof x.order.table, mark);
    x.state = model_find(a->picture, x.order.mirror)->state;
    MEM_PUSH(b->items, b->n, b->cap, x);
}

/* "3 tables", "1 mirror" */
static const char *count(size_t n, enum mirror_command c, char *out, size_t size)
{
    str_printf(out, size, "%zu %s%s", n, is_of_tables(c) ? "table" : "mirror", n == 1 ? "" : "s");
    return out;
}

/* --- The dialog ------------------------------------------------------------------------------- */
static int64_t bytes_of(const struct mirror_status *m)
{
    int64_t n = 0;
    for (size_t i = 0; i < m->n_tables; i++)
        n += m->tables[i].bytes_total;
    return n;
}

/* What it costs, of all of them. */
static void put_effect(struct app *a, enum mirror_command c, struct facts *f)
{
    const struct batch *b = &a->asked;
    int64_t kept = 0, behind = 0, bytes = 0;
    char t[FORMAT_SIZE];
    for (size_t i = 0; i < b->n; i++) {
        const struct order *o = &b->items[i].order;
        const struct mirror_status *m = model_find(a->picture, o->mirror);
        kept += m->slot.retained_bytes > 0 ? m->slot.retained_bytes : 0;
        behind += m->lag_bytes > 0 ? m->lag_bytes : 0;
        bytes += is_of_tables(c) ? find_table(m, o->table)->bytes_total : bytes_of(m);
    }
    if (c == MIRROR_PAUSE)
        facts_add(f, ROLE_TEXT, 0, "effect", "their sources keep WAL for them, now %s",
                  format_bytes(kept, t));
    else if (c == MIRROR_RESUME)
        facts_add(f, ROLE_TEXT, 0, "effect", "%s to catch up", format_bytes(behind, t));
    else if (c == MIRROR_RETRY)
        facts_add(f, ROLE_TEXT, 0, "effect", "the back-off is skipped, their slots are kept");
    if (c != MIRROR_RESYNC && c != MIRROR_RESYNC_TABLE)
        return;
    facts_add(f, ROLE_TEXT, 0, "copies", "%s%s", format_bytes(bytes, t),
              is_of_tables(c) ? "; one after the other, as long as this console is there"
                              : ", all tables of these mirrors");
    facts_add(f, ROLE_TEXT, 0, "Swap",
              "readers keep the old rows until the new ones are there; needs as much room beside "
              "them");
    facts_add(f, ROLE_WARN, 0, "Empty", "readers find nothing until the rows have come");
}

/* Names after names: a new line of facts where one is full. */
static void put_names(const struct app *a, struct facts *f)
{
    char text[sizeof f->items->text] = "";
    const char *label = "these";
    for (size_t i = 0; i < a->asked.n; i++) {
        const struct order *o = &a->asked.items[i].order;
        size_t n = strlen(text);
        str_printf(text + n, sizeof text - n, "%s%s", n ? ", " : "",
                   *o->table ? o->table : o->mirror);
        if (strlen(text) < sizeof text - sizeof o->table - 4 && i + 1 < a->asked.n)
            continue;
        facts_add(f, ROLE_STRONG, 0, label, "%s", text);
        label = " ";
        *text = '\0';
    }
}

static void start(struct app *a)
{
    struct batch *b = &a->batch, *asked = &a->asked;
    char t[40];
    enum mirror_command c = asked->items[0].order.kind;
    for (size_t i = 0; i < asked->n; i++)
        MEM_PUSH(b->items, b->n, b->cap, asked->items[i]);
    app_say(a, SEVERITY_INFO, "%s of %s: under way",
            is_of_tables(c) ? command_name(MIRROR_RESYNC) : command_name(c),
            count(asked->n, c, t, sizeof t));
    rows_unmark_all(is_of_tables(c) ? &a->tables : &a->mirrors);
    batch_free(asked);
    batch_go_on(a);
}

static void typed(struct app *a)
{
    if (!strcmp(a->typed, a->batch_name))
        start(a);
    else
        app_say(a, SEVERITY_INFO, "not done: that is not %s", a->batch_name);
}

/* Level 3: how many of them, in the place of one's name. */
static void ask_count(struct app *a)
{
    struct prompt *p = &a->prompt;
    enum mirror_command c = a->asked.items[0].order.kind;
    bool swaps = !strcmp(a->asked.items[0].order.strategy, "swap");
    count(a->asked.n, c, a->batch_name, sizeof a->batch_name);
    str_printf(p->label, sizeof p->label, "type %s to %s", a->batch_name,
               swaps ? "swap all their tables" : "empty and copy them");
    *a->typed = *p->before = '\0';
    p->target = a->typed;
    p->size = sizeof a->typed;
    p->done = typed;
    a->mode = MODE_PROMPT;
}

static void choose(struct app *a, const char *strategy)
{
    for (size_t i = 0; i < a->asked.n; i++)
        a->asked.items[i].order.strategy = strategy;
    if (is_of_tables(a->asked.items[0].order.kind) && !strcmp(strategy, "swap"))
        start(a);
    else
        ask_count(a);
}

static void choose_swap(struct app *a)
{
    choose(a, "swap");
}

static void choose_truncate(struct app *a)
{
    choose(a, "truncate");
}

static void open_dialog(struct app *a, enum mirror_command c)
{
    static const struct choice pause[] = {{'y', "[ y Pause ]", start}, {'c', "[ c Cancel ]", NULL}};
    static const struct choice resume[] = {{'y', "[ y Resume ]", start},
                                           {'c', "[ c Cancel ]", NULL}};
    static const struct choice retry[] = {{'y', "[ y Retry ]", start}, {'c', "[ c Cancel ]", NULL}};
    static const struct choice resync[] = {{'s', "[ s Swap ]", choose_swap},
                                           {'e', "[ e Empty and copy ]", choose_truncate},
                                           {'c', "[ c Cancel ]", NULL}};
    char title[80], t[40];
    count(a->asked.n, c, t, sizeof t);
    bool copies = c == MIRROR_RESYNC || c == MIRROR_RESYNC_TABLE;
    str_printf(title, sizeof title, "%s %s%s?",
               copies              ? "Copy"
               : c == MIRROR_PAUSE ? "Pause"
               : c == MIRROR_RETRY ? "Retry"
                                   : "Resume",
               t, copies ? " again" : "");
    if (copies)
        dialog_open(a, title, resync, COUNT_OF(resync));
    else
        dialog_open(a, title, c == MIRROR_PAUSE ? pause : c == MIRROR_RETRY ? retry : resume, 2);
}

void batch_ask(struct app *a, enum mirror_command c)
{
    const struct rows *r = marked_rows(a, c);
    struct facts *f = &a->dialog.lines;
    char why[200];
    batch_free(&a->asked);
    for (size_t i = 0; i < r->n_marks; i++)
        if (takes(a, c, r->marks[i], why, sizeof why))
            add(a, c, r->marks[i]);
    facts_clear(f);
    put_effect(a, c, f);
    put_names(a, f);
    for (size_t i = 0; i < r->n_marks; i++)
        if (!takes(a, c, r->marks[i], why, sizeof why))
            facts_add(f, ROLE_DIM, 0, "not", "%s: %s", r->marks[i], why);
    open_dialog(a, c);
}

/* --- Carrying it out -------------------------------------------------------------------------- */
/* Another one of that mirror has been sent, and has not ended. */
static bool is_taken(const struct batch *b, const char *mirror)
{
    for (size_t i = 0; i < b->n; i++)
        if ((b->items[i].step == BATCH_SENT || b->items[i].step == BATCH_ACCEPTED) &&
            !strcmp(b->items[i].order.mirror, mirror))
            return true;
    return false;
}

/* Once all have been answered. */
static void say_sum(struct app *a)
{
    struct batch *b = &a->batch;
    bool all_ended = true;
    for (size_t i = 0; i < b->n; i++) {
        if (b->items[i].step == BATCH_WAITS || b->items[i].step == BATCH_SENT)
            return;
        all_ended &= b->items[i].step == BATCH_ENDED;
    }
    if (b->done + b->failed > 1)
        app_say(a, b->failed ? SEVERITY_WARNING : SEVERITY_OK,
                "of %d marked: %d done or under way, %d not", b->done + b->failed, b->done,
                b->failed);
    b->done = b->failed = 0;
    if (all_ended)
        b->n = 0;
}

/* False: no more can be sent now. */
static bool send_item(struct app *a, struct batch_item *x)
{
    const struct mirror_status *m = model_find(a->picture, x->order.mirror);
    char text[300];
    if (!m || m->state != x->state) {
        app_say(a, SEVERITY_WARNING, "%s: not done, its state has changed meanwhile",
                order_text(&x->order, text, sizeof text));
        x->step = BATCH_ENDED;
        a->batch.failed++;
        return true;
    }
    bool ok = commands_submit(a->commands, &x->order);
    if (ok)
        x->step = BATCH_SENT;
    return ok;
}

void batch_go_on(struct app *a)
{
    struct batch *b = &a->batch;
    for (size_t i = 0; a->picture && i < b->n; i++)
        if (b->items[i].step == BATCH_WAITS && !is_taken(b, b->items[i].order.mirror) &&
            !send_item(a, &b->items[i]))
            return;
    if (b->n)
        say_sum(a);
}

void batch_answered(struct app *a, const struct order *o, bool ok, bool is_end)
{
    struct batch *b = &a->batch;
    enum batch_step was = is_end ? BATCH_ACCEPTED : BATCH_SENT;
    for (size_t i = 0; i < b->n; i++) {
        struct batch_item *x = &b->items[i];
        if (x->step != was || x->order.kind != o->kind || strcmp(x->order.mirror, o->mirror) ||
            strcmp(x->order.table, o->table))
            continue;
        x->step = is_end || !ok || !order_is_long(o) ? BATCH_ENDED : BATCH_ACCEPTED;
        b->done += ok && !is_end;
        b->failed += !ok;
        return;
    }
}
