/* Checks of what users give us; see check.h. */
#include "control/check.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

#define NAME_MAX_BYTES 50
#define MAX_TABLES 20000

static const char letters_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

bool check_name(const char *field, const char *value, struct err *err)
{
    if (!value || !value[0])
        return err_set(err, ERR_INVALID, "%s: is required", field);
    size_t n = strlen(value);
    if (n > NAME_MAX_BYTES)
        return err_set(err, ERR_INVALID, "%s: is longer than %d bytes", field, NAME_MAX_BYTES);
    for (size_t i = 0; i < n; i++)
        if (!strchr(letters_digits, value[i]) && (i == 0 || !strchr("_-", value[i])))
            return err_set(err, ERR_INVALID,
                           "%s: may hold letters, digits, \"_\" and \"-\", and begins with a "
                           "letter or a digit",
                           field);
    return true;
}

bool check_text(const char *field, const char *value, size_t max, bool required, struct err *err)
{
    if (required && (!value || !value[0]))
        return err_set(err, ERR_INVALID, "%s: is required", field);
    if (!value)
        return true;
    if (strlen(value) > max)
        return err_set(err, ERR_INVALID, "%s: is longer than %zu bytes", field, max);
    if (!utf8_is_valid(value))
        return err_set(err, ERR_INVALID, "%s: is not valid UTF-8", field);
    if (utf8_has_control(value))
        return err_set(err, ERR_INVALID, "%s: holds control characters", field);
    return true;
}

bool check_range(const char *field, int64_t value, int64_t least, int64_t most, struct err *err)
{
    if (value >= least && value <= most)
        return true;
    return err_set(err, ERR_INVALID, "%s: must be between %lld and %lld", field, (long long)least,
                   (long long)most);
}

bool check_word(const char *field, const char *value, const char *const *words, size_t n,
                struct err *err)
{
    struct buf list = {0};
    for (size_t i = 0; i < n; i++) {
        if (value && !strcmp(value, words[i])) {
            buf_free(&list);
            return true;
        }
        buf_printf(&list, "%s%s", i ? ", " : "", words[i]);
    }
    err_set(err, ERR_INVALID, "%s: must be one of %s", field, buf_text(&list));
    buf_free(&list);
    return false;
}

bool check_identifier(const char *field, const char *value, bool required, struct err *err)
{
    return check_text(field, value, NAME_SIZE - 1, required, err);
}

bool check_maps(const struct table_map *tables, size_t n_tables, struct err *err)
{
    if (!n_tables)
        return err_set(err, ERR_INVALID, "table_mappings: names no table");
    if (n_tables > MAX_TABLES)
        return err_set(err, ERR_INVALID, "table_mappings: has more than %d entries", MAX_TABLES);
    for (size_t i = 0; i < n_tables; i++) {
        const struct table_map *t = &tables[i];
        if (!check_identifier("table_mappings.source_schema", t->source_schema, true, err) ||
            !check_identifier("table_mappings.source_table", t->source_table, true, err) ||
            !check_identifier("table_mappings.destination_schema", t->dest_schema, false, err) ||
            !check_identifier("table_mappings.destination_table", t->dest_table, false, err) ||
            !check_identifier("table_mappings.partition_key", t->partition_key, false, err))
            return false;
    }
    return true;
}
