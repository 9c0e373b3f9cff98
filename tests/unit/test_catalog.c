/* What is put into the catalog comes out again the same, also after it was closed, and what may
 * not happen is refused with its own code and changes nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "catalog/db.h"
#include "tests/unit/catalog_samples.h"
#include "tests/unit/tempdir.h"

static char *dir;
static struct catalog *c;
static struct err err;

static int setup(void **state)
{
    (void)state;
    dir = tempdir_new();
    c = sample_open(dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    catalog_close(c);
    tempdir_free(dir);
    return 0;
}

static void reopen(void)
{
    catalog_close(c);
    c = sample_open(dir);
}

#define REFUSED(expected, call)                 \
    do {                                        \
        assert_false(call);                     \
        assert_int_equal(err.code, (expected)); \
        assert_true(err.text[0] != '\0');       \
    } while (0)

static void assert_same_peer(const struct peer *a, const struct peer *b)
{
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->host, b->host);
    assert_int_equal(a->port, b->port);
    assert_string_equal(a->user, b->user);
    assert_string_equal(a->password, b->password);
    assert_string_equal(a->database, b->database);
    assert_string_equal(a->ssl_mode, b->ssl_mode);
    assert_int_equal(a->n_options, b->n_options);
    for (size_t i = 0; i < a->n_options; i++) {
        assert_string_equal(a->option_names[i], b->option_names[i]);
        assert_string_equal(a->option_values[i], b->option_values[i]);
    }
}

static void peer_comes_back(void **state)
{
    (void)state;
    struct peer in = sample_peer("Case-Kept_1"), out;
    int64_t before = clock_wall_us();
    OK(catalog_peer_insert(c, &in, &err));
    reopen();
    OK(catalog_peer_get(c, "Case-Kept_1", &out, &err));
    assert_same_peer(&in, &out);
    assert_true(out.has_password);
    assert_true(out.created_at >= before && out.updated_at == out.created_at);
    REFUSED(ERR_PEER_EXISTS, catalog_peer_insert(c, &in, &err));
    peer_free(&out);
    REFUSED(ERR_PEER_NOT_FOUND, catalog_peer_get(c, "case-kept_1", &out, &err));
    peer_free(&in);
}

static void peer_without_password(void **state)
{
    (void)state;
    struct peer in = sample_peer("a"), out;
    free(in.password);
    in.password = NULL;
    OK(catalog_peer_insert(c, &in, &err));
    OK(catalog_peer_get(c, "a", &out, &err));
    assert_null(out.password);
    assert_false(out.has_password);
    peer_free(&out);
    peer_free(&in);
}

static void peer_update_changes_named_fields_only(void **state)
{
    (void)state;
    sample_add_peer(c, "a");
    struct peer change = {.host = (char[]){"other"}, .port = 1}, out;
    OK(catalog_peer_update(c, "a", &change, PEER_HOST | PEER_OPTIONS, &err));
    OK(catalog_peer_get(c, "a", &out, &err));
    assert_string_equal(out.host, "other");
    assert_int_equal(out.port, 6543);
    assert_string_equal(out.password, SAMPLE_PASSWORD);
    assert_int_equal(out.n_options, 0);
    assert_true(out.updated_at >= out.created_at);
    peer_free(&out);
    OK(catalog_peer_update(c, "a", &change, PEER_PASSWORD | PEER_PORT, &err));
    OK(catalog_peer_get(c, "a", &out, &err));
    assert_null(out.password);
    assert_int_equal(out.port, 1);
    peer_free(&out);
    REFUSED(ERR_PEER_NOT_FOUND, catalog_peer_update(c, "b", &change, PEER_HOST, &err));
}

static void peers_are_listed_by_name(void **state)
{
    (void)state;
    struct peer_list l;
    OK(catalog_peers(c, &l, &err));
    assert_int_equal(l.n, 0);
    peer_list_free(&l);
    sample_add_peer(c, "b");
    sample_add_peer(c, "a");
    OK(catalog_peers(c, &l, &err));
    assert_int_equal(l.n, 2);
    assert_string_equal(l.items[0].name, "a");
    assert_string_equal(l.items[1].password, SAMPLE_PASSWORD);
    assert_int_equal(l.items[1].n_options, 3);
    peer_list_free(&l);
}

static void add_mirror(const char *name, const char *slot)
{
    struct mirror_row m = sample_mirror(name, slot);
    OK(catalog_mirror_insert(c, &m, &err));
    mirror_row_free(&m);
}

/* What is shown as stars and written back so stays; a new value replaces it. */
static void hidden_options_stay(void **state)
{
    (void)state;
    struct peer out, p = sample_peer("a");
    sample_add_peer(c, "a");
    free(p.option_values[1]);
    free(p.option_values[2]);
    p.option_values[1] = mem_strdup(PEER_HIDDEN);
    p.option_values[2] = mem_strdup("7");
    OK(catalog_peer_update(c, "a", &p, PEER_OPTIONS, &err));
    OK(catalog_peer_get(c, "a", &out, &err));
    assert_int_equal(out.n_options, 3);
    assert_string_equal(out.option_values[1], SAMPLE_KEY_PASSWORD);
    assert_string_equal(out.option_values[2], "7");
    peer_free(&out);
    free(p.option_values[1]);
    p.option_values[1] = mem_strdup("another");
    OK(catalog_peer_update(c, "a", &p, PEER_OPTIONS, &err));
    OK(catalog_peer_get(c, "a", &out, &err));
    assert_string_equal(out.option_values[1], "another");
    peer_free(&out);
    free(p.option_values[1]);
    p.option_values[1] = mem_strdup(PEER_HIDDEN);
    free(p.name);
    p.name = mem_strdup("b");
    REFUSED(ERR_INVALID, catalog_peer_insert(c, &p, &err)); /* nothing is stored that could stay */
    REFUSED(ERR_PEER_NOT_FOUND, catalog_peer_get(c, "b", &out, &err));
    peer_free(&p);
}

static void peer_in_use_stays(void **state)
{
    (void)state;
    struct peer out;
    sample_add_peer(c, "src");
    sample_add_peer(c, "Dst");
    add_mirror("m1", "s1");
    add_mirror("m2", "s2");
    REFUSED(ERR_PEER_IN_USE, catalog_peer_delete(c, "Dst", &err));
    assert_non_null(strstr(err.text, "m1, m2"));
    OK(catalog_mirror_delete(c, "m1", &err));
    OK(catalog_mirror_delete(c, "m2", &err));
    OK(catalog_peer_delete(c, "Dst", &err));
    REFUSED(ERR_PEER_NOT_FOUND, catalog_peer_get(c, "Dst", &out, &err));
    REFUSED(ERR_PEER_NOT_FOUND, catalog_peer_delete(c, "Dst", &err));
}

static void assert_same_map(const struct table_map *a, const struct table_map *b)
{
    assert_string_equal(a->source_schema, b->source_schema);
    assert_string_equal(a->source_table, b->source_table);
    assert_string_equal(a->dest_schema, b->dest_schema);
    assert_string_equal(a->dest_table, b->dest_table);
    assert_string_equal(a->partition_key, b->partition_key);
    assert_int_equal(a->n_exclude, b->n_exclude);
    for (size_t i = 0; i < a->n_exclude; i++)
        assert_string_equal(a->exclude[i], b->exclude[i]);
}

static void assert_same_config(const struct mirror_config *a, const struct mirror_config *b)
{
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->source_peer, b->source_peer);
    assert_string_equal(a->dest_peer, b->dest_peer);
    assert_int_equal(a->do_initial_snapshot, b->do_initial_snapshot);
    assert_int_equal(a->snapshot_num_rows_per_partition, b->snapshot_num_rows_per_partition);
    assert_int_equal(a->snapshot_max_parallel_workers, b->snapshot_max_parallel_workers);
    assert_int_equal(a->snapshot_num_tables_in_parallel, b->snapshot_num_tables_in_parallel);
    assert_true(a->cdc_batch_size == b->cdc_batch_size);
    assert_int_equal(a->cdc_sync_interval_seconds, b->cdc_sync_interval_seconds);
    assert_string_equal(a->publication, b->publication);
    assert_string_equal(a->slot, b->slot);
    assert_int_equal(a->replicate_indexes, b->replicate_indexes);
    assert_int_equal(a->replicate_foreign_keys, b->replicate_foreign_keys);
    assert_string_equal(a->resync_strategy, b->resync_strategy);
    assert_string_equal(a->schema_changes, b->schema_changes);
    assert_string_equal(a->on_table_error, b->on_table_error);
    assert_true(a->created_at == b->created_at);
    assert_int_equal(a->n_tables, b->n_tables);
    for (size_t i = 0; i < a->n_tables; i++)
        assert_same_map(&a->tables[i], &b->tables[i]);
}

static void mirror_comes_back(void **state)
{
    (void)state;
    sample_add_peer(c, "src");
    sample_add_peer(c, "Dst");
    struct mirror_row in = sample_mirror("Orders", "slot_1"), out;
    OK(catalog_mirror_insert(c, &in, &err));
    assert_int_equal(strlen(in.mirror_id), 36);
    assert_true(in.mirror_id[14] == '4');
    reopen();
    OK(catalog_mirror_get(c, "Orders", &out, &err));
    assert_same_config(&in.config, &out.config);
    assert_string_equal(in.mirror_id, out.mirror_id);
    assert_int_equal(out.wish, WISH_PAUSE);
    assert_true(out.snapshot_done);
    assert_false(out.slot_created);
    mirror_row_free(&out);
    mirror_row_free(&in);

    OK(catalog_mirror_set(c, "Orders", WISH_DELETE, false, true, &err));
    struct mirror_row_list l;
    OK(catalog_mirrors(c, &l, &err));
    assert_int_equal(l.n, 1);
    assert_int_equal(l.items[0].wish, WISH_DELETE);
    assert_false(l.items[0].snapshot_done);
    assert_true(l.items[0].slot_created);
    assert_int_equal(l.items[0].config.n_tables, 2);
    mirror_row_list_free(&l);
    REFUSED(ERR_MIRROR_NOT_FOUND, catalog_mirror_get(c, "orders", &out, &err));
    REFUSED(ERR_MIRROR_NOT_FOUND, catalog_mirror_set(c, "x", WISH_RUN, 0, 0, &err));
    REFUSED(ERR_MIRROR_NOT_FOUND, catalog_mirror_delete(c, "x", &err));
}

static void mirror_conflicts(void **state)
{
    (void)state;
    struct mirror_row m = sample_mirror("m1", "s1");
    REFUSED(ERR_PEER_NOT_FOUND, catalog_mirror_insert(c, &m, &err));
    assert_non_null(strstr(err.text, "source_peer"));
    sample_add_peer(c, "src");
    REFUSED(ERR_PEER_NOT_FOUND, catalog_mirror_insert(c, &m, &err));
    assert_non_null(strstr(err.text, "destination_peer"));
    sample_add_peer(c, "Dst");
    OK(catalog_mirror_insert(c, &m, &err));
    REFUSED(ERR_MIRROR_EXISTS, catalog_mirror_insert(c, &m, &err));
    str_copy(m.config.name, sizeof m.config.name, "m2");
    REFUSED(ERR_SLOT_IN_USE, catalog_mirror_insert(c, &m, &err));
    assert_non_null(strstr(err.text, "m1"));
    /* the same slot name on another server is another slot */
    str_copy(m.config.source_peer, sizeof m.config.source_peer, "Dst");
    OK(catalog_mirror_insert(c, &m, &err));
    mirror_row_free(&m);
}

static int64_t count(const char *sql)
{
    int64_t n = -1;
    OK(db_value(c, &err, &n, -1, sql, NULL, 0));
    return n;
}

static void deleting_a_mirror_leaves_nothing(void **state)
{
    (void)state;
    int64_t run;
    struct table_status t = {.source = "a.b", .rows_synced = 1};
    sample_add_peer(c, "src");
    sample_add_peer(c, "Dst");
    add_mirror("m", "s");
    OK(catalog_counters_save(c, "m", &t, 1, &err));
    OK(catalog_run_begin(c, "m", "stream", &run, &err));
    assert_int_equal(count("SELECT count(*) FROM mirror_exclude"), 3);
    OK(catalog_mirror_delete(c, "m", &err));
    OK(catalog_run_end(c, run, "deleted", NULL, &err));
    assert_int_equal(count("SELECT (SELECT count(*) FROM mirror) + (SELECT count(*) FROM run) + "
                           "(SELECT count(*) FROM mirror_table) + "
                           "(SELECT count(*) FROM mirror_exclude) + "
                           "(SELECT count(*) FROM table_counter)"),
                     0);
}

static void counters_come_back(void **state)
{
    (void)state;
    sample_add_peer(c, "src");
    sample_add_peer(c, "Dst");
    add_mirror("m", "s");
    struct table_status in[2] = {
        {.source = "a.b",
         .rows_synced = 1,
         .rows_inserted = 2,
         .rows_updated = 3,
         .rows_deleted = 4,
         .rows_missing = 5,
         .last_synced_at = INT64_C(1) << 50},
        {.source = "a.c", .rows_inserted = INT64_C(1) << 40},
    };
    struct table_status out[3] = {
        {.source = "new.t", .rows_synced = 77}, {.source = "a.c"}, {.source = "a.b", .workers = 9}};
    OK(catalog_counters_save(c, "m", in, 2, &err));
    in[0].rows_synced = 100;
    OK(catalog_counters_save(c, "m", in, 2, &err));
    reopen();
    OK(catalog_counters_load(c, "m", out, 3, &err));
    assert_int_equal(out[0].rows_synced, 77);
    assert_true(out[1].rows_inserted == INT64_C(1) << 40);
    assert_int_equal(out[2].rows_synced, 100);
    assert_int_equal(out[2].rows_updated, 3);
    assert_int_equal(out[2].rows_deleted, 4);
    assert_int_equal(out[2].rows_missing, 5);
    assert_true(out[2].last_synced_at == INT64_C(1) << 50);
    assert_int_equal(out[2].workers, 9);
    REFUSED(ERR_MIRROR_NOT_FOUND, catalog_counters_save(c, "x", in, 2, &err));
}

static void runs_end_as_told_or_interrupted(void **state)
{
    (void)state;
    int64_t first, second;
    sample_add_peer(c, "src");
    sample_add_peer(c, "Dst");
    add_mirror("m", "s");
    OK(catalog_run_begin(c, "m", "snapshot", &first, &err));
    OK(catalog_run_begin(c, "m", "stream", &second, &err));
    OK(catalog_run_end(c, first, "error", "23505: no", &err));
    OK(catalog_run_asked(c, first, "resume by ana", NULL, &err));
    OK(catalog_run_asked(c, first, NULL, "pause by ben", &err));
    assert_true(second > first);
    reopen();
    assert_int_equal(count("SELECT count(*) FROM run WHERE ending = 'error' AND "
                           "error = '23505: no' AND kind = 'snapshot' AND ended_at >= began_at "
                           "AND begun_by = 'resume by ana' AND ended_by = 'pause by ben'"),
                     1);
    assert_int_equal(count("SELECT count(*) FROM run WHERE ending = 'interrupted' AND "
                           "kind = 'stream' AND ended_at >= began_at"),
                     1);
    REFUSED(ERR_MIRROR_NOT_FOUND, catalog_run_begin(c, "x", "stream", &first, &err));
}

static struct run_event event(const char *phase, char *text)
{
    struct run_event e = {.at = 7, .state = "running", .text = text};
    str_copy(e.phase, sizeof e.phase, phase);
    return e;
}

static void runs_are_read_newest_first_with_their_events(void **state)
{
    (void)state;
    int64_t first, second;
    struct run_page page;
    char text[] = "it failed";
    const struct run_event events[] = {event("connecting", NULL), event("streaming", text)};
    sample_add_peer(c, "src");
    sample_add_peer(c, "Dst");
    add_mirror("m", "s");
    add_mirror("n", "s2");
    OK(catalog_run_begin(c, "m", "snapshot", &first, &err));
    OK(catalog_run_events(c, first, events, 2, &err));
    OK(catalog_run_events(c, first, events, 1, &err));
    OK(catalog_run_end(c, first, "failed", "why", &err));
    OK(catalog_run_begin(c, "n", "snapshot", &second, &err));
    OK(catalog_run_begin(c, "m", "stream", &second, &err));
    OK(catalog_runs(c, "m", 10, 0, &page, &err));
    assert_int_equal(page.n, 2);
    assert_int_equal(page.total, 2);
    assert_int_equal(page.rows[0].id, second);
    assert_int_equal(page.rows[0].ended_at, 0);
    assert_int_equal(page.rows[0].n_events, 0);
    assert_string_equal(page.rows[1].error, "why");
    assert_string_equal(page.rows[1].kind, "snapshot");
    assert_int_equal(page.rows[1].n_events, 3);
    assert_string_equal(page.rows[1].events[1].phase, "streaming");
    assert_string_equal(page.rows[1].events[1].text, "it failed");
    assert_null(page.rows[1].events[2].text);
    run_page_free(&page);
    OK(catalog_runs(c, "m", 1, 1, &page, &err));
    assert_int_equal(page.n, 1);
    assert_int_equal(page.rows[0].id, first);
    run_page_free(&page);
    REFUSED(ERR_MIRROR_NOT_FOUND, catalog_runs(c, "x", 1, 0, &page, &err));
    OK(catalog_mirror_delete(c, "m", &err));
    OK(catalog_run_events(c, second, events, 2, &err)); /* gone meanwhile */
    assert_int_equal(count("SELECT count(*) FROM run_event"), 0);
}

/* A mirror that flaps for weeks must not fill the disk. */
static void runs_and_their_events_are_bounded(void **state)
{
    (void)state;
    int64_t run = 0;
    struct run_event events[100];
    for (size_t i = 0; i < COUNT_OF(events); i++)
        events[i] = event("catching_up", NULL);
    sample_add_peer(c, "src");
    sample_add_peer(c, "Dst");
    add_mirror("m", "s");
    OK(catalog_run_begin(c, "m", "stream", &run, &err));
    for (int i = 0; i < 6; i++) {
        events[0].at = i;
        OK(catalog_run_events(c, run, events, COUNT_OF(events), &err));
    }
    assert_int_equal(count("SELECT count(*) FROM run_event"), 500);
    assert_int_equal(count("SELECT min(at) FROM run_event"), 1);
    for (int i = 0; i < 1100; i++)
        OK(catalog_run_begin(c, "m", "stream", &run, &err));
    assert_int_equal(count("SELECT count(*) FROM run"), 1000);
    assert_int_equal(count("SELECT max(id) FROM run"), run);
    assert_int_equal(count("SELECT count(*) FROM run_event"), 0);
}

static struct log_row line(int64_t id, enum log_level level, const char *mirror, const char *text)
{
    struct log_row r = {.id = id, .line = {.at = clock_wall_us(), .level = level}};
    str_copy(r.line.component, sizeof r.line.component, "test");
    str_copy(r.line.mirror, sizeof r.line.mirror, mirror);
    str_copy(r.line.text, sizeof r.line.text, text);
    str_copy(r.line.details, sizeof r.line.details, "line one\nline two");
    return r;
}

static void assert_page(const char *mirror, enum log_level least, bool exact, const char *search,
                        int64_t total)
{
    struct log_page p;
    OK(catalog_logs(c, mirror, least, exact, search, 10, 0, &p, &err));
    assert_int_equal(p.total, total);
    assert_int_equal(p.n, total > 10 ? 10 : total);
    for (size_t i = 1; i < p.n; i++)
        assert_true(p.rows[i - 1].id > p.rows[i].id);
    log_page_free(&p);
}

static void logs_are_found(void **state)
{
    (void)state;
    const struct log_row rows[] = {
        line(1, LOG_LEVEL_DEBUG, "", "process starts"),
        line(2, LOG_LEVEL_INFO, "m", "100% done"),
        line(3, LOG_LEVEL_WARN, "m", "slot_a behind"),
        line(4, LOG_LEVEL_ERROR, "m", "Slot LOST"),
        line(7, LOG_LEVEL_ERROR, "n", "'; DROP TABLE log; --"),
    };
    int64_t last;
    OK(catalog_log_append(c, rows, COUNT_OF(rows), &err));
    OK(catalog_log_append(c, rows, COUNT_OF(rows), &err)); /* again: harmless */
    reopen();
    OK(catalog_log_last_id(c, &last, &err));
    assert_int_equal(last, 7);
    assert_page(NULL, LOG_LEVEL_DEBUG, false, NULL, 5);
    assert_page(NULL, LOG_LEVEL_WARN, false, NULL, 3);
    assert_page("m", LOG_LEVEL_WARN, true, NULL, 1);
    assert_page("m", LOG_LEVEL_DEBUG, false, NULL, 3);
    assert_page(NULL, LOG_LEVEL_DEBUG, false, "slot", 2);
    assert_page(NULL, LOG_LEVEL_DEBUG, false, "0% d", 1);
    assert_page(NULL, LOG_LEVEL_DEBUG, false, "%", 1);
    assert_page(NULL, LOG_LEVEL_DEBUG, false, "slot_a", 1);
    assert_page(NULL, LOG_LEVEL_DEBUG, false, "DROP", 1);
    assert_page("m' OR 1=1", LOG_LEVEL_DEBUG, false, NULL, 0);

    struct log_page p;
    OK(catalog_logs(c, NULL, LOG_LEVEL_DEBUG, false, NULL, 2, 1, &p, &err));
    assert_int_equal(p.n, 2);
    assert_int_equal(p.total, 5);
    assert_int_equal(p.rows[0].id, 4);
    assert_memory_equal(&p.rows[0].line, &rows[3].line, sizeof p.rows[0].line);
    log_page_free(&p);
}

static void old_logs_go(void **state)
{
    (void)state;
    int64_t last;
    struct log_row *rows = mem_calloc(6000, sizeof *rows);
    for (int i = 0; i < 6000; i++) {
        rows[i] = line(i + 1, LOG_LEVEL_INFO, "m", "x");
        if (i < 5990)
            rows[i].line.at -= INT64_C(15) * 86400 * 1000000;
    }
    OK(catalog_log_append(c, rows, 6000, &err));
    OK(catalog_log_prune(c, 16, &err));
    assert_page(NULL, LOG_LEVEL_DEBUG, false, NULL, 6000);
    OK(catalog_log_prune(c, 14, &err));
    assert_page(NULL, LOG_LEVEL_DEBUG, false, NULL, 10);
    OK(catalog_log_prune(c, -1, &err));
    assert_page(NULL, LOG_LEVEL_DEBUG, false, NULL, 0);
    OK(catalog_log_last_id(c, &last, &err)); /* ids are not used twice */
    assert_int_equal(last, 6000);
    free(rows);
}

static void users_and_the_last_admin(void **state)
{
    (void)state;
    struct user ana = sample_user("ana", "admin"), out;
    struct user bo = sample_user("Bo", "viewer"), cy = sample_user("cy", "admin");
    OK(catalog_user_insert(c, &ana, &err));
    OK(catalog_user_insert(c, &bo, &err));
    REFUSED(ERR_USER_EXISTS, catalog_user_insert(c, &ana, &err));
    REFUSED(ERR_LAST_ADMIN, catalog_user_delete(c, "ana", &err));
    REFUSED(ERR_USER_NOT_FOUND, catalog_user_delete(c, "bo", &err));
    OK(catalog_user_insert(c, &cy, &err));
    OK(catalog_user_delete(c, "ana", &err));
    REFUSED(ERR_LAST_ADMIN, catalog_user_delete(c, "cy", &err));
    reopen();
    REFUSED(ERR_USER_NOT_FOUND, catalog_user_get(c, "ana", &out, &err));
    OK(catalog_user_get(c, "Bo", &out, &err));
    assert_string_equal(out.role, "viewer");
    assert_string_equal(out.password_hash, bo.password_hash);
    assert_true(out.id > 0 && out.created_at > 0);
    struct user_list l;
    OK(catalog_users(c, &l, &err));
    assert_int_equal(l.n, 2);
    assert_string_equal(l.items[0].name, "Bo");
    user_list_free(&l);
}

static void tokens_end(void **state)
{
    (void)state;
    struct user ana = sample_user("ana", "admin"), bo = sample_user("bo", "viewer"), out;
    int64_t now = clock_wall_us(), expires;
    OK(catalog_user_insert(c, &ana, &err));
    OK(catalog_user_insert(c, &bo, &err));
    REFUSED(ERR_USER_NOT_FOUND, catalog_token_insert(c, "t0", "cy", now + 1000000, &err));
    OK(catalog_token_insert(c, "old", "ana", now - 1, &err));
    OK(catalog_token_insert(c, "t1", "ana", now + 60000000, &err));
    OK(catalog_token_insert(c, "t2", "ana", now + 60000000, &err));
    OK(catalog_token_insert(c, "t3", "bo", now + 60000000, &err));
    REFUSED(ERR_UNAUTHORIZED, catalog_token_user(c, "old", &out, &expires, &err));
    assert_int_equal(count("SELECT count(*) FROM token"), 3);
    OK(catalog_token_user(c, "t1", &out, &expires, &err));
    assert_string_equal(out.name, "ana");
    assert_true(expires == now + 60000000);
    OK(catalog_token_user(c, "t3", &out, NULL, &err));

    OK(catalog_user_password(c, "ana", "$argon2id$new", "t2", &err));
    REFUSED(ERR_UNAUTHORIZED, catalog_token_user(c, "t1", &out, &expires, &err));
    OK(catalog_token_user(c, "t2", &out, &expires, &err));
    assert_string_equal(out.password_hash, "$argon2id$new");
    OK(catalog_token_user(c, "t3", &out, &expires, &err)); /* another user's */
    OK(catalog_user_password(c, "ana", "$argon2id$newer", NULL, &err));
    REFUSED(ERR_UNAUTHORIZED, catalog_token_user(c, "t2", &out, &expires, &err));

    OK(catalog_token_insert(c, "t4", "bo", now + 60000000, &err));
    OK(catalog_token_delete(c, "t4", &err));
    REFUSED(ERR_UNAUTHORIZED, catalog_token_user(c, "t4", &out, &expires, &err));
    OK(catalog_user_delete(c, "bo", &err));
    REFUSED(ERR_UNAUTHORIZED, catalog_token_user(c, "t3", &out, &expires, &err));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(peer_comes_back),
        T(peer_without_password),
        T(peer_update_changes_named_fields_only),
        T(peers_are_listed_by_name),
        T(hidden_options_stay),
        T(peer_in_use_stays),
        T(mirror_comes_back),
        T(mirror_conflicts),
        T(deleting_a_mirror_leaves_nothing),
        T(counters_come_back),
        T(runs_end_as_told_or_interrupted),
        T(runs_are_read_newest_first_with_their_events),
        T(runs_and_their_events_are_bounded),
        T(logs_are_found),
        T(old_logs_go),
        T(users_and_the_last_admin),
        T(tokens_end),
    };
    log_to_fd(-1, LOG_LEVEL_DEBUG);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
