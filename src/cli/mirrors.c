/* bunnydb status and bunnydb mirror …: how the mirrors are, making and deleting them, their
 * tables. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "src/cli/body.h"
#include "src/cli/commands.h"
#include "src/cli/print.h"
#include "src/cli/wait.h"

/* --- How they are ----------------------------------------------------------------------------- */
static const struct column status_columns[] = {
    {"MIRROR", "name", NULL, KIND_TEXT},       {"STATUS", "status", NULL, KIND_TEXT},
    {"PHASE", "phase", NULL, KIND_TEXT},       {"LAG", "lag_seconds", NULL, KIND_SECONDS},
    {"BEHIND", "lag_bytes", NULL, KIND_BYTES}, {"ERROR", "error_message", NULL, KIND_TEXT},
};
static const struct column list_columns[] = {
    {"MIRROR", "name", NULL, KIND_TEXT},
    {"SOURCE", "source_peer", NULL, KIND_TEXT},
    {"DESTINATION", "destination_peer", NULL, KIND_TEXT},
    {"STATUS", "status", NULL, KIND_TEXT},
    {"CREATED", "created_at", NULL, KIND_TEXT},
};
static const struct column facts[] = {
    {"mirror", "name", NULL, KIND_TEXT},
    {"status", "status", NULL, KIND_TEXT},
    {"phase", "phase", NULL, KIND_TEXT},
    {"since", "state_since", NULL, KIND_TEXT},
    {"operation", "operation", NULL, KIND_TEXT},
    {"source", "source_peer", NULL, KIND_TEXT},
    {"destination", "destination_peer", NULL, KIND_TEXT},
    {"lag", "lag_seconds", NULL, KIND_SECONDS},
    {"behind", "lag_bytes", NULL, KIND_BYTES},
    {"applied lsn", "last_lsn", NULL, KIND_TEXT},
    {"source lsn", "source_lsn", NULL, KIND_TEXT},
    {"rows/s", "throughput.rows_per_second", NULL, KIND_COUNT},
    {"publication", "publication", NULL, KIND_TEXT},
    {"slot", "slot.name", NULL, KIND_TEXT},
    {"slot wal", "slot.wal_status", NULL, KIND_TEXT},
    {"wal kept", "slot.retained_bytes", NULL, KIND_BYTES},
    {"tables copied", "snapshot.tables_done", NULL, KIND_TEXT},
    {"tables to copy", "snapshot.tables_total", NULL, KIND_TEXT},
    {"copied", "snapshot.bytes_done", NULL, KIND_BYTES},
    {"to copy", "snapshot.bytes_total", NULL, KIND_BYTES},
    {"copy ends in", "snapshot.eta_seconds", NULL, KIND_SECONDS},
    {"rows compared", "verify.rows", NULL, KIND_COUNT},
    {"differences", "verify.differences", NULL, KIND_COUNT},
    {"sequences", "sequences.followed", NULL, KIND_NUMBER},
    {"sequences of", "sequences.last_synced_at", NULL, KIND_TEXT},
    {"error", "error_message", NULL, KIND_TEXT},
    {"error code", "error_code", NULL, KIND_TEXT},
    {"hint", "error_hint", NULL, KIND_TEXT},
    {"next retry", "next_retry_at", NULL, KIND_TEXT},
};
static const struct column table_columns[] = {
    {"TABLE", "table_name", NULL, KIND_TEXT},
    {"STATUS", "status", NULL, KIND_TEXT},
    {"COPIED", "rows_synced", NULL, KIND_COUNT},
    {"INSERTED", "rows_inserted", NULL, KIND_COUNT},
    {"UPDATED", "rows_updated", NULL, KIND_COUNT},
    {"DELETED", "rows_deleted", NULL, KIND_COUNT},
    {"MISSING", "rows_missing", NULL, KIND_COUNT},
    {"IN THE WAY", "rows_conflicting", NULL, KIND_COUNT},
    {"DESTINATION", "destination", NULL, KIND_TEXT},
    {"ERROR", "error_message", NULL, KIND_TEXT},
};

static void print_mirror(const json_t *status)
{
    print_facts(stdout, facts, COUNT_OF(facts), status);
    putchar('\n');
    print_table(stdout, table_columns, COUNT_OF(table_columns), json_object_get(status, "tables"));
    const json_t *findings = json_object_get(status, "findings");
    if (json_array_size(findings) > 0)
        putchar('\n');
    print_findings(stdout, findings, SEVERITY_OK);
}

static bool is_in_error(const json_t *mirror)
{
    return !strcmp(cli_text(mirror, "status"), "error");
}

/* GET, printed; *in_error: whether one of the mirrors in the answer is. */
static enum exit_code show(struct cli *c, const char *path, const struct column *columns, size_t n,
                           bool *in_error, struct err *err)
{
    struct answer a;
    size_t i;
    json_t *m;
    enum exit_code code = cli_call(c, "GET", path, NULL, &a, err);
    *in_error = json_is_object(a.json) && is_in_error(a.json);
    json_array_foreach(a.json, i, m) *in_error |= is_in_error(m);
    if (code == EXIT_OK && cli_is_json(c))
        cli_print_json(&a);
    else if (code == EXIT_OK && columns)
        print_table(stdout, columns, n, a.json);
    else if (code == EXIT_OK)
        print_mirror(a.json);
    answer_free(&a);
    return code;
}

enum exit_code cli_status(struct cli *c, struct err *err)
{
    bool in_error = false, is_one = c->options->n_arguments > 0;
    char *path = is_one ? cli_mirror_path(c, "") : mem_strdup("/v1/mirrors");
    enum exit_code code =
        show(c, path, is_one ? NULL : status_columns, COUNT_OF(status_columns), &in_error, err);
    free(path);
    return code == EXIT_OK && in_error ? EXIT_UNHEALTHY : code;
}

enum exit_code cli_mirror_list(struct cli *c, struct err *err)
{
    bool in_error;
    return show(c, "/v1/mirrors", list_columns, COUNT_OF(list_columns), &in_error, err);
}

enum exit_code cli_mirror_show(struct cli *c, struct err *err)
{
    bool in_error;
    char *path = cli_mirror_path(c, "");
    enum exit_code code = show(c, path, NULL, 0, &in_error, err);
    free(path);
    return code;
}

/* --- Making and deleting ---------------------------------------------------------------------- */
static enum exit_code create(struct cli *c, const json_t *body, struct err *err)
{
    struct answer a;
    const char *name = c->options->arguments[0];
    enum exit_code code = cli_call(c, "POST", "/v1/mirrors", body, &a, err);
    if (code == EXIT_OK && cli_is_json(c)) {
        cli_print_json(&a);
    } else if (code == EXIT_OK) {
        printf("mirror %s created\n", name);
        print_findings(stderr, json_object_get(a.json, "findings"), SEVERITY_WARNING);
    }
    answer_free(&a);
    if (code == EXIT_OK && c->waits) {
        fflush(stdout);
        code = wait_for_mirror(c, name, wait_is_running, NULL, err);
        if (code == EXIT_OK && !cli_is_json(c))
            printf("mirror %s is running\n", name);
    }
    return code;
}

enum exit_code cli_mirror_create(struct cli *c, struct err *err)
{
    const struct options *o = c->options;
    json_t *body = body_read(o, err);
    enum exit_code code = EXIT_USAGE;
    if (body && body_set_name(body, o->arguments[0], err))
        code = create(c, body, err);
    json_decref(body);
    return code;
}

enum exit_code cli_mirror_change(struct cli *c, struct err *err)
{
    struct answer a = {0};
    json_t *body = body_read(c->options, err);
    char *path = cli_mirror_path(c, "");
    enum exit_code code = EXIT_USAGE;
    if (body && json_object_size(body) > 0)
        code = cli_call(c, "PATCH", path, body, &a, err);
    else if (body)
        (void)err_set(err, ERR_INVALID,
                      "nothing to change: give one of the options of bunnydb mirror change --help");
    if (code == EXIT_OK && cli_is_json(c))
        cli_print_json(&a);
    else if (code == EXIT_OK)
        print_line(stdout, "", cli_text(a.json, "message"));
    answer_free(&a);
    json_decref(body);
    free(path);
    return code;
}

/* Until the mirror is gone. */
static enum exit_code wait_gone(struct cli *c, struct err *err)
{
    char *path = cli_mirror_path(c, "");
    enum exit_code code = EXIT_OK;
    for (int ms = 0;;) {
        struct answer a;
        code = cli_call(c, "GET", path, NULL, &a, err);
        bool is_gone = a.status == 404;
        answer_free(&a);
        if (is_gone)
            err_clear(err);
        if (is_gone || (code != EXIT_OK && code != EXIT_WAITED))
            code = is_gone ? EXIT_OK : code;
        else if (code == EXIT_OK && wait_a_little(c, &ms))
            continue;
        else
            code = EXIT_WAITED;
        break;
    }
    if (code == EXIT_WAITED)
        (void)err_set(err, ERR_TIMEOUT, "the time of --wait is over; the deletion goes on");
    free(path);
    return code;
}

enum exit_code cli_mirror_delete(struct cli *c, struct err *err)
{
    struct answer a;
    bool force = options_has(c->options, OPTION_FORCE);
    char *path = cli_mirror_path(c, force ? "?force=true" : "");
    enum exit_code code = cli_call(c, "DELETE", path, NULL, &a, err);
    if (code == EXIT_FAILED && wait_goes_on(c, &a)) {
        err_clear(err);
        code = wait_gone(c, err);
    }
    if (code == EXIT_OK && cli_is_json(c)) {
        cli_print_json(&a);
    } else if (code == EXIT_OK) {
        printf("mirror %s deleted\n", c->options->arguments[0]);
        if (cli_text(a.json, "left_behind")[0])
            print_line(stdout, "left behind: ", cli_text(a.json, "left_behind"));
    }
    answer_free(&a);
    free(path);
    return code;
}

/* --- Tables ----------------------------------------------------------------------------------- */
static const struct column mapping_columns[] = {
    {"SOURCE", "source_schema", "source_table", KIND_TEXT},
    {"DESTINATION", "destination_schema", "destination_table", KIND_TEXT},
    {"PARTITION_KEY", "partition_key", NULL, KIND_TEXT},
    {"EXCLUDED", "exclude_columns", NULL, KIND_LIST},
};
static const struct column available_columns[] = {
    {"TABLE", "schema", "table_name", KIND_TEXT}, {"ROWS", "estimated_rows", NULL, KIND_COUNT},
    {"SIZE", "bytes", NULL, KIND_BYTES},          {"MIRROR", "can_mirror", NULL, KIND_YES},
    {"REASON", "reason", NULL, KIND_TEXT},
};

static enum exit_code set_tables(struct cli *c, const char *path, struct err *err)
{
    struct answer a;
    json_t *body = body_read(c->options, err);
    if (body && !json_object_get(body, "table_mappings")) {
        json_decref(body);
        body = NULL;
        (void)err_set(err, ERR_INVALID, "--set needs the tables: --table or --file");
    }
    if (!body)
        return EXIT_USAGE;
    enum exit_code code = cli_call(c, "PUT", path, body, &a, err);
    if (code == EXIT_OK && cli_is_json(c))
        cli_print_json(&a);
    else if (code == EXIT_OK)
        printf("tables of mirror %s changed; resume it\n", c->options->arguments[0]);
    answer_free(&a);
    json_decref(body);
    return code;
}

/* What means something only together with --set. */
static bool check_tables_options(const struct options *o, struct err *err)
{
    static const enum option_id need_set[] = {OPTION_TABLE, OPTION_EXCLUDE, OPTION_PARTITION_KEY,
                                              OPTION_FILE};
    if (options_has(o, OPTION_SET))
        return !options_has(o, OPTION_AVAILABLE) ||
               err_set(err, ERR_INVALID, "--set and --available exclude each other");
    for (size_t i = 0; i < COUNT_OF(need_set); i++)
        if (options_has(o, need_set[i]))
            return err_set(err, ERR_INVALID, "tables are replaced only with --set");
    return true;
}

enum exit_code cli_mirror_tables(struct cli *c, struct err *err)
{
    const struct options *o = c->options;
    bool available = options_has(o, OPTION_AVAILABLE);
    if (!check_tables_options(o, err))
        return EXIT_USAGE;
    char *path = cli_mirror_path(c, available ? "/available-tables" : "/tables");
    enum exit_code code;
    if (options_has(o, OPTION_SET))
        code = set_tables(c, path, err);
    else if (available)
        code = cli_show_table(c, path, NULL, available_columns, COUNT_OF(available_columns), err);
    else
        code = cli_show_table(c, path, NULL, mapping_columns, COUNT_OF(mapping_columns), err);
    free(path);
    return code;
}
