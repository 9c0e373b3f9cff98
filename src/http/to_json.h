/* The engine's data as the API's JSON. Everything made here is owned by the caller. Text that came
 * from a server may not be UTF-8; then its foreign bytes become "?". Never a password. */
#ifndef BUNNY_TO_JSON_H
#define BUNNY_TO_JSON_H

#include <jansson.h>

#include "engine.h"

json_t *findings_to_json(const struct finding *items, size_t n);
json_t *peer_to_json(const struct peer *p);
json_t *peer_tables_to_json(const struct peer_table_list *l);
json_t *table_map_to_json(const struct table_map *m);
/* As given when it was made; table_mappings in the long form. */
json_t *mirror_settings_to_json(const struct mirror_settings *s);
/* A change of settings (bits of settings.h), as PATCH takes it. */
json_t *mirror_change_body(const struct mirror_settings *s, unsigned changes);
json_t *mirror_config_to_json(const struct mirror_config *c);
/* Sections by name; of a section that failed {"error": sentence}. */
json_t *report_to_json(const struct report *f);
/* What the list of mirrors has. */
json_t *mirror_summary_to_json(const struct mirror_status *m);
/* The whole status object. */
json_t *mirror_status_to_json(const struct mirror_status *m);
json_t *log_row_to_json(const struct log_row *r);
/* Slots, and when each source was asked. */
json_t *slots_to_json(const struct slot_list *l);
json_t *runs_to_json(const struct run_page *p);
/* A comparison: its tables, and the rows that were named. */
json_t *verify_to_json(const struct verify_report *r);
/* Puts a text under key; NULL or empty gives null. */
void json_put_text(json_t *o, const char *key, const char *text);

#endif
