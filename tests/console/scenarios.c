/* The pictures that the console is tested and drawn with. */
#include "fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define MIB (INT64_C(1) << 20)
#define SECOND INT64_C(1000000)

static struct fixture_mirror *put(struct fixture_mirror *m, const char *name, const char *source,
                                  const char *dest, enum mirror_state state)
{
    struct mirror_status *s = &m->status;
    int64_t now = clock_wall_us();
    str_copy(s->name, sizeof s->name, name);
    str_copy(s->source_peer, sizeof s->source_peer, source);
    str_copy(s->dest_peer, sizeof s->dest_peer, dest);
    str_printf(s->slot_name, sizeof s->slot_name, "bunny_slot_%.50s", name);
    str_printf(s->publication, sizeof s->publication, "bunny_pub_%.50s", name);
    str_copy(s->on_table_error, sizeof s->on_table_error, "stop");
    str_copy(s->resync_strategy, sizeof s->resync_strategy, "truncate");
    s->last_lsn = 0x4A9C01F3B8;
    s->source_lsn = s->last_lsn + 12 * (lsn_t)MIB;
    s->lag_bytes = 12 * MIB;
    s->lag_seconds = 0.4;
    s->eta_seconds = -1;
    s->rows_per_second = 3100;
    s->bytes_per_second = 2.4 * 1048576;
    s->created_at = now - 86400 * SECOND;
    s->state_since = now - 300 * SECOND;
    s->heartbeat_at = now;
    s->slot = (struct slot_status){.sampled_at = now,
                                   .exists = true,
                                   .active = true,
                                   .active_pid = 4711,
                                   .confirmed_flush = s->last_lsn,
                                   .restart = s->last_lsn - (lsn_t)MIB,
                                   .retained_bytes = 13 * MIB,
                                   .safe_wal_size = -1,
                                   .xmin_age = 1200};
    str_copy(s->slot.wal_status, sizeof s->slot.wal_status, "reserved");
    for (int i = 0; i < LAG_HISTORY; i++) {
        s->lag_history[i] = (float)(0.2 + 4.0 * pow(sin(i * 0.11 + (double)strlen(name)), 8));
        s->rows_history[i] = (float)(3100 + 2500 * sin(i * 0.15));
    }
    fixture_set_state(m, state);
    return m;
}

static void put_tables(struct fixture_mirror *m, const char *schema, int n, int done)
{
    static const char *const names[] = {"orders", "order_lines", "customers", "addresses",
                                        "carts",  "invoices",    "events",    "prices"};
    m->status.n_tables = (size_t)n;
    m->status.tables_total = n;
    m->status.tables_done = done;
    for (int i = 0; i < n; i++) {
        struct table_status *t = &m->tables[i];
        const char *name = names[i % (int)COUNT_OF(names)];
        int round = i / (int)COUNT_OF(names);
        if (round)
            str_printf(t->source, sizeof t->source, "%s.%s_%d", schema, name, round);
        else
            str_printf(t->source, sizeof t->source, "%s.%s", schema, name);
        str_copy(t->dest, sizeof t->dest, t->source);
        str_copy(t->state, sizeof t->state, "streaming");
        t->bytes_total = (700 - 9 * i) * MIB;
        t->bytes_done = t->bytes_total;
        t->rows_total = t->rows_synced = t->bytes_total / 120;
        t->rows_inserted = 1234 * (i + 1);
        t->rows_updated = 321 * i;
        t->rows_deleted = 7 * i;
    }
}

/* A snapshot under way: some tables done, some copying, the rest queued. */
static void put_snapshot(struct fixture_mirror *m, int n, int done)
{
    put_tables(m, "sales", n, done);
    for (int i = done; i < n; i++) {
        struct table_status *t = &m->tables[i];
        int k = i - done;
        str_copy(t->state, sizeof t->state, k == 0 ? "indexing" : k < 4 ? "copying" : "queued");
        t->workers = k > 0 && k < 4 ? 5 - k : 0;
        t->indexes_done = 2;
        t->indexes_total = 5;
        t->bytes_done = k == 0 ? t->bytes_total : k < 4 ? t->bytes_total * (9 - 2 * k) / 10 : 0;
        t->rows_synced = (k < 4 ? t->bytes_done : t->bytes_total) / 120; /* queued: once more */
        t->rows_inserted = t->rows_updated = t->rows_deleted = 0;
    }
    struct mirror_status *s = &m->status;
    s->bytes_total = s->bytes_done = 0;
    for (int i = 0; i < n; i++) {
        s->bytes_total += m->tables[i].bytes_total;
        s->bytes_done += m->tables[i].bytes_done;
    }
    s->lag_seconds = -1;
    s->lag_bytes = 180 * MIB;
    s->rows_per_second = 885000;
    s->bytes_per_second = 119 * 1048576.0;
    s->eta_seconds = 14 * 60;
    str_copy(s->phase, sizeof s->phase, "copying");
    for (int i = 0; i < LAG_HISTORY; i++)
        s->lag_history[i] = -1, s->rows_history[i] = (float)i * 15000;
}

static void put_error(struct fixture_mirror *m)
{
    struct mirror_status *s = &m->status;
    err_set(&s->error, ERR_SQL,
            "apply public.invoices: duplicate key value violates unique constraint "
            "\"invoices_pkey\", key (id)=(88121)");
    str_copy(s->error.sqlstate, sizeof s->error.sqlstate, "23505");
    err_hint(&s->error, "remove the row of that key at the destination, then t retry");
    s->error_count = 5;
    s->error_at = clock_wall_us() - 125 * SECOND;
    s->next_retry_at = clock_wall_us() + 43 * SECOND;
    s->lag_seconds = 108;
    s->lag_bytes = 2900 * MIB;
    s->rows_per_second = s->bytes_per_second = 0;
    s->slot.retained_bytes = 2970 * MIB;
    s->slot.safe_wal_size = 61 * 1024 * MIB;
    s->slot.active = false;
    s->slot.xmin_age = 1204711;
    s->error_history[ERROR_HISTORY - 2] = 1;
    s->error_history[ERROR_HISTORY - 1] = 4;
    str_copy(s->phase, sizeof s->phase, "apply");
    for (int i = 0; i < LAG_HISTORY; i++)
        s->rows_history[i] = 0, s->lag_history[i] = i < 30 ? 0.4F : (float)((i - 29) * 4);
}

static size_t fill_mixed(struct fixture_mirror *m)
{
    put_tables(put(&m[0], "users", "us-prod", "dwh", MIRROR_RUNNING), "app", 9, 9);
    put_tables(put(&m[1], "search_idx", "us-prod", "search", MIRROR_RUNNING), "app", 22, 22);
    put_tables(put(&m[2], "orders_us", "us-prod", "dwh", MIRROR_RUNNING), "sales", 64, 64);
    put_snapshot(put(&m[3], "orders_eu", "eu-prod", "dwh", MIRROR_SNAPSHOTTING), 64, 17);
    put_tables(put(&m[4], "catalog", "eu-prod", "search", MIRROR_RUNNING), "shop", 12, 12);
    put_tables(put(&m[5], "billing", "eu-prod", "dwh", MIRROR_ERROR), "public", 42, 42);
    put_tables(put(&m[6], "archive", "us-prod", "cold", MIRROR_PAUSED), "public", 8, 8);
    m[0].status.rows_per_second = 210;
    m[1].status.lag_seconds = 1.1;
    m[4].status.rows_per_second = 9100;
    m[4].has_finding = true;
    m[4].finding = (struct finding){.severity = SEVERITY_WARNING};
    str_copy(m[4].finding.title, sizeof m[4].finding.title,
             "3 updates found no row in shop.prices");
    str_copy(m[4].finding.cause, sizeof m[4].finding.cause,
             "rows were deleted at the destination by somebody else");
    str_copy(m[4].finding.remedy, sizeof m[4].finding.remedy,
             "compare shop.prices on both sides before you go on");
    m[4].tables[7].rows_missing = 3;
    m[6].status.lag_seconds = 21720;
    m[6].status.lag_bytes = 212 * MIB;
    m[6].status.slot.active = false;
    return 7;
}

static size_t fill_many(struct fixture_mirror *m)
{
    char name[NAME_SIZE];
    for (int i = 0; i < 200; i++) {
        str_printf(name, sizeof name, "mirror_%03d", i);
        enum mirror_state s = i % 50 == 7   ? MIRROR_ERROR
                              : i % 20 == 3 ? MIRROR_PAUSED
                                            : MIRROR_RUNNING;
        put_tables(put(&m[i], name, "eu-prod", "dwh", s), "public", 20, 20);
    }
    return 200;
}

static size_t fill_names(struct fixture_mirror *m)
{
    put_tables(put(&m[0], "größe_naïve", "köln", "東京", MIRROR_RUNNING), "schön", 3, 3);
    put_tables(put(&m[1], "東京都の顧客データベース複製", "eu", "dwh", MIRROR_RUNNING), "p", 3, 3);
    put_tables(put(&m[2], "evil\033[2J\007\n\302\2331m", "eu", "dwh", MIRROR_RUNNING), "p", 3, 3);
    put_tables(put(&m[3], "cut\xc3", "eu", "dwh", MIRROR_RUNNING), "p", 3, 3);
    put_tables(put(&m[4], "e\xcc\x81t\xc3\xa9", "eu", "dwh", MIRROR_RUNNING), "p", 3, 3);
    put_tables(put(&m[5], "a_name_that_is_exactly_sixty_three_bytes_long_as_postgres_takes_it",
                   "eu", "dwh", MIRROR_RUNNING),
               "p", 3, 3);
    return 6;
}

/* One table has left the stream. */
static size_t fill_aside(struct fixture_mirror *m)
{
    put_tables(put(&m[0], "shop", "eu-prod", "dwh", MIRROR_RUNNING), "shop", 8, 8);
    struct table_status *t = &m[0].tables[5];
    str_copy(m[0].status.on_table_error, sizeof m[0].status.on_table_error, "set_aside");
    str_copy(t->state, sizeof t->state, "set_aside");
    str_copy(t->error, sizeof t->error, "duplicate key value, key (id)=(88121)");
    m[0].has_finding = true;
    m[0].finding = (struct finding){.severity = SEVERITY_ERROR};
    str_printf(m[0].finding.title, sizeof m[0].finding.title,
               "%s is set aside: its changes are not applied", t->source);
    str_printf(m[0].finding.cause, sizeof m[0].finding.cause, "4A/9C01F3B8: %s", t->error);
    return 1;
}

bool scenario_fill(const char *name, struct fixture_mirror **out, size_t *n)
{
    struct fixture_mirror *m = mem_calloc(200, sizeof *m);
    *out = m;
    *n = 0;
    if (!strcmp(name, "mixed")) {
        *n = fill_mixed(m);
    } else if (!strcmp(name, "many")) {
        *n = fill_many(m);
    } else if (!strcmp(name, "names")) {
        *n = fill_names(m);
    } else if (!strcmp(name, "aside")) {
        *n = fill_aside(m);
    } else if (!strcmp(name, "paused")) {
        put_tables(put(&m[0], "archive", "us-prod", "cold", MIRROR_PAUSED), "public", 8, 8);
        *n = 1;
    } else if (!strcmp(name, "snapshot")) {
        put_snapshot(put(&m[0], "orders_eu", "eu-prod", "dwh", MIRROR_SNAPSHOTTING), 24, 3);
        *n = 1;
    } else if (strcmp(name, "empty") != 0) {
        return false;
    }
    return true;
}

void fixture_set_state(struct fixture_mirror *m, enum mirror_state s)
{
    struct mirror_status *x = &m->status;
    x->state = s;
    x->state_since = clock_wall_us() - 300 * SECOND;
    if (s == MIRROR_ERROR)
        put_error(m);
    else
        x->error_at = x->next_retry_at = x->error_count = 0, err_clear(&x->error);
    if (s == MIRROR_PAUSED)
        x->rows_per_second = x->bytes_per_second = 0;
}

void scenario_verify(struct fixture_mirror *m)
{
    struct verify_status *v = &m->status.verify;
    *v = (struct verify_status){.is_running = !v->is_running,
                                .tables_total = 12,
                                .bytes_total = INT64_C(8) << 30,
                                .differences = 1};
}

void scenario_step(struct fixture_mirror *m, int step)
{
    struct mirror_status *s = &m->status;
    if (step % 50 == 0) { /* as the engine does, every five seconds */
        memmove(s->lag_history, s->lag_history + 1, (LAG_HISTORY - 1) * sizeof *s->lag_history);
        s->lag_history[LAG_HISTORY - 1] =
            (float)(s->state == MIRROR_SNAPSHOTTING ? -1 : step / 50 % 7);
    }
    if (s->state == MIRROR_RUNNING) {
        s->rows_per_second = 3000 + step % 13 * 17;
        s->lag_seconds = step % 7 * 0.3;
        s->last_lsn += 4711;
    }
    if (s->verify.is_running)
        s->verify.bytes_done += s->verify.bytes_total / 20000; /* in 2000 s */
    if (s->state != MIRROR_SNAPSHOTTING)
        return;
    for (size_t i = 0; i < s->n_tables; i++) {
        struct table_status *t = &m->tables[i];
        if (strcmp(t->state, "copying") || t->bytes_done >= t->bytes_total)
            continue;
        t->bytes_done += t->bytes_total / 200;
        t->rows_synced = t->bytes_done / 120;
        s->bytes_done += t->bytes_total / 200;
    }
    s->eta_seconds = s->eta_seconds > 0 ? s->eta_seconds - 1 : 0;
}
