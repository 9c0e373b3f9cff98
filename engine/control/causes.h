/* What stands behind an error that ended a run: the code, the remedy and the key that operators are
 * told. Decided by SQLSTATE and by the step that failed, never by a message's text. Pure functions,
 * any thread. */
#ifndef BUNNY_CAUSES_H
#define BUNNY_CAUSES_H

#include "base/err.h"
#include "base/findings.h"

/* The same error with the code that says what has to be done, and a hint where there was none.
 * mirror: its name, for the commands in hints. What is told apart already stays as it is. */
void cause_name(const char *mirror, const struct err *from, struct err *out);
/* The operation that heals it: "retry", "resume", "resync", "sync-schema", or "" when it heals by
 * itself. */
const char *cause_action(const struct err *e);
/* A row was refused by the input of a type, or by a domain. */
bool cause_is_a_type(const struct err *e);
/* The operator decides at once: another attempt may not be made, or would do the same. */
bool cause_is_final(enum err_code code);
/* The error can only be healed by a new slot and a new snapshot. */
bool cause_needs_new_slot(enum err_code code);

#endif
