/* THE table of what may be changed of a mirror; see settings.h. */
#include "base/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define AT(member) offsetof(struct mirror_settings, member)
/* clang-format off */
const struct tunable tunables[TUNE_COUNT] = {
    [TUNE_ROWS_PER_PARTITION] = {"snapshot_num_rows_per_partition", TUNE_INT64,
        AT(snapshot_num_rows_per_partition), 1, INT64_C(1000000000000), {0}, false, false},
    [TUNE_WORKERS] = {"snapshot_max_parallel_workers", TUNE_INT,
        AT(snapshot_max_parallel_workers), 1, 64, {0}, false, false},
    [TUNE_TABLES_IN_PARALLEL] = {"snapshot_num_tables_in_parallel", TUNE_INT,
        AT(snapshot_num_tables_in_parallel), 1, 64, {0}, false, false},
    [TUNE_BATCH_SIZE] = {"cdc_batch_size", TUNE_INT64,
        AT(cdc_batch_size), 1, 10000000, {0}, false, false},
    [TUNE_SYNC_INTERVAL] = {"cdc_sync_interval_seconds", TUNE_INT,
        AT(cdc_sync_interval_seconds), 0, 86400, {0}, false, false},
    [TUNE_INDEXES] = {"replicate_indexes", TUNE_BOOL,
        AT(replicate_indexes), 0, 1, {0}, false, true},
    [TUNE_FOREIGN_KEYS] = {"replicate_foreign_keys", TUNE_BOOL,
        AT(replicate_foreign_keys), 0, 1, {0}, false, true},
    [TUNE_RESYNC_STRATEGY] = {"resync_strategy", TUNE_WORD,
        AT(resync_strategy), 0, 0, {"truncate", "swap"}, true, false},
    [TUNE_SCHEMA_CHANGES] = {"schema_changes", TUNE_WORD,
        AT(schema_changes), 0, 0, {"manual", "auto"}, false, true},
    [TUNE_DROPPED_COLUMNS] = {"dropped_columns", TUNE_WORD,
        AT(dropped_columns), 0, 0, {"keep", "drop"}, false, true},
    [TUNE_ON_TABLE_ERROR] = {"on_table_error", TUNE_WORD,
        AT(on_table_error), 0, 0, {"stop", "set_aside"}, true, false},
};
/* clang-format on */

static const void *at(const struct mirror_settings *s, const struct tunable *x)
{
    return (const char *)s + x->offset;
}

/* Of all kinds but words. */
static int64_t number(const struct mirror_settings *s, const struct tunable *x)
{
    switch (x->kind) {
    case TUNE_INT:
        return *(const int *)at(s, x);
    case TUNE_INT64:
        return *(const int64_t *)at(s, x);
    case TUNE_BOOL:
        return *(const bool *)at(s, x);
    case TUNE_WORD:
        break;
    }
    return 0;
}

static void put_number(struct mirror_settings *s, const struct tunable *x, int64_t n)
{
    void *to = (char *)s + x->offset;
    switch (x->kind) {
    case TUNE_INT:
        *(int *)to = (int)n;
        return;
    case TUNE_INT64:
        *(int64_t *)to = n;
        return;
    case TUNE_BOOL:
        *(bool *)to = n != 0;
        return;
    case TUNE_WORD:
        return;
    }
}

static bool refuse_number(const struct tunable *x, struct err *err)
{
    return err_set(err, ERR_INVALID, "%s: must be between %" PRId64 " and %" PRId64, x->name,
                   x->least, x->most);
}

static bool check_word(const struct tunable *x, const char *value, struct err *err)
{
    for (size_t i = 0; x->words[i]; i++)
        if (!strcmp(value, x->words[i]))
            return true;
    return err_set(err, ERR_INVALID, "%s: must be one of %s, %s", x->name, x->words[0],
                   x->words[1]);
}

bool settings_check(const struct mirror_settings *s, unsigned which, struct err *err)
{
    for (unsigned i = 0; i < TUNE_COUNT; i++) {
        const struct tunable *x = &tunables[i];
        if (!(which & TUNE_BIT(i)))
            continue;
        if (x->kind == TUNE_WORD && !check_word(x, at(s, x), err))
            return false;
        if (x->kind != TUNE_WORD && (number(s, x) < x->least || number(s, x) > x->most))
            return refuse_number(x, err);
    }
    return true;
}

void settings_put(struct mirror_settings *to, const struct mirror_settings *from, unsigned which)
{
    for (unsigned i = 0; i < TUNE_COUNT; i++) {
        const struct tunable *x = &tunables[i];
        if (!(which & TUNE_BIT(i)))
            continue;
        if (x->kind == TUNE_WORD)
            str_copy((char *)to + x->offset, SETTING_WORD_SIZE, at(from, x));
        else
            put_number(to, x, number(from, x));
    }
}

unsigned settings_differ(const struct mirror_settings *a, const struct mirror_settings *b)
{
    unsigned which = 0;
    for (unsigned i = 0; i < TUNE_COUNT; i++) {
        const struct tunable *x = &tunables[i];
        bool is_same =
            x->kind == TUNE_WORD ? !strcmp(at(a, x), at(b, x)) : number(a, x) == number(b, x);
        which |= is_same ? 0 : TUNE_BIT(i);
    }
    return which;
}

unsigned settings_live(void)
{
    unsigned which = 0;
    for (unsigned i = 0; i < TUNE_COUNT; i++)
        which |= tunables[i].is_live ? TUNE_BIT(i) : 0;
    return which;
}

unsigned settings_of_comparison(void)
{
    unsigned which = 0;
    for (unsigned i = 0; i < TUNE_COUNT; i++)
        which |= tunables[i].is_of_comparison ? TUNE_BIT(i) : 0;
    return which;
}

void setting_print(enum tunable_id id, const struct mirror_settings *s, char out[TUNE_TEXT])
{
    const struct tunable *x = &tunables[id];
    if (x->kind == TUNE_WORD)
        str_copy(out, TUNE_TEXT, at(s, x));
    else if (x->kind == TUNE_BOOL)
        str_copy(out, TUNE_TEXT, number(s, x) ? "yes" : "no");
    else
        str_printf(out, TUNE_TEXT, "%" PRId64, number(s, x));
}

static bool parse_number(const struct tunable *x, const char *text, int64_t *out, struct err *err)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (end == text || *end)
        return err_set(err, ERR_INVALID, "%s: must be a whole number", x->name);
    if (errno || n < x->least || n > x->most)
        return refuse_number(x, err);
    *out = n;
    return true;
}

bool setting_parse(enum tunable_id id, const char *text, struct mirror_settings *s, struct err *err)
{
    const struct tunable *x = &tunables[id];
    int64_t n = !strcmp(text, "yes");
    if (x->kind == TUNE_WORD) {
        if (!check_word(x, text, err))
            return false;
        str_copy((char *)s + x->offset, SETTING_WORD_SIZE, text);
        return true;
    }
    if (x->kind == TUNE_BOOL && !n && strcmp(text, "no") != 0)
        return err_set(err, ERR_INVALID, "%s: must be yes or no", x->name);
    if (x->kind != TUNE_BOOL && !parse_number(x, text, &n, err))
        return false;
    put_number(s, x, n);
    return true;
}

char *settings_changes(const struct mirror_settings *before, const struct mirror_settings *after)
{
    struct buf b = {0};
    unsigned which = settings_differ(before, after);
    for (unsigned i = 0; i < TUNE_COUNT; i++) {
        char from[TUNE_TEXT], to[TUNE_TEXT];
        if (!(which & TUNE_BIT(i)))
            continue;
        setting_print((enum tunable_id)i, before, from);
        setting_print((enum tunable_id)i, after, to);
        buf_printf(&b, "%s%s %s -> %s", b.len ? ", " : "", tunables[i].name, from, to);
    }
    return buf_take(&b);
}
