/* What a peer and a mirror are made of, as tables of fields: read by the API's bodies and by the
 * configuration's [peer NAME] and [mirror NAME] sections alike. No state, any thread. */
#ifndef BUNNY_SPEC_H
#define BUNNY_SPEC_H

#include "engine.h"
#include "src/fields.h"

/* A peer as it is asked for. Bits of given: enum peer_field. */
struct peer_spec {
    struct peer peer;
    json_t *options; /* borrowed from the object that was read */
};
extern const struct field_table peer_fields;
/* Reads object into *out (peer_free(&out->peer) in every case). partial: a change. */
bool peer_spec_read(const json_t *object, bool partial, struct peer_spec *out, unsigned *given,
                    struct err *err) MUST_CHECK;

/* A mirror as it is asked for. */
struct mirror_spec {
    struct mirror_config config;
    json_t *table_mappings; /* borrowed from the object that was read */
};
extern const struct field_table mirror_fields;
/* Reads object, with defaults, into *out (mirror_config_free(&out->config) in every case). */
bool mirror_spec_read(const json_t *object, struct mirror_spec *out, struct err *err) MUST_CHECK;

/* Reads object, a change of settings, into out->config.settings; *changes: which (TUNE_BIT). What
 * cannot be changed is refused with what to do instead. */
bool mirror_change_read(const json_t *object, struct mirror_spec *out, unsigned *changes,
                        struct err *err) MUST_CHECK;

/* Reads {table_mappings} alone into out->config.tables; freed as above. */
bool mirror_maps_read(const json_t *object, struct mirror_spec *out, struct err *err) MUST_CHECK;

/* Turns the configuration's list "public.users, public.* , a.b -> c.d" into the API's array of
 * table_mappings. Caller frees with json_decref; NULL on error. */
json_t *mirror_tables_parse(const char *list, struct err *err) MUST_CHECK;

#endif
