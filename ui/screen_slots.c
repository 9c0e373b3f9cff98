/* All slots of all sources, ours and others': what each keeps, how much room is left, who reads it.
 */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ui/actions.h"
#include "ui/columns.h"
#include "ui/format.h"
#include "ui/lists.h"
#include "ui/mirrors.h"
#include "ui/panes.h"

#define MUCH (INT64_C(1) << 30) /* bytes that a slot which nobody reads may keep unremarked */

double slot_source_rate(const struct app *a, const char *peer)
{
    double rate = -1;
    for (size_t i = 0; i < a->picture->n; i++) {
        const struct mirror_status *m = &a->picture->mirrors[i];
        double r = strcmp(m->source_peer, peer) ? -1 : app_wal_rate(a, m->name);
        rate = r > rate ? r : rate;
    }
    return rate;
}

static const char *missing_word(const struct mirror_status *m, const struct slot_status *s,
                                char *glyph, enum role *role)
{
    bool begins = m && !mirror_slot_is_due(m, s);
    *glyph = begins ? '.' : '!';
    *role = begins ? ROLE_DIM : ROLE_FAIL;
    return begins ? "NOT YET" : "MISSING";
}

const char *slot_word(const struct app *a, const struct source_slot *s, char *glyph,
                      enum role *role)
{
    const struct slot_status *x = &s->status;
    const struct mirror_status *m = *s->mirror ? model_find(a->picture, s->mirror) : NULL;
    if (!x->exists)
        return missing_word(m, x, glyph, role);
    bool lost = !strcmp(x->wal_status, "lost");
    if (lost || !strcmp(x->wal_status, "unreserved")) {
        *glyph = '!';
        *role = ROLE_FAIL;
        return lost ? "LOST" : "AT RISK";
    }
    if (x->active) {
        *glyph = '+';
        *role = ROLE_OK;
        return "ACTIVE";
    }
    if (m && (m->state == MIRROR_PAUSED || m->state == MIRROR_STOPPED)) {
        *glyph = '=';
        *role = ROLE_HELD;
        return "PAUSED";
    }
    bool bad = m || x->retained_bytes > MUCH;
    *glyph = bad ? '?' : '.';
    *role = bad ? ROLE_WARN : ROLE_DIM;
    return "UNREAD";
}

static const struct source_slot *slot_of(const void *line)
{
    return ((const struct line *)line)->of;
}

/* Until it is full, if nothing reads it from now on; -1: nobody knows, or it has no limit. */
static int64_t seconds_unread(const struct app *a, const struct source_slot *s)
{
    double rate = slot_source_rate(a, s->source_peer);
    if (!s->status.exists || s->status.safe_wal_size < 0 || rate < 1)
        return -1;
    return (int64_t)((double)s->status.safe_wal_size / rate);
}

/* It is read, and far from what it may keep: what the source writes does not fill it. */
static bool is_drained(const struct source_slot *s)
{
    const struct slot_status *x = &s->status;
    return x->active && x->safe_wal_size / 3 > x->retained_bytes;
}

static int64_t seconds_left(const struct app *a, const struct source_slot *s)
{
    return is_drained(s) ? -1 : seconds_unread(a, s);
}

/* A mirror whose slot has that name on another peer: that may be the same server, seen twice. */
static const struct mirror_status *namesake(const struct app *a, const struct source_slot *s)
{
    for (size_t i = 0; !*s->mirror && i < a->picture->n; i++)
        if (!strcmp(a->picture->mirrors[i].slot_name, s->name))
            return &a->picture->mirrors[i];
    return NULL;
}

/* --- Columns --------------------------------------------------------------------------------- */
static void cell_name(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct line *l = item;
    (void)a;
    *role = l->role == ROLE_FAIL || l->role == ROLE_WARN ? ROLE_STRONG : ROLE_TEXT;
    str_copy(out, size, slot_of(item)->name);
}

static void cell_source(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    (void)a, (void)role;
    str_copy(out, size, slot_of(item)->source_peer);
}

static void cell_mirror(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct source_slot *s = slot_of(item);
    const struct mirror_status *same = namesake(a, s);
    *role = *s->mirror ? ROLE_TEXT : ROLE_DIM;
    if (same)
        str_printf(out, size, "(%s)", same->name);
    else
        str_copy(out, size, *s->mirror ? s->mirror : "(other)");
}

static void cell_health(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    char glyph;
    str_copy(out, size, slot_word(a, slot_of(item), &glyph, role));
}

static void put_bytes(bool known, int64_t n, char *out, size_t size)
{
    char t[FORMAT_SIZE];
    str_copy(out, size, format_bytes(known ? n : -1, t));
}

static void cell_kept(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct slot_status *s = &slot_of(item)->status;
    (void)a, (void)role;
    put_bytes(s->exists, s->retained_bytes, out, size);
}

static void cell_room(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct slot_status *s = &slot_of(item)->status;
    (void)a, (void)role;
    if (s->exists && s->safe_wal_size < 0)
        str_copy(out, size, "none"); /* no limit is set: the disk is the limit */
    else
        put_bytes(s->exists, s->safe_wal_size, out, size);
}

static void cell_full(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    char t[FORMAT_SIZE];
    int64_t s = seconds_left(a, slot_of(item));
    *role = s >= 0 && s < 3600 ? ROLE_FAIL : s >= 0 && s < 86400 ? ROLE_WARN : ROLE_TEXT;
    str_copy(out, size, format_age(s, t));
}

static void cell_pid(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct slot_status *s = &slot_of(item)->status;
    (void)a, (void)role;
    if (s->exists && s->active)
        str_printf(out, size, "%d", s->active_pid);
    else
        str_copy(out, size, "-");
}

static void cell_wal(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    (void)a, (void)role;
    str_copy(out, size, slot_of(item)->status.wal_status);
}

static void cell_flushed(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    char t[LSN_TEXT_SIZE];
    lsn_t lsn = slot_of(item)->status.confirmed_flush;
    (void)a, (void)role;
    str_copy(out, size, lsn ? lsn_format(lsn, t) : "-");
}

static double value_kept(struct app *a, const void *item)
{
    (void)a;
    return (double)slot_of(item)->status.retained_bytes;
}

/* No limit is more than any room. */
static double value_room(struct app *a, const void *item)
{
    const struct slot_status *s = &slot_of(item)->status;
    (void)a;
    return !s->exists ? -1 : s->safe_wal_size < 0 ? 1e30 : (double)s->safe_wal_size;
}

static double value_full(struct app *a, const void *item)
{
    return (double)seconds_left(a, slot_of(item));
}

static double value_flushed(struct app *a, const void *item)
{
    (void)a;
    return (double)slot_of(item)->status.confirmed_flush;
}

static double value_pid(struct app *a, const void *item)
{
    (void)a;
    return (double)slot_of(item)->status.active_pid;
}

static const struct column columns[] = {
    {.title = "SLOT", .cell = cell_name},
    {.title = "SOURCE", .width = 10, .wide_width = 16, .min_cols = 56, .cell = cell_source},
    {.title = "MIRROR", .width = 10, .wide_width = 16, .min_cols = 70, .cell = cell_mirror},
    {.title = "HEALTH", .sorts_usual = true, .width = 7, .cell = cell_health},
    {.title = "WAL STATUS", .width = 10, .min_cols = 100, .cell = cell_wal},
    {.title = "KEPT", .value = value_kept, .width = 4, .align = ALIGN_RIGHT, .cell = cell_kept},
    {.title = "ROOM",
     .value = value_room,
     .width = 4,
     .align = ALIGN_RIGHT,
     .min_cols = 48,
     .cell = cell_room},
    {.title = "FULL IN",
     .value = value_full,
     .width = 7,
     .align = ALIGN_RIGHT,
     .min_cols = 56,
     .cell = cell_full},
    {.title = "CONFIRMED",
     .value = value_flushed,
     .width = 14,
     .align = ALIGN_RIGHT,
     .min_cols = 110,
     .cell = cell_flushed},
    {.title = "PID",
     .value = value_pid,
     .width = 7,
     .align = ALIGN_RIGHT,
     .min_cols = 64,
     .cell = cell_pid},
};
const struct column_set columns_of_slots = {"slots", "slot_columns", columns, COUNT_OF(columns),
                                            40,      "health"};

static char glyph_of(const void *item, enum role *role)
{
    const struct line *l = item;
    *role = l->role;
    return l->glyph;
}

/* --- The selected one ------------------------------------------------------------------------ */
static const struct source_sample *sample_of(const struct slot_list *l, const char *peer)
{
    for (size_t i = 0; i < l->n_sources; i++)
        if (!strcmp(l->sources[i].peer, peer))
            return &l->sources[i];
    return NULL;
}

static void facts_who(struct app *a, const struct source_slot *s, struct facts *f)
{
    const struct mirror_status *m = *s->mirror ? model_find(a->picture, s->mirror) : NULL;
    const struct mirror_status *same = namesake(a, s);
    if (m)
        facts_add(f, ROLE_TEXT, 1, "of", "mirror %s, %s", m->name, mirror_word(m));
    else if (same)
        facts_add(f, ROLE_WARN, 1, "of",
                  "mirror %s, if %s and %s are the same server: the name is that of its slot",
                  same->name, same->source_peer, s->source_peer);
    else
        facts_add(f, ROLE_TEXT, 1, "of", "no mirror here: %s%s%s%s%s%s", s->type,
                  *s->plugin ? ", plugin " : "", s->plugin, *s->database ? ", database " : "",
                  s->database, s->is_temporary ? ", temporary" : "");
    if (s->status.exists && s->status.active)
        facts_add(f, ROLE_OK, 1, "read", "by the WAL sender with PID %d", s->status.active_pid);
    else if (s->status.exists)
        facts_add(f, ROLE_WARN, 1, "read", "by nobody");
}

static void facts_wal(struct app *a, const struct source_slot *s, struct facts *f)
{
    const struct slot_status *x = &s->status;
    char kept[FORMAT_SIZE], room[FORMAT_SIZE], rate[FORMAT_SIZE], left[FORMAT_SIZE];
    char restart[LSN_TEXT_SIZE], flushed[LSN_TEXT_SIZE], writes[64] = "", full[64] = "";
    double r = slot_source_rate(a, s->source_peer);
    int64_t seconds = seconds_unread(a, s);
    bool warns = seconds >= 0 && seconds < 86400 && !is_drained(s);
    if (r >= 0)
        str_printf(writes, sizeof writes, "; %s writes %s/min", s->source_peer,
                   format_bytes((int64_t)(r * 60), rate));
    if (seconds >= 0)
        str_printf(full, sizeof full, "%s%s",
                   is_drained(s) ? "; unread it would be full in " : ": full in ",
                   format_age(seconds, left));
    facts_add(f, ROLE_TEXT, 0, "keeps", "%s of WAL, wal_status %s%s",
              format_bytes(x->retained_bytes, kept), x->wal_status, writes);
    if (!strcmp(x->wal_status, "lost"))
        facts_add(f, ROLE_FAIL, 0, "room",
                  "none: what it needs is gone, nothing can read it again");
    else if (x->safe_wal_size >= 0)
        facts_add(f, warns ? ROLE_WARN : ROLE_TEXT, 0, "room", "%s until it is lost%s",
                  format_bytes(x->safe_wal_size, room), full);
    else
        facts_add(f, ROLE_TEXT, 2, "room",
                  "no limit is set (max_slot_wal_keep_size): the disk is the limit");
    facts_add(f, ROLE_TEXT, 2, "position", "needs WAL from %s, confirmed up to %s",
              x->restart ? lsn_format(x->restart, restart) : "-",
              x->confirmed_flush ? lsn_format(x->confirmed_flush, flushed) : "-");
    if (x->exists && x->xmin_age > 0)
        facts_add(f, ROLE_TEXT, 3, "xmin", "VACUUM keeps the dead rows of the last %s transactions",
                  format_count(x->xmin_age, kept));
}

static void facts_do(const struct app *a, const struct source_slot *s, const char *word,
                     struct facts *f)
{
    char keys[160];
    const struct mirror_status *same = namesake(a, s);
    bool ours = *s->mirror != '\0', missing = !strcmp(word, "MISSING");
    if (ours && missing)
        facts_add(f, ROLE_STRONG, 0, "do", "%s",
                  action_text(a, "{open} opens the mirror, {doctor} checks it, {retry} retries",
                              keys, sizeof keys));
    else if (ours && !strcmp(word, "LOST"))
        facts_add(f, ROLE_STRONG, 0, "do", "%s",
                  action_text(a,
                              "its WAL is gone: {resync-all} copies all tables of the mirror "
                              "again, with a new slot",
                              keys, sizeof keys));
    else if (ours && !strcmp(word, "PAUSED"))
        facts_add(f, ROLE_STRONG, 0, "do", "%s",
                  action_text(a, "{resume} resumes the mirror", keys, sizeof keys));
    else if (ours)
        facts_add(f, ROLE_STRONG, 3, "do", "%s",
                  action_text(a, "{open} opens the mirror", keys, sizeof keys));
    else if (same)
        facts_add(f, ROLE_STRONG, 0, "do", "leave it alone while mirror %s is there", same->name);
    else if (!strcmp(word, "UNREAD") || !strcmp(word, "LOST"))
        facts_add(f, ROLE_STRONG, 0, "do",
                  "if nobody needs it: SELECT pg_drop_replication_slot('%s') on %s", s->name,
                  s->source_peer);
}

static void facts_draw_slot(struct app *a, const struct source_slot *s, const struct slot_list *l)
{
    const struct source_sample *from = sample_of(l, s->source_peer);
    char title[2 * NAME_SIZE + 32], glyph, t[FORMAT_SIZE];
    enum role role;
    struct facts f = {0};
    const char *word = slot_word(a, s, &glyph, &role);
    str_printf(title, sizeof title, "%s on %s: %s", s->name, s->source_peer, word);
    if (from && *from->error)
        facts_add(&f, ROLE_FAIL, 0, "old", "of %s; %s cannot be asked: %s",
                  format_time(from->sampled_at, true, t), from->peer, from->error);
    facts_who(a, s, &f);
    if (s->status.exists)
        facts_wal(a, s, &f);
    else
        facts_add(&f, role, 0, "slot", "does not exist on %s", s->source_peer);
    facts_do(a, s, word, &f);
    pane_facts_draw(a, role == ROLE_FAIL ? ROLE_FAIL : ROLE_STRONG, title, &f);
    facts_free(&f);
}

/* Sources that could not be asked are named even where they have no line. */
static void sources_draw(struct app *a, const struct slot_list *l)
{
    struct facts f = {0};
    for (size_t i = 0; i < l->n_sources; i++)
        if (*l->sources[i].error)
            facts_add(&f, ROLE_FAIL, 0, l->sources[i].peer, "%s", l->sources[i].error);
    if (f.n)
        pane_facts_draw(a, ROLE_FAIL, "sources that cannot be asked", &f);
    facts_free(&f);
}

static void slots_draw(struct app *a)
{
    const struct sheet *s = &a->lists[SHEET_SLOTS];
    const struct source_slot *x = lists_selected(&a->slots);
    columns_draw(a, &a->slots, &columns_of_slots, glyph_of);
    lists_empty_draw(a, s, "no source has a slot: there is no mirror");
    if (x)
        facts_draw_slot(a, x, &s->slots);
    else
        sources_draw(a, &s->slots);
}

const struct screen screen_slots = {"Slots", LAYOUT_TABLE, slots_draw};
