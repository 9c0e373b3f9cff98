/* bunnydb verify: starts a comparison, and prints the report of one that has ended. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "src/cli/commands.h"
#include "src/cli/print.h"
#include "src/cli/wait.h"

static const struct column facts[] = {
    {"began", "began_at", NULL, KIND_TEXT}, {"ended", "ended_at", NULL, KIND_TEXT},
    {"as of", "lsn", NULL, KIND_TEXT},      {"ending", "ending", NULL, KIND_TEXT},
    {"error", "error", NULL, KIND_TEXT},
};
/* The last one only where something was repaired. */
static const struct column table_columns[] = {
    {"TABLE", "table_name", NULL, KIND_TEXT},  {"STATE", "state", NULL, KIND_TEXT},
    {"EQUAL", "equal", NULL, KIND_NUMBER},     {"DIFFERING", "differing", NULL, KIND_NUMBER},
    {"MISSING", "missing", NULL, KIND_NUMBER}, {"EXTRA", "extra", NULL, KIND_NUMBER},
    {"REASON", "reason", NULL, KIND_TEXT},     {"REPAIRED", "repaired", NULL, KIND_NUMBER},
};
static const struct column row_columns[] = {
    {"TABLE", "table_name", NULL, KIND_TEXT},
    {"KIND", "kind", NULL, KIND_TEXT},
    {"ROW", "row", NULL, KIND_LIST},
    {"REPAIRED", "repaired", NULL, KIND_YES},
};

static bool has_repaired(const json_t *tables)
{
    size_t i;
    json_t *t;
    json_array_foreach((json_t *)tables, i, t)
    {
        if (json_integer_value(json_object_get(t, "repaired")))
            return true;
    }
    return false;
}

/* The rows that are named, of all tables, as one array: table_name, kind, row (the key's columns,
 * or the row itself). */
static json_t *collect_rows(const json_t *tables)
{
    json_t *all = json_array(), *table, *row;
    size_t i, k;
    json_array_foreach((json_t *)tables, i, table)
        json_array_foreach(json_object_get(table, "rows"), k, row)
    {
        json_t *key = json_object_get(row, "key"), *line = json_object();
        json_object_set(line, "table_name", json_object_get(table, "table_name"));
        json_object_set(line, "kind", json_object_get(row, "kind"));
        json_object_set(line, "repaired", json_object_get(row, "repaired"));
        json_object_set(line, "row", key ? key : json_object_get(row, "row"));
        json_array_append_new(all, line);
    }
    return all;
}

static void print_report(const json_t *report)
{
    const json_t *tables = json_object_get(report, "tables");
    json_t *rows = collect_rows(tables);
    size_t less = has_repaired(tables) ? 0 : 1;
    print_facts(stdout, facts, COUNT_OF(facts), report);
    putchar('\n');
    print_table(stdout, table_columns, COUNT_OF(table_columns) - less, tables);
    if (json_array_size(rows)) {
        putchar('\n');
        print_table(stdout, row_columns, COUNT_OF(row_columns) - less, rows);
    }
    json_decref(rows);
}

/* True when every table was compared, and is equal. */
static bool judge(const char *mirror, const json_t *report, struct err *err)
{
    size_t i, different = 0, open = 0;
    json_t *t;
    json_array_foreach(json_object_get(report, "tables"), i, t)
    {
        different += !strcmp(cli_text(t, "state"), "different");
        open += strcmp(cli_text(t, "state"), "different") && strcmp(cli_text(t, "state"), "equal");
    }
    if (strcmp(cli_text(report, "ending"), "complete") != 0)
        return err_set(err, ERR_INVALID, "mirror %s: the comparison is not complete: %s%s%s",
                       mirror, cli_text(report, "ending"), cli_text(report, "error")[0] ? ": " : "",
                       cli_text(report, "error"));
    if (different)
        return err_set(err, ERR_INVALID, "mirror %s: tables that differ: %zu", mirror, different);
    return open == 0 ||
           err_set(err, ERR_INVALID, "mirror %s: tables that were not compared: %zu", mirror, open);
}

static enum exit_code show_report(struct cli *c, const char *path, struct err *err)
{
    struct answer a;
    enum exit_code code = cli_call(c, "GET", path, NULL, &a, err);
    if (code == EXIT_OK && cli_is_json(c))
        cli_print_json(&a);
    else if (code == EXIT_OK)
        print_report(a.json);
    if (code == EXIT_OK && !judge(c->options->arguments[0], a.json, err))
        code = EXIT_FAILED;
    answer_free(&a);
    return code;
}

/* Prints what the API said only when that is all that will be printed. */
static enum exit_code start(struct cli *c, const char *path, struct err *err)
{
    struct answer a;
    json_t *body = json_pack("{s:b}", "repair", 1);
    bool repairs = options_has(c->options, OPTION_REPAIR);
    enum exit_code code = cli_call(c, "POST", path, repairs ? body : NULL, &a, err);
    json_decref(body);
    if (code == EXIT_OK && !c->waits && cli_is_json(c)) {
        cli_print_json(&a);
    } else if (code == EXIT_OK && !c->waits) {
        printf("mirror %s: ", c->options->arguments[0]);
        print_line(stdout, "", cli_text(a.json, "message"));
    }
    answer_free(&a);
    return code;
}

enum exit_code cli_verify(struct cli *c, struct err *err)
{
    const char *mirror = c->options->arguments[0];
    bool last = options_has(c->options, OPTION_LAST);
    if (last && (c->waits || options_has(c->options, OPTION_REPAIR))) {
        (void)err_set(err, ERR_INVALID, "--last and --wait or --repair exclude each other");
        return EXIT_USAGE;
    }
    char *path = cli_mirror_path(c, "/verify"), *before = wait_last_error(c, mirror);
    enum exit_code code = last ? EXIT_OK : start(c, path, err);
    if (code == EXIT_OK)
        code = wait_for_mirror(c, mirror, wait_is_free, before, err);
    if (code == EXIT_OK && (last || c->waits))
        code = show_report(c, path, err);
    free(before);
    free(path);
    return code;
}
