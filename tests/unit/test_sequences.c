/* Promise: a sequence's value only steps back at the destination when the source's did, nobody uses
 * the destination's, and everything before is applied; and never for an applier that was fenced. */
#include "tests/unit/schema_fixture.h"

#include <stdlib.h>

#include "base/mem.h"
#include "schema/sequences.h"

#define PROGRESS                                                                                 \
    "CREATE SCHEMA _bunnydb; CREATE TABLE _bunnydb.progress (mirror_id text PRIMARY KEY, epoch " \
    "bigint); INSERT INTO _bunnydb.progress VALUES ('id', 7); "
#define TABLES                                                                                    \
    "CREATE TABLE public.t (id serial); CREATE SEQUENCE public.s INCREMENT -1 CYCLE MINVALUE -9;" \
    "CREATE TABLE public.u (a int DEFAULT pg_catalog.nextval('public.s'))"

static struct pg_conn *source, *dest;
static struct sequences *q;
static struct sequences_result r;

static void decisions(void **state)
{
    (void)state;
    static const struct {
        struct sequence_value source, dest, kept;
        bool is_descending;
        enum sequence_step step;
    } cases[] = {
        {{true, 5, true}, {true, 5, true}, {false, 0, false}, false, SEQUENCE_SAME},
        {{true, 6, true}, {true, 5, true}, {false, 0, false}, false, SEQUENCE_FORWARD},
        {{true, 5, true}, {true, 5, false}, {false, 0, false}, false, SEQUENCE_FORWARD},
        {{true, 5, false}, {true, 5, true}, {true, 5, true}, false, SEQUENCE_BACK},
        {{true, 5, false}, {true, 5, true}, {true, 4, true}, false, SEQUENCE_LEAVE},
        {{true, 1, true}, {true, 5, true}, {false, 0, false}, false, SEQUENCE_LEAVE},
        {{true, 1, true}, {true, 5, true}, {true, 5, true}, true, SEQUENCE_FORWARD},
        {{true, 6, true}, {true, 5, true}, {true, 5, true}, true, SEQUENCE_BACK},
        {{true, INT64_MAX, true},
         {true, INT64_MIN, true},
         {false, 0, false},
         false,
         SEQUENCE_FORWARD},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(sequence_decide(cases[i].is_descending, &cases[i].source, &cases[i].dest,
                                         &cases[i].kept),
                         cases[i].step);
}

static void begin(bool is_fresh)
{
    struct fixture_maps maps = fixture_maps(source, "public.*", NULL);
    struct schema *s = fixture_read(source, &maps);
    struct sequences_owner owner = {.mirror = "m", .mirror_id = "id", .epoch = 7};
    q = sequences_new(s, &owner, is_fresh);
    schema_free(s);
    fixture_maps_free(&maps);
}

static void follow(lsn_t safe)
{
    struct err err = {0};
    findings_free(&r.trouble);
    if (!sequences_follow(q, source, dest, &fixture_task, safe, &r, &err))
        fail_msg("%s (%s)", err.text, err.sqlstate);
}

static void assert_value(const char *sequence, const char *expected)
{
    char *sql = mem_printf("SELECT last_value || '/' || is_called FROM public.%s", sequence);
    fixture_assert_answer(dest, sql, expected);
    free(sql);
}

static void a_domain_of_a_table_calls_it(void **state)
{
    (void)state;
    static const char counting[] =
        "CREATE SEQUENCE public.d; CREATE DOMAIN public.counting AS int DEFAULT"
        " pg_catalog.nextval('public.d'); CREATE TABLE public.v (a public.counting[])";
    static const char gone[] = "DROP TABLE public.v; DROP DOMAIN public.counting;"
                               "DROP SEQUENCE public.d";
    fixture_exec(source, counting);
    fixture_exec(dest, counting);
    begin(false);
    fixture_exec(source, "SELECT setval('public.d', 30)");
    follow(0);
    assert_value("d", "30/true");
    sequences_free(q);
    fixture_exec(source, gone);
    fixture_exec(dest, gone);
}

static void what_went_back_waits_for_the_rows(void **state)
{
    (void)state;
    begin(false);
    fixture_exec(source, "SELECT setval('public.t_id_seq', 10); SELECT setval('public.s', -8)");
    follow(0);
    assert_int_equal(r.followed, 2);
    assert_value("t_id_seq", "10/true");
    assert_value("s", "-8/true");
    fixture_exec(source, "SELECT setval('public.t_id_seq', 3); SELECT setval('public.s', -1)");
    follow(0);
    assert_int_equal(r.waiting, 2);
    assert_value("t_id_seq", "10/true");
    lsn_t until = r.until;
    fixture_exec(source, "SELECT setval('public.t_id_seq', 4)");
    follow(until - 1);
    assert_value("t_id_seq", "10/true");
    fixture_exec(source, "SELECT setval('public.t_id_seq', 2)"); /* and once more */
    follow(until);
    assert_true(r.until > until);
    assert_value("t_id_seq", "10/true");
    assert_value("s", "-1/true");
    follow(r.until);
    assert_value("t_id_seq", "2/true");
    assert_int_equal(r.waiting, 0);
    sequences_free(q);
}

static void what_is_remembered_outlives_the_process(void **state)
{
    (void)state;
    fixture_exec(source, "SELECT setval('public.t_id_seq', 1, false)");
    begin(false);
    follow(0);
    assert_int_equal(r.waiting, 1);
    follow(r.until);
    assert_value("t_id_seq", "1/false");
    fixture_exec(dest, "SELECT setval('public.t_id_seq', 70)");
    fixture_exec(source, "SELECT setval('public.t_id_seq', 9)");
    follow(UINT64_MAX);
    assert_value("t_id_seq", "70/true");
    sequences_free(q);
    begin(true); /* all tables were copied: it is the mirror's again */
    follow(0);
    follow(r.until);
    assert_value("t_id_seq", "9/true");
    sequences_free(q);
}

/* A copy's values, of a process that ended before it looked at them, and of one that looks on. */
static void what_a_copy_sets_is_the_mirrors(void **state)
{
    (void)state;
    struct fixture_maps maps = fixture_maps(source, "public.*", NULL);
    static const int copied[] = {29, 59};
    for (size_t i = 0; i < COUNT_OF(copied); i++) {
        struct err err = {0};
        char *set = mem_printf("SELECT setval('public.t_id_seq', %d)", copied[i]);
        char *there = mem_printf("%d/true", copied[i]);
        fixture_exec(source, set);
        struct schema *s = fixture_read(source, &maps);
        if (!schema_run_after(dest, &fixture_task, s, "id", "m", &err))
            fail_msg("%s (%s)", err.text, err.sqlstate);
        schema_free(s);
        assert_value("t_id_seq", there);
        fixture_exec(source, "SELECT setval('public.t_id_seq', 5)");
        if (i == 0)
            begin(false);
        follow(0);
        assert_int_equal(r.waiting, 1);
        assert_value("t_id_seq", there);
        follow(r.until);
        assert_value("t_id_seq", "5/true");
        free(set);
        free(there);
    }
    sequences_free(q);
    fixture_maps_free(&maps);
}

static void sequences_come_and_go(void **state)
{
    (void)state;
    begin(false);
    follow(0);
    fixture_exec(dest, "ALTER TABLE public.u ALTER a DROP DEFAULT; DROP SEQUENCE public.s");
    fixture_exec(source, "SELECT setval('public.t_id_seq', 20)");
    follow(0);
    assert_int_equal(r.followed, 1);
    assert_value("t_id_seq", "20/true");
    fixture_exec(dest, "CREATE SEQUENCE public.s INCREMENT -1 CYCLE MINVALUE -9;"
                       "ALTER TABLE public.u ALTER a SET DEFAULT nextval('public.s')");
    sequences_forget(q);
    follow(0);
    assert_int_equal(r.followed, 2);
    fixture_exec(source,
                 "ALTER TABLE public.t ALTER id DROP DEFAULT; DROP SEQUENCE public.t_id_seq");
    fixture_exec(source, "SELECT setval('public.s', -5)");
    follow(0);
    assert_int_equal(r.followed, 1);
    assert_value("s", "-5/true");
    sequences_free(q);
}

static void limits_that_differ_are_told(void **state)
{
    (void)state;
    begin(false);
    fixture_exec(source, "ALTER SEQUENCE public.s MINVALUE -100; SELECT setval('public.s', -50)");
    follow(0);
    assert_int_equal(r.trouble.n, 1);
    assert_string_equal(r.trouble.items[0].code, "sequence_refused");
    fixture_exec(dest, "ALTER SEQUENCE public.s MINVALUE -100");
    follow(0);
    assert_int_equal(r.trouble.n, 0);
    assert_value("s", "-50/true");
    sequences_free(q);
}

static void one_that_was_fenced_writes_nothing(void **state)
{
    (void)state;
    begin(false);
    fixture_exec(dest, "UPDATE _bunnydb.progress SET epoch = 8");
    fixture_exec(source, "SELECT setval('public.s', -60)");
    follow(0);
    assert_true(r.is_fenced);
    assert_value("s", "-50/true");
    sequences_free(q);
}

static int start(void **state)
{
    int code = fixture_start(state);
    if (code)
        return code;
    log_to_fd(2, LOG_LEVEL_ERROR);
    source = fixture_database("source");
    dest = fixture_database("dest");
    fixture_exec(source, TABLES);
    fixture_exec(dest, PROGRESS TABLES);
    fixture_exec(dest, sequences_create_sql);
    return 0;
}

static int stop(void **state)
{
    findings_free(&r.trouble);
    pg_close(source, false);
    pg_close(dest, false);
    return fixture_stop(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decisions),
        cmocka_unit_test(a_domain_of_a_table_calls_it),
        cmocka_unit_test(what_went_back_waits_for_the_rows),
        cmocka_unit_test(what_is_remembered_outlives_the_process),
        cmocka_unit_test(what_a_copy_sets_is_the_mirrors),
        cmocka_unit_test(sequences_come_and_go),
        cmocka_unit_test(limits_that_differ_are_told),
        cmocka_unit_test(one_that_was_fenced_writes_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
