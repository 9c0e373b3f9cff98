/* What may be changed of a mirror that exists, without another copy of its tables: one table of
 * settings, by which values are checked, compared, written as text and read from it. Pure
 * functions, any thread. */
#ifndef BUNNY_SETTINGS_H
#define BUNNY_SETTINGS_H

#include "base/err.h"
#include "base/model.h"

/* In the order of the table; the bit of each is TUNE_BIT. */
enum tunable_id {
    TUNE_ROWS_PER_PARTITION,
    TUNE_WORKERS,
    TUNE_TABLES_IN_PARALLEL,
    TUNE_BATCH_SIZE,
    TUNE_SYNC_INTERVAL,
    TUNE_INDEXES,
    TUNE_FOREIGN_KEYS,
    TUNE_RESYNC_STRATEGY,
    TUNE_SCHEMA_CHANGES,
    TUNE_DROPPED_COLUMNS,
    TUNE_ON_TABLE_ERROR,
    TUNE_COUNT
};
#define TUNE_BIT(id) (1U << (id))
#define TUNE_ALL (TUNE_BIT(TUNE_COUNT) - 1)

enum tunable_kind {
    TUNE_INT,
    TUNE_INT64,
    TUNE_BOOL, /* "yes", "no" as text */
    TUNE_WORD, /* one of words */
};
struct tunable {
    const char *name; /* as the API calls it */
    enum tunable_kind kind;
    size_t offset;         /* in struct mirror_settings */
    int64_t least, most;   /* numbers */
    const char *words[3];  /* NULL ends */
    bool is_live;          /* a run follows it at once; else the next one does */
    bool is_of_comparison; /* definitions are compared anew with another value */
};
extern const struct tunable tunables[TUNE_COUNT];

/* Whether the values of these (bits) are possible. Else ERR_INVALID, which names the first that is
 * not. */
bool settings_check(const struct mirror_settings *s, unsigned which, struct err *err) MUST_CHECK;
void settings_put(struct mirror_settings *to, const struct mirror_settings *from, unsigned which);
/* Bits of what is not the same. */
unsigned settings_differ(const struct mirror_settings *a, const struct mirror_settings *b);
/* Bits of the settings that are live; of those that ask for a comparison of definitions. */
unsigned settings_live(void);
unsigned settings_of_comparison(void);

#define TUNE_TEXT 24
void setting_print(enum tunable_id id, const struct mirror_settings *s, char out[TUNE_TEXT]);
/* From text; ERR_INVALID names the setting, and *s is as before. */
bool setting_parse(enum tunable_id id, const char *text, struct mirror_settings *s,
                   struct err *err) MUST_CHECK;
/* "cdc_batch_size 10000 -> 500, schema_changes manual -> auto"; caller frees. */
char *settings_changes(const struct mirror_settings *before, const struct mirror_settings *after);

#endif
