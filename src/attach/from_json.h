/* The API's JSON as the engine's data: the other direction of src/http/to_json.h, for a console in
 * another process. What is missing or of another type is empty, 0 or "not known": the program that
 * answers may be an older or a newer one. No state, any thread. */
#ifndef BUNNY_FROM_JSON_H
#define BUNNY_FROM_JSON_H

#include <jansson.h>

#include "engine.h"

/* A whole status object. mirror_status_free in every case. */
void mirror_status_from_json(const json_t *o, struct mirror_status *out);
void mirror_status_free(struct mirror_status *m); /* the contents: tables and findings */
void log_row_from_json(const json_t *o, struct log_row *out);
void cutover_from_json(const json_t *o, struct cutover *out);
/* The checks of …/doctor, each a finding as engine_mirror_doctor gives them. */
void doctor_from_json(const json_t *o, struct findings *out);
void verify_from_json(const json_t *o, struct verify_report *out);
void findings_from_json(const json_t *array, struct findings *out); /* appended */
void slots_from_json(const json_t *o, struct slot_list *out);
void runs_from_json(const json_t *o, struct run_page *out);
void peers_from_json(const json_t *array, struct peer_list *out);
/* What …/test answered; false with *err when the server could not be used. */
bool peer_report_from_json(const json_t *o, struct peer_report *out, struct err *err);
void peer_tables_from_json(const json_t *array, struct peer_table_list *out);
/* The other direction: the body that makes a peer (fields 0) or changes these (enum peer_field).
 * Caller frees. */
json_t *peer_body(const struct peer *p, unsigned fields);
bool mirror_config_from_json(const json_t *o, struct mirror_config *out, struct err *err);
void schema_plan_from_json(const json_t *o, struct schema_plan *out);
/* What POST /v1/mirrors wants; caller frees. */
json_t *mirror_body(const struct mirror_config *c);
/* Without the servers' facts. */
void survey_from_json(const json_t *o, struct survey *out);
/* The code of an error answer ("already_paused"); ERR_NONE when it has none that is known. */
enum err_code err_code_from_json(const json_t *o);
/* "2026-11-22T14:32:07.123Z" in us; 0: none. */
int64_t time_from_json(const json_t *o, const char *key);

#endif
