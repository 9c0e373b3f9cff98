/* What more there is to read of a mirror, beside its status (mirrors.h): what could be added to it,
 * its history, and what a bug report needs. */
#ifndef BUNNY_HTTP_MIRROR_READS_H
#define BUNNY_HTTP_MIRROR_READS_H

#include "src/http/router.h"

extern const struct field_table mirror_runs_query;

bool mirror_runs(struct call *c, struct err *err) MUST_CHECK;
/* Of all mirrors. */
bool all_runs(struct call *c, struct err *err) MUST_CHECK;
bool all_slots(struct call *c, struct err *err) MUST_CHECK;
bool mirror_show_config(struct call *c, struct err *err) MUST_CHECK;
bool mirror_doctor(struct call *c, struct err *err) MUST_CHECK;
bool mirror_diagnostics(struct call *c, struct err *err) MUST_CHECK;
/* The last comparison. */
bool mirror_verify_report(struct call *c, struct err *err) MUST_CHECK;
bool mirror_available_tables(struct call *c, struct err *err) MUST_CHECK;

#endif
