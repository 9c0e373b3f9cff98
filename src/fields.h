/* The field reader: what an object may contain is a table of rows, and one function checks a JSON
 * object (an API body, a query, a configuration section) against it and fills a struct. Unknown
 * fields, wrong types and values out of range are errors that name the field. No state, any
 * thread. */
#ifndef BUNNY_FIELDS_H
#define BUNNY_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum field_type {
    FIELD_TEXT,   /* char[max + 1] in the target */
    FIELD_NAME,   /* as TEXT: a letter or digit, then letters, digits, "_", "-" and those of choices
                   */
    FIELD_CHOICE, /* as TEXT: one of choices, "a|b|other=a" (the word, or its other spelling) */
    FIELD_STRING, /* char *, owned by the target (mem_strdup; an earlier value is freed) */
    FIELD_SECRET, /* as STRING; null is allowed and gives NULL */
    FIELD_INT,    /* int */
    FIELD_INT64,  /* int64_t */
    FIELD_BOOL,   /* bool */
    FIELD_ARRAY,  /* json_t *, borrowed from the object */
    FIELD_OBJECT, /* json_t *, borrowed from the object */
};

struct field {
    const char *name;
    enum field_type type;
    size_t offset;    /* in the target */
    int64_t min, max; /* numbers: the range; texts: bytes */
    bool is_required;
    bool is_nullable; /* null is as if it were not there */
    const char *choices;
    unsigned bit;     /* set in *given when the object has the field */
    const char *text; /* what it means, for the manual pages */
};
struct field_table {
    const struct field *rows;
    size_t n;
};
#define FIELD_TABLE(rows)      \
    {                          \
        (rows), COUNT_OF(rows) \
    }

/* Checks object (a JSON object) and fills target. partial: nothing is required. given (may be
 * NULL) gets the bits of the fields that are there. Two rows with one offset are two names of one
 * field; giving both is an error. On error the target may be half filled, but is freeable. */
bool fields_read(const struct field_table *t, const json_t *object, bool partial, void *target,
                 unsigned *given, struct err *err) MUST_CHECK;
/* NULL when the table has no such field. */
const struct field *fields_find(const struct field_table *t, const char *name);
/* Puts a value given as text (a configuration line, a query) into object with the type of its row:
 * numbers in digits; yes/no, true/false, on/off, 1/0. */
bool fields_set_text(const struct field *f, const char *value, json_t *object,
                     struct err *err) MUST_CHECK;
/* Whether two targets hold the same in this field. Secrets, arrays and objects count as the same.
 */
bool fields_is_same(const struct field *f, const void *a, const void *b);
/* "integer, 1 to 100", "truncate or swap", … for the manual pages. */
void fields_describe(const struct field *f, char *out, size_t size);

#endif
