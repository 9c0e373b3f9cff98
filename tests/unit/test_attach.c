/* What a console in another process reads is what the engine published: to JSON and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "src/attach/from_json.h"
#include "src/http/to_json.h"

#define AT INT64_C(1764300727123000) /* whole milliseconds, as the API writes them */

static struct table_status tables[2];
static struct finding found;

static struct mirror_status sample(void)
{
    struct mirror_status m = {
        .name = "orders",
        .source_peer = "eu",
        .dest_peer = "dwh",
        .slot_name = "bunny_slot_orders",
        .publication = "bunny_pub_orders",
        .on_table_error = "set_aside",
        .resync_strategy = "swap",
        .state = MIRROR_ERROR,
        .phase = "streaming",
        .operation = {"pause", "ana", AT},
        .last_lsn = 0x4A9C01F3B8,
        .source_lsn = 0x4A9C01FFFF,
        .lag_bytes = 3143,
        .lag_seconds = 1.25,
        .last_batch_id = 77,
        .error = {.code = ERR_CONFLICT, .sqlstate = "23505", .text = "duplicate", .hint = "heal"},
        .error_count = 3,
        .error_at = AT + 1000,
        .next_retry_at = AT + 2000,
        .heartbeat_at = AT + 3000,
        .slot = {.sampled_at = AT,
                 .exists = true,
                 .active = true,
                 .active_pid = 4711,
                 .wal_status = "extended",
                 .confirmed_flush = 0x1F00000001,
                 .restart = 0x1F00000000,
                 .retained_bytes = 9,
                 .safe_wal_size = 10,
                 .xmin_age = 12},
        .rows_per_second = 3100.5,
        .bytes_per_second = 2.5,
        .tables_done = 1,
        .tables_total = 2,
        .bytes_done = 5,
        .bytes_total = 6,
        .eta_seconds = 14,
        .verify = {true, 1, 2, 3, 4, 5, 6},
        .sequences = {7, AT},
        .n_findings = 1,
        .findings = &found,
        .n_tables = 2,
        .tables = tables,
        .state_since = AT,
        .created_at = AT,
        .updated_at = AT,
    };
    found = (struct finding){.code = "rows_missing", .severity = SEVERITY_WARNING};
    str_copy(found.title, sizeof found.title, "3 rows are missing");
    str_copy(found.cause, sizeof found.cause, "they were deleted");
    str_copy(found.remedy, sizeof found.remedy, "verify");
    str_copy(found.action, sizeof found.action, "verify");
    for (int i = 0; i < 2; i++)
        tables[i] = (struct table_status){.source = "public.t",
                                          .dest = "public.u",
                                          .state = "copying",
                                          .rows_synced = 1,
                                          .rows_inserted = 2,
                                          .rows_updated = 3,
                                          .rows_deleted = 4,
                                          .rows_missing = 5,
                                          .rows_conflicting = 6,
                                          .bytes_done = 7,
                                          .bytes_total = 8,
                                          .rows_total = i ? -1 : 9,
                                          .workers = 10,
                                          .indexes_done = 11,
                                          .indexes_total = 12,
                                          .last_synced_at = AT,
                                          .error = "an error"};
    for (int i = 0; i < LAG_HISTORY; i++)
        m.lag_history[i] = i % 7 ? (float)i / 4 : -1, m.rows_history[i] = i % 5 ? (float)i : -1;
    for (int i = 0; i < ERROR_HISTORY; i++)
        m.error_history[i] = i;
    return m;
}

static void a_status_comes_back_as_it_was(void **state)
{
    struct mirror_status was = sample(), is;
    (void)state;
    json_t *o = mirror_status_to_json(&was);
    mirror_status_from_json(o, &is);
    json_decref(o);
    assert_int_equal(is.n_tables, 2);
    assert_int_equal(is.n_findings, 1);
    for (int i = 0; i < 2; i++)
        assert_memory_equal(&is.tables[i], &was.tables[i], sizeof *is.tables);
    assert_memory_equal(&is.findings[0], &was.findings[0], sizeof *is.findings);
    struct mirror_status lists = is;
    is.tables = was.tables; /* compared */
    is.findings = was.findings;
    assert_memory_equal(&is, &was, sizeof is);
    mirror_status_free(&lists);
}

static void what_is_not_known_stays_so(void **state)
{
    struct mirror_status is, was = {.name = "m",
                                    .lag_bytes = -1,
                                    .lag_seconds = -1,
                                    .eta_seconds = -1,
                                    .slot = {.safe_wal_size = -1, .xmin_age = -1}};
    (void)state;
    json_t *o = mirror_status_to_json(&was);
    mirror_status_from_json(o, &is);
    json_decref(o);
    assert_int_equal(is.lag_bytes, -1);
    assert_true(is.lag_seconds < 0 && is.eta_seconds == -1 && is.slot.safe_wal_size == -1);
    assert_int_equal(is.slot.xmin_age, -1);
    assert_int_equal(is.slot.sampled_at, 0);
    assert_int_equal(is.error.code, ERR_NONE);
    mirror_status_free(&is);
    mirror_status_from_json(NULL, &is); /* no object at all */
    assert_string_equal(is.name, "");
    mirror_status_free(&is);
}

static void a_comparison_comes_back_as_it_was(void **state)
{
    char id[] = "id", at[] = "at", number[] = "88121", now[] = "now", record[] = "(1,a)";
    char why[] = "why", *key[] = {id, at}, *values[] = {number, now}, *row[] = {record};
    struct verify_row named = {VERIFY_DIFFERING, true, 2, values};
    struct verify_row whole = {VERIFY_MISSING, false, 1, row};
    struct verify_table t[] = {
        {.source_schema = "a",
         .source_table = "t",
         .dest_schema = "b",
         .dest_table = "u",
         .state = VERIFY_DIFFERENT,
         .equal = 1,
         .differing = 2,
         .missing = 3,
         .extra = 4,
         .repaired = 5,
         .n_key = 2,
         .key = key,
         .n_rows = 1,
         .rows = &named},
        {.state = VERIFY_LEFT_OUT, .reason = why, .n_rows = 1, .rows = &whole}};
    struct verify_report is,
        was = {
            .lsn = 0x4A9C01F3B8, .ended_at = AT, .ending = "complete", .n_tables = 2, .tables = t};
    (void)state;
    json_t *o = verify_to_json(&was);
    verify_from_json(o, &is);
    json_decref(o);
    assert_true(is.lsn == was.lsn && is.ended_at == AT && is.n_tables == 2);
    const struct verify_table *x = &is.tables[0];
    assert_string_equal(x->source_table, "t");
    assert_string_equal(x->dest_schema, "b");
    assert_true(x->equal == 1 && x->differing == 2 && x->missing == 3 && x->extra == 4);
    assert_true(x->repaired == 5 && x->state == VERIFY_DIFFERENT && x->n_key == 2);
    assert_string_equal(x->key[1], "at");
    assert_true(x->rows[0].is_repaired && x->rows[0].kind == VERIFY_DIFFERING);
    assert_string_equal(x->rows[0].values[1], "now");
    assert_string_equal(is.tables[1].reason, "why");
    assert_string_equal(is.tables[1].rows[0].values[0], "(1,a)");
    verify_report_free(&is);
}

static void slots_come_back_as_they_were(void **state)
{
    struct source_slot slots[2] = {{.source_peer = "eu",
                                    .name = "s",
                                    .mirror = "m",
                                    .type = "logical",
                                    .plugin = "pgoutput",
                                    .database = "shop",
                                    .is_temporary = true,
                                    .status = {.sampled_at = AT,
                                               .exists = true,
                                               .active = true,
                                               .active_pid = 4711,
                                               .wal_status = "extended",
                                               .confirmed_flush = 0x1F00000001,
                                               .restart = 0x1F00000000,
                                               .retained_bytes = 9,
                                               .safe_wal_size = 10,
                                               .xmin_age = 12}},
                                   {.name = "t", .status = {.safe_wal_size = -1}}};
    struct source_sample source = {
        .peer = "eu", .sampled_at = AT, .wal_end = 0x1F00000009, .error = "away"};
    struct slot_list is, was = {slots, 2, &source, 1};
    (void)state;
    json_t *o = slots_to_json(&was);
    slots_from_json(o, &is);
    json_decref(o);
    assert_true(is.n_slots == 2 && is.n_sources == 1);
    assert_memory_equal(is.slots, slots, sizeof slots[0]);
    assert_int_equal(is.slots[1].status.safe_wal_size, -1);
    assert_memory_equal(is.sources, &source, sizeof source);
    slot_list_free(&is);
    slots_from_json(NULL, &is);
    assert_true(is.n_slots == 0);
    slot_list_free(&is);
}

static void runs_come_back_as_they_were(void **state)
{
    char error[] = "23505", why[] = "why";
    struct run_event e = {.at = AT, .state = "error", .phase = "waiting", .text = why};
    struct run_row r = {.id = 7,
                        .mirror = "m",
                        .kind = "stream",
                        .began_at = AT,
                        .ended_at = AT + 1000,
                        .ending = "failed",
                        .error = error,
                        .n_events = 1,
                        .events = &e};
    struct run_page is, was = {&r, 1, 9};
    (void)state;
    json_t *o = json_pack("{s:o, s:i}", "runs", runs_to_json(&was), "total", 9);
    runs_from_json(o, &is);
    json_decref(o);
    assert_true(is.n == 1 && is.total == 9 && is.rows[0].id == 7 && is.rows[0].began_at == AT);
    assert_string_equal(is.rows[0].mirror, "m");
    assert_string_equal(is.rows[0].ending, "failed");
    assert_string_equal(is.rows[0].error, "23505");
    assert_string_equal(is.rows[0].events[0].phase, "waiting");
    assert_string_equal(is.rows[0].events[0].text, "why");
    run_page_free(&is);
}

static void a_configuration_comes_back_as_it_was(void **state)
{
    char column[] = "secret", *exclude[] = {column};
    struct table_map t = {.source_schema = "a.b",
                          .source_table = "t",
                          .dest_schema = "c",
                          .dest_table = "u",
                          .n_exclude = 1,
                          .exclude = exclude,
                          .partition_key = "id"};
    struct mirror_config is = {0}, was;
    struct err err = {0};
    (void)state;
    mirror_config_init(&was);
    str_copy(was.name, sizeof was.name, "m");
    str_copy(was.source_peer, sizeof was.source_peer, "eu");
    str_copy(was.dest_peer, sizeof was.dest_peer, "dwh");
    str_copy(was.slot, sizeof was.slot, "s");
    str_copy(was.publication, sizeof was.publication, "p");
    str_copy(was.schema_changes, sizeof was.schema_changes, "auto");
    str_copy(was.on_table_error, sizeof was.on_table_error, "set_aside");
    was.do_initial_snapshot = false;
    was.n_tables = 1;
    was.tables = &t;
    json_t *o = mirror_config_to_json(&was);
    assert_true(mirror_config_from_json(o, &is, &err));
    json_decref(o);
    assert_int_equal(is.n_tables, 1);
    assert_true(table_map_is_same(&is.tables[0], &t));
    assert_string_equal(is.tables[0].exclude[0], "secret");
    assert_string_equal(is.slot, "s");
    assert_string_equal(is.schema_changes, "auto");
    assert_string_equal(is.on_table_error, "set_aside");
    assert_false(is.do_initial_snapshot);
    mirror_config_free(&is);
}

/* What a peer's form sends makes the same peer; a password never comes back. */
static void a_peer_goes_there_and_comes_back(void **state)
{
    char name[] = "eu", host[] = "h", user[] = "u", password[] = "s3cret", database[] = "d",
         mode[] = "require", key[] = "connect_timeout", value[] = "5", *keys[] = {key},
         *values[] = {value};
    struct peer was = {.name = name,
                       .host = host,
                       .port = 5433,
                       .user = user,
                       .password = password,
                       .database = database,
                       .ssl_mode = mode,
                       .n_options = 1,
                       .option_names = keys,
                       .option_values = values,
                       .has_password = true};
    struct peer_list is;
    (void)state;
    json_t *o = peer_body(&was, 0), *list;
    assert_string_equal(json_string_value(json_object_get(o, "password")), "s3cret");
    assert_int_equal(json_object_size(o), 8);
    json_decref(o);
    o = peer_body(&was, PEER_HOST);
    assert_int_equal(json_object_size(o), 1);
    json_decref(o);
    list = json_pack("[o]", peer_to_json(&was));
    peers_from_json(list, &is);
    json_decref(list);
    assert_true(is.n == 1 && is.items[0].port == 5433 && is.items[0].has_password);
    assert_string_equal(is.items[0].host, "h");
    assert_string_equal(is.items[0].option_values[0], "5");
    assert_null(is.items[0].password);
    peer_list_free(&is);
}

/* The body of a wizard: names that were not given are not there. */
static void what_makes_a_mirror(void **state)
{
    struct mirror_config c;
    (void)state;
    mirror_config_init(&c);
    str_copy(c.name, sizeof c.name, "m");
    json_t *o = mirror_body(&c);
    assert_string_equal(json_string_value(json_object_get(o, "name")), "m");
    assert_null(json_object_get(o, "publication_name"));
    assert_non_null(json_object_get(o, "schema_changes"));
    json_decref(o);
    mirror_config_free(&c);
}

static void a_survey_is_sorted_into_its_parts(void **state)
{
    struct survey s;
    (void)state;
    json_t *o =
        json_pack("{s:[{s:s, s:s, s:i, s:b, s:s, s:[s]}],"
                  " s:[{s:s, s:s, s:s, s:s}, {s:s, s:s, s:s, s:s, s:[{s:s, s:s, s:s}]}]}",
                  "tables", "schema", "a", "table_name", "t", "bytes", 7, "can_mirror", 1,
                  "verdict", "remarks", "findings", "no_key", "findings", "code", "wal_level",
                  "severity", "error", "about", "source", "title", "wal_level is replica", "code",
                  "no_key", "severity", "warning", "about", "tables", "title", "no key", "items",
                  "name", "a.t", "note", "slow", "statement", "ALTER");
    assert_non_null(o);
    survey_from_json(o, &s);
    json_decref(o);
    assert_true(s.n == 1 && s.items[0].table.bytes == 7 && s.items[0].table.can_mirror);
    assert_int_equal(s.items[0].table.estimated_rows, -1);
    assert_int_equal(s.items[0].verdict.worst, SEVERITY_WARNING);
    assert_string_equal(s.items[0].verdict.codes[0], "no_key");
    assert_true(s.source.n == 1 && s.destination.n == 0 && s.tables.n == 1 && s.objects.n == 0);
    assert_int_equal(s.source.items[0].severity, SEVERITY_ERROR);
    assert_string_equal(s.tables.items[0].items[0].statement, "ALTER");
    survey_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_status_comes_back_as_it_was),
        cmocka_unit_test(what_is_not_known_stays_so),
        cmocka_unit_test(a_comparison_comes_back_as_it_was),
        cmocka_unit_test(slots_come_back_as_they_were),
        cmocka_unit_test(runs_come_back_as_they_were),
        cmocka_unit_test(a_configuration_comes_back_as_it_was),
        cmocka_unit_test(what_makes_a_mirror),
        cmocka_unit_test(a_survey_is_sorted_into_its_parts),
        cmocka_unit_test(a_peer_goes_there_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
