/* What a console asks of another process besides its picture: one request of the API each, answered
 * as the function of engine.h of that name does. No state; any thread; all of them wait. */
#ifndef BUNNY_ASK_H
#define BUNNY_ASK_H

#include "engine.h"

bool ask_command(const char *state_dir, const char *mirror, const struct mirror_request *r,
                 int limit_ms, struct err *err) MUST_CHECK;
bool ask_report(const char *state_dir, const char *mirror, struct verify_report *out,
                struct err *err) MUST_CHECK;
bool ask_cutover(const char *state_dir, const char *mirror, const atomic_bool *give_up,
                 struct cutover *out, struct err *err) MUST_CHECK;
bool ask_doctor(const char *state_dir, const char *mirror, const atomic_bool *give_up,
                struct findings *out, struct err *err) MUST_CHECK;

#endif
