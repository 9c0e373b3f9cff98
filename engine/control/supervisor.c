/* The supervisor; see supervisor.h. */
#include "control/supervisor.h"

#include <stdlib.h>
#include <string.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/mem.h"
#include "control/roster.h"
#include "copy/errand.h"

#define LOOK_MS 1000
#define LIMIT_MS 60000

struct supervisor {
    struct errand errand;
    struct roster *roster;
};

static void look(void *arg)
{
    struct supervisor *s = arg;
    struct err ended;
    while (errand_sleep(&s->errand, LOOK_MS, &ended)) {
        (void)beat_look(clock_mono_ms(), LIMIT_MS);
        roster_reap(s->roster);
    }
}

bool supervisor_start(struct roster *r, struct supervisor **out, struct err *err)
{
    struct supervisor *s = mem_calloc(1, sizeof *s);
    s->roster = r;
    errand_init(&s->errand, "b:super", look, s, -1);
    *out = s;
    if (errand_start(&s->errand, err))
        return true;
    supervisor_end(s);
    *out = NULL;
    return false;
}

void supervisor_end(struct supervisor *s)
{
    if (!s)
        return;
    errand_join(&s->errand);
    free(s);
}

/* --- what is shown ---------------------------------------------------------------------------- */

static bool is_of(const struct beat_sight *b, const struct supervised *who)
{
    if (b->mirror[0])
        return !strcmp(b->mirror, who->mirror);
    return !strcmp(b->peer, who->source_peer) || !strcmp(b->peer, who->dest_peer);
}

/* The texts stay the same as long as it stands still. */
static void add_late(const struct beat_sight *b, struct findings *out)
{
    char title[160], cause[400], since[CLOCK_TEXT_SIZE];
    str_printf(title, sizeof title, "A worker does not move: %s", b->name);
    str_printf(cause, sizeof cause,
               "it %s since %s, and has not come round for more than %d s although it waits for no "
               "server; it was cancelled",
               b->does, clock_format(b->since, since), LIMIT_MS / 1000);
    findings_add(out, "worker_stuck", SEVERITY_ERROR, title, cause,
                 "It begins anew by itself as soon as it comes round. If this stays, save the "
                 "bundle (bunnydb diagnose) and restart bunnydb; nothing is lost.",
                 "");
}

size_t supervisor_findings(const struct supervised *who, struct findings *out)
{
    size_t n, theirs = 0;
    struct beat_sight *all = beat_list(&n);
    for (size_t i = 0; i < n; i++) {
        if (!is_of(&all[i], who))
            continue;
        theirs++;
        if (all[i].is_late)
            add_late(&all[i], out);
    }
    free(all);
    return theirs;
}

void supervisor_describe(const struct supervised *who, struct report_section *out)
{
    size_t n;
    char since[CLOCK_TEXT_SIZE];
    struct beat_sight *all = beat_list(&n);
    for (size_t i = 0; i < n; i++) {
        if (!is_of(&all[i], who))
            continue;
        struct report_row *r = report_add_row(out);
        report_add_text(r, "name", all[i].name);
        report_add_text(r, "peer", all[i].peer[0] ? all[i].peer : NULL);
        report_add_text(r, "does", all[i].does);
        report_add_text(r, "since", clock_format(all[i].since, since));
        report_add(r, "is_resting", REPORT_BOOL, all[i].is_resting ? "t" : "f");
        report_add(r, "is_stuck", REPORT_BOOL, all[i].is_late ? "t" : "f");
        report_add_number(r, "still_seconds", all[i].still_ms / 1000);
    }
    free(all);
}
