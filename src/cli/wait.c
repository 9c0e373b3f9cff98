/* --wait; see wait.h. */
#include "src/cli/wait.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define FIRST_MS 50
#define MOST_MS 1000
#define STAYS_MS 2000 /* an error beside an operation that is to heal it */

static bool is_status(const json_t *status, const char *wanted)
{
    return !strcmp(cli_text(status, "status"), wanted);
}

/* Whether the mirror is past what only leads to its state. */
static bool is_settled(const json_t *status)
{
    static const char *const ways[] = {"connecting", "catching_up", "syncing_schema"};
    for (size_t i = 0; i < COUNT_OF(ways); i++)
        if (!strcmp(cli_text(status, "phase"), ways[i]))
            return false;
    return true;
}

static bool is_held(const json_t *status)
{
    return cli_text(status, "operation")[0] != '\0';
}

bool wait_is_running(const json_t *status)
{
    return is_status(status, "running") && is_settled(status);
}

bool wait_is_paused(const json_t *status)
{
    return is_status(status, "paused");
}

bool wait_is_resynced(const json_t *status)
{
    return !is_held(status) && wait_is_running(status);
}

bool wait_is_idle(const json_t *status)
{
    return !is_held(status) && is_settled(status) &&
           (is_status(status, "running") || is_status(status, "paused"));
}

bool wait_is_free(const json_t *status)
{
    return !is_held(status);
}

char *wait_last_error(struct cli *c, const char *mirror)
{
    struct answer a;
    struct err ignored = {0};
    char *path = cli_path("/v1/mirrors/", mirror, ""), *at = NULL;
    if (c->waits && cli_call(c, "GET", path, NULL, &a, &ignored) == EXIT_OK)
        at = mem_strdup(cli_text(a.json, "error_at"));
    if (c->waits)
        answer_free(&a);
    free(path);
    json_decref(c->refused);
    c->refused = NULL;
    return at;
}

bool wait_goes_on(const struct cli *c, const struct answer *a)
{
    return c->waits && a->status == 409 && !strcmp(cli_text(a->json, "code"), "timeout");
}

bool wait_a_little(const struct cli *c, int *ms)
{
    int64_t left = c->until ? c->until - clock_mono_ms() : MOST_MS;
    if (left <= 0)
        return false;
    *ms = *ms ? *ms * 3 / 2 : FIRST_MS;
    *ms = *ms > MOST_MS ? MOST_MS : *ms;
    (void)poll(NULL, 0, left < *ms ? (int)left : *ms);
    return true;
}

/* Whether what is waited for cannot come: the mirror is in an error that came after the one of
 * before (of an operation that failed only the error is left), or it is paused and should run. */
static bool has_failed(const json_t *status, const char *mirror, wait_test *reached,
                       const char *before, struct err *err)
{
    bool is_error = is_status(status, "error") ||
                    (reached == wait_is_idle && cli_text(status, "error_code")[0]);
    if (wait_is_paused(status) && (reached == wait_is_running || reached == wait_is_resynced)) {
        (void)err_set(err, ERR_INVALID, "mirror %s was paused meanwhile", mirror);
        (void)err_hint(err, "it goes on after: bunnydb resume %s", mirror);
        return true;
    }
    if (!is_error || (before && !strcmp(cli_text(status, "error_at"), before)))
        return false;
    (void)err_set(err, ERR_INVALID, "mirror %s%s: %s", mirror,
                  is_status(status, "error") ? " is in error" : "",
                  cli_text(status, "error_message"));
    if (cli_text(status, "error_hint")[0])
        (void)err_hint(err, "%s", cli_text(status, "error_hint"));
    return true;
}

/* An error may have come just before the order that heals it was taken: it counts once it stays.
 * *since: when it was first seen, 0: it is not there. */
static bool is_healed_now(const json_t *status, wait_test *reached, int64_t *since)
{
    bool is_beside = reached == wait_is_idle && is_held(status) && is_status(status, "error");
    if (!is_beside || !is_settled(status))
        *since = 0;
    else if (!*since)
        *since = clock_mono_ms();
    return is_beside && (!*since || clock_mono_ms() - *since < STAYS_MS);
}

static enum exit_code time_is_over(const char *mirror, const char *state, const char *phase,
                                   struct err *err)
{
    (void)err_set(err, ERR_TIMEOUT, "the time of --wait is over; mirror %s is %s%s%s%s", mirror,
                  state, phase[0] ? " (" : "", phase, phase[0] ? ")" : "");
    (void)err_hint(err, "it goes on: bunnydb status %s", mirror);
    return EXIT_WAITED;
}

enum exit_code wait_for_mirror(struct cli *c, const char *mirror, wait_test *reached,
                               const char *before, struct err *err)
{
    char *path = cli_path("/v1/mirrors/", mirror, ""), state[32] = "", phase[32] = "";
    enum exit_code code = EXIT_OK;
    int64_t error_since = 0;
    for (int ms = 0; c->waits;) {
        struct answer a;
        code = cli_call(c, "GET", path, NULL, &a, err);
        bool is_there = false;
        if (code == EXIT_OK) {
            str_copy(state, sizeof state, cli_text(a.json, "status"));
            str_copy(phase, sizeof phase, cli_text(a.json, "phase"));
            if (is_healed_now(a.json, reached, &error_since))
                is_there = false;
            else if (has_failed(a.json, mirror, reached, before, err))
                code = EXIT_FAILED;
            else
                is_there = reached(a.json);
        }
        answer_free(&a);
        if (is_there || (code != EXIT_OK && code != EXIT_WAITED))
            break;
        if (code == EXIT_WAITED || !wait_a_little(c, &ms)) {
            code = time_is_over(mirror, state[0] ? state : "not answering", phase, err);
            break;
        }
    }
    free(path);
    return code;
}
