/* What the operator chose, kept; see choices.h. */
#include "ui/choices.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "ui/columns.h"
#include "ui/sorting.h"

enum {
    TEXT_SIZE = 4096, /* more than all of them need */
};

/* "columns_3 lag,kept": those of the list at that place in the table. */
static void put_columns(const struct app *a, char *out, size_t size)
{
    char names[400];
    for (int i = 0; i < COLUMN_LISTS; i++) {
        if (!(a->columns_kept >> i & 1))
            continue;
        size_t n = strlen(out);
        columns_print(column_sets[i], &a->columns[i], names, sizeof names);
        str_printf(out + n, size - n, "columns_%d %s\n", i, names);
    }
    size_t n = strlen(out);
    bool usual = a->options->look && a->options->look->mouse;
    if (a->mouse != usual)
        str_printf(out + n, size - n, "mouse %s\n", a->mouse ? "yes" : "no");
}

/* "sort_3 kept": the order of a list that has not its usual one. The main list has names of its
 * own, and is always told. */
static void put_orders(const struct app *a, char *out, size_t size)
{
    char name[40];
    for (int i = 1; i < COLUMN_LISTS; i++) {
        if (sorting_is_usual(a, column_sets[i]))
            continue;
        size_t n = strlen(out);
        str_printf(out + n, size - n, "sort_%d %s\ninvert_%d %s\n", i,
                   sorting_name(a, column_sets[i], name, sizeof name), i,
                   a->views[i].invert ? "yes" : "no");
    }
}

static void take_order(struct app *a, const char *name, const char *value)
{
    char sort[24] = "sort", invert[24] = "invert";
    for (int i = 0; i < COLUMN_LISTS; i++) {
        if (!strcmp(name, sort))
            sorting_choose(a, column_sets[i], value);
        else if (!strcmp(name, invert))
            a->views[i].invert = !strcmp(value, "yes");
        str_printf(sort, sizeof sort, "sort_%d", i + 1);
        str_printf(invert, sizeof invert, "invert_%d", i + 1);
    }
}

static void take_columns(struct app *a, const char *name, const char *value)
{
    struct column_choice c;
    struct err ignored;
    char key[24];
    for (int i = 0; i < COLUMN_LISTS; i++) {
        str_printf(key, sizeof key, "columns_%d", i);
        if (strcmp(key, name) != 0 || !columns_parse(column_sets[i], value, &c, &ignored))
            continue;
        a->columns[i] = c;
        a->columns_kept |= 1u << i;
    }
}

static void put_all(const struct app *a, char *out, size_t size)
{
    char name[40];
    str_printf(out, size, "theme %s\nglyphs %s\nsort %s\ninvert %s\nrefresh_ms %lld\n",
               theme_name(&a->theme), a->theme.unicode || !a->theme.can_unicode ? "utf-8" : "ascii",
               sorting_name(a, column_sets[0], name, sizeof name),
               a->views[0].invert ? "yes" : "no", (long long)a->frame_ms);
    put_orders(a, out, size);
    put_columns(a, out, size);
}

static void take(struct app *a, const char *name, const char *value)
{
    if (!strcmp(name, "theme"))
        theme_choose(&a->theme, value);
    else if (!strcmp(name, "glyphs"))
        a->theme.unicode = a->theme.can_unicode && strcmp(value, "ascii") != 0;
    else if (!strcmp(name, "mouse"))
        a->mouse = !strcmp(value, "yes");
    take_columns(a, name, value);
    take_order(a, name, value);
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
