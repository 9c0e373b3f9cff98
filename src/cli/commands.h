/* What the rows of the table of commands point to: one function a command, in the file of its
 * group. Each asks the API of the running process and prints what it says. */
#ifndef BUNNY_CLI_COMMANDS_H
#define BUNNY_CLI_COMMANDS_H

#include "src/cli/cli.h"

enum exit_code cli_attach(struct cli *c, struct err *err);
enum exit_code cli_top(struct cli *c, struct err *err);
enum exit_code cli_status(struct cli *c, struct err *err);

enum exit_code cli_peer_add(struct cli *c, struct err *err);
enum exit_code cli_peer_list(struct cli *c, struct err *err);
enum exit_code cli_peer_show(struct cli *c, struct err *err);
enum exit_code cli_peer_test(struct cli *c, struct err *err);
enum exit_code cli_peer_tables(struct cli *c, struct err *err);
enum exit_code cli_peer_change(struct cli *c, struct err *err);
enum exit_code cli_peer_remove(struct cli *c, struct err *err);

enum exit_code cli_check(struct cli *c, struct err *err);

enum exit_code cli_mirror_create(struct cli *c, struct err *err);
enum exit_code cli_mirror_list(struct cli *c, struct err *err);
enum exit_code cli_mirror_show(struct cli *c, struct err *err);
enum exit_code cli_mirror_tables(struct cli *c, struct err *err);
enum exit_code cli_mirror_change(struct cli *c, struct err *err);
enum exit_code cli_mirror_delete(struct cli *c, struct err *err);

enum exit_code cli_pause(struct cli *c, struct err *err);
enum exit_code cli_resume(struct cli *c, struct err *err);
enum exit_code cli_retry(struct cli *c, struct err *err);
enum exit_code cli_resync(struct cli *c, struct err *err);
enum exit_code cli_sync_schema(struct cli *c, struct err *err);
enum exit_code cli_verify(struct cli *c, struct err *err);
enum exit_code cli_cutover(struct cli *c, struct err *err);

enum exit_code cli_logs(struct cli *c, struct err *err);
enum exit_code cli_runs(struct cli *c, struct err *err);
enum exit_code cli_doctor(struct cli *c, struct err *err);
enum exit_code cli_diagnose(struct cli *c, struct err *err);

#endif
