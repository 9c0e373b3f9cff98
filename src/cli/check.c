/* bunnydb check: the preflight of a whole database, for people. What can be run stands in lines of
 * its own. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "src/cli/body.h"
#include "src/cli/commands.h"
#include "src/cli/print.h"

/* --- Servers and tables ----------------------------------------------------------------------- */
static void print_side(const char *role, const json_t *side)
{
    static const struct column more[] = {
        {"encoding", "encoding", NULL, KIND_TEXT},
        {"collation", "collation", NULL, KIND_TEXT},
        {"user", "user", NULL, KIND_TEXT},
        {"wal_level", "wal_level", NULL, KIND_TEXT},
        {"slots used", "used_replication_slots", NULL, KIND_TEXT},
        {"slots at most", "max_replication_slots", NULL, KIND_TEXT},
        {"wal senders used", "used_wal_senders", NULL, KIND_TEXT},
        {"wal senders at most", "max_wal_senders", NULL, KIND_TEXT},
        {"connections used", "used_connections", NULL, KIND_TEXT},
        {"connections at most", "max_connections", NULL, KIND_TEXT},
    };
    if (!json_is_object(side))
        return;
    const char *version = cli_text(side, "version"); /* "15.18 (Debian …)": the number is enough */
    char *title =
        mem_printf("%s: peer %s, database %s, PostgreSQL %.*s", role, cli_text(side, "peer"),
                   cli_text(side, "database"), (int)strcspn(version, " "), version);
    print_line(stdout, "", title);
    free(title);
    for (size_t i = 0; i < COUNT_OF(more); i++) {
        char *text = print_cell(&more[i], side);
        printf("  %-20s %s\n", more[i].title, text);
        free(text);
    }
}

static const struct column schema_columns[] = {
    {"SCHEMA", "schema", NULL, KIND_TEXT},           {"TABLES", "tables", NULL, KIND_NUMBER},
    {"MIRRORED", "mirrored", NULL, KIND_NUMBER},     {"REMARKS", "remarks", NULL, KIND_NUMBER},
    {"IMPOSSIBLE", "impossible", NULL, KIND_NUMBER}, {"SIZE", "bytes", NULL, KIND_BYTES},
};
static const struct column table_columns[] = {
    {"TABLE", "schema", "table_name", KIND_TEXT}, {"ROWS", "estimated_rows", NULL, KIND_COUNT},
    {"SIZE", "bytes", NULL, KIND_BYTES},          {"VERDICT", "verdict", NULL, KIND_TEXT},
    {"FINDINGS", "codes", NULL, KIND_TEXT},
};

static void add_to(json_t *object, const char *key, json_int_t n)
{
    json_int_t before = json_integer_value(json_object_get(object, key));
    json_object_set_new(object, key, json_integer(before + n));
}

/* Tables come in the order of their schemas. */
static json_t *count_schemas(const json_t *tables)
{
    json_t *schemas = json_array(), *t, *last = NULL;
    size_t i;
    json_array_foreach((json_t *)tables, i, t)
    {
        if (!last || strcmp(cli_text(last, "schema"), cli_text(t, "schema")) != 0) {
            last = json_pack("{s:O, s:i, s:i, s:i}", "schema", json_object_get(t, "schema"),
                             "mirrored", 0, "remarks", 0, "impossible", 0);
            json_array_append_new(schemas, last);
        }
        add_to(last, "tables", 1);
        add_to(last, cli_text(t, "verdict"), 1);
        add_to(last, "bytes", json_integer_value(json_object_get(t, "bytes")));
    }
    return schemas;
}

/* The most severe of its findings, and how many more there are. */
static json_t *codes_of(const json_t *table)
{
    const json_t *codes = json_object_get(table, "findings");
    size_t n = json_array_size(codes);
    const char *first = json_string_value(json_array_get(codes, 0));
    if (n < 2)
        return json_string(first ? first : "");
    return json_sprintf("%s, %d more", first, (int)n - 1);
}

static void print_tables(const json_t *tables)
{
    json_t *schemas = count_schemas(tables), *others = json_array(), *t;
    size_t i;
    json_array_foreach((json_t *)tables, i, t)
    {
        if (!strcmp(cli_text(t, "verdict"), "mirrored"))
            continue;
        json_object_set_new(t, "codes", codes_of(t));
        json_array_append(others, t);
    }
    if (json_array_size(schemas))
        print_table(stdout, schema_columns, COUNT_OF(schema_columns), schemas);
    if (json_array_size(others)) {
        putchar('\n');
        print_table(stdout, table_columns, COUNT_OF(table_columns), others);
    }
    json_decref(schemas);
    json_decref(others);
}

/* --- The mirror ------------------------------------------------------------------------------- */
/* A word for the shell. */
static void put_word(struct buf *b, const char *word)
{
    buf_putc(b, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            buf_puts(b, "'\\'");
        buf_putc(b, *word);
    }
    buf_putc(b, '\'');
}

static void print_command(const json_t *mirror)
{
    const json_t *mappings = json_object_get(mirror, "table_mappings");
    const char *dest = cli_text(mirror, "destination_peer");
    struct buf b = {0};
    size_t i;
    json_t *m;
    if (!json_array_size(mappings))
        return;
    printf("\nAll that can be mirrored%s:\n", *dest ? "" : ", to a peer DESTINATION");
    buf_printf(&b, "bunnydb mirror create NAME --source %s --destination %s",
               cli_text(mirror, "source_peer"), *dest ? dest : "DESTINATION");
    json_array_foreach((json_t *)mappings, i, m)
    {
        buf_puts(&b, " \\\n  --table ");
        put_word(&b, cli_text(m, "source_table"));
    }
    print_text(stdout, "  ", buf_text(&b));
    buf_free(&b);
}

/* --- All of it -------------------------------------------------------------------------------- */
static void print_group(const json_t *findings, const char *about, const char *title)
{
    bool is_first = true;
    size_t i;
    json_t *f;
    json_array_foreach((json_t *)findings, i, f)
    {
        if (strcmp(cli_text(f, "about"), about) != 0)
            continue;
        json_t *one = json_pack("[O]", f);
        printf("%s%s\n", is_first ? "\n" : "", is_first ? title : "");
        if (is_first)
            putchar('\n');
        print_findings(stdout, one, SEVERITY_OK);
        json_decref(one);
        is_first = false;
    }
}

static json_int_t count_of(const json_t *summary, const char *key)
{
    return json_integer_value(json_object_get(summary, key));
}

static void print_summary(const json_t *summary)
{
    static const struct column bytes = {"", "estimated_bytes", NULL, KIND_BYTES};
    static const struct column rows = {"", "estimated_rows", NULL, KIND_COUNT};
    char *size = print_cell(&bytes, summary), *count = print_cell(&rows, summary);
    printf("\ntables: %lld; %lld can be mirrored as they are, %lld with remarks,\n"
           "%lld cannot. To copy: about %s rows, %s",
           (long long)count_of(summary, "tables"), (long long)count_of(summary, "mirrored"),
           (long long)count_of(summary, "remarks"), (long long)count_of(summary, "impossible"),
           count, size);
    if (count_of(summary, "tables_without_estimate"))
        printf("\n(without the rows of those that were never analysed: %lld)",
               (long long)count_of(summary, "tables_without_estimate"));
    puts(".");
    free(size);
    free(count);
}

static void print_report(const json_t *report)
{
    const json_t *findings = json_object_get(report, "findings");
    print_side("source", json_object_get(report, "source"));
    print_side("destination", json_object_get(report, "destination"));
    print_group(findings, "source", "THE SOURCE");
    print_group(findings, "destination", "THE DESTINATION");
    print_group(findings, "tables", "TABLES");
    print_group(findings, "objects", "BESIDE THE TABLES");
    putchar('\n');
    print_tables(json_object_get(report, "tables"));
    print_summary(json_object_get(report, "summary"));
    print_command(json_object_get(report, "mirror"));
}

static enum exit_code judge(const char *peer, const json_t *report, struct err *err)
{
    const json_t *summary = json_object_get(report, "summary"), *f;
    size_t i, errors = 0;
    if (json_is_true(json_object_get(summary, "ready")))
        return EXIT_OK;
    json_array_foreach(json_object_get(report, "findings"), i, f)
    {
        errors += !strcmp(cli_text(f, "severity"), "error");
    }
    (void)err_set(err, ERR_PREFLIGHT,
                  "peer %s: not everything can be mirrored: errors: %zu, tables: %lld", peer,
                  errors, (long long)count_of(summary, "impossible"));
    return EXIT_FAILED;
}

enum exit_code cli_check(struct cli *c, struct err *err)
{
    const struct options *o = c->options;
    struct answer a = {0};
    json_t *body = json_object();
    char *path = cli_path("/v1/peers/", o->arguments[0], "/check");
    enum exit_code code = EXIT_USAGE;
    if (o->n_arguments < 2 ||
        body_set(body, "destination", o->arguments[1], "the destination", err))
        code = cli_call(c, "POST", path, body, &a, err);
    if (code == EXIT_OK && cli_is_json(c))
        cli_print_json(&a);
    else if (code == EXIT_OK)
        print_report(a.json);
    if (code == EXIT_OK)
        code = judge(o->arguments[0], a.json, err);
    answer_free(&a);
    json_decref(body);
    free(path);
    return code;
}
