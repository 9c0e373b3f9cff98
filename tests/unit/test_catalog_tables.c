/* A mirror's tables come and go in one step each: mapping, wishes for copies, and tables whose old
 * changes are to be ignored never contradict each other. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

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
    sample_add_peer(c, "src");
    sample_add_peer(c, "Dst");
    struct mirror_row m = sample_mirror("m", "slot_m");
    OK(catalog_mirror_insert(c, &m, &err));
    mirror_row_free(&m);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    catalog_close(c);
    tempdir_free(dir);
    return 0;
}

static struct mirror_row get(void)
{
    struct mirror_row row;
    OK(catalog_mirror_get(c, "m", &row, &err));
    return row;
}

static size_t copies(void)
{
    struct table_name_list l;
    OK(catalog_copies(c, "m", &l, &err));
    size_t n = l.n;
    table_name_list_free(&l);
    return n;
}

static size_t removed(void)
{
    struct table_name_list l;
    OK(catalog_removed(c, "m", &l, &err));
    size_t n = l.n;
    table_name_list_free(&l);
    return n;
}

static void change(const char *added, const char *gone)
{
    struct table_map map = {.source_schema = "public", .source_table = "only"};
    struct table_name a = {.schema = "public"}, r = {.schema = "public"};
    str_copy(a.table, sizeof a.table, added);
    str_copy(r.table, sizeof r.table, gone);
    struct table_name_list al = {&a, *added ? 1 : 0}, rl = {&r, *gone ? 1 : 0};
    OK(catalog_mirror_set_tables(c, "m", &map, 1, &al, &rl, &err));
}

static void mapping_is_replaced_and_the_rest_follows(void **state)
{
    (void)state;
    change("new", "old");
    struct mirror_row row = get();
    assert_int_equal(row.config.n_tables, 1);
    assert_string_equal(row.config.tables[0].source_table, "only");
    assert_int_equal(row.config.tables[0].n_exclude, 0);
    assert_true(row.republish);
    mirror_row_free(&row);
    assert_int_equal(copies(), 1);
    assert_int_equal(removed(), 1);
    OK(catalog_mirror_published(c, "m", &err));
    row = get();
    assert_false(row.republish);
    mirror_row_free(&row);
}

static void a_table_that_comes_back_is_copied_not_ignored(void **state)
{
    (void)state;
    change("", "t");
    assert_int_equal(removed(), 1);
    change("t", "");
    assert_int_equal(removed(), 0);
    assert_int_equal(copies(), 1);
    change("", "t");
    assert_int_equal(removed(), 1);
    assert_int_equal(copies(), 0);
}

static void a_removed_table_loses_its_counters(void **state)
{
    (void)state;
    struct table_status t = {.source = "public.t", .rows_synced = 7}, back = {.source = "public.t"};
    OK(catalog_counters_save(c, "m", &t, 1, &err));
    change("", "t");
    OK(catalog_counters_load(c, "m", &back, 1, &err));
    assert_int_equal(back.rows_synced, 0);
}

static void a_wish_is_kept_once_and_until_it_is_fulfilled(void **state)
{
    (void)state;
    struct table_name t[2] = {{"public", "a"}, {"Odd \"x\"", "b"}};
    OK(catalog_copies_add(c, "m", t, 2, &err));
    OK(catalog_copies_add(c, "m", t, 2, &err));
    catalog_close(c);
    c = sample_open(dir);
    assert_int_equal(copies(), 2);
    OK(catalog_copies_remove(c, "m", &t[1], &err));
    struct table_name_list l;
    OK(catalog_copies(c, "m", &l, &err));
    assert_int_equal(l.n, 1);
    assert_true(table_name_list_has(&l, "public", "a"));
    assert_false(table_name_list_has(&l, "public", "b"));
    table_name_list_free(&l);
    assert_false(catalog_copies_add(c, "none", t, 1, &err));
    assert_int_equal(err.code, ERR_MIRROR_NOT_FOUND);
}

static size_t swaps(void)
{
    struct table_name_list l;
    OK(catalog_swaps(c, "m", &l, &err));
    size_t n = l.n;
    table_name_list_free(&l);
    return n;
}

static void the_last_wish_says_how_a_table_is_copied(void **state)
{
    (void)state;
    struct table_name t[2] = {{"public", "a"}, {"public", "b"}};
    OK(catalog_copies_add(c, "m", t, 2, &err));
    assert_int_equal(swaps(), 0);
    OK(catalog_swaps_add(c, "m", t, 2, &err));
    catalog_close(c);
    c = sample_open(dir);
    assert_int_equal(swaps(), 2);
    assert_int_equal(copies(), 2);
    OK(catalog_copies_add(c, "m", t, 1, &err));
    assert_int_equal(swaps(), 1);
    OK(catalog_copies_remove(c, "m", &t[1], &err));
    assert_int_equal(swaps(), 0);
    assert_int_equal(copies(), 1);
    assert_false(catalog_swaps_add(c, "none", t, 1, &err));
}

static void a_new_snapshot_forgets_wishes_and_removed_tables(void **state)
{
    (void)state;
    change("new", "old");
    OK(catalog_mirror_renew(c, "m", false, &err));
    assert_int_equal(copies(), 0);
    assert_int_equal(removed(), 0);
    struct mirror_row row = get();
    assert_false(row.republish);
    mirror_row_free(&row);
}

static void an_accepted_operation_survives_a_restart(void **state)
{
    (void)state;
    OK(catalog_mirror_set_pending(c, "m", "sync-schema", "ann", 1234, &err));
    catalog_close(c);
    c = sample_open(dir);
    struct mirror_row row = get();
    assert_string_equal(row.pending, "sync-schema");
    assert_string_equal(row.pending_by, "ann");
    assert_int_equal(row.pending_at, 1234);
    mirror_row_free(&row);
    OK(catalog_mirror_set_pending(c, "m", "", "", 0, &err));
    row = get();
    assert_string_equal(row.pending, "");
    mirror_row_free(&row);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(mapping_is_replaced_and_the_rest_follows),
        T(a_table_that_comes_back_is_copied_not_ignored),
        T(a_removed_table_loses_its_counters),
        T(a_wish_is_kept_once_and_until_it_is_fulfilled),
        T(the_last_wish_says_how_a_table_is_copied),
        T(a_new_snapshot_forgets_wishes_and_removed_tables),
        T(an_accepted_operation_survives_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
