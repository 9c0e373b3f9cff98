/* The field reader; see fields.h. */
#include "src/fields.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

const struct field *fields_find(const struct field_table *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (!strcmp(t->rows[i].name, name))
            return &t->rows[i];
    return NULL;
}

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_name(const char *s, const char *extra)
{
    if (!is_letter_or_digit(*s))
        return false;
    for (; *s; s++)
        if (!is_letter_or_digit(*s) && *s != '_' && *s != '-' && !(extra && strchr(extra, *s)))
            return false;
    return true;
}

/* Finds value in "a|b|other=a"; copies the chosen word to out. */
static bool choose(const char *choices, const char *value, char *out, size_t size)
{
    size_t n = strlen(value);
    for (const char *c = choices; *c;) {
        size_t len = strcspn(c, "|");
        size_t key = strcspn(c, "=|");
        if (key == n && !strncmp(c, value, n))
            return str_copy_n(out, size, key < len ? c + key + 1 : c,
                              key < len ? len - key - 1 : len);
        c += len + (c[len] == '|');
    }
    return false;
}

/* "a or b", without the other spellings. */
static void print_choices(const char *choices, char *out, size_t size)
{
    out[0] = '\0';
    for (const char *c = choices; *c;) {
        size_t len = strcspn(c, "|");
        if (!memchr(c, '=', len)) {
            size_t at = strlen(out);
            str_printf(out + at, size - at, "%s%.*s", at ? " or " : "", (int)len, c);
        }
        c += len + (c[len] == '|');
    }
}

static bool fail(const struct field *f, struct err *err, const char *what)
{
    return err_set(err, ERR_INVALID, "field \"%s\" %s", f->name, what);
}

static bool read_text(const struct field *f, const char *s, size_t len, char *at, struct err *err)
{
    char words[160];
    if ((int64_t)len < f->min)
        return f->min <= 1
                   ? fail(f, err, "must not be empty")
                   : err_set(err, ERR_INVALID, "field \"%s\" must have at least %" PRId64 " bytes",
                             f->name, f->min);
    if ((int64_t)len > f->max)
        return err_set(err, ERR_INVALID, "field \"%s\" must have at most %" PRId64 " bytes",
                       f->name, f->max);
    switch (f->type) {
    case FIELD_NAME:
        if (!is_name(s, f->choices))
            return err_set(err, ERR_INVALID,
                           "field \"%s\" must begin with a letter or digit and consist of "
                           "letters, digits, \"_\", \"-\"%s%s",
                           f->name, f->choices ? " and " : "", f->choices ? f->choices : "");
        str_copy(at, (size_t)f->max + 1, s);
        return true;
    case FIELD_CHOICE:
        if (choose(f->choices, s, at, (size_t)f->max + 1))
            return true;
        print_choices(f->choices, words, sizeof words);
        return err_set(err, ERR_INVALID, "field \"%s\" must be %s", f->name, words);
    case FIELD_STRING:
    case FIELD_SECRET:
        free(*(char **)(void *)at);
        *(char **)(void *)at = mem_strdup(s);
        return true;
    case FIELD_TEXT:
    case FIELD_INT:
    case FIELD_INT64:
    case FIELD_BOOL:
    case FIELD_ARRAY:
    case FIELD_OBJECT:
        break;
    }
    str_copy(at, (size_t)f->max + 1, s);
    return true;
}

static bool read_number(const struct field *f, const json_t *v, void *at, struct err *err)
{
    if (!json_is_integer(v))
        return fail(f, err, "must be an integer");
    int64_t n = json_integer_value(v);
    if (n < f->min || n > f->max)
        return err_set(err, ERR_INVALID, "field \"%s\" must be from %" PRId64 " to %" PRId64,
                       f->name, f->min, f->max);
    if (f->type == FIELD_INT)
        *(int *)at = (int)n;
    else
        *(int64_t *)at = n;
    return true;
}

static bool read_value(const struct field *f, json_t *v, char *at, struct err *err)
{
    switch (f->type) {
    case FIELD_SECRET:
        if (json_is_null(v)) {
            free(*(char **)(void *)at);
            *(char **)(void *)at = NULL;
            return true;
        } /* fall through */
    case FIELD_TEXT:
    case FIELD_NAME:
    case FIELD_CHOICE:
    case FIELD_STRING:
        if (!json_is_string(v))
            return fail(f, err, "must be a string");
        return read_text(f, json_string_value(v), json_string_length(v), at, err);
    case FIELD_INT:
    case FIELD_INT64:
        return read_number(f, v, at, err);
    case FIELD_BOOL:
        if (!json_is_boolean(v))
            return fail(f, err, "must be true or false");
        *(bool *)(void *)at = json_is_true(v);
        return true;
    case FIELD_ARRAY:
        if (!json_is_array(v))
            return fail(f, err, "must be an array");
        *(json_t **)(void *)at = v;
        return true;
    case FIELD_OBJECT:
        if (!json_is_object(v))
            return fail(f, err, "must be an object");
        *(json_t **)(void *)at = v;
        return true;
    }
    return err_set(err, ERR_INTERNAL, "field \"%s\" has no type", f->name);
}

/* The name under which the field was given, if another row of the same offset was; else NULL. */
static const char *other_name(const struct field_table *t, const struct field *f, const json_t *o)
{
    for (size_t i = 0; i < t->n; i++)
        if (&t->rows[i] != f && t->rows[i].offset == f->offset &&
            json_object_get(o, t->rows[i].name))
            return t->rows[i].name;
    return NULL;
}

bool fields_read(const struct field_table *t, const json_t *object, bool partial, void *target,
                 unsigned *given, struct err *err)
{
    const char *key;
    json_t *v;
    if (given)
        *given = 0;
    json_object_foreach((json_t *)object, key, v)
    {
        const struct field *f = fields_find(t, key);
        if (!f)
            return err_set(err, ERR_UNKNOWN_FIELD, "unknown field \"%.64s\"", key);
        const char *twin = other_name(t, f, object);
        if (twin)
            return err_set(err, ERR_INVALID,
                           "fields \"%s\" and \"%s\" are two names of the same thing: give one",
                           f->name, twin);
        if (f->is_nullable && json_is_null(v))
            continue;
        if (!read_value(f, v, (char *)target + f->offset, err))
            return false;
        if (given)
            *given |= f->bit;
    }
    for (size_t i = 0; i < t->n && !partial; i++) {
        const struct field *f = &t->rows[i];
        if (f->is_required && !json_object_get(object, f->name))
            return fail(f, err, "is missing");
    }
    return true;
}

static bool parse_bool(const char *s, bool *out)
{
    static const char *const words[] = {"yes", "no", "true", "false", "on", "off", "1", "0"};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (!strcasecmp(s, words[i])) {
            *out = i % 2 == 0;
            return true;
        }
    return false;
}

bool fields_set_text(const struct field *f, const char *value, json_t *object, struct err *err)
{
    json_t *v = NULL;
    char *end;
    bool yes = false;
    switch (f->type) {
    case FIELD_INT:
    case FIELD_INT64:
        errno = 0;
        long long n = strtoll(value, &end, 10);
        if (errno || end == value || *end)
            return fail(f, err, "must be an integer");
        v = json_integer(n);
        break;
    case FIELD_BOOL:
        if (!parse_bool(value, &yes))
            return fail(f, err, "must be yes or no");
        v = json_boolean(yes);
        break;
    case FIELD_TEXT:
    case FIELD_NAME:
    case FIELD_CHOICE:
    case FIELD_STRING:
    case FIELD_SECRET:
        v = json_string(value);
        if (!v)
            return fail(f, err, "is not valid UTF-8");
        break;
    case FIELD_ARRAY:
    case FIELD_OBJECT:
        return fail(f, err, "cannot be given as text");
    }
    json_object_set_new(object, f->name, v);
    return true;
}

bool fields_is_same(const struct field *f, const void *a, const void *b)
{
    const char *x = (const char *)a + f->offset, *y = (const char *)b + f->offset;
    switch (f->type) {
    case FIELD_TEXT:
    case FIELD_NAME:
    case FIELD_CHOICE:
        return !strcmp(x, y);
    case FIELD_STRING:
        x = *(char *const *)(const void *)x;
        y = *(char *const *)(const void *)y;
        return x && y ? !strcmp(x, y) : x == y;
    case FIELD_INT:
        return *(const int *)(const void *)x == *(const int *)(const void *)y;
    case FIELD_INT64:
        return *(const int64_t *)(const void *)x == *(const int64_t *)(const void *)y;
    case FIELD_BOOL:
        return *(const bool *)(const void *)x == *(const bool *)(const void *)y;
    case FIELD_SECRET:
    case FIELD_ARRAY:
    case FIELD_OBJECT:
        break;
    }
    return true;
}

void fields_describe(const struct field *f, char *out, size_t size)
{
    switch (f->type) {
    case FIELD_INT:
    case FIELD_INT64:
        str_printf(out, size, "integer, %" PRId64 " to %" PRId64, f->min, f->max);
        return;
    case FIELD_BOOL:
        str_copy(out, size, "yes or no");
        return;
    case FIELD_CHOICE:
        print_choices(f->choices, out, size);
        return;
    case FIELD_TEXT:
    case FIELD_NAME:
    case FIELD_STRING:
    case FIELD_SECRET:
        str_copy(out, size, "text");
        return;
    case FIELD_ARRAY:
    case FIELD_OBJECT:
        str_copy(out, size, "structure");
        return;
    }
}
