/* The steps to a new mirror, or to other tables of one; see wizard.h. */
#include "ui/wizard.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ui/actions.h"
#include "ui/app.h"
#include "ui/asks.h"
#include "ui/deeds.h"
#include "ui/format.h"
#include "ui/job.h"
#include "ui/lists.h"
#include "ui/sorting.h"
#include "ui/text.h"

static void picks_free(struct wizard *w)
{
    for (size_t i = 0; i < w->n; i++)
        table_map_free(&w->picks[i].map);
    free(w->picks);
    w->picks = NULL;
    w->n = 0;
    w->is_filled = false;
}

void wizard_free(struct wizard *w)
{
    picks_free(w);
    mirror_config_free(&w->config);
    findings_free(&w->findings);
    for (size_t i = 0; w->peer_names && w->peer_names[i]; i++)
        free(w->peer_names[i]);
    free(w->peer_names);
    free(w->peers);
    *w = (struct wizard){0};
}

/* --- A new mirror: the form ------------------------------------------------------------------- */
static const char *const yes_no[] = {"yes", "no", NULL};
static const char *const changes[] = {"manual", "auto", NULL};
static const char *const on_error[] = {"stop", "set_aside", NULL};
static const char *const strategies[] = {"truncate", "swap", NULL};
static const struct form_field mirror_form[] = {
    {.key = "name", .label = "name", .help = "Letters, digits, - and _; at most 50."},
    {.key = "source_peer",
     .label = "source",
     .kind = FORM_CHOICE,
     .help = "The peer to copy from. Blank or arrows change it."},
    {.key = "destination_peer",
     .label = "destination",
     .kind = FORM_CHOICE,
     .help = "The peer to copy to. The destination tables must be absent or empty."},
    {.key = "do_initial_snapshot",
     .label = "copy rows",
     .kind = FORM_CHOICE,
     .choices = yes_no,
     .help = "yes: what the tables hold is copied, then the stream. no: the stream only."},
    {.key = "schema_changes",
     .label = "definitions",
     .kind = FORM_CHOICE,
     .choices = changes,
     .help =
         "auto: they follow the source's at their place in the stream. manual: it stops there."},
    {.key = "on_table_error",
     .label = "on error",
     .kind = FORM_CHOICE,
     .choices = on_error,
     .help = "set_aside: a table whose change cannot be applied leaves, the others go on."},
    {.key = "resync_strategy",
     .label = "resync by",
     .kind = FORM_CHOICE,
     .choices = strategies,
     .help = "swap: readers keep the old rows until the new ones are there."},
    {.key = "replicate_indexes",
     .label = "indexes",
     .kind = FORM_CHOICE,
     .choices = yes_no,
     .help = "Whether the source's indexes are made."},
    {.key = "replicate_foreign_keys",
     .label = "foreign keys",
     .kind = FORM_CHOICE,
     .choices = yes_no,
     .help = "Whether the source's foreign keys are made."},
};

static bool is_yes(const struct form *f, const char *key)
{
    return !strcmp(form_value(f, key), "yes");
}

static void read_form(const struct form *f, struct mirror_config *c)
{
    mirror_config_free(c);
    mirror_config_init(c);
    str_copy(c->name, sizeof c->name, form_value(f, "name"));
    str_copy(c->source_peer, sizeof c->source_peer, form_value(f, "source_peer"));
    str_copy(c->dest_peer, sizeof c->dest_peer, form_value(f, "destination_peer"));
    str_copy(c->schema_changes, sizeof c->schema_changes, form_value(f, "schema_changes"));
    str_copy(c->on_table_error, sizeof c->on_table_error, form_value(f, "on_table_error"));
    str_copy(c->resync_strategy, sizeof c->resync_strategy, form_value(f, "resync_strategy"));
    c->do_initial_snapshot = is_yes(f, "do_initial_snapshot");
    c->replicate_indexes = is_yes(f, "replicate_indexes");
    c->replicate_foreign_keys = is_yes(f, "replicate_foreign_keys");
}

/* What can be seen here; the rest is the engine's to refuse. */
static const char *refusal(const struct app *a, const struct mirror_config *c)
{
    if (!*c->name)
        return "name: must not be empty";
    if (model_find(a->picture, c->name))
        return "name: there is a mirror of that name";
    if (!strcmp(c->source_peer, c->dest_peer))
        return "destination: must be another peer than the source";
    return NULL;
}

static void form_done(struct app *a)
{
    struct wizard *w = &a->wizard;
    struct mirror_config before = w->config;
    w->config = (struct mirror_config){0};
    read_form(&a->form, &w->config);
    bool same = w->is_filled && !strcmp(before.source_peer, w->config.source_peer) &&
                !strcmp(before.dest_peer, w->config.dest_peer);
    mirror_config_free(&before);
    const char *why = refusal(a, &w->config);
    if (why) {
        form_refuse(a, why, "");
        return;
    }
    a->mode = MODE_KEYS;
    a->form.is_busy = false;
    if (!same) {
        picks_free(w);
        sheet_free(&a->lists[SHEET_SURVEY]);
        *a->pick_filter = '\0';
    }
    app_open(a, SCREEN_PICK);
}

static void put_peers(struct app *a)
{
    struct wizard *w = &a->wizard;
    const struct peer_list *l = &a->lists[SHEET_PEERS].peers;
    w->peer_names = mem_calloc(l->n + 1, sizeof *w->peer_names);
    w->peers = mem_calloc(l->n + 1, sizeof *w->peers);
    for (size_t i = 0; i < l->n; i++)
        w->peers[i] = w->peer_names[i] = mem_strdup(l->items[i].name);
}

static void open_form(struct app *a)
{
    struct form *f = &a->form;
    struct wizard *w = &a->wizard;
    char text[96];
    if (a->lists[SHEET_PEERS].peers.n < 2) {
        app_say(a, SEVERITY_INFO, "%s",
                action_text(a, "a mirror needs two peers: {peers} shows them, {add} adds one there",
                            text, sizeof text));
        return;
    }
    wizard_free(w);
    w->is_new = true;
    put_peers(a);
    *f = (struct form){.button = "Choose tables", .done = form_done};
    f->n = COUNT_OF(mirror_form);
    str_copy(f->title, sizeof f->title, "a new mirror, 1 of 3: from where to where");
    for (int i = 0; i < f->n; i++) {
        struct form_field *x = &f->fields[i];
        *x = mirror_form[i];
        if (x->kind == FORM_CHOICE && !x->choices)
            x->choices = w->peers;
        if (x->kind == FORM_CHOICE)
            str_copy(x->value, sizeof x->value,
                     x->choices[!strcmp(x->key, "destination_peer") ? 1 : 0]);
    }
    form_open(a);
}

bool can_create(struct app *a, char *reason, size_t size)
{
    return can_command(a, reason, size);
}

/* Peers are asked for first, when they are not known yet. */
void do_create(struct app *a)
{
    a->refresh = true;
    a->wizard.waits = true;
    (void)app_need(a, SHEET_PEERS, "", 0);
}

void wizard_peers_come(struct app *a)
{
    if (!a->wizard.waits)
        return;
    a->wizard.waits = false;
    if (a->lists[SHEET_PEERS].err.code)
        app_say(a, SEVERITY_ERROR, "%s", a->lists[SHEET_PEERS].err.text);
    else if (a->mode == MODE_KEYS && app_screen(a) == SCREEN_LIST)
        open_form(a);
}

/* --- Other tables of a mirror ----------------------------------------------------------------- */
bool can_set_tables(struct app *a, char *reason, size_t size)
{
    const struct mirror_status *m = app_target(a);
    struct err err = {0};
    if (!can_command(a, reason, size) || !has_target(a, reason, size))
        return false;
    enum mirror_command c = m->state == MIRROR_PAUSED ? MIRROR_SET_TABLES : MIRROR_PAUSE;
    bool ok = command_check(m->name, m->state, &m->operation, c, &err);
    if (!ok)
        str_printf(reason, size, "%s", err.text);
    return ok;
}

void do_set_tables(struct app *a)
{
    const struct mirror_status *m = app_target(a);
    struct wizard *w = &a->wizard;
    wizard_free(w);
    str_copy(w->config.name, sizeof w->config.name, m->name);
    sheet_free(&a->lists[SHEET_AVAILABLE]);
    *a->pick_filter = '\0';
    app_open(a, SCREEN_PICK);
}

/* --- The picker ------------------------------------------------------------------------------- */
static int by_name(const void *x, const void *y)
{
    return strcmp(((const struct pick *)x)->name, ((const struct pick *)y)->name);
}

static struct pick *add(struct wizard *w, const char *schema, const char *table)
{
    struct pick *p = &w->picks[w->n++];
    str_printf(p->name, sizeof p->name, "%s.%s", schema, table);
    return p;
}

static void put_table(struct wizard *w, const struct peer_table *t)
{
    struct pick *p = add(w, t->schema, t->table);
    str_copy(p->map.source_schema, NAME_SIZE, t->schema);
    str_copy(p->map.source_table, NAME_SIZE, t->table);
    str_copy(p->map.dest_schema, NAME_SIZE, t->schema);
    str_copy(p->map.dest_table, NAME_SIZE, t->table);
    p->rows = t->estimated_rows;
    p->bytes = t->bytes;
    p->worst = t->can_mirror ? SEVERITY_OK : SEVERITY_ERROR;
    str_copy(p->why, sizeof p->why, t->reason);
}

static void fill_new(struct wizard *w, const struct survey *s)
{
    w->picks = mem_calloc(s->n + 1, sizeof *w->picks);
    for (size_t i = 0; i < s->n; i++) {
        const struct surveyed_table *t = &s->items[i];
        put_table(w, &t->table);
        struct pick *p = &w->picks[w->n - 1];
        p->worst = t->verdict.worst > p->worst ? t->verdict.worst : p->worst;
        for (size_t k = 0; k < t->verdict.n; k++) {
            size_t n = strlen(p->why);
            str_printf(p->why + n, sizeof p->why - n, "%s%s", n ? ", " : "", t->verdict.codes[k]);
        }
    }
}

static void fill_present(struct app *a, const struct sheet *s)
{
    struct wizard *w = &a->wizard;
    const struct mirror_config *c = &s->config;
    const struct mirror_status *m = model_find(a->picture, c->name);
    w->picks = mem_calloc(c->n_tables + s->available.n + 1, sizeof *w->picks);
    for (size_t i = 0; i < c->n_tables; i++) {
        struct pick *p = add(w, c->tables[i].source_schema, c->tables[i].source_table);
        table_map_copy(&p->map, &c->tables[i]);
        p->is_in = p->was_in = true;
        p->rows = p->bytes = -1;
        for (size_t k = 0; m && k < m->n_tables; k++)
            if (!strcmp(m->tables[k].source, p->name)) {
                p->rows = m->tables[k].rows_total;
                p->bytes = m->tables[k].bytes_total;
            }
    }
    for (size_t i = 0; i < s->available.n; i++)
        put_table(w, &s->available.items[i]);
}

static void fill(struct app *a, const struct sheet *s)
{
    struct wizard *w = &a->wizard;
    picks_free(w);
    if (w->is_new)
        fill_new(w, &s->survey);
    else
        fill_present(a, s);
    if (w->n > 1)
        qsort(w->picks, w->n, sizeof *w->picks, by_name);
    w->is_filled = true;
    w->filled_at = s->at;
}

void wizard_build(struct app *a)
{
    struct wizard *w = &a->wizard;
    const struct sheet *s = w->is_new ? app_need(a, SHEET_SURVEY, w->config.source_peer, 0)
                                      : app_need(a, SHEET_AVAILABLE, w->config.name, 0);
    const char *f = a->pick_filter;
    bool inverse = *f == '!' && f[1];
    if (s->is_there && !s->err.code && (!w->is_filled || w->filled_at != s->at))
        fill(a, s);
    rows_clear(&a->picks);
    for (size_t i = 0; i < w->n; i++)
        if (text_contains(w->picks[i].name, f + inverse) != inverse)
            rows_add(&a->picks, &w->picks[i]);
    sorting_apply(a, &a->picks, &columns_of_picks);
    rows_settle(&a->picks);
}

bool has_pick(struct app *a, char *reason, size_t size)
{
    if (!rows_selected(&a->picks))
        str_copy(reason, size, "no table is selected");
    return rows_selected(&a->picks) != NULL;
}

static bool can_be_in(const struct pick *p)
{
    return p->was_in || p->worst < SEVERITY_ERROR;
}

void do_pick(struct app *a)
{
    struct pick *p =
        &a->wizard.picks[(const struct pick *)rows_selected(&a->picks) - a->wizard.picks];
    if (can_be_in(p))
        p->is_in = !p->is_in;
    else
        app_say(a, SEVERITY_INFO, "%s cannot be mirrored: %s", p->name, p->why);
    rows_move(&a->picks, 1);
}

void do_pick_all(struct app *a)
{
    bool all = true;
    for (size_t i = 0; i < a->picks.n; i++) {
        const struct pick *p = a->picks.items[i];
        all &= p->is_in || !can_be_in(p);
    }
    for (size_t i = 0; i < a->picks.n; i++) {
        struct pick *p = &a->wizard.picks[(const struct pick *)a->picks.items[i] - a->wizard.picks];
        p->is_in = can_be_in(p) && !all;
    }
}

/* --- The summary ------------------------------------------------------------------------------ */
struct wizard_sum wizard_sum(const struct wizard *w)
{
    struct wizard_sum s = {0};
    for (size_t i = 0; i < w->n; i++) {
        const struct pick *p = &w->picks[i];
        bool copied = p->is_in && !p->was_in;
        s.tables += p->is_in;
        s.added += copied;
        s.removed += p->was_in && !p->is_in;
        s.bytes += copied && p->bytes > 0 ? p->bytes : 0;
        s.rows += copied && p->rows > 0 ? p->rows : 0;
    }
    return s;
}

void do_summary(struct app *a)
{
    struct wizard_sum s = wizard_sum(&a->wizard);
    char text[96];
    if (!s.tables)
        app_say(a, SEVERITY_INFO, "%s",
                action_text(a, "no table is chosen: {pick} takes the selected one, {pick-all} all",
                            text, sizeof text));
    else if (!a->wizard.is_new && !s.added && !s.removed)
        app_say(a, SEVERITY_INFO, "%s",
                action_text(a, "nothing is changed: {pick} takes a table in or out", text,
                            sizeof text));
    else
        app_open(a, SCREEN_SUMMARY);
}

bool can_finish(struct app *a, char *reason, size_t size)
{
    if (!can_command(a, reason, size))
        return false;
    if (a->wizard.is_busy)
        str_copy(reason, size, "it is under way");
    return !a->wizard.is_busy;
}

static void submit(struct app *a)
{
    struct wizard *w = &a->wizard;
    const struct mirror_status *m = model_find(a->picture, w->config.name);
    struct job j = {.kind = w->is_new ? JOB_CREATE : JOB_SET_TABLES, .config = w->config};
    size_t n = wizard_sum(w).tables;
    if (!w->is_new && !m) {
        app_say(a, SEVERITY_ERROR, "mirror %s is gone", w->config.name);
        return;
    }
    j.is_running = m && m->state != MIRROR_PAUSED;
    j.config.n_tables = 0;
    j.config.tables = mem_calloc(n, sizeof *j.config.tables);
    for (size_t i = 0; i < w->n; i++)
        if (w->picks[i].is_in)
            table_map_copy(&j.config.tables[j.config.n_tables++], &w->picks[i].map);
    *w->error = '\0';
    findings_free(&w->findings);
    w->is_busy = jobs_submit(a->jobs, &j);
    if (!w->is_busy)
        app_say(a, SEVERITY_ERROR, "another request is still under way");
}

void do_finish(struct app *a)
{
    const struct wizard *w = &a->wizard;
    const struct mirror_status *m = model_find(a->picture, w->config.name);
    struct wizard_sum s = wizard_sum(w);
    char size[FORMAT_SIZE];
    a->confirm = (struct confirm){.order = {.kind = NO_COMMAND}, .run = submit};
    if (w->is_new)
        str_printf(a->confirm.text, sizeof a->confirm.text, "make %s: %zu table%s, %s",
                   w->config.name, s.tables, format_s((int64_t)s.tables),
                   format_bytes(s.bytes, size));
    else
        str_printf(a->confirm.text, sizeof a->confirm.text, "%schange the tables of %s%s",
                   m && m->state != MIRROR_PAUSED ? "pause, " : "", w->config.name,
                   m && m->state != MIRROR_PAUSED ? ", go on" : "");
    ask_line(a);
}

void wizard_left(struct app *a, int screen)
{
    struct form *f = &a->form;
    if (screen != SCREEN_PICK || app_screen(a) != SCREEN_FORM)
        return;
    a->mode = MODE_FORM; /* back in the form, with what was filled in */
    f->is_busy = false;
    *f->error = '\0';
}

bool wizard_job_done(struct app *a, struct job_result *r)
{
    struct wizard *w = &a->wizard;
    if (r->kind != JOB_CREATE && r->kind != JOB_SET_TABLES)
        return false;
    bool shown = app_screen(a) == SCREEN_SUMMARY && w->is_busy && !strcmp(w->config.name, r->name);
    w->is_busy = false;
    if (!shown)
        return false;
    if (!r->ok) {
        str_printf(w->error, sizeof w->error, "%s%s%s", r->err.text, *r->err.hint ? "; " : "",
                   r->err.hint);
        findings_move(&w->findings, &r->findings);
        return false;
    }
    if (w->is_new) {
        app_switch(a, SCREEN_LIST);
        str_copy(a->wanted_mirror, sizeof a->wanted_mirror, r->name);
    } else {
        a->depth -= a->depth > 1 ? 2 : a->depth; /* where E was pressed */
    }
    wizard_free(w);
    return false;
}
