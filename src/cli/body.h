/* Bodies of requests, from --file and the options of a command. */
#ifndef BUNNY_CLI_BODY_H
#define BUNNY_CLI_BODY_H

#include <jansson.h>

#include "src/options.h"

/* The object of --file, or an empty one, with every option that is a field on top. Caller frees;
 * NULL with *err: the input is wrong, and the error names the option or the file. */
json_t *body_read(const struct options *o, struct err *err) MUST_CHECK;
/* The table_mappings of --table, --exclude and --partition-key; NULL without *err: none given. */
json_t *body_tables(const struct options *o, struct err *err) MUST_CHECK;
/* Puts text under key; false when it is no UTF-8. what: the option's or argument's name. */
bool body_set(json_t *object, const char *key, const char *text, const char *what,
              struct err *err) MUST_CHECK;
/* The name of what is made: the command's argument. A file that says another one is refused. */
bool body_set_name(json_t *body, const char *name, struct err *err) MUST_CHECK;

#endif
