/* bunnydb logs: the lines of a mirror's log, oldest first, and with -f those that come. The API
 * pages from the newest line back, and lines may come in between: ids tell them apart. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "src/cli/commands.h"
#include "src/cli/print.h"

#define PAGE 500       /* the API's most */
#define FOLLOW_PAGE 20 /* few are new */
#define LINES_MOST 1000000
#define POLL_MS 500

struct follow {
    struct cli *cli;
    char *query;   /* level and search, to be put behind limit and offset */
    json_t *lines; /* what was read and is not printed, newest first */
    int64_t last;  /* id of the newest line that was printed; -1: none */
    bool is_gone;  /* the process is, and that was said */
};

/* --- Reading ---------------------------------------------------------------------------------- */
static void add_parameter(struct buf *b, const char *name, const char *value)
{
    if (!value)
        return;
    char *text = cli_path("", value, "");
    buf_printf(b, "&%s=%s", name, text);
    free(text);
}

static int64_t id_of(const json_t *line)
{
    return json_integer_value(json_object_get(line, "id"));
}

/* Takes over the lines of a page that are older than those before, and newer than the last that
 * was printed. False: there can be no further ones. */
static bool take_page(struct follow *f, const json_t *page, int most)
{
    size_t i, n = json_array_size(f->lines);
    json_t *line;
    int64_t oldest = n ? id_of(json_array_get(f->lines, n - 1)) : INT64_MAX;
    json_array_foreach((json_t *)page, i, line)
    {
        if (id_of(line) <= f->last || (int)json_array_size(f->lines) >= most)
            return false;
        if (id_of(line) < oldest)
            json_array_append(f->lines, line);
    }
    return json_array_size(page) > 0;
}

/* Fills lines with at most most lines that are newer than the last one. */
static enum exit_code read_lines(struct follow *f, int most, struct answer *a, struct err *err)
{
    enum exit_code code = EXIT_OK;
    int limit = f->last >= 0 ? FOLLOW_PAGE : PAGE;
    limit = most < limit ? most : limit;
    json_array_clear(f->lines);
    for (int64_t offset = 0; code == EXIT_OK; offset += limit) {
        char *query =
            mem_printf("/logs?limit=%d&offset=%lld%s", limit, (long long)offset, f->query);
        char *path = cli_mirror_path(f->cli, query);
        answer_free(a);
        code = cli_call(f->cli, "GET", path, NULL, a, err);
        free(query);
        free(path);
        const json_t *page = json_object_get(a->json, "logs");
        if (code != EXIT_OK || !take_page(f, page, most) || (int)json_array_size(f->lines) >= most)
            break;
    }
    return code;
}

/* --- Printing --------------------------------------------------------------------------------- */
static void print_log_line(const json_t *line)
{
    struct buf b = {0};
    buf_printf(&b, "%s %-5s ", cli_text(line, "created_at"), cli_text(line, "level"));
    if (cli_text(line, "component")[0])
        buf_printf(&b, "[%s] ", cli_text(line, "component"));
    buf_puts(&b, cli_text(line, "message"));
    if (cli_text(line, "details")[0])
        buf_printf(&b, " | %s", cli_text(line, "details"));
    print_line(stdout, "", buf_text(&b));
    buf_free(&b);
}

static void print_lines(struct follow *f)
{
    for (size_t i = json_array_size(f->lines); i-- > 0;) {
        json_t *line = json_array_get(f->lines, i);
        if (cli_is_json(f->cli)) {
            json_dumpf(line, stdout, JSON_COMPACT);
            putchar('\n');
        } else {
            print_log_line(line);
        }
        f->last = id_of(line);
    }
    fflush(stdout);
}

/* --- -f --------------------------------------------------------------------------------------- */
/* Rests between two looks. False: nobody reads our output any more. */
static bool rest(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO};
    return poll(&p, 1, POLL_MS) <= 0 && !ferror(stdout);
}

/* Whether an end of the exchange is one of the process: it ended, ends, or is not there yet. */
static bool is_process_gone(enum exit_code code, const struct answer *a)
{
    return code == EXIT_NO_PROCESS || (code == EXIT_FAILED && (a->status == 0 || a->status == 503));
}

static void say_gone(struct follow *f, bool is_gone)
{
    if (is_gone == f->is_gone)
        return;
    f->is_gone = is_gone;
    fputs(is_gone ? "bunnydb: the process does not answer; waiting for it\n"
                  : "bunnydb: the process answers again\n",
          stderr);
}

static enum exit_code follow(struct follow *f, struct err *err)
{
    struct answer a = {0};
    enum exit_code code = EXIT_OK;
    while (code == EXIT_OK && rest()) {
        code = read_lines(f, LINES_MOST, &a, err);
        say_gone(f, is_process_gone(code, &a));
        if (code == EXIT_OK)
            print_lines(f);
        else if (f->is_gone) {
            err_clear(err);
            code = EXIT_OK;
        }
    }
    answer_free(&a);
    return code;
}

enum exit_code cli_logs(struct cli *c, struct err *err)
{
    const struct options *o = c->options;
    struct buf query = {0};
    struct answer a = {0};
    bool follows = options_has(o, OPTION_FOLLOW), is_page = cli_is_json(c) && !follows;
    int lines = 50;
    if (!options_number(o, OPTION_LINES, is_page ? 1 : 0, is_page ? PAGE : LINES_MOST, &lines, err))
        return EXIT_USAGE;
    add_parameter(&query, "level", options_text(o, OPTION_LEVEL));
    add_parameter(&query, "search", options_text(o, OPTION_SEARCH));
    struct follow f = {.cli = c, .query = buf_take(&query), .lines = json_array(), .last = -1};
    enum exit_code code = read_lines(&f, lines > 0 ? lines : 1, &a, err);
    if (code == EXIT_OK && is_page) {
        cli_print_json(&a);
    } else if (code == EXIT_OK) {
        if (lines == 0 && json_array_size(f.lines)) /* -n 0 -f: only what comes */
            f.last = id_of(json_array_get(f.lines, 0));
        else
            print_lines(&f);
    }
    if (code == EXIT_OK && follows)
        code = follow(&f, err);
    answer_free(&a);
    json_decref(f.lines);
    free(f.query);
    return code;
}
