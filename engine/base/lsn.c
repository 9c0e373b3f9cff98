/* Log sequence numbers as text; see lsn.h. */
#include "base/lsn.h"

#include <ctype.h>
#include <stddef.h>

#include "base/mem.h"

const char *lsn_format(lsn_t lsn, char out[LSN_TEXT_SIZE])
{
    str_printf(out, LSN_TEXT_SIZE, LSN_FMT, LSN_ARGS(lsn));
    return out;
}

static const char *parse_half(const char *p, uint32_t *out)
{
    uint32_t v = 0;
    int digits = 0;
    for (; isxdigit((unsigned char)*p) && digits < 8; p++, digits++) {
        int c = tolower((unsigned char)*p);
        v = v * 16 + (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *out = v;
    return digits ? p : NULL;
}

bool lsn_parse(const char *text, lsn_t *out)
{
    uint32_t hi, lo;
    const char *p = text ? parse_half(text, &hi) : NULL;
    if (!p || *p != '/')
        return false;
    p = parse_half(p + 1, &lo);
    if (!p || *p)
        return false;
    *out = (lsn_t)hi << 32 | lo;
    return true;
}
