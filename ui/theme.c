/* What things look like; see theme.h. */
#include "ui/theme.h"

#include <curses.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "base/mem.h"

struct look {
    short colour; /* -1: the terminal's own */
    attr_t attr;
};
static const struct look looks[THEME_COUNT][ROLE_COUNT] =
    {
        [THEME_DEFAULT] =
            {
                [ROLE_TEXT] = {-1, A_NORMAL},
                [ROLE_STRONG] = {-1, A_BOLD},
                [ROLE_DIM] = {-1, A_DIM},
                [ROLE_OK] = {COLOR_GREEN, A_NORMAL},
                [ROLE_BUSY] = {COLOR_CYAN, A_NORMAL},
                [ROLE_WARN] = {COLOR_YELLOW, A_BOLD},
                [ROLE_FAIL] = {COLOR_RED, A_BOLD},
                [ROLE_HELD] = {COLOR_MAGENTA, A_NORMAL},
                [ROLE_KEY] = {COLOR_CYAN, A_BOLD},
                [ROLE_TITLE] = {-1, A_DIM},
                [ROLE_BAR] = {-1, A_NORMAL},
            },
        [THEME_LIGHT] =
            {
                [ROLE_TEXT] = {-1, A_NORMAL},
                [ROLE_STRONG] = {-1, A_BOLD},
                [ROLE_DIM] = {-1, A_NORMAL},
                [ROLE_OK] = {COLOR_BLUE, A_NORMAL},
                [ROLE_BUSY] = {COLOR_BLUE, A_BOLD},
                [ROLE_WARN] = {COLOR_MAGENTA, A_BOLD},
                [ROLE_FAIL] = {COLOR_RED, A_BOLD},
                [ROLE_HELD] = {COLOR_MAGENTA, A_NORMAL},
                [ROLE_KEY] = {COLOR_BLUE, A_BOLD},
                [ROLE_TITLE] = {-1, A_UNDERLINE},
                [ROLE_BAR] = {-1, A_NORMAL},
            },
        [THEME_MONO] =
            {
                [ROLE_TEXT] = {-1, A_NORMAL},
                [ROLE_STRONG] = {-1, A_BOLD},
                [ROLE_DIM] = {-1, A_NORMAL},
                [ROLE_OK] = {-1, A_NORMAL},
                [ROLE_BUSY] = {-1, A_NORMAL},
                [ROLE_WARN] = {-1, A_BOLD},
                [ROLE_FAIL] = {-1, A_BOLD},
                [ROLE_HELD] = {-1, A_NORMAL},
                [ROLE_KEY] = {-1, A_BOLD},
                [ROLE_TITLE] = {-1, A_UNDERLINE},
                [ROLE_BAR] = {-1, A_NORMAL},
            },
};

static void theme_apply(const struct theme *t)
{
    if (t->kind == THEME_MONO)
        return;
    for (int r = 0; r < ROLE_COUNT; r++)
        init_pair((short)(r + 1), looks[t->kind][r].colour, -1);
}

void theme_init(struct theme *t)
{
    const char *no_colour = getenv("NO_COLOR");
    memset(t, 0, sizeof *t);
    t->can_unicode = !strcmp(nl_langinfo(CODESET), "UTF-8") && wcwidth(L'\u2588') == 1;
    t->unicode = t->can_unicode;
    /* Pairs are known, and the terminal's own background is meant, only after these calls. */
    t->can_colour = !(no_colour && *no_colour) && has_colors() && start_color() == OK &&
                    use_default_colors() == OK && COLOR_PAIRS > ROLE_COUNT;
    t->kind = t->can_colour ? THEME_DEFAULT : THEME_MONO;
    theme_apply(t);
}

static const char *const names[THEME_COUNT] = {"default", "light", "mono"};

const char *theme_name(const struct theme *t)
{
    return names[t->kind];
}

void theme_choose(struct theme *t, const char *name)
{
    for (int k = 0; t->can_colour && k < THEME_COUNT; k++)
        if (!strcmp(name, names[k]))
            t->kind = (enum theme_kind)k;
    theme_apply(t);
}

const char *theme_next(struct theme *t)
{
    if (t->can_colour)
        t->kind = (enum theme_kind)((t->kind + 1) % THEME_COUNT);
    theme_apply(t);
    return names[t->kind];
}

unsigned theme_attr(const struct theme *t, enum role role)
{
    attr_t a = looks[t->kind][role].attr;
    return t->kind == THEME_MONO ? a : a | (attr_t)COLOR_PAIR(role + 1);
}

const char *theme_step(const struct theme *t, int step)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const marks[] = {"_", "_", ".", ".", "-", "-", "=", "#"};
    if (step < 0 || step > 7)
        return " ";
    return t->unicode ? blocks[step] : marks[step];
}

const char *theme_rule(const struct theme *t)
{
    return t->unicode ? "─" : "-";
}

const char *theme_divider(const struct theme *t)
{
    return t->unicode ? "│" : "|";
}

const char *theme_arrow(const struct theme *t)
{
    return t->unicode ? "→" : "->";
}

void theme_bar(const struct theme *t, int width, double fraction, char *out, size_t size)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    size_t n = 0;
    double f = fraction < 0 ? 0 : fraction > 1 ? 1 : fraction;
    int full = (int)(f * width), part = (int)((f * width - full) * 8);
    out[0] = '\0';
    for (int i = 0; i < width; i++) {
        const char *g = i < full                ? (t->unicode ? "█" : "#")
                        : !t->unicode           ? "."
                        : i == full && part > 0 ? eighths[part]
                                                : "░";
        if (n + strlen(g) + 1 > size)
            return;
        str_copy(out + n, size - n, g);
        n += strlen(g);
    }
}
