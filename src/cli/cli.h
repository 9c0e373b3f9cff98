/* Commands that are clients of the running process: each is one or more requests of the HTTP API
 * over its Unix socket, and what came back, printed. Main thread; blocks. */
#ifndef BUNNY_CLI_H
#define BUNNY_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "src/answer.h"
#include "src/conf.h"
#include "src/options.h"

struct column; /* of src/cli/print.h */

/* One command while it runs. */
struct cli {
    const struct options *options;
    const struct conf *conf;
    char *state_dir;
    int limit_ms;    /* for each answer */
    bool waits;      /* --wait was given */
    int64_t until;   /* clock_mono_ms of the end of --wait; 0: none */
    json_t *refused; /* the last error answer: its findings are printed; NULL: none */
};

/* Does the command of o; prints its errors. */
enum exit_code cli_run(const struct options *o, const struct conf *conf);
/* "bunnydb: what", and the hint in the next line, on stderr. */
void cli_complain(const struct err *e);

/* --- For the commands ------------------------------------------------------------------------- */
/* One request. EXIT_OK: 2xx. Else *err says what; EXIT_WAITED only when --wait's time ended it.
 * *out: answer_free in every case. */
enum exit_code cli_call(struct cli *c, const char *method, const char *path, const json_t *body,
                        struct answer *out, struct err *err) MUST_CHECK;
/* before, name percent-encoded, after; caller frees. */
char *cli_path(const char *before, const char *name, const char *after);
/* The same for what most commands ask: a mirror and one of its addresses ("/pause"; or ""). */
char *cli_mirror_path(const struct cli *c, const char *after);
/* The body as it came, and the end of the line. */
void cli_print_json(const struct answer *a);
bool cli_is_json(const struct cli *c);
/* GET path, and a table of the array in the answer (of its member key, unless NULL). */
enum exit_code cli_show_table(struct cli *c, const char *path, const char *key,
                              const struct column *columns, size_t n, struct err *err);
const char *cli_text(const json_t *object, const char *key); /* "" when absent or no text */

#endif
