/* Fields, peers and mirrors as they are asked for, addresses, throttling: what is taken
 * and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/mem.h"
#include "src/http/throttle.h"
#include "src/http/url.h"
#include "src/password.h"
#include "src/spec.h"

/* --- Mirrors and peers ------------------------------------------------------------------------ */
static bool read_mirror(const char *extra, struct mirror_spec *s, struct err *e)
{
    char text[1000];
    str_printf(text, sizeof text,
               "{\"name\":\"m\",\"source_peer\":\"a\",\"destination_peer\":\"b\"%s}", extra);
    json_t *o = json_loads(text, 0, NULL);
    assert_non_null(o);
    bool ok = mirror_spec_read(o, s, e);
    s->table_mappings = NULL;
    json_decref(o);
    return ok;
}

static void mappings_have_two_forms(void **state)
{
    struct mirror_spec s;
    struct err e;
    (void)state;
    assert_true(read_mirror(
        ",\"table_mappings\":[{\"source_table\":\"public.users\",\"destination_table\":\"x.y.z\"},"
        "{\"source_schema\":\"S.1\",\"source_table\":\"T.2\",\"exclude_columns\":[\"c\"],"
        "\"partition_key\":null},"
        "{\"source_table\":\"\\\"My.Schema\\\".t\"},{\"source_table\":\"public.*\"}]",
        &s, &e));
    assert_int_equal(s.config.n_tables, 4);
    assert_string_equal(s.config.tables[0].source_schema, "public");
    assert_string_equal(s.config.tables[0].dest_schema, "x");
    assert_string_equal(s.config.tables[0].dest_table, "y.z");
    assert_string_equal(s.config.tables[1].source_table, "T.2");
    assert_string_equal(s.config.tables[1].exclude[0], "c");
    assert_string_equal(s.config.tables[1].partition_key, "");
    assert_string_equal(s.config.tables[2].source_schema, "My.Schema");
    assert_string_equal(s.config.tables[3].source_table, "*");
    assert_int_equal(s.config.cdc_batch_size, 10000);
    mirror_config_free(&s.config);
}

static void wrong_mirrors_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        ",\"table_mappings\":[]",
        ",\"table_mappings\":{}",
        ",\"table_mappings\":[1]",
        ",\"table_mappings\":[{}]",
        ",\"table_mappings\":[{\"source_table\":\"users\"}]",
        ",\"table_mappings\":[{\"source_table\":\".users\"}]",
        ",\"table_mappings\":[{\"source_table\":\"\\\"a.b\"}]",
        ",\"table_mappings\":[{\"source_table\":\"a.b\",\"x\":1}]",
        ",\"table_mappings\":[{\"source_table\":\"a.*\",\"destination_table\":\"b.c\"}]",
        ",\"table_mappings\":[{\"source_table\":\"a.*\",\"exclude_columns\":[\"c\"]}]",
        ",\"table_mappings\":[{\"source_table\":\"a.b\",\"exclude_columns\":[1]}]",
        ",\"table_mappings\":[{\"source_table\":\"a.b\"}],\"cdc_batch_size\":0",
        ",\"table_mappings\":[{\"source_table\":\"a.b\"}],\"cdc_batch_size\":1,\"max_batch_size\":"
        "1",
        ",\"table_mappings\":[{\"source_table\":\"a.b\"}],\"resync_strategy\":\"drop\"",
        ",\"table_mappings\":[{\"source_table\":\"a.b\"}],\"do_initial_snapshot\":\"yes\"",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct mirror_spec s;
        struct err e = {0};
        if (read_mirror(wrong[i], &s, &e))
            fail_msg("was taken: %s", wrong[i]);
        assert_true(e.code == ERR_INVALID || e.code == ERR_UNKNOWN_FIELD);
        mirror_config_free(&s.config);
    }
}

static void older_names_are_taken(void **state)
{
    struct mirror_spec s;
    struct err e;
    (void)state;
    assert_true(read_mirror(",\"table_mappings\":[{\"source_table\":\"a.b\"}],"
                            "\"max_batch_size\":7,\"idle_timeout_seconds\":3",
                            &s, &e));
    assert_int_equal(s.config.cdc_batch_size, 7);
    assert_int_equal(s.config.cdc_sync_interval_seconds, 3);
    mirror_config_free(&s.config);
}

static void lists_of_tables(void **state)
{
    struct err e;
    (void)state;
    json_t *a = mirror_tables_parse("public.users , \"a,b\".c->d.e, s.*,", &e);
    char *text = json_dumps(a, JSON_COMPACT);
    assert_string_equal(text,
                        "[{\"source_table\":\"public.users\"},{\"source_table\":\"\\\"a,b\\\".c\","
                        "\"destination_table\":\"d.e\"},{\"source_table\":\"s.*\"}]");
    free(text);
    json_decref(a);
    assert_null(mirror_tables_parse("a.b,,c.d", &e));
    assert_null(mirror_tables_parse("a.b ->", &e));
    assert_null(mirror_tables_parse("-> a.b", &e));
    assert_null(mirror_tables_parse("a.b -> c.d -> e.f", &e));
}

/* --- Addresses and throttling ----------------------------------------------------------------- */
static void addresses_are_decoded_once(void **state)
{
    struct url u;
    struct err e;
    (void)state;
    assert_true(url_parse("/v1/a%20b/%25zz?x=1%262&y=a+b&z", &u, &e));
    assert_int_equal(u.n_segments, 3);
    assert_string_equal(u.segments[1], "a b");
    assert_string_equal(u.segments[2], "%zz");
    assert_int_equal(u.n_params, 3);
    assert_string_equal(u.params[0].value, "1&2");
    assert_string_equal(u.params[1].value, "a b");
    assert_string_equal(u.params[2].value, "");
    url_free(&u);
    assert_true(url_parse("/v1/mirrors/m/resync/public.a%2Fb", &u, &e)); /* tables have any names */
    assert_string_equal(u.segments[4], "public.a/b");
    url_free(&u);
    static const char *const wrong[] = {
        "",     "x",       "*",          "/%",       "/%1",
        "/%zz", "/%C0%80", "/%ED%A0%80", "/a//b",    "/a/",
        "/.",   "/%2f",    "/%0a",       "/a?%00=1", "/v1/mirrors/a%2Fb/resync/public.a"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        if (url_parse(wrong[i], &u, &e))
            fail_msg("was taken: %s", wrong[i]);
        url_free(&u);
    }
}

static void failures_are_counted_for_a_minute(void **state)
{
    struct throttle t;
    (void)state;
    throttle_init(&t);
    for (int i = 0; i < THROTTLE_USER_FAILURES; i++) {
        assert_int_equal(throttle_wait_s(&t, "ana", "1.1.1.1", 1000), 0);
        throttle_failed(&t, "ana", "1.1.1.1", 1000);
    }
    assert_int_equal(throttle_wait_s(&t, "ana", "1.1.1.1", 1000), 60);
    assert_int_equal(throttle_wait_s(&t, "ana", "1.1.1.1", 31000), 30);
    assert_int_equal(throttle_wait_s(&t, "ana", "2.2.2.2", 1000), 0);
    assert_int_equal(throttle_wait_s(&t, "bob", "1.1.1.1", 1000), 0);
    assert_int_equal(throttle_wait_s(&t, "ana", "1.1.1.1", 61000), 0);
    for (int i = 0; i < THROTTLE_USER_FAILURES; i++) { /* of one network, each from elsewhere */
        char address[40];
        str_printf(address, sizeof address, "2001:db8:1:2::%d", i);
        throttle_failed(&t, "ana", address, 1000);
    }
    assert_int_equal(throttle_wait_s(&t, "ana", "2001:db8:1:2:ffff::1", 1000), 60);
    assert_int_equal(throttle_wait_s(&t, "ana", "2001:db8:1:3::1", 1000), 0);
    for (int i = 0; i < THROTTLE_USER_FAILURES; i++)
        throttle_failed(&t, "ana", "::ffff:4.4.4.4", 1000);
    assert_int_equal(throttle_wait_s(&t, "ana", "::ffff:4.4.4.4", 1000), 60);
    assert_int_equal(throttle_wait_s(&t, "ana", "::ffff:4.4.4.5", 1000), 0);
    for (int i = 0; i < THROTTLE_ADDRESS_FAILURES; i++) {
        char name[20];
        str_printf(name, sizeof name, "user%d", i);
        throttle_failed(&t, name, "3.3.3.3", 1000);
    }
    assert_true(throttle_wait_s(&t, "somebody", "3.3.3.3", 1000) > 0);
    throttle_destroy(&t);
}

static void the_throttle_s_table_is_bounded(void **state)
{
    struct throttle t;
    (void)state;
    throttle_init(&t);
    for (int i = 0; i < 3 * THROTTLE_ENTRIES; i++) {
        char name[20];
        str_printf(name, sizeof name, "user%d", i);
        throttle_failed(&t, name, name, 1000 + i);
    }
    for (int i = 0; i < THROTTLE_USER_FAILURES; i++)
        throttle_failed(&t, "ana", "1.1.1.1", 9000);
    assert_true(throttle_wait_s(&t, "ana", "1.1.1.1", 9000) > 0);
    throttle_destroy(&t);
}

static void passwords(void **state)
{
    char hash[PASSWORD_HASH_SIZE];
    struct err e;
    (void)state;
    assert_false(password_check_rule("1234567", &e));
    assert_true(password_check_rule("12345678", &e));
    assert_true(password_hash("12345678", hash, &e));
    assert_int_equal(strncmp(hash, "$argon2id$", 10), 0);
    assert_true(password_begin(&e));
    assert_true(password_verify(hash, "12345678", &e));
    assert_false(password_verify(hash, "12345679", &e));
    assert_int_equal(e.code, ERR_CREDENTIALS);
    assert_false(password_verify(NULL, "12345678", &e));
    assert_int_equal(e.code, ERR_CREDENTIALS);
    password_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mappings_have_two_forms),
        cmocka_unit_test(wrong_mirrors_are_refused),
        cmocka_unit_test(older_names_are_taken),
        cmocka_unit_test(lists_of_tables),
        cmocka_unit_test(addresses_are_decoded_once),
        cmocka_unit_test(failures_are_counted_for_a_minute),
        cmocka_unit_test(the_throttle_s_table_is_bounded),
        cmocka_unit_test(passwords),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
