/* bunnydb top: what the console shows, once, as plain text; without --once the console itself. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/model.h"
#include "src/cli/commands.h"
#include "src/cli/print.h"

static const struct column columns[] = {
    {"MIRROR", "name", NULL, KIND_TEXT},
    {"STATUS", "status", NULL, KIND_TEXT},
    {"FROM", "source_peer", NULL, KIND_TEXT},
    {"TO", "destination_peer", NULL, KIND_TEXT},
    {"DONE", "snapshot.tables_done", NULL, KIND_NUMBER},
    {"TABLES", "snapshot.tables_total", NULL, KIND_NUMBER},
    {"LAG", "lag_seconds", NULL, KIND_SECONDS},
    {"BEHIND", "lag_bytes", NULL, KIND_BYTES},
    {"ROWS/S", "throughput.rows_per_second", NULL, KIND_COUNT},
    {"KEPT", "slot.retained_bytes", NULL, KIND_BYTES},
    {"ETA", "snapshot.eta_seconds", NULL, KIND_SECONDS},
    {"RETRY AT", "next_retry_at", NULL, KIND_TEXT},
};

/* 0: in error; 1: with a finding; 2: all others. As the console's first order. */
static int urgency(const json_t *m)
{
    size_t i;
    const json_t *f;
    if (!strcmp(cli_text(m, "status"), mirror_state_name(MIRROR_ERROR)))
        return 0;
    json_array_foreach(json_object_get(m, "findings"), i, f)
    {
        const char *severity = cli_text(f, "severity");
        if (!strcmp(severity, severity_name(SEVERITY_WARNING)) ||
            !strcmp(severity, severity_name(SEVERITY_ERROR)))
            return 1;
    }
    return 2;
}

/* Problems first, else by name, as they come. Caller frees. */
static json_t *sorted(const json_t *mirrors)
{
    size_t i;
    json_t *m, *all = json_array();
    for (int u = 0; u <= 2; u++)
        json_array_foreach((json_t *)mirrors, i, m)
        {
            if (urgency(m) == u)
                json_array_append(all, m);
        }
    return all;
}

/* "bunnydb 0.1.0 on db-ops-1 at …: 7 mirrors, 1 error, 6 running" */
static void print_head(const json_t *answer, const json_t *mirrors)
{
    size_t i, n = json_array_size(mirrors);
    const json_t *m;
    char *line =
        mem_printf("%s on %s at %s: %zu mirror%s", cli_text(answer, "program"),
                   cli_text(answer, "host"), cli_text(answer, "taken_at"), n, n == 1 ? "" : "s");
    for (int s = 0; s < MIRROR_STATE_COUNT; s++) {
        const char *name = mirror_state_name((enum mirror_state)s);
        size_t count = 0;
        json_array_foreach((json_t *)mirrors, i, m)
        {
            count += !strcmp(cli_text(m, "status"), name);
        }
        if (!count)
            continue;
        char *longer = mem_printf("%s, %zu %s", line, count, name);
        free(line);
        line = longer;
    }
    print_line(stdout, "bunnydb ", line);
    free(line);
}

static void print_problems(const json_t *mirrors)
{
    size_t i;
    const json_t *m;
    json_array_foreach((json_t *)mirrors, i, m)
    {
        const json_t *error = json_object_get(m, "error_message");
        if (urgency(m) == 2)
            continue;
        putchar('\n');
        print_line(stdout, "", cli_text(m, "name"));
        if (json_is_string(error))
            print_line(stdout, "  error: ", cli_text(m, "error_message"));
        if (cli_text(m, "error_hint")[0])
            print_line(stdout, "  hint: ", cli_text(m, "error_hint"));
        print_findings(stdout, json_object_get(m, "findings"), SEVERITY_WARNING);
    }
}

static enum exit_code print_once(struct cli *c, struct err *err)
{
    struct answer a;
    enum exit_code code = cli_call(c, "GET", "/v1/console", NULL, &a, err);
    if (code == EXIT_OK && cli_is_json(c)) {
        cli_print_json(&a);
    } else if (code == EXIT_OK) {
        json_t *mirrors = sorted(json_object_get(a.json, "mirrors"));
        print_head(a.json, mirrors);
        if (json_array_size(mirrors))
            print_table(stdout, columns, COUNT_OF(columns), mirrors);
        print_problems(mirrors);
        json_decref(mirrors);
    }
    answer_free(&a);
    return code;
}

enum exit_code cli_top(struct cli *c, struct err *err)
{
    const struct options *o = c->options;
    if (options_has(o, OPTION_ONCE))
        return print_once(c, err);
    if (!cli_is_json(c))
        return cli_attach(c, err);
    (void)err_set(err, ERR_INVALID, "--json needs --once");
    return EXIT_USAGE;
}
