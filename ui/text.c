/* Text for the screen; see text.h. */
#include "ui/text.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"

long text_decode(const char *s, size_t *used)
{
    const unsigned char *u = (const unsigned char *)s;
    static const long least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = u[0] < 0x80 ? 1 : u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : u[0] >= 0xc2 ? 2 : 0;
    *used = 1;
    if (n == 0 || u[0] > 0xf4)
        return -1;
    if (n == 1)
        return u[0];
    long c = u[0] & (0x7f >> n);
    for (size_t i = 1; i < n; i++) {
        if ((u[i] & 0xc0) != 0x80)
            return -1;
        c = c << 6 | (u[i] & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return -1;
    *used = n;
    return c;
}

size_t text_encode(unsigned long c, char out[5])
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(n == 1 ? c : first[n] | c);
    out[n] = '\0';
    return n;
}

static bool is_direction_override(long c)
{
    return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e ||
           c == 0x200f;
}

/* The character to show for the next one of s, and its columns (0 for a combining one). */
static wchar_t text_next(const char *s, bool unicode, size_t *used, int *cols)
{
    long c = text_decode(s, used);
    *cols = 1;
    if (c < 0 || c < ' ' || c == 0x7f || (c > 0x7f && !unicode) || is_direction_override(c))
        return L'?';
    if (c < 0x7f)
        return (wchar_t)c;
    int w = wcwidth((wchar_t)c);
    if (w < 0)
        return L'?';
    *cols = w;
    return (wchar_t)c;
}

int text_columns(const char *s, bool unicode)
{
    int total = 0, w;
    for (size_t used; *s; s += used, total += w)
        text_next(s, unicode, &used, &w);
    return total;
}

int text_fit(const char *s, bool unicode, int cols, wchar_t *out, size_t max)
{
    int total = 0, cut_at = 0; /* cut_at: columns before the place of a cut mark */
    size_t n = 0, cut_n = 0;
    while (*s) {
        size_t used;
        int w;
        wchar_t c = text_next(s, unicode, &used, &w);
        if (total + w > cols || n + 2 >= max) {
            if (cols < 1)
                break;
            n = cut_n;
            out[n++] = unicode ? L'\u2026' : L'~';
            total = cut_at + 1;
            break;
        }
        out[n++] = c;
        total += w;
        s += used;
        if (total <= cols - 1) {
            cut_n = n;
            cut_at = total;
        }
    }
    out[n] = L'\0';
    return total;
}

size_t text_break(const char *s, bool unicode, int cols)
{
    size_t n = 0, space = 0, used;
    int total = 0, w, space_at = 0;
    while (s[n] && s[n] != '\n') {
        text_next(s + n, unicode, &used, &w);
        if (total + w > cols && n > 0)
            return space && space_at > cols / 2 ? space : n;
        n += used;
        total += w;
        if (s[n - 1] == ' ') {
            space = n;
            space_at = total;
        }
    }
    return s[n] == '\n' ? n + 1 : n;
}

char *text_clean(const char *s)
{
    char *out = mem_calloc(strlen(s) + 1, 1);
    size_t n = 0;
    for (size_t used; *s; s += used) {
        long c = text_decode(s, &used);
        if (c == '\n' || c == '\t' || c == '\r')
            out[n++] = ' ';
        else if (c < ' ' || (c >= 0x7f && c < 0xa0) || is_direction_override(c))
            out[n++] = '?';
        else
            for (size_t i = 0; i < used; i++)
                out[n++] = s[i];
    }
    return out;
}

bool text_contains(const char *s, const char *part)
{
    size_t n = strlen(part);
    for (; n > 0 && *s; s++)
        if (!strncasecmp(s, part, n))
            return true;
    return n == 0;
}
