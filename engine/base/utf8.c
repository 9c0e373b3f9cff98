/* UTF-8 checks; see utf8.h. */
#include "base/utf8.h"

#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

/* How sequences begin: the lead byte's fixed bits, how many bytes follow, the least value that may
 * be written that way. */
static const struct lead {
    unsigned char mask, bits;
    int tail;
    uint32_t least;
} leads[] = {
    {0x80, 0x00, 0, 0},
    {0xe0, 0xc0, 1, 0x80},
    {0xf0, 0xe0, 2, 0x800},
    {0xf8, 0xf0, 3, 0x10000},
};

static const struct lead *find_lead(unsigned char c)
{
    for (size_t i = 0; i < COUNT_OF(leads); i++)
        if ((c & leads[i].mask) == leads[i].bits)
            return &leads[i];
    return NULL;
}

bool utf8_is_valid(const char *s)
{
    const unsigned char *p = (const unsigned char *)s;
    while (*p) {
        const struct lead *lead = find_lead(*p);
        if (!lead)
            return false;
        uint32_t value = *p++ & (unsigned char)~lead->mask;
        for (int i = 0; i < lead->tail; i++, p++) {
            if ((*p & 0xc0) != 0x80) /* the terminator too */
                return false;
            value = value << 6 | (*p & 0x3f);
        }
        if (value < lead->least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
            return false;
    }
    return true;
}

bool utf8_has_control(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            return true;
    return false;
}
