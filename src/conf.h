/* The configuration file: read with inih, checked against one table of settings, from which the
 * sample file and the manual page are printed. Whatever the table does not know is an error with
 * file and line. Read once at the start; nothing here is shared. */
#ifndef BUNNY_CONF_H
#define BUNNY_CONF_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"

/* A [peer NAME] or [mirror NAME] section. object has the API's form of a creation body. */
struct conf_object {
    char *name;
    int line;
    json_t *object;
};
struct conf_objects {
    struct conf_object *items;
    size_t n, cap;
};

/* A line of [keys]: what stands there; src/looks.h says what it means. */
struct conf_binding {
    char *action, *keys;
    int line;
};

struct conf {
    char *path; /* the file that was read; NULL: none was there */
    char *state_dir;
    char *http_listen;
    int64_t http_token_ttl_s;
    bool http_insecure;
    char *http_tls_cert;
    char *http_tls_key;
    int64_t http_max_connections;
    int64_t http_client_timeout_s;
    bool http_open_metrics;
    char *log_file;
    enum log_level log_level;
    int64_t log_keep_days;
    int64_t memory; /* bytes */
    int64_t index_memory;
    int64_t decoding_memory;
    int64_t sequence_interval_s;
    int64_t lag_alarm_s;
    int64_t wal_room;    /* bytes; 0: not known */
    int wal_action;      /* enum wal_action */
    bool wal_drops_slot; /* an older form of it */
    char *columns, *table_columns, *copy_columns, *slot_columns, *peer_columns, *run_columns;
    bool mouse;
    struct conf_binding *bindings;
    size_t n_bindings, cap_bindings;
    int *lines; /* where each setting of the table stands; 0: nowhere */
    struct conf_objects peers, mirrors;
    bool has_secrets;   /* a password stands in the file */
    bool shows_secrets; /* and others can read it */
};

enum setting_type {
    SETTING_TEXT,
    SETTING_BOOL,
    SETTING_INT,
    SETTING_DURATION, /* seconds; "90", "90s", "15m", "24h", "7d" */
    SETTING_SIZE,     /* bytes; "1048576", "256MB", "1GB" (powers of 1024) */
    SETTING_LEVEL,
    SETTING_WAL_ACTION,
};
struct setting {
    const char *section, *key;
    enum setting_type type;
    size_t offset;
    int64_t min, max;
    const char *normal; /* the default as it would be written; empty: none */
    const char *text;
};
extern const struct setting setting_rows[];
extern const size_t setting_count;

/* Fills in the defaults. */
void conf_init(struct conf *c);
void conf_free(struct conf *c); /* the contents */
/* The line that a setting stands in; 0: it has its default. */
int conf_line(const struct conf *c, const char *section, const char *key);
/* The settings as they are in force, by section; caller frees. Holds no secret. */
json_t *conf_to_json(const struct conf *c);
/* Reads path (NULL: $BUNNYDB_CONF, then the usual places, where a missing file is fine) over the
 * defaults. */
bool conf_load(struct conf *c, const char *path, struct err *err) MUST_CHECK;

#endif
