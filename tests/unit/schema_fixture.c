/* Cluster, databases and comparison for the tests of schema/; see schema_fixture.h. */
#include "tests/unit/schema_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/server.h"

#define LIMIT_MS 60000

struct task fixture_task = {.wake_fd = -1};
static struct server server;
static char settings[512];

const char *fixture_path(const char *name)
{
    static char path[1024];
    const char *top = getenv("srcdir");
    str_printf(path, sizeof path, "%s/%s", top && *top ? top : ".", name);
    return path;
}

void fixture_set(const char *setting)
{
    size_t n = strlen(settings);
    str_printf(settings + n, sizeof settings - n, " '%s'", setting);
}

static int shell(const char *command)
{
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int fixture_start(void **state)
{
    (void)state;
    server_start(&server, settings);
    return 0;
}

int fixture_stop(void **state)
{
    (void)state;
    server_stop(&server);
    return 0;
}

static void assert_worked(bool worked, const struct err *err, const char *what)
{
    if (!worked)
        fail_msg("%s %s %s: %.200s", err_name(err->code), err->sqlstate, err->text, what);
}

struct pg_conn *fixture_connect(const char *database, const char *user)
{
    struct pg_target t = server_target(&server, database);
    t.user = user;
    struct pg_conn *c = NULL;
    struct err err = {0};
    assert_worked(pg_connect(&t, PG_SQL, "test", NULL, &fixture_task, LIMIT_MS, &c, &err), &err,
                  database);
    return c;
}

struct pg_conn *fixture_database(const char *name)
{
    char sql[200];
    struct pg_conn *c = fixture_connect("postgres", "postgres");
    str_printf(sql, sizeof sql, "CREATE DATABASE %s TEMPLATE template0", name);
    fixture_exec(c, sql);
    pg_close(c, false);
    return fixture_connect(name, "postgres");
}

struct pg_conn *fixture_sample(const char *name)
{
    char command[2048], file[128];
    struct pg_conn *c = fixture_database(name);
    str_printf(file, sizeof file, "contrib/sampledata/%s.sql.gz", name);
    str_printf(command, sizeof command,
               "gunzip -c '%s' | psql -X -q -v ON_ERROR_STOP=1 -h %s -p %d -U postgres -d %s"
               " >/dev/null",
               fixture_path(file), server.sock, server.port, name);
    assert_int_equal(shell(command), 0);
    return c;
}

void fixture_exec(struct pg_conn *c, const char *sql)
{
    struct err err = {0};
    assert_worked(pg_exec(c, &fixture_task, LIMIT_MS, sql, NULL, &err), &err, sql);
}

char *fixture_ask(struct pg_conn *c, const char *sql)
{
    struct err err = {0};
    struct pg_result *res = NULL;
    assert_worked(pg_exec(c, &fixture_task, LIMIT_MS, sql, &res, &err), &err, sql);
    char *text = mem_strdup(pg_rows(res) ? pg_text(res, 0, 0) : "no row");
    pg_free(res);
    return text;
}

void fixture_assert_answer(struct pg_conn *c, const char *sql, const char *expected)
{
    char *text = fixture_ask(c, sql);
    assert_string_equal(text, expected);
    free(text);
}

void fixture_await(struct pg_conn *c, const char *sql, const char *expected)
{
    for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until;) {
        char *text = fixture_ask(c, sql);
        bool same = strcmp(text, expected) == 0;
        free(text);
        if (same)
            return;
        fixture_exec(c, "SELECT pg_sleep(0.01)");
    }
    fail_msg("never %s: %s", expected, sql);
}

static char *read_file(const char *path)
{
    struct buf b = {0};
    char piece[4096];
    size_t n;
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s: %s", path, strerror(errno));
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_add(&b, piece, n);
    (void)fclose(f);
    return buf_take(&b);
}

void fixture_run_file(struct pg_conn *c, const char *path)
{
    char *sql = read_file(path);
    fixture_exec(c, sql);
    free(sql);
}

struct table_map fixture_map(const char *text)
{
    struct table_map m = {.n_exclude = 0};
    const char *dest = strchr(text, '>'), *minus = strchr(text, '-'), *dot = strchr(text, '.');
    const char *end = dest ? dest : minus ? minus : text + strlen(text);
    assert_non_null(dot);
    str_copy_n(m.source_schema, sizeof m.source_schema, text, (size_t)(dot - text));
    str_copy_n(m.source_table, sizeof m.source_table, dot + 1, (size_t)(end - dot - 1));
    if (dest) {
        const char *d = strchr(dest, '.');
        assert_non_null(d);
        str_copy_n(m.dest_schema, sizeof m.dest_schema, dest + 1, (size_t)(d - dest - 1));
        str_copy(m.dest_table, sizeof m.dest_table, d + 1);
    } else if (minus) {
        m.exclude = mem_calloc(1, sizeof *m.exclude);
        m.exclude[m.n_exclude++] = mem_strdup(minus + 1);
    }
    return m;
}

struct fixture_maps fixture_maps(struct pg_conn *source, const char *first, ...)
{
    struct table_map asked[16];
    struct fixture_maps out = {0};
    struct err err = {0};
    size_t n = 0;
    va_list ap;
    va_start(ap, first);
    for (const char *text = first; text; text = va_arg(ap, const char *)) {
        assert_true(n < COUNT_OF(asked));
        asked[n++] = fixture_map(text);
    }
    va_end(ap);
    assert_worked(schema_resolve_maps(source, &fixture_task, asked, n, &out.items, &out.n, &err),
                  &err, first);
    for (size_t i = 0; i < n; i++)
        table_map_free(&asked[i]);
    return out;
}

void fixture_maps_free(struct fixture_maps *m)
{
    for (size_t i = 0; i < m->n; i++)
        table_map_free(&m->items[i]);
    free(m->items);
}

struct schema *fixture_read(struct pg_conn *source, const struct fixture_maps *maps)
{
    struct schema *s = NULL;
    struct err err = {0};
    assert_worked(
        schema_read(source, &fixture_task, maps->items, maps->n, true, true, false, &s, &err), &err,
        "schema_read");
    return s;
}

void fixture_mirror(struct pg_conn *source, struct pg_conn *dest, const struct fixture_maps *maps)
{
    struct schema *s = fixture_read(source, maps);
    struct err err = {0};
    assert_worked(schema_create(dest, &fixture_task, s, true, "test", &err), &err, "schema_create");
    for (size_t i = 0; i < s->n_tables; i++)
        for (size_t k = 0; k < s->tables[i].n_indexes; k++)
            fixture_exec(dest, s->tables[i].indexes[k].create_sql);
    for (size_t i = 0; i < s->n_tables; i++)
        for (size_t k = 0; k < s->tables[i].n_fkeys; k++) {
            fixture_exec(dest, s->tables[i].fkeys[k].add_sql);
            if (s->tables[i].fkeys[k].validate_sql)
                fixture_exec(dest, s->tables[i].fkeys[k].validate_sql);
        }
    for (size_t i = 0; i < s->n_after; i++) {
        bool worked = pg_exec(dest, &fixture_task, LIMIT_MS, s->after[i].sql, NULL, &err);
        assert_worked(worked || s->after[i].optional, &err, s->after[i].sql);
    }
    schema_free(s);
}

static struct pg_result *picture(struct pg_conn *c)
{
    struct pg_result *res = NULL;
    struct err err = {0};
    char *sql = read_file(fixture_path("tests/unit/schema_picture.sql"));
    assert_worked(pg_exec(c, &fixture_task, LIMIT_MS, sql, &res, &err), &err, "picture");
    free(sql);
    assert_true(pg_rows(res) > 1);
    return res;
}

static size_t count_foreign(const struct pg_result *a, const struct pg_result *b, const char *side,
                            const char *const *allowed)
{
    size_t bad = 0;
    for (size_t i = 0; i < pg_rows(a); i++) {
        bool fine = false;
        for (size_t k = 0; k < pg_rows(b) && !fine; k++)
            fine = strcmp(pg_text(a, i, 0), pg_text(b, k, 0)) == 0;
        for (size_t k = 0; allowed[k] && !fine; k++)
            fine = strstr(pg_text(a, i, 0), allowed[k]) != NULL;
        if (!fine) {
            print_error("only at the %s: %s\n", side, pg_text(a, i, 0));
            bad++;
        }
    }
    return bad;
}

void fixture_assert_same(struct pg_conn *source, struct pg_conn *dest, const char *const *allowed)
{
    struct pg_result *a = picture(source), *b = picture(dest);
    size_t bad = count_foreign(a, b, "source", allowed);
    bad += count_foreign(b, a, "destination", allowed);
    pg_free(a);
    pg_free(b);
    assert_int_equal(bad, 0);
}

void fixture_assert_same_dump(const char *name, const char *schema)
{
    char command[2048];
    char *script = mem_strdup(fixture_path("tests/unit/schema_dump.sh"));
    for (int side = 0; side < 2; side++) {
        str_printf(command, sizeof command, "sh '%s' %s %d %s%s %s > %s/%s.dump", script,
                   server.sock, server.port, side ? "copy_of_" : "", name, schema, server.dir,
                   side ? "dest" : "source");
        assert_int_equal(shell(command), 0);
    }
    str_printf(command, sizeof command,
               "cd %s && test $(wc -l < source.dump) -gt 50 && diff source.dump dest.dump",
               server.dir);
    assert_int_equal(shell(command), 0);
    free(script);
}

void fixture_assert_error(bool worked, const struct err *err, enum err_code code, ...)
{
    assert_false(worked);
    if (err->code != code)
        fail_msg("%s %s: %s", err_name(err->code), err->sqlstate, err->text);
    va_list ap;
    va_start(ap, code);
    for (const char *word; (word = va_arg(ap, const char *)) != NULL;)
        if (!strstr(err->text, word))
            fail_msg("no \"%s\" in: %s", word, err->text);
    va_end(ap);
}
