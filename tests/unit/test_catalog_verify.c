/* The catalog keeps the last comparison of each mirror as it was, over a restart, and no other. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "catalog/db.h"
#include "tests/unit/catalog_samples.h"
#include "tests/unit/tempdir.h"

static char *dir;
static struct catalog *c;
static struct err err;

static void add_mirror(const char *name, const char *slot)
{
    struct mirror_row m = sample_mirror(name, slot);
    OK(catalog_mirror_insert(c, &m, &err));
    mirror_row_free(&m);
}

static int setup(void **state)
{
    (void)state;
    dir = tempdir_new();
    c = sample_open(dir);
    sample_add_peer(c, "src");
    sample_add_peer(c, "Dst");
    add_mirror("m", "slot_m");
    add_mirror("other", "slot_o");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    catalog_close(c);
    tempdir_free(dir);
    return 0;
}

static char id[] = "id", part[] = "Part \"b\"", number[] = "17", odd[] = "é \n\"x\"", none[] = "",
            minus[] = "-1", image[] = "(1,,\"\")", copied[] = "being copied", why[] = "a reason";
static char *values_a[] = {number, odd}, *values_b[] = {none, minus}, *value_c[] = {image};
static char *key[] = {id, part};

static struct verify_report sample_report(void)
{
    static struct verify_row rows[] = {
        {.kind = VERIFY_DIFFERING, .n_values = 2, .values = values_a},
        {.kind = VERIFY_EXTRA, .n_values = 2, .values = values_b},
    };
    static struct verify_row plain[] = {{.kind = VERIFY_MISSING, .n_values = 1, .values = value_c}};
    static struct verify_table tables[] = {
        {.source_schema = "public",
         .source_table = "Order",
         .dest_schema = "x",
         .dest_table = "order",
         .state = VERIFY_DIFFERENT,
         .source_rows = INT64_MAX,
         .dest_rows = 2,
         .equal = 3,
         .differing = 4,
         .missing = 5,
         .extra = 6,
         .n_key = 2,
         .key = key,
         .n_rows = 2,
         .rows = rows},
        {.source_table = "left", .state = VERIFY_LEFT_OUT, .reason = copied},
        {.source_table = "same", .state = VERIFY_EQUAL, .equal = 7, .n_key = 1, .key = key},
        {.source_table = "plain", .state = VERIFY_DIFFERENT, .n_rows = 1, .rows = plain},
    };
    return (struct verify_report){.lsn = UINT64_C(0xFEDCBA9876543210),
                                  .began_at = 1,
                                  .ended_at = 2,
                                  .ending = "complete",
                                  .n_tables = COUNT_OF(tables),
                                  .tables = tables};
}

static void assert_rows(const struct verify_table *a, const struct verify_table *b)
{
    assert_int_equal(a->n_rows, b->n_rows);
    for (size_t i = 0; i < a->n_rows; i++) {
        assert_int_equal(a->rows[i].kind, b->rows[i].kind);
        assert_int_equal(a->rows[i].n_values, b->rows[i].n_values);
        for (size_t k = 0; k < a->rows[i].n_values; k++)
            assert_string_equal(a->rows[i].values[k], b->rows[i].values[k]);
    }
}

static void assert_same_table(const struct verify_table *a, const struct verify_table *b)
{
    assert_string_equal(a->source_schema, b->source_schema);
    assert_string_equal(a->source_table, b->source_table);
    assert_string_equal(a->dest_schema, b->dest_schema);
    assert_string_equal(a->dest_table, b->dest_table);
    assert_int_equal(a->state, b->state);
    assert_string_equal(a->reason ? a->reason : "(none)", b->reason ? b->reason : "(none)");
    assert_int_equal(a->source_rows, b->source_rows);
    assert_int_equal(a->dest_rows, b->dest_rows);
    assert_int_equal(a->equal, b->equal);
    assert_int_equal(a->differing, b->differing);
    assert_int_equal(a->missing, b->missing);
    assert_int_equal(a->extra, b->extra);
    assert_int_equal(a->n_key, b->n_key);
    for (size_t i = 0; i < a->n_key; i++)
        assert_string_equal(a->key[i], b->key[i]);
    assert_rows(a, b);
}

static void test_a_report_comes_back_as_it_was(void **state)
{
    (void)state;
    struct verify_report in = sample_report(), out;
    OK(catalog_verify_save(c, "m", &in, &err));
    catalog_close(c);
    c = sample_open(dir);
    OK(catalog_verify_load(c, "m", &out, &err));
    assert_true(out.lsn == in.lsn);
    assert_int_equal(out.began_at, 1);
    assert_int_equal(out.ended_at, 2);
    assert_string_equal(out.ending, "complete");
    assert_null(out.error);
    assert_int_equal(out.n_tables, in.n_tables);
    for (size_t i = 0; i < in.n_tables; i++)
        assert_same_table(&in.tables[i], &out.tables[i]);
    verify_report_free(&out);
}

static int64_t rows_kept(void)
{
    int64_t n = -1;
    assert_true(db_begin(c, DB_READ, &err));
    OK(db_end(c,
              db_value(c, &err, &n, -1,
                       "SELECT (SELECT count(*) FROM verify) + (SELECT count(*) FROM verify_table) "
                       "+ (SELECT count(*) FROM verify_key) + (SELECT count(*) FROM verify_row)",
                       NULL, 0),
              &err));
    return n;
}

static void test_the_next_report_replaces_it(void **state)
{
    (void)state;
    struct verify_report in = sample_report(), out;
    struct verify_report failed = {.ending = "failed", .error = why, .ended_at = 9};
    OK(catalog_verify_save(c, "m", &in, &err));
    OK(catalog_verify_save(c, "other", &in, &err));
    int64_t both = rows_kept();
    OK(catalog_verify_save(c, "m", &in, &err));
    assert_int_equal(rows_kept(), both);
    OK(catalog_verify_save(c, "m", &failed, &err));
    OK(catalog_verify_load(c, "m", &out, &err));
    assert_string_equal(out.ending, "failed");
    assert_string_equal(out.error, "a reason");
    assert_int_equal(out.n_tables, 0);
    verify_report_free(&out);
    OK(catalog_verify_load(c, "other", &out, &err));
    assert_int_equal(out.n_tables, in.n_tables);
    verify_report_free(&out);
}

static void test_a_deleted_mirror_takes_its_report_along(void **state)
{
    (void)state;
    struct verify_report in = sample_report(), out;
    OK(catalog_verify_save(c, "m", &in, &err));
    OK(catalog_mirror_delete(c, "m", &err));
    assert_int_equal(rows_kept(), 0);
    assert_false(catalog_verify_load(c, "m", &out, &err));
    assert_int_equal(err.code, ERR_MIRROR_NOT_FOUND);
    assert_false(catalog_verify_save(c, "m", &in, &err));
    assert_int_equal(err.code, ERR_MIRROR_NOT_FOUND);
    assert_false(catalog_verify_load(c, "other", &out, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_report_comes_back_as_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_next_report_replaces_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_deleted_mirror_takes_its_report_along, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
