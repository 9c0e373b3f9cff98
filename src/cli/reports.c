/* bunnydb runs, diagnose: what there is to read of a mirror's past and present. */
#include <stdlib.h>

#include "base/mem.h"
#include "src/cli/commands.h"
#include "src/cli/print.h"

#define RUNS_MOST 500 /* the API's page */

static const struct column run_columns[] = {
    {"RUN", "id", NULL, KIND_NUMBER},
    {"KIND", "kind", NULL, KIND_TEXT},
    {"BEGAN", "began_at", NULL, KIND_TEXT},
    {"ENDED", "ended_at", NULL, KIND_TEXT},
    {"TOOK", "duration_seconds", NULL, KIND_SECONDS},
    {"ENDING", "ending", NULL, KIND_TEXT},
    {"BEGUN BY", "begun_by", NULL, KIND_TEXT},
    {"ENDED BY", "ended_by", NULL, KIND_TEXT},
    {"ERROR", "error", NULL, KIND_TEXT},
};

enum exit_code cli_runs(struct cli *c, struct err *err)
{
    int n = 50;
    if (!options_number(c->options, OPTION_LINES, 1, RUNS_MOST, &n, err))
        return EXIT_USAGE;
    char *query = mem_printf("/runs?limit=%d", n);
    char *path = cli_mirror_path(c, query);
    enum exit_code code = cli_show_table(c, path, "runs", run_columns, COUNT_OF(run_columns), err);
    free(query);
    free(path);
    return code;
}

static void print_checks(const json_t *report)
{
    size_t i;
    json_t *k;
    json_array_foreach(json_object_get(report, "checks"), i, k)
    {
        char *head = mem_printf("%-7s  %-11s  ", cli_text(k, "state"), cli_text(k, "check"));
        print_wrapped(stdout, head, cli_text(k, "text"));
        if (cli_text(k, "remedy")[0])
            print_wrapped(stdout, "                      > ", cli_text(k, "remedy"));
        free(head);
    }
}

enum exit_code cli_doctor(struct cli *c, struct err *err)
{
    struct answer a;
    char *path = cli_mirror_path(c, "/doctor");
    enum exit_code code = cli_call(c, "GET", path, NULL, &a, err);
    if (code == EXIT_OK && cli_is_json(c))
        cli_print_json(&a);
    else if (code == EXIT_OK)
        print_checks(a.json);
    if (code == EXIT_OK && !json_is_true(json_object_get(a.json, "healthy"))) {
        code = EXIT_FAILED;
        (void)err_set(err, ERR_INVALID, "mirror %s is not well", c->options->arguments[0]);
    }
    answer_free(&a);
    free(path);
    return code;
}

enum exit_code cli_diagnose(struct cli *c, struct err *err)
{
    struct answer a;
    char *path = cli_mirror_path(c, "/diagnostics");
    enum exit_code code = cli_call(c, "GET", path, NULL, &a, err);
    if (code == EXIT_OK && cli_is_json(c)) {
        cli_print_json(&a);
    } else if (code == EXIT_OK) {
        json_dumpf(a.json, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    answer_free(&a);
    free(path);
    return code;
}
