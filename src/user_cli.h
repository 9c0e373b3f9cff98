/* bunnydb user add: makes a user, through the running process when there is one, else straight in
 * the catalog of the state directory. */
#ifndef BUNNY_USER_CLI_H
#define BUNNY_USER_CLI_H

#include "base/err.h"
#include "src/conf.h"
#include "src/options.h"

bool user_cli_add(const struct options *o, const struct conf *c, struct err *err) MUST_CHECK;

#endif
