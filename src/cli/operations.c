/* bunnydb pause, resume, retry, resync, sync-schema: what changes the state of a mirror. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "src/cli/body.h"
#include "src/cli/commands.h"
#include "src/cli/print.h"
#include "src/cli/wait.h"

/* What is asked for, and when it is done. */
struct operation {
    char *path;   /* owned until the end of operate */
    json_t *body; /* the same; NULL: none */
    wait_test *reached;
    const char *done; /* "mirror m <done>" after --wait */
};

/* Sends the request, prints the answer, and waits if that is wished. */
static enum exit_code operate(struct cli *c, const struct operation *op, struct err *err)
{
    struct answer a;
    const char *mirror = c->options->arguments[0];
    char *before = wait_last_error(c, mirror);
    enum exit_code code = cli_call(c, "POST", op->path, op->body, &a, err);
    if (code == EXIT_FAILED && wait_goes_on(c, &a)) {
        err_clear(err);
        code = EXIT_OK;
    } else if (code == EXIT_OK && cli_is_json(c)) {
        cli_print_json(&a);
    } else if (code == EXIT_OK) {
        printf("mirror %s: ", mirror);
        print_line(stdout, "", cli_text(a.json, "message"));
    }
    answer_free(&a);
    if (code == EXIT_OK && c->waits) {
        fflush(stdout);
        code = wait_for_mirror(c, mirror, op->reached, before, err);
        if (code == EXIT_OK && !cli_is_json(c))
            printf("mirror %s %s\n", mirror, op->done);
    }
    free(before);
    free(op->path);
    json_decref(op->body);
    return code;
}

enum exit_code cli_pause(struct cli *c, struct err *err)
{
    struct operation op = {cli_mirror_path(c, "/pause"), NULL, wait_is_paused, "is paused"};
    return operate(c, &op, err);
}

enum exit_code cli_resume(struct cli *c, struct err *err)
{
    struct operation op = {cli_mirror_path(c, "/resume"), NULL, wait_is_running, "is running"};
    return operate(c, &op, err);
}

enum exit_code cli_retry(struct cli *c, struct err *err)
{
    const char *field = options_has(c->options, OPTION_RECREATE_SLOT) ? "recreate_slot"
                        : options_has(c->options, OPTION_TAKE_SLOT)   ? "take_slot"
                                                                      : NULL;
    struct operation op = {cli_mirror_path(c, "/retry"),
                           field ? json_pack("{s:b}", field, 1) : NULL, wait_is_running,
                           "is running"};
    return operate(c, &op, err);
}

enum exit_code cli_resync(struct cli *c, struct err *err)
{
    const struct options *o = c->options;
    const char *strategy = options_text(o, OPTION_STRATEGY);
    struct operation op = {NULL, NULL, wait_is_resynced, "is resynced"};
    if (strategy) {
        op.body = json_object();
        if (!body_set(op.body, "strategy", strategy, "--strategy", err)) {
            json_decref(op.body);
            return EXIT_USAGE;
        }
    }
    bool is_one = o->n_arguments > 1;
    char *before = cli_mirror_path(c, is_one ? "/resync/" : "/resync");
    op.path = cli_path(before, is_one ? o->arguments[1] : "", "");
    free(before);
    return operate(c, &op, err);
}

/* --- Schema ----------------------------------------------------------------------------------- */
/* To be read: a line for each statement that would run, and comments for what is left to the
 * operator. A statement with a line feed in it is exact only with --json. */
static void print_step(const json_t *step)
{
    bool runs = !strcmp(cli_text(step, "kind"), "run");
    char *note = mem_printf("%s: %s%s%s", cli_text(step, "kind"), cli_text(step, "what"),
                            cli_text(step, "why")[0] ? ": " : "", cli_text(step, "why"));
    if (!runs)
        print_line(stdout, "-- ", note);
    free(note);
    if (!cli_text(step, "sql")[0])
        return;
    char *sql = mem_printf("%s;", cli_text(step, "sql"));
    print_line(stdout, runs ? "" : "--   ", sql);
    free(sql);
}

static enum exit_code preview(struct cli *c, const char *path, struct err *err)
{
    struct answer a;
    size_t i;
    json_t *step;
    json_t *body = json_pack("{s:b}", "dry_run", 1);
    enum exit_code code = cli_call(c, "POST", path, body, &a, err);
    if (code == EXIT_OK && cli_is_json(c))
        cli_print_json(&a);
    else if (code == EXIT_OK)
        json_array_foreach(json_object_get(a.json, "steps"), i, step) print_step(step);
    answer_free(&a);
    json_decref(body);
    return code;
}

enum exit_code cli_sync_schema(struct cli *c, struct err *err)
{
    char *path = cli_mirror_path(c, "/sync-schema");
    struct operation op = {path, NULL, wait_is_idle, "has the source's schema"};
    if (!options_has(c->options, OPTION_DRY_RUN))
        return operate(c, &op, err);
    enum exit_code code = preview(c, path, err);
    free(path);
    return code;
}
