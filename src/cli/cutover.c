/* bunnydb cutover: what remains before applications move to the destination, for people; waits
 * until nothing does. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "src/cli/commands.h"
#include "src/cli/print.h"
#include "src/cli/wait.h"

#define LAG_MS 60000 /* how long --read-only waits without --wait */
#define TITLE 13     /* columns of a check's name */

static const char *state_text(const char *state)
{
    return !strcmp(state, "not_yet") ? "not yet" : state;
}

/* One of the checks that are fine is one line; of the others all is said. */
static void print_check(const json_t *check)
{
    const char *state = cli_text(check, "state");
    char *head = mem_printf("%-7s  %-*s  ", state_text(state), TITLE, cli_text(check, "check"));
    print_wrapped(stdout, head, cli_text(check, "text"));
    print_items(stdout, json_object_get(check, "items"));
    (void)print_statements(stdout, json_object_get(check, "items"));
    free(head);
}

static const json_t *first_open(const json_t *report)
{
    size_t i;
    json_t *k;
    json_array_foreach(json_object_get(report, "checks"), i, k)
    {
        if (!strcmp(cli_text(k, "state"), "cannot") || !strcmp(cli_text(k, "state"), "not_yet"))
            return k;
    }
    return NULL;
}

static size_t count_open(const json_t *report)
{
    size_t i, n = 0;
    json_t *k;
    json_array_foreach(json_object_get(report, "checks"), i, k)
    {
        n += !strcmp(cli_text(k, "state"), "cannot") || !strcmp(cli_text(k, "state"), "not_yet");
    }
    return n;
}

static void print_report(const json_t *report)
{
    size_t i;
    json_t *k;
    json_array_foreach(json_object_get(report, "checks"), i, k)
    {
        print_check(k);
    }
    printf("\nmirror %s: %s\n", cli_text(report, "mirror"),
           first_open(report) ? "not ready for a cutover" : "ready for a cutover");
}

static bool is_lag_ok(const json_t *report)
{
    size_t i;
    json_t *k;
    json_array_foreach(json_object_get(report, "checks"), i, k)
    {
        if (!strcmp(cli_text(k, "check"), "lag"))
            return !strcmp(cli_text(k, "state"), "ok");
    }
    return false;
}

/* *a is the last report. One that is not there when the time is over is not waited for: what the
 * one before says is better than nothing. */
static enum exit_code look(struct cli *c, const char *path, struct answer *a, bool *is_late,
                           struct err *err)
{
    struct answer next = {0};
    enum exit_code code = cli_call(c, "GET", path, NULL, &next, err);
    *is_late = code == EXIT_WAITED;
    if (*is_late) {
        answer_free(&next);
        err_clear(err);
        return EXIT_OK;
    }
    answer_free(a);
    *a = next;
    return code;
}

/* Until the report is as wanted: without --wait as long as the lag is not zero after --read-only.
 */
static enum exit_code wait_until(struct cli *c, const char *path, struct answer *a, bool *is_late,
                                 struct err *err)
{
    bool of_lag = !c->waits && options_has(c->options, OPTION_READ_ONLY);
    enum exit_code code = EXIT_OK;
    if (of_lag)
        c->until = clock_mono_ms() + LAG_MS;
    for (int ms = 0; code == EXIT_OK && (of_lag || c->waits);) {
        if (of_lag ? is_lag_ok(a->json) : !first_open(a->json))
            break;
        *is_late = !wait_a_little(c, &ms);
        if (!*is_late)
            code = look(c, path, a, is_late, err);
        if (*is_late)
            break;
    }
    return code;
}

/* However short the wait: there is always a report to print. */
static enum exit_code begin(struct cli *c, const char *path, struct answer *a, struct err *err)
{
    int64_t until = c->until;
    json_t *body = json_pack("{s:b}", "read_only", 1);
    bool sets = options_has(c->options, OPTION_READ_ONLY);
    c->until = 0;
    enum exit_code code = cli_call(c, sets ? "POST" : "GET", path, sets ? body : NULL, a, err);
    c->until = until;
    json_decref(body);
    return code;
}

/* A comparison, and its end. */
static enum exit_code compare(struct cli *c, struct err *err)
{
    struct answer a;
    bool waits = c->waits;
    char *path = cli_mirror_path(c, "/verify");
    enum exit_code code = cli_call(c, "POST", path, NULL, &a, err);
    answer_free(&a);
    free(path);
    c->waits = true;
    if (code == EXIT_OK)
        code = wait_for_mirror(c, c->options->arguments[0], wait_is_free, NULL, err);
    c->waits = waits;
    return code;
}

enum exit_code cli_cutover(struct cli *c, struct err *err)
{
    struct answer a = {0};
    bool is_late = false;
    char *path = cli_mirror_path(c, "/cutover");
    enum exit_code code = options_has(c->options, OPTION_VERIFY) ? compare(c, err) : EXIT_OK;
    if (code == EXIT_OK)
        code = begin(c, path, &a, err);
    if (code == EXIT_OK)
        code = wait_until(c, path, &a, &is_late, err);
    if (code == EXIT_OK && cli_is_json(c))
        cli_print_json(&a);
    else if (code == EXIT_OK)
        print_report(a.json);
    if (code == EXIT_OK && first_open(a.json)) {
        code = is_late ? EXIT_WAITED : EXIT_FAILED;
        (void)err_set(err, ERR_INVALID, "mirror %s: checks that remain%s: %zu",
                      c->options->arguments[0], is_late ? " when the time is over" : "",
                      count_open(a.json));
    }
    answer_free(&a);
    free(path);
    return code;
}
