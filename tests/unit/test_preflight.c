/* Promise: each thing that would stop a mirror is a finding with its remedy, all at once, and a
 * server that is ready has none. */
#include "tests/unit/schema_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const struct finding *find(const struct findings *f, const char *code)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->items[i].code, code) == 0)
            return &f->items[i];
    return NULL;
}

static void assert_finding(const struct findings *f, const char *code, enum severity severity,
                           const char *remedy)
{
    const struct finding *x = find(f, code);
    if (!x)
        fail_msg("no finding %s", code);
    assert_int_equal(x->severity, severity);
    assert_true(x->title[0] && x->remedy[0]);
    if (!strstr(x->remedy, remedy))
        fail_msg("%s: no \"%s\" in: %s", code, remedy, x->remedy);
}

/* The finding has an item of that name with exactly this statement (NULL: with none). */
static void assert_item(const struct findings *f, const char *code, const char *name,
                        const char *statement)
{
    const struct finding *x = find(f, code);
    for (size_t i = 0; x && i < x->n_items; i++) {
        if (strcmp(x->items[i].name, name) != 0)
            continue;
        if (statement)
            assert_string_equal(x->items[i].statement, statement);
        else
            assert_null(x->items[i].statement);
        return;
    }
    fail_msg("no item %s of %s", name, code);
}

static struct findings ask(struct pg_conn *c, bool as_source)
{
    struct findings f = {0};
    struct err err = {0};
    bool ok = as_source ? preflight_source(c, &fixture_task, &f, &err)
                        : preflight_dest(c, &fixture_task, &f, &err);
    if (!ok)
        fail_msg("%s %s", err.sqlstate, err.text);
    return f;
}

static void a_ready_server_has_no_findings(void **state)
{
    (void)state;
    struct pg_conn *c = fixture_connect("ready", "postgres");
    struct findings source = ask(c, true), dest = ask(c, false);
    assert_int_equal(source.n, 0);
    assert_int_equal(dest.n, 0);
    findings_free(&source);
    findings_free(&dest);
    pg_close(c, false);
}

static void missing_rights_are_found(void **state)
{
    (void)state;
    struct pg_conn *c = fixture_connect("ready", "Limited");
    struct findings source = ask(c, true), dest = ask(c, false);
    assert_finding(&source, "no_replication_right", SEVERITY_ERROR,
                   "ALTER ROLE \"Limited\" REPLICATION");
    assert_finding(&source, "no_create_right", SEVERITY_ERROR,
                   "GRANT CREATE ON DATABASE ready TO \"Limited\"");
    assert_finding(&dest, "no_create_right", SEVERITY_ERROR, "GRANT CREATE ON DATABASE ready");
    assert_finding(&dest, "no_replica_role", SEVERITY_WARNING, "");
    findings_free(&source);
    findings_free(&dest);
    pg_close(c, false);
}

static void full_servers_are_found(void **state)
{
    (void)state;
    struct pg_conn *c = fixture_connect("ready", "postgres");
    fixture_exec(c, "SELECT pg_create_physical_replication_slot('a'),"
                    " pg_create_physical_replication_slot('b')");
    struct findings source = ask(c, true);
    assert_finding(&source, "no_free_slot", SEVERITY_ERROR, "max_replication_slots");
    findings_free(&source);
    fixture_exec(c, "SELECT pg_drop_replication_slot('a'), pg_drop_replication_slot('b')");
    struct pg_conn *many[12];
    for (size_t i = 0; i < COUNT_OF(many); i++)
        many[i] = fixture_connect("ready", "postgres");
    struct findings dest = ask(c, false);
    assert_finding(&dest, "few_connections", SEVERITY_WARNING, "max_connections");
    findings_free(&dest);
    for (size_t i = 0; i < COUNT_OF(many); i++)
        pg_close(many[i], false);
    pg_close(c, false);
}

static void settings_are_found(void **state)
{
    (void)state;
    struct pg_conn *c = fixture_connect("ready", "postgres");
    fixture_exec(c, "ALTER SYSTEM SET max_slot_wal_keep_size = '1GB'");
    fixture_exec(c, "SELECT pg_reload_conf()");
    fixture_await(c, "SHOW max_slot_wal_keep_size", "1GB");
    fixture_exec(c, "SET default_transaction_read_only = on");
    struct findings source = ask(c, true), dest = ask(c, false);
    assert_finding(&source, "slot_wal_limit", SEVERITY_INFO, "1GB");
    assert_finding(&dest, "destination_read_only", SEVERITY_ERROR, "default_transaction_read_only");
    fixture_exec(c, "SET default_transaction_read_only = off");
    fixture_exec(c, "ALTER SYSTEM RESET max_slot_wal_keep_size");
    fixture_exec(c, "SELECT pg_reload_conf()");
    findings_free(&source);
    findings_free(&dest);
    pg_close(c, false);
}

static struct findings ask_for(struct pg_conn *source, struct pg_conn *dest, bool snapshot,
                               const char *mirror_id, struct table_map *maps, size_t n)
{
    struct mirror_config c = {.n_tables = n,
                              .tables = maps,
                              .do_initial_snapshot = snapshot,
                              .slot = "taken",
                              .publication = "Taken"};
    struct findings f = {0};
    struct err err = {0};
    for (size_t i = 0; i < n; i++) {
        if (maps[i].dest_schema[0])
            continue;
        str_copy(maps[i].dest_schema, NAME_SIZE, maps[i].source_schema);
        str_copy(maps[i].dest_table, NAME_SIZE, maps[i].source_table);
    }
    if (!preflight_mirror(source, dest, &fixture_task, &c, mirror_id, &f, &err))
        fail_msg("%s %s", err.sqlstate, err.text);
    return f;
}

static struct findings ask_mirror(struct pg_conn *source, struct pg_conn *dest, bool snapshot,
                                  struct table_map *maps, size_t n)
{
    return ask_for(source, dest, snapshot, NULL, maps, n);
}

static void troubles_of_tables_are_found(void **state)
{
    (void)state;
    struct pg_conn *admin = fixture_database("tables"), *dest = fixture_database("tables_dest");
    fixture_exec(admin, "CREATE SCHEMA s; GRANT USAGE ON SCHEMA s TO \"Limited\";"
                        "CREATE TABLE s.good (id int PRIMARY KEY); CREATE TABLE s.keyless (a int);"
                        "CREATE TABLE s.nothing (a int PRIMARY KEY);"
                        "ALTER TABLE s.nothing REPLICA IDENTITY NOTHING;"
                        "CREATE TABLE s.late (a int PRIMARY KEY DEFERRABLE);"
                        "CREATE TABLE s.full_ (a int); ALTER TABLE s.full_ REPLICA IDENTITY FULL;"
                        "CREATE UNLOGGED TABLE s.fast (a int PRIMARY KEY);"
                        "CREATE TABLE s.parts (k int) PARTITION BY LIST (k);"
                        "CREATE TABLE s.leaf PARTITION OF s.parts DEFAULT;"
                        "CREATE TABLE s.policed (a int PRIMARY KEY);"
                        "ALTER TABLE s.policed ENABLE ROW LEVEL SECURITY;"
                        "GRANT SELECT ON s.policed, s.keyless TO \"Limited\";"
                        "CREATE PUBLICATION \"Taken\"");
    fixture_exec(admin, "SELECT pg_create_logical_replication_slot('taken', 'pgoutput')");
    fixture_exec(dest, "CREATE SCHEMA s; CREATE TABLE s.good (id int); INSERT INTO s.good VALUES"
                       " (1); CREATE TABLE s.late (id int)");
    struct pg_conn *limited = fixture_connect("tables", "Limited");
    struct table_map maps[] = {
        fixture_map("s.good-id"), fixture_map("s.keyless"), fixture_map("s.nothing"),
        fixture_map("s.late"),    fixture_map("s.full_"),   fixture_map("s.fast"),
        fixture_map("s.parts"),   fixture_map("s.policed"), fixture_map("s.absent")};
    struct findings f = ask_mirror(limited, dest, true, maps, COUNT_OF(maps));
    assert_finding(&f, "no_replica_identity", SEVERITY_ERROR,
                   "ALTER TABLE s.keyless REPLICA IDENTITY FULL; ALTER TABLE s.nothing REPLICA"
                   " IDENTITY DEFAULT; ALTER TABLE s.late REPLICA IDENTITY FULL; ALTER TABLE s.leaf"
                   " REPLICA IDENTITY FULL;");
    assert_null(strstr(find(&f, "no_replica_identity")->remedy, "full_"));
    assert_finding(&f, "unlogged_table", SEVERITY_ERROR, "ALTER TABLE s.fast SET LOGGED");
    assert_finding(&f, "table_owner", SEVERITY_ERROR, "ALTER TABLE s.good OWNER TO \"Limited\"");
    assert_finding(&f, "no_select_right", SEVERITY_ERROR, "GRANT SELECT ON s.good");
    assert_null(strstr(find(&f, "no_select_right")->remedy, "keyless"));
    assert_item(&f, "row_security", "s.policed", "ALTER ROLE \"Limited\" BYPASSRLS;");
    assert_item(&f, "excluded_key", "s.good", NULL);
    assert_item(&f, "source_table_missing", "s.absent", NULL);
    assert_finding(&f, "slot_exists", SEVERITY_ERROR, "pg_drop_replication_slot('taken')");
    assert_finding(&f, "publication_exists", SEVERITY_ERROR, "DROP PUBLICATION \"Taken\"");
    assert_finding(&f, "destination_not_empty", SEVERITY_ERROR, "TRUNCATE s.good;");
    assert_null(find(&f, "destination_table_missing"));
    findings_free(&f);
    f = ask_mirror(admin, dest, false, maps, COUNT_OF(maps));
    assert_item(&f, "destination_table_missing", "s.keyless", NULL);
    assert_null(find(&f, "destination_not_empty"));
    assert_null(find(&f, "row_security"));
    assert_null(find(&f, "table_owner"));
    assert_null(find(&f, "same_table"));
    findings_free(&f);
    fixture_exec(admin, "SELECT pg_drop_replication_slot('taken')");
    for (size_t i = 0; i < COUNT_OF(maps); i++)
        table_map_free(&maps[i]);
    pg_close(limited, false);
    pg_close(admin, false);
    pg_close(dest, false);
}

static void circles_and_read_only_tables_are_found(void **state)
{
    (void)state;
    struct pg_conn *c = fixture_database("circle");
    fixture_exec(c, "CREATE SCHEMA elsewhere; CREATE TABLE public.a (id int PRIMARY KEY); CREATE "
                    "TABLE public.b (id int"
                    " PRIMARY KEY); GRANT SELECT ON public.a TO \"Limited\"");
    struct table_map same[] = {fixture_map("public.a>public.b"),
                               fixture_map("public.b>elsewhere.b")};
    struct findings f = ask_mirror(c, c, true, same, 2);
    assert_item(&f, "same_table", "public.b", NULL);
    findings_free(&f);
    f = ask_mirror(c, c, true, same + 1, 1);
    assert_int_equal(f.n, 0);
    findings_free(&f);
    struct pg_conn *limited = fixture_connect("circle", "Limited");
    f = ask_mirror(c, limited, true, same, 1);
    assert_finding(&f, "no_write_right", SEVERITY_ERROR, "public.b TO \"Limited\"");
    findings_free(&f);
    f = ask_mirror(c, limited, true, same + 1, 1);
    assert_finding(&f, "no_schema_right", SEVERITY_ERROR,
                   "GRANT USAGE, CREATE ON SCHEMA elsewhere TO \"Limited\";");
    findings_free(&f);
    pg_close(limited, false);
    struct pg_conn *back = fixture_database("circle_back");
    fixture_exec(
        back, "CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.r (id int PRIMARY KEY); CREATE "
              "SCHEMA _bunnydb; CREATE TABLE _bunnydb.progress AS SELECT 'i' AS mirror_id, 'forth'"
              " AS mirror, system_identifier::text AS system_id, oid::int8 AS database_oid FROM"
              " pg_control_system(), pg_database WHERE datname = 'circle'; CREATE TABLE"
              " _bunnydb.table_parts AS SELECT 'i' AS mirror_id, 't' AS kind, 'a' AS name, 'public'"
              " AS detail, 'elsewhere' AS dest_schema, 'r' AS dest_name");
    struct table_map round = fixture_map("elsewhere.r>public.a"),
                     forth = fixture_map("elsewhere.r>public.back");
    f = ask_mirror(back, c, true, &round, 1);
    assert_item(&f, "mirrored_back", "elsewhere.r", NULL);
    findings_free(&f);
    f = ask_mirror(back, c, true, &forth, 1);
    assert_int_equal(f.n, 0);
    findings_free(&f);
    pg_close(back, false);
    pg_close(c, false);
}

static void definitions_that_do_not_fit_are_found(void **state)
{
    (void)state;
    struct pg_conn *source = fixture_database("fit"), *dest = fixture_database("fit_dest");
    fixture_exec(source,
                 "CREATE TABLE public.a (id int PRIMARY KEY, b int); CREATE TABLE public.p"
                 " (k int PRIMARY KEY) PARTITION BY LIST (k); CREATE EXTENSION"
                 " postgres_fdw SCHEMA public; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;"
                 "CREATE FOREIGN TABLE public.f (k int NOT NULL) SERVER far;"
                 "CREATE TABLE public.q (k int) PARTITION BY LIST (k);"
                 "ALTER TABLE public.q ATTACH PARTITION public.f DEFAULT");
    fixture_exec(dest, "CREATE TABLE public.a (id int PRIMARY KEY, c int NOT NULL); CREATE TABLE"
                       " public.p (k int)");
    struct table_map maps[] = {fixture_map("public.a"), fixture_map("public.p"),
                               fixture_map("public.q")};
    struct findings f = ask_mirror(source, dest, true, maps, 2);
    assert_int_equal(f.n, 1);
    assert_finding(&f, "schema_mismatch", SEVERITY_ERROR, "");
    assert_non_null(strstr(f.items[0].cause, "public.a has no column b"));
    assert_non_null(strstr(f.items[0].cause, "column c of public.a is NOT NULL"));
    assert_non_null(strstr(f.items[0].cause, "public.p exists and is not partitioned"));
    findings_free(&f);
    f = ask_mirror(source, dest, true, maps + 2, 1);
    assert_item(&f, "foreign_partition", "public.f", NULL);
    findings_free(&f);
    pg_close(source, false);
    pg_close(dest, false);
}

/* "m" mirrors the tables, and its book says so. */
static void mirror_known(struct pg_conn *source, struct pg_conn *dest)
{
    struct fixture_maps maps = fixture_maps(source, "public.*", NULL);
    struct mirror_config c = {.n_tables = maps.n, .tables = maps.items};
    struct err err = {0};
    fixture_mirror(source, dest, &maps);
    fixture_exec(dest, "CREATE SCHEMA _bunnydb");
    fixture_exec(dest, schema_book_create_sql);
    if (!schema_book_write(source, dest, &fixture_task, &c, "m", false, &err))
        fail_msg("%s %s", err.sqlstate, err.text);
    fixture_maps_free(&maps);
}

/* Their definitions follow in the stream, which may stand still until these tables are mapped. */
static void tables_come_to_a_mirror_whose_types_are_older(void **state)
{
    (void)state;
    struct pg_conn *source = fixture_database("older"), *dest = fixture_database("older_dest");
    fixture_exec(source, "CREATE TYPE public.mood AS ENUM ('sad', 'ok');"
                         "CREATE TYPE public.pair AS (a int); CREATE TABLE public.rows (r int"
                         " PRIMARY KEY); CREATE TABLE public.t (id int PRIMARY KEY, m public.mood,"
                         " p public.pair, r public.rows)");
    mirror_known(source, dest);
    fixture_exec(source, "ALTER TYPE public.mood RENAME VALUE 'sad' TO 'blue';"
                         "ALTER TYPE public.pair ADD ATTRIBUTE b int;"
                         "ALTER TABLE public.rows RENAME r TO now;"
                         "CREATE TYPE public.other AS ENUM ('a', 'b');"
                         "CREATE TABLE public.new (id int PRIMARY KEY, m public.mood,"
                         " p public.pair, r public.rows);"
                         "CREATE TABLE public.strange (id int PRIMARY KEY, o public.other)");
    fixture_exec(dest, "CREATE TYPE public.other AS ENUM ('a')");
    struct table_map maps[] = {fixture_map("public.new"), fixture_map("public.strange")};
    struct findings f = ask_for(source, dest, true, "m", maps, 1);
    if (f.n)
        fail_msg("%s: %s", f.items[0].title, f.items[0].cause);
    findings_free(&f);
    f = ask_for(source, dest, true, "m", maps, 2);
    assert_int_equal(f.n, 1);
    assert_item(&f, "schema_mismatch", "public.other", NULL);
    assert_int_equal(f.items[0].n_items, 1);
    findings_free(&f);
    f = ask_for(source, dest, true, "another", maps, 1);
    assert_item(&f, "schema_mismatch", "public.mood", NULL);
    assert_non_null(strstr(f.items[0].items[0].note, "lacks blue"));
    assert_int_equal(f.items[0].n_items, 3);
    assert_non_null(strstr(f.items[0].items[1].note, "column p of public.new holds"));
    assert_non_null(strstr(f.items[0].items[2].note, "column r of public.new holds"));
    findings_free(&f);
    pg_close(source, false);
    pg_close(dest, false);
}

static int start(void **state)
{
    fixture_set("max_replication_slots = 2");
    fixture_set("max_connections = 20");
    int code = fixture_start(state);
    if (code)
        return code;
    struct pg_conn *c = fixture_database("ready");
    fixture_exec(c, "CREATE ROLE \"Limited\" LOGIN");
    pg_close(c, false);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ready_server_has_no_findings),
        cmocka_unit_test(missing_rights_are_found),
        cmocka_unit_test(full_servers_are_found),
        cmocka_unit_test(settings_are_found),
        cmocka_unit_test(troubles_of_tables_are_found),
        cmocka_unit_test(definitions_that_do_not_fit_are_found),
        cmocka_unit_test(circles_and_read_only_tables_are_found),
        cmocka_unit_test(tables_come_to_a_mirror_whose_types_are_older),
    };
    return cmocka_run_group_tests(tests, start, fixture_stop);
}
