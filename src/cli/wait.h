/* --wait: asks for a mirror's status until the state that was asked for is there. */
#ifndef BUNNY_CLI_WAIT_H
#define BUNNY_CLI_WAIT_H

#include "src/cli/cli.h"

/* True when what is waited for is there. status: the mirror's status object. */
typedef bool wait_test(const json_t *status);
wait_test wait_is_running; /* and has caught up with the source */
wait_test wait_is_paused;
wait_test wait_is_resynced; /* no operation holds it any more, and it runs */
wait_test wait_is_idle;     /* the same, or it is paused */
wait_test wait_is_free;     /* no operation holds it any more */

/* When the mirror's last error was, so that an old one does not end a wait: to be read before the
 * command. NULL: none, or it cannot be read. Caller frees. */
char *wait_last_error(struct cli *c, const char *mirror);
/* Nothing without --wait. EXIT_OK: reached; EXIT_FAILED: the mirror is in an error that is not the
 * one of before (may be NULL), or somebody paused it; EXIT_WAITED: the time is over. *err says
 * what. */
enum exit_code wait_for_mirror(struct cli *c, const char *mirror, wait_test *reached,
                               const char *before, struct err *err) MUST_CHECK;
/* Whether an answer says that the time was too short for the API and that it goes on: something
 * that --wait goes on waiting for. */
bool wait_goes_on(const struct cli *c, const struct answer *a);
/* Until the next look, longer each time; false when the time of --wait is over. */
bool wait_a_little(const struct cli *c, int *ms);

#endif
