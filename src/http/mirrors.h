/* The endpoints under /v1/mirrors. */
#ifndef BUNNY_HTTP_MIRRORS_H
#define BUNNY_HTTP_MIRRORS_H

#include "src/http/router.h"

extern const struct field_table mirror_delete_query, mirror_logs_query;

bool mirrors_list(struct call *c, struct err *err) MUST_CHECK;
bool mirrors_add(struct call *c, struct err *err) MUST_CHECK;
bool mirrors_show(struct call *c, struct err *err) MUST_CHECK;
bool mirrors_remove(struct call *c, struct err *err) MUST_CHECK;
bool mirrors_pause(struct call *c, struct err *err) MUST_CHECK;
bool mirrors_resume(struct call *c, struct err *err) MUST_CHECK;
bool mirrors_retry(struct call *c, struct err *err) MUST_CHECK;
bool mirrors_resync(struct call *c, struct err *err) MUST_CHECK;
bool mirrors_resync_table(struct call *c, struct err *err) MUST_CHECK;
bool mirrors_sync_schema(struct call *c, struct err *err) MUST_CHECK;
bool mirrors_verify(struct call *c, struct err *err) MUST_CHECK;
bool mirrors_set_tables(struct call *c, struct err *err) MUST_CHECK;
bool mirrors_change(struct call *c, struct err *err) MUST_CHECK;
bool mirrors_tables(struct call *c, struct err *err) MUST_CHECK;
bool mirrors_logs(struct call *c, struct err *err) MUST_CHECK;

#endif
