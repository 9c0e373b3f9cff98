/* bunnydb peer …: the databases and how to log in to them. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "src/cli/body.h"
#include "src/cli/commands.h"
#include "src/cli/print.h"
#include "src/password.h"

/* --- Reading ---------------------------------------------------------------------------------- */
static const struct column list_columns[] = {
    {"NAME", "name", NULL, KIND_TEXT},
    {"HOST", "host", NULL, KIND_TEXT},
    {"PORT", "port", NULL, KIND_NUMBER},
    {"USER", "user", NULL, KIND_TEXT},
    {"DATABASE", "database", NULL, KIND_TEXT},
    {"SSL", "ssl_mode", NULL, KIND_TEXT},
    {"PASSWORD", "has_password", NULL, KIND_YES},
};

enum exit_code cli_peer_list(struct cli *c, struct err *err)
{
    return cli_show_table(c, "/v1/peers", NULL, list_columns, COUNT_OF(list_columns), err);
}

static const struct column facts[] = {
    {"name", "name", NULL, KIND_TEXT},
    {"host", "host", NULL, KIND_TEXT},
    {"port", "port", NULL, KIND_TEXT},
    {"user", "user", NULL, KIND_TEXT},
    {"password", "has_password", NULL, KIND_YES},
    {"database", "database", NULL, KIND_TEXT},
    {"ssl mode", "ssl_mode", NULL, KIND_TEXT},
    {"options", "options", NULL, KIND_LIST},
    {"created", "created_at", NULL, KIND_TEXT},
    {"updated", "updated_at", NULL, KIND_TEXT},
};

static char *peer_path(const struct cli *c, const char *after)
{
    return cli_path("/v1/peers/", c->options->arguments[0], after);
}

enum exit_code cli_peer_show(struct cli *c, struct err *err)
{
    struct answer a;
    char *path = peer_path(c, "");
    enum exit_code code = cli_call(c, "GET", path, NULL, &a, err);
    if (code == EXIT_OK && cli_is_json(c))
        cli_print_json(&a);
    else if (code == EXIT_OK)
        print_facts(stdout, facts, COUNT_OF(facts), a.json);
    answer_free(&a);
    free(path);
    return code;
}

static const struct column table_columns[] = {
    {"TABLE", "schema", "table_name", KIND_TEXT}, {"ROWS", "estimated_rows", NULL, KIND_COUNT},
    {"SIZE", "bytes", NULL, KIND_BYTES},          {"IDENTITY", "replica_identity", NULL, KIND_TEXT},
    {"MIRROR", "can_mirror", NULL, KIND_YES},     {"REASON", "reason", NULL, KIND_TEXT},
};

enum exit_code cli_peer_tables(struct cli *c, struct err *err)
{
    char *path = peer_path(c, "/tables");
    enum exit_code code =
        cli_show_table(c, path, NULL, table_columns, COUNT_OF(table_columns), err);
    free(path);
    return code;
}

static void print_role(const char *role, const json_t *findings)
{
    printf("as a %s:%s\n", role, json_array_size(findings) ? "" : " nothing is missing");
    print_findings(stdout, findings, SEVERITY_OK);
}

static enum exit_code print_test(const struct cli *c, const json_t *report, struct err *err)
{
    const char *name = c->options->arguments[0];
    if (!json_is_true(json_object_get(report, "success"))) {
        (void)err_set(err, ERR_CONNECT, "peer %s: %s", name, cli_text(report, "error"));
        if (cli_text(report, "hint")[0])
            (void)err_hint(err, "%s", cli_text(report, "hint"));
        return EXIT_FAILED;
    }
    printf("peer %s: logged in, PostgreSQL %s\n", name, cli_text(report, "version"));
    print_role("source", json_object_get(report, "as_source"));
    print_role("destination", json_object_get(report, "as_destination"));
    return EXIT_OK;
}

enum exit_code cli_peer_test(struct cli *c, struct err *err)
{
    struct answer a;
    char *path = peer_path(c, "/test");
    enum exit_code code = cli_call(c, "POST", path, NULL, &a, err);
    if (code == EXIT_OK && cli_is_json(c)) {
        cli_print_json(&a);
        code = json_is_true(json_object_get(a.json, "success")) ? EXIT_OK : EXIT_FAILED;
    } else if (code == EXIT_OK) {
        code = print_test(c, a.json, err);
    }
    answer_free(&a);
    free(path);
    return code;
}

/* --- Changing --------------------------------------------------------------------------------- */
static bool put_password(const struct options *o, json_t *body, struct err *err)
{
    char password[PASSWORD_MAX + 2];
    const char *file = options_text(o, OPTION_FILE);
    bool from_stdin = options_has(o, OPTION_PASSWORD_STDIN);
    if (!from_stdin && !options_has(o, OPTION_PASSWORD))
        return true;
    if (from_stdin && file && !strcmp(file, "-"))
        return err_set(err, ERR_INVALID,
                       "--file - and --password-stdin: standard input is there once");
    bool ok = password_read(from_stdin, password, sizeof password, err) &&
              body_set(body, "password", password, "the password", err);
    sodium_memzero(password, sizeof password);
    return ok;
}

/* Sends body and prints what was done. */
static enum exit_code send(struct cli *c, const char *method, const char *path, const json_t *body,
                           const char *done, struct err *err)
{
    struct answer a;
    enum exit_code code = cli_call(c, method, path, body, &a, err);
    if (code == EXIT_OK && cli_is_json(c))
        cli_print_json(&a);
    else if (code == EXIT_OK)
        printf("peer %s %s\n", c->options->arguments[0], done);
    answer_free(&a);
    return code;
}

enum exit_code cli_peer_add(struct cli *c, struct err *err)
{
    const struct options *o = c->options;
    json_t *body = body_read(o, err);
    enum exit_code code = EXIT_USAGE;
    if (body && body_set_name(body, o->arguments[0], err) && put_password(o, body, err))
        code = send(c, "POST", "/v1/peers", body, "added", err);
    json_decref(body);
    return code;
}

enum exit_code cli_peer_change(struct cli *c, struct err *err)
{
    const struct options *o = c->options;
    json_t *body = body_read(o, err);
    enum exit_code code = EXIT_USAGE;
    char *path = peer_path(c, "");
    if (body && put_password(o, body, err)) {
        if (json_object_size(body) > 0)
            code = send(c, "PUT", path, body, "changed", err);
        else
            (void)err_set(err, ERR_INVALID,
                          "nothing to change: give one of the options of "
                          "bunnydb peer change --help");
    }
    json_decref(body);
    free(path);
    return code;
}

enum exit_code cli_peer_remove(struct cli *c, struct err *err)
{
    char *path = peer_path(c, "");
    enum exit_code code = send(c, "DELETE", path, NULL, "removed", err);
    free(path);
    return code;
}
