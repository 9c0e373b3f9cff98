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
bool ask_slots(const char *state_dir, struct slot_list *out, struct err *err) MUST_CHECK;
/* mirror NULL: of all */
bool ask_runs(const char *state_dir, const char *mirror, int limit, struct run_page *out,
              struct err *err) MUST_CHECK;
bool ask_config(const char *state_dir, const char *mirror, struct mirror_config *out,
                struct err *err) MUST_CHECK;
bool ask_schema_plan(const char *state_dir, const char *mirror, struct schema_plan *out,
                     struct err *err) MUST_CHECK;
bool ask_peers(const char *state_dir, struct peer_list *out, struct err *err) MUST_CHECK;
bool ask_peer_test(const char *state_dir, const char *peer, struct peer_report *out,
                   struct err *err) MUST_CHECK;
/* fields 0: a new one; else what changes (enum peer_field) */
bool ask_peer_save(const char *state_dir, const struct peer *p, unsigned fields,
                   struct err *err) MUST_CHECK;
bool ask_peer_delete(const char *state_dir, const char *peer, struct err *err) MUST_CHECK;
/* dest NULL: to nowhere in particular */
bool ask_survey(const char *state_dir, const char *source, const char *dest, struct survey *out,
                struct err *err) MUST_CHECK;
bool ask_available(const char *state_dir, const char *mirror, struct peer_table_list *out,
                   struct err *err) MUST_CHECK;
bool ask_create(const char *state_dir, const struct mirror_config *c, struct findings *findings,
                struct err *err) MUST_CHECK;
bool ask_set_tables(const char *state_dir, const char *mirror, const struct table_map *tables,
                    size_t n, struct findings *findings, struct err *err) MUST_CHECK;
/* Writes what …/diagnostics has into a new file in TMPDIR or /tmp, mode 0600; *path: caller frees,
 * in every case. */
bool ask_bundle(const char *state_dir, const char *mirror, char **path, struct err *err) MUST_CHECK;

#endif
