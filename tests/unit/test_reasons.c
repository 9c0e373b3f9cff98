/* What is said of WAL that piles up, and when the WAL guard does its part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "control/tally.h"

#define MB ((int64_t)1 << 20)

static struct mirror_status status;
static struct evidence e;

/* A mirror whose slot keeps that much of 100 MB; negative: there is no slot. */
static void keeps(enum mirror_state state, int64_t mb)
{
    status = (struct mirror_status){.name = "m",
                                    .source_peer = "eu",
                                    .slot_name = "bunny_slot_m",
                                    .state = state,
                                    .lag_seconds = -1,
                                    .tables_done = 2,
                                    .tables_total = 2,
                                    .slot = {.sampled_at = 1, .exists = mb >= 0}};
    status.slot.retained_bytes = mb > 0 ? mb * MB : 0;
    e = (struct evidence){
        .status = &status, .now_ms = e.now_ms + 1000, .alarm_s = 60, .wal_limit = 100 * MB};
}

static const struct finding *find(const struct findings *f, const char *code)
{
    for (size_t i = 0; i < f->n; i++)
        if (!strcmp(f->items[i].code, code))
            return &f->items[i];
    return NULL;
}

static void wal_that_piles_up_warns_then_alarms(void **state)
{
    static const struct {
        int64_t mb;
        bool is_there;
        enum severity severity;
    } rows[] = {{49, false, SEVERITY_OK},
                {50, true, SEVERITY_WARNING},
                {79, true, SEVERITY_WARNING},
                {80, true, SEVERITY_ERROR},
                {150, true, SEVERITY_ERROR}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct findings f = {0};
        keeps(MIRROR_ERROR, rows[i].mb);
        reasons_judge(&e, &f);
        const struct finding *x = find(&f, "wal_kept");
        assert_int_equal(x != NULL, rows[i].is_there);
        if (x)
            assert_int_equal(x->severity, rows[i].severity);
        findings_free(&f);
    }
}

/* A pause is no way to have less WAL, and the text does not let anybody think so. */
static void a_pause_is_said_to_keep_the_wal(void **state)
{
    struct findings f = {0};
    (void)state;
    keeps(MIRROR_PAUSED, 90);
    reasons_judge(&e, &f);
    const struct finding *x = find(&f, "wal_kept");
    assert_non_null(x);
    assert_non_null(strstr(x->remedy, "a pause keeps the slot, and the slot its WAL"));
    assert_string_equal(x->action, "resume");
    assert_null(find(&f, "slot_missing"));
    findings_free(&f);
}

static void a_paused_mirror_says_that_its_slot_is_gone(void **state)
{
    struct findings f = {0};
    (void)state;
    keeps(MIRROR_PAUSED, -1);
    reasons_judge(&e, &f);
    assert_non_null(find(&f, "slot_missing"));
    findings_free(&f);
    status.tables_done = 1; /* there was none yet */
    reasons_judge(&e, &f);
    assert_int_equal(f.n, 0);
    keeps(MIRROR_ERROR, -1); /* its own thread says that */
    reasons_judge(&e, &f);
    assert_int_equal(f.n, 0);
    keeps(MIRROR_PAUSED, -1);
    status.slot.sampled_at = 0; /* nobody has looked */
    reasons_judge(&e, &f);
    assert_int_equal(f.n, 0);
    findings_free(&f);
}

static bool guards(struct tally *t, int64_t mb)
{
    keeps(MIRROR_RUNNING, mb);
    return tally_guards(t, &e);
}

static void the_guard_acts_once_until_there_is_room_again(void **state)
{
    struct tally t = {0};
    (void)state;
    assert_false(guards(&t, 79));
    assert_true(guards(&t, 80));
    t.is_guarded = true; /* it has paused the mirror; the operator resumes it, and it catches up */
    assert_false(guards(&t, 95));
    assert_false(guards(&t, 60));
    assert_false(guards(&t, 85));
    assert_false(guards(&t, 49)); /* there is room */
    assert_true(guards(&t, 85));
}

static void a_guard_that_fails_tries_again_after_a_while(void **state)
{
    struct tally t = {0};
    (void)state;
    assert_true(guards(&t, 85));
    t.guard_at = e.now_ms + 3000;
    assert_false(guards(&t, 85));
    assert_false(guards(&t, 85));
    assert_true(guards(&t, 85));
    assert_false(guards(&t, -1)); /* no slot, no WAL */
    keeps(MIRROR_RUNNING, 85);
    e.wal_limit = 0; /* nobody has said how much there is room for */
    assert_false(tally_guards(&t, &e));
}

static void a_destination_is_busy_all_the_time_at_most(void **state)
{
    struct tally t = {0};
    struct findings f = {0};
    (void)state;
    for (int i = 0; i < 3; i++) {
        keeps(MIRROR_RUNNING, 1);
        status.lag_seconds = 100;
        status.slot.active = true;
        status.counters.busy_us = i * 1500000;
        e.dest = (struct sight){.at_ms = e.now_ms, .running = 1};
        tally_note(&t, &status, 5, e.now_ms);
        tally_fill(&t, &e);
    }
    reasons_judge(&e, &f);
    const struct finding *x = find(&f, "destination_slow");
    assert_non_null(x);
    assert_non_null(strstr(x->cause, "for 100 % of the time"));
    assert_non_null(strstr(x->cause, "nothing has come through"));
    findings_free(&f);
}

/* A mirror that had little to do until a moment ago. */
static void what_holds_it_up_now_counts(void **state)
{
    struct tally t = {0};
    (void)state;
    keeps(MIRROR_RUNNING, 1);
    status.counters.busy_us = 0;
    for (int i = 0; i < EVIDENCE_SAMPLES; i++) {
        tally_note(&t, &status, 5, (int64_t)i * 1000);
        if (i >= EVIDENCE_SAMPLES - 6)
            status.counters.busy_us += 900000;
    }
    tally_fill(&t, &e);
    assert_true(e.busy > 0.89 && e.busy < 0.91);
}

/* What the destination's sessions of a copy do decides which setting is named, with its value. */
static void a_slow_copy_names_what_helps(void **state)
{
    static const struct {
        int io, client;
        const char *cause, *remedy;
    } rows[] = {
        {0, 0, "processors", "snapshot_max_parallel_workers (now 3)"},
        {2, 0, "its disk", "max_wal_size"},
        {0, 4, "the source reads slowly", "snapshot_num_tables_in_parallel (now 5)"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct findings f = {0};
        keeps(MIRROR_SNAPSHOTTING, 1);
        status.settings.snapshot_max_parallel_workers = 3;
        status.settings.snapshot_num_tables_in_parallel = 5;
        e.copy_ms = INT64_MAX;
        e.dest = (struct sight){.at_ms = e.now_ms, .running = 4};
        e.dest.io = rows[i].io;
        e.dest.client = rows[i].client;
        reasons_judge(&e, &f);
        assert_int_equal(f.n, 1);
        assert_string_equal(f.items[0].code, "copy_pace");
        assert_non_null(strstr(f.items[0].cause, rows[i].cause));
        assert_non_null(strstr(f.items[0].remedy, rows[i].remedy));
        findings_free(&f);
    }
}

static void where_a_mirror_begins_is_no_speed(void **state)
{
    struct tally t = {0};
    static const lsn_t reached[] = {0, 0, 200000000, 200000000, 200000000, 200000600};
    (void)state;
    keeps(MIRROR_RUNNING, 1);
    for (size_t i = 0; i < COUNT_OF(reached); i++) {
        tally_note(&t, &status, reached[i], (int64_t)i * 1000);
        tally_fill(&t, &e);
        assert_int_equal(e.moved_per_s, i < 5 ? 0 : 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wal_that_piles_up_warns_then_alarms),
        cmocka_unit_test(a_pause_is_said_to_keep_the_wal),
        cmocka_unit_test(a_paused_mirror_says_that_its_slot_is_gone),
        cmocka_unit_test(the_guard_acts_once_until_there_is_room_again),
        cmocka_unit_test(a_guard_that_fails_tries_again_after_a_while),
        cmocka_unit_test(a_destination_is_busy_all_the_time_at_most),
        cmocka_unit_test(what_holds_it_up_now_counts),
        cmocka_unit_test(a_slow_copy_names_what_helps),
        cmocka_unit_test(where_a_mirror_begins_is_no_speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
