/* Reading single values of the API's JSON: what is missing or of another type is empty, 0 or "not
 * known". Shared by the files of src/attach/ that make the engine's data of it. */
#ifndef BUNNY_ATTACH_READS_H
#define BUNNY_ATTACH_READS_H

#include <jansson.h>
#include <stdio.h>

#include "base/mem.h"
#include "engine.h"

static inline const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static inline char *text_copy(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? mem_strdup(s) : NULL;
}

static inline int64_t whole(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static inline int whole_int(const json_t *o, const char *key)
{
    int64_t n = whole(o, key);
    return n > INT32_MAX ? INT32_MAX : n < INT32_MIN ? INT32_MIN : (int)n;
}

/* null is not known: -1. */
static inline int64_t known(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? json_integer_value(v) : -1;
}

static inline double real(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : -1;
}

static inline bool is_true(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

static inline lsn_t lsn(const json_t *o, const char *key)
{
    unsigned high, low;
    return sscanf(text(o, key), "%8X/%8X", &high, &low) == 2 ? (lsn_t)high << 32 | low : 0;
}

#define COPY(to, o, key) ((void)str_copy((to), sizeof(to), text((o), (key))))

enum severity severity_from_json(const json_t *o, const char *key);
/* Without its items. */
void finding_from_json(const json_t *o, struct finding *f);
void slot_from_json(const json_t *o, struct slot_status *s);

#endif
