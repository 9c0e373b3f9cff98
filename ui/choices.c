/* What the operator chose, kept; see choices.h. */
#include "ui/choices.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "ui/mirrors.h"

enum {
    TEXT_SIZE = 512, /* more than all of them need */
};

static void put_all(const struct app *a, char *out, size_t size)
{
    str_printf(out, size, "theme %s\nglyphs %s\nsort %s\ninvert %s\nrefresh_ms %lld\n",
               theme_name(&a->theme), a->theme.unicode || !a->theme.can_unicode ? "utf-8" : "ascii",
               sort_name(a->sort), a->invert ? "yes" : "no", (long long)a->frame_ms);
}

static void take(struct app *a, const char *name, const char *value)
{
    if (!strcmp(name, "theme"))
        theme_choose(&a->theme, value);
    else if (!strcmp(name, "glyphs"))
        a->theme.unicode = a->theme.can_unicode && strcmp(value, "ascii") != 0;
    else if (!strcmp(name, "invert"))
        a->invert = !strcmp(value, "yes");
    for (int k = 0; !strcmp(name, "sort") && k < SORT_COUNT; k++)
        if (!strcmp(value, sort_name((enum sort_key)k)))
            a->sort = (enum sort_key)k;
    long ms = strcmp(name, "refresh_ms") ? 0 : strtol(value, NULL, 10);
    if (ms >= 250 && ms <= 5000)
        a->frame_ms = ms;
}

/* The file's text, or an empty one. */
static void read_file(const char *path, char text[TEXT_SIZE])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? 0 : read(fd, text, TEXT_SIZE - 1);
    text[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

void choices_load(struct app *a, const char *path)
{
    char text[TEXT_SIZE], *save = NULL;
    if (!path)
        return;
    read_file(path, text);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *value = strchr(line, ' ');
        if (!value)
            continue;
        *value = '\0';
        take(a, line, value + 1);
    }
}

void choices_save(const struct app *a, const char *path)
{
    char now[TEXT_SIZE], was[TEXT_SIZE];
    if (!path)
        return;
    put_all(a, now, sizeof now);
    read_file(path, was);
    if (!strcmp(now, was))
        return;
    char *new = mem_printf("%s.%d", path, (int)getpid());
    int fd = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool ok = fd >= 0 && write(fd, now, strlen(now)) == (ssize_t)strlen(now);
    if (fd >= 0 && close(fd) != 0)
        ok = false;
    if (fd >= 0 && (!ok || rename(new, path) != 0))
        (void)unlink(new);
    free(new);
}
