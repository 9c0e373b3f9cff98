/* The form with a mirror's settings; see settings.h. */
#include "ui/settings.h"

#include <string.h>

#include "base/mem.h"
#include "ui/actions.h"
#include "ui/app.h"
#include "ui/deeds.h"
#include "ui/job.h"
#include "ui/sheet.h"

static const char *const yes_no[] = {"yes", "no", NULL};

/* In the order of the form: what is changed most often first. */
static const struct {
    enum tunable_id id;
    const char *label, *help;
} shown[] = {
    {TUNE_SCHEMA_CHANGES, "definitions",
     "auto: they follow the source's at their place in the stream. manual: it stops there."},
    {TUNE_DROPPED_COLUMNS, "dropped cols",
     "What the source drops: keep leaves column and values; drop takes those kept before, too."},
    {TUNE_ON_TABLE_ERROR, "on error",
     "set_aside: a table whose change cannot be applied leaves, the others go on."},
    {TUNE_RESYNC_STRATEGY, "resync by",
     "swap: readers keep the old rows until the new ones are there."},
    {TUNE_BATCH_SIZE, "batch size",
     "Most changes in one transaction of the destination; a source's transaction stays whole."},
    {TUNE_SYNC_INTERVAL, "batch wait",
     "Seconds that a change may wait so that a batch fills; 0: applied as it arrives."},
    {TUNE_TABLES_IN_PARALLEL, "copy tables", "So many tables are copied at the same time."},
    {TUNE_WORKERS, "copy workers", "So many workers copy one table."},
    {TUNE_ROWS_PER_PARTITION, "copy rows", "Rows of one piece of a copy."},
    {TUNE_INDEXES, "indexes", "Whether the source's indexes are made."},
    {TUNE_FOREIGN_KEYS, "foreign keys", "Whether the source's foreign keys are made."},
};
_Static_assert(COUNT_OF(shown) == TUNE_COUNT && COUNT_OF(shown) <= FORM_FIELDS, "one for each");

bool can_change(struct app *a, char *reason, size_t size)
{
    const struct mirror_status *m = app_target(a);
    struct err err = {0};
    if (!can_command(a, reason, size) || !has_target(a, reason, size))
        return false;
    bool ok = command_check(m->name, m->state, &m->operation, MIRROR_CHANGE, &err);
    if (!ok)
        str_printf(reason, size, "%s", err.text);
    return ok;
}

void do_settings(struct app *a)
{
    str_copy(a->settings_of, sizeof a->settings_of, app_target(a)->name);
    a->refresh = true; /* somebody may have changed them */
    (void)app_need(a, SHEET_CONFIG, a->settings_of, 0);
}

/* What differs from the values that the form was opened with. False: *err names the field. */
static bool read_form(const struct form *f, struct mirror_settings *s, unsigned *changes,
                      struct err *err)
{
    *changes = 0;
    for (size_t i = 0; i < COUNT_OF(shown); i++) {
        const char *key = tunables[shown[i].id].name;
        if (!form_is_changed(f, key))
            continue;
        if (!setting_parse(shown[i].id, form_value(f, key), s, err))
            return false;
        *changes |= TUNE_BIT(shown[i].id);
    }
    return *changes || err_set(err, ERR_INVALID, "nothing is changed; esc leaves");
}

static void form_done(struct app *a)
{
    struct job j = {.kind = JOB_CHANGE};
    struct err err = {0};
    mirror_config_init(&j.config);
    str_copy(j.config.name, sizeof j.config.name, a->settings_of);
    if (!read_form(&a->form, &j.config.settings, &j.fields, &err))
        form_refuse(a, err.text, "");
    else if (!jobs_submit(a->jobs, &j))
        form_refuse(a, "another request is still under way", "");
}

static void put_field(struct form_field *x, size_t i, const struct mirror_settings *s)
{
    const struct tunable *t = &tunables[shown[i].id];
    char value[TUNE_TEXT];
    setting_print(shown[i].id, s, value);
    *x = (struct form_field){.key = t->name, .label = shown[i].label, .help = shown[i].help};
    str_copy(x->value, sizeof x->value, value);
    if (t->kind == TUNE_WORD)
        x->choices = t->words;
    else if (t->kind == TUNE_BOOL)
        x->choices = yes_no;
    x->kind = x->choices ? FORM_CHOICE : FORM_TEXT;
}

static void open_form(struct app *a, const struct mirror_settings *s)
{
    struct form *f = &a->form;
    *f = (struct form){.button = "Save", .done = form_done, .shows_changes = true};
    f->help = "It goes on with them by itself, once what is copied or compared is done.";
    str_printf(f->title, sizeof f->title, "settings of %s", a->settings_of);
    f->n = COUNT_OF(shown);
    for (size_t i = 0; i < COUNT_OF(shown); i++)
        put_field(&f->fields[i], i, s);
    form_open(a);
}

void settings_come(struct app *a)
{
    const struct sheet *s = &a->lists[SHEET_CONFIG];
    bool is_it = *a->settings_of && !strcmp(s->mirror, a->settings_of);
    if (!is_it || a->mode == MODE_FORM)
        return;
    if (s->err.code)
        app_say(a, SEVERITY_ERROR, "settings of %s: %s", a->settings_of, s->err.text);
    else if (a->mode == MODE_KEYS && app_target(a) && !strcmp(app_target(a)->name, a->settings_of))
        open_form(a, &s->config.settings);
    if (a->mode != MODE_FORM)
        *a->settings_of = '\0';
}

bool settings_job_done(struct app *a, const struct job_result *r)
{
    bool waits = r->kind == JOB_CHANGE && a->mode == MODE_FORM && a->form.is_busy &&
                 a->form.done == form_done && !strcmp(a->settings_of, r->name);
    if (waits && !r->ok) {
        form_refuse(a, r->err.text, r->err.hint);
        return true;
    }
    if (waits) {
        form_close(a);
        *a->settings_of = '\0';
    }
    if (r->kind == JOB_CHANGE)
        a->lists[SHEET_CONFIG].is_there = false; /* asked for again where it is shown */
    return false;
}
