/* Which types hold all values of another one, so that a destination's column may follow the
 * source's without a question. Names are those of format_type. */
#include "schema/diff_private.h"

#include <stdlib.h>
#include <string.h>

struct type_name {
    char base[64];
    int mods[2]; /* -1: none */
    bool is_array;
};

/* "timestamp(3) without time zone[]". False for what has a name of its own (a schema, quotes). */
static bool parse(const char *text, struct type_name *out)
{
    size_t n = strlen(text);
    const char *open = strchr(text, '('), *close = strchr(text, ')');
    if (strpbrk(text, ".\""))
        return false;
    *out = (struct type_name){.mods = {-1, -1}};
    out->is_array = n > 2 && strcmp(text + n - 2, "[]") == 0;
    if (out->is_array)
        n -= 2;
    if (!open || !close)
        return str_copy_n(out->base, sizeof out->base, text, n);
    char *end;
    out->mods[0] = (int)strtol(open + 1, &end, 10);
    if (*end == ',')
        out->mods[1] = (int)strtol(end + 1, &end, 10);
    const char *rest = close + 1;
    str_printf(out->base, sizeof out->base, "%.*s%.*s", (int)(open - text), text,
               (int)(n - (size_t)(rest - text)), rest);
    return end == close;
}

enum rule {
    ALWAYS,
    LONGER, /* the length or precision may grow, or go */
    NUMBER, /* digits before and after the point may grow, or the limit may go */
    DIGITS, /* an integer of so many digits into numeric */
};
static const struct {
    const char *from, *to;
    enum rule rule;
    int digits;
} rules[] = {
    {"smallint", "integer", ALWAYS, 0},
    {"smallint", "bigint", ALWAYS, 0},
    {"smallint", "real", ALWAYS, 0},
    {"smallint", "double precision", ALWAYS, 0},
    {"smallint", "numeric", DIGITS, 5},
    {"integer", "bigint", ALWAYS, 0},
    {"integer", "double precision", ALWAYS, 0},
    {"integer", "numeric", DIGITS, 10},
    {"bigint", "numeric", DIGITS, 19},
    {"real", "double precision", ALWAYS, 0},
    {"numeric", "numeric", NUMBER, 0},
    {"character varying", "character varying", LONGER, 0},
    {"character varying", "text", ALWAYS, 0},
    {"text", "character varying", LONGER, 0},
    {"character", "character", LONGER, 0},
    {"character", "character varying", LONGER, 0},
    {"character", "text", ALWAYS, 0},
    {"name", "text", ALWAYS, 0},
    {"bit varying", "bit varying", LONGER, 0},
    {"bit", "bit varying", LONGER, 0},
    {"date", "timestamp without time zone", ALWAYS, 0},
    {"time without time zone", "time without time zone", LONGER, 0},
    {"time with time zone", "time with time zone", LONGER, 0},
    {"timestamp without time zone", "timestamp without time zone", LONGER, 0},
    {"timestamp with time zone", "timestamp with time zone", LONGER, 0},
    {"interval", "interval", LONGER, 0},
    {"cidr", "inet", ALWAYS, 0},
};

static bool fits(enum rule rule, int digits, const struct type_name *from,
                 const struct type_name *to)
{
    int scale = to->mods[1] > 0 ? to->mods[1] : 0;
    switch (rule) {
    case ALWAYS:
        return true;
    case LONGER:
        return to->mods[0] < 0 || (from->mods[0] >= 0 && to->mods[0] >= from->mods[0]);
    case DIGITS:
        return to->mods[0] < 0 || (to->mods[1] >= 0 && to->mods[0] - scale >= digits);
    case NUMBER:
        return to->mods[0] < 0 || (from->mods[0] >= 0 && to->mods[1] >= from->mods[1] &&
                                   to->mods[0] - to->mods[1] >= from->mods[0] - from->mods[1]);
    }
    return false;
}

/* A blank-padded type without a length is one of length 1, a bit type too. */
static void say_length(struct type_name *t)
{
    if (t->mods[0] < 0 && (strcmp(t->base, "character") == 0 || strcmp(t->base, "bit") == 0))
        t->mods[0] = 1;
}

bool type_widens(const char *from, const char *to)
{
    struct type_name a, b;
    if (!parse(from, &a) || !parse(to, &b) || a.is_array != b.is_array)
        return false;
    say_length(&a);
    say_length(&b);
    for (size_t i = 0; i < COUNT_OF(rules); i++)
        if (strcmp(rules[i].from, a.base) == 0 && strcmp(rules[i].to, b.base) == 0 &&
            fits(rules[i].rule, rules[i].digits, &a, &b))
            return true;
    return false;
}
