/* Commands that are clients of the running process; see cli.h. */
#include "src/cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "src/cli/print.h"
#include "src/client.h"
#include "src/state_dir.h"

#define WAIT_MOST_S (30 * 86400)
#define TIMEOUT_MOST_S 3600

/* --- Requests --------------------------------------------------------------------------------- */
static void keep_refusal(struct cli *c, const struct answer *a)
{
    json_decref(c->refused);
    c->refused = json_incref(a->json);
}

static enum exit_code no_time(struct err *err)
{
    (void)err_set(err, ERR_TIMEOUT, "the time of --wait is over, and there is no answer yet");
    (void)err_hint(err, "what was asked may still be done");
    return EXIT_WAITED;
}

enum exit_code cli_call(struct cli *c, const char *method, const char *path, const json_t *body,
                        struct answer *out, struct err *err)
{
    int limit_ms = c->limit_ms;
    int64_t left = c->until ? c->until - clock_mono_ms() : limit_ms;
    bool is_last = c->until && left < limit_ms; /* --wait ends first */
    *out = (struct answer){0};
    if (left <= 0)
        return no_time(err);
    if (is_last)
        limit_ms = (int)left;
    switch (client_request(c->state_dir, method, path, body, limit_ms, out, err)) {
    case CLIENT_DONE:
        return EXIT_OK;
    case CLIENT_REFUSED:
        keep_refusal(c, out);
        return EXIT_FAILED;
    case CLIENT_NO_PROCESS:
        return EXIT_NO_PROCESS;
    case CLIENT_TIMEOUT:
        return is_last ? no_time(err) : EXIT_FAILED;
    case CLIENT_GIVEN_UP:
    case CLIENT_FAILED:
        break;
    }
    return EXIT_FAILED;
}

char *cli_path(const char *before, const char *name, const char *after)
{
    struct buf b = {0};
    buf_puts(&b, before);
    for (const unsigned char *s = (const unsigned char *)name; *s; s++) {
        bool is_plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
                        (*s >= '0' && *s <= '9') || strchr("-_.", *s);
        if (is_plain)
            buf_putc(&b, (char)*s);
        else
            buf_printf(&b, "%%%02X", (unsigned)*s);
    }
    buf_puts(&b, after);
    return buf_take(&b);
}

char *cli_mirror_path(const struct cli *c, const char *after)
{
    return cli_path("/v1/mirrors/", c->options->arguments[0], after);
}

bool cli_is_json(const struct cli *c)
{
    return options_has(c->options, OPTION_JSON);
}

void cli_print_json(const struct answer *a)
{
    if (a->text)
        fwrite(a->text, 1, a->len, stdout);
    putchar('\n');
}

const char *cli_text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

enum exit_code cli_show_table(struct cli *c, const char *path, const char *key,
                              const struct column *columns, size_t n, struct err *err)
{
    struct answer a;
    enum exit_code code = cli_call(c, "GET", path, NULL, &a, err);
    if (code == EXIT_OK && cli_is_json(c))
        cli_print_json(&a);
    else if (code == EXIT_OK)
        print_table(stdout, columns, n, key ? json_object_get(a.json, key) : a.json);
    answer_free(&a);
    return code;
}

/* --- The command ------------------------------------------------------------------------------ */
void cli_complain(const struct err *e)
{
    print_line(stderr, "bunnydb: ", e->text);
    if (e->hint[0])
        print_line(stderr, "  ", e->hint);
}

static bool prepare(struct cli *c, const struct conf *conf, struct err *err)
{
    const struct options *o = c->options;
    const char *dir = options_text(o, OPTION_STATE_DIR);
    int timeout_s = 0, wait_s = 0;
    c->waits = options_has(o, OPTION_WAIT);
    if (!options_number(o, OPTION_TIMEOUT, 1, TIMEOUT_MOST_S, &timeout_s, err) ||
        !options_number(o, OPTION_WAIT, 1, WAIT_MOST_S, &wait_s, err))
        return false;
    c->limit_ms = timeout_s ? timeout_s * 1000 : CLIENT_LIMIT_MS;
    if (options_text(o, OPTION_WAIT))
        c->until = clock_mono_ms() + wait_s * INT64_C(1000);
    c->state_dir = state_dir_path(dir ? dir : conf->state_dir, err);
    return c->state_dir != NULL;
}

/* What was printed is there, or whose reader went away ("| head"): that is no error of ours. */
static bool end_output(struct err *err)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    return errno == EPIPE || err_set(err, ERR_IO, "writing the output: %s", strerror(errno));
}

enum exit_code cli_run(const struct options *o, const struct conf *conf)
{
    struct cli c = {.options = o, .conf = conf};
    struct err err = {0};
    signal(SIGPIPE, SIG_IGN); /* EPIPE instead */
    enum exit_code code =
        prepare(&c, conf, &err) ? command_rows[o->command].run(&c, &err) : EXIT_USAGE;
    if (!end_output(&err) && code == EXIT_OK)
        code = EXIT_FAILED;
    if (err.text[0])
        cli_complain(&err);
    print_findings(stderr, json_object_get(c.refused, "findings"), SEVERITY_INFO);
    json_decref(c.refused);
    free(c.state_dir);
    return code;
}
