/* Errors as values; see err.h. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static const struct {
    const char *name;
    enum err_class class;
    const char *meaning;
} table[ERR_CODE_COUNT] = {
#define X(symbol, name, class, meaning) [symbol] = {name, class, meaning},
    ERR_TABLE(X)
#undef X
};

/* SQLSTATE classes that go away by themselves: connection, transaction rollback, resources,
 * object state (locks), operator intervention, system error. PostgreSQL docs, appendix A. */
static const char *const retry_classes[] = {"08", "40", "53", "55", "57", "58"};

bool err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    if (!e)
        return false;
    va_list ap;
    err_clear(e);
    e->code = code;
    va_start(ap, fmt);
    (void)vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    return false;
}

bool err_hint(struct err *e, const char *fmt, ...)
{
    if (!e)
        return false;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(e->hint, sizeof e->hint, fmt, ap);
    va_end(ap);
    return false;
}

bool err_context(struct err *e, const char *fmt, ...)
{
    if (!e)
        return false;
    char context[256];
    char text[sizeof e->text];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(context, sizeof context, fmt, ap);
    va_end(ap);
    str_copy(text, sizeof text, e->text);
    str_printf(e->text, sizeof e->text, "%s: %s", context, text);
    return false;
}

void err_clear(struct err *e)
{
    if (e)
        *e = (struct err){0};
}

const char *err_name(enum err_code code)
{
    return table[code].name;
}

const char *err_meaning(enum err_code code)
{
    return table[code].meaning;
}

enum err_class err_class_of(const struct err *e)
{
    if (e->code != ERR_SQL || !e->sqlstate[0])
        return table[e->code].class;
    for (size_t i = 0; i < COUNT_OF(retry_classes); i++)
        if (!strncmp(e->sqlstate, retry_classes[i], 2))
            return CLASS_RETRY;
    return CLASS_ASK;
}
