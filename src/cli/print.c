/* What commands print; see print.h. */
#include "src/cli/print.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "ui/format.h"
#include "ui/text.h"

#define WIDTH 80
#define MOST_ITEMS 20 /* named of one finding; --json has all */

/* --- One value -------------------------------------------------------------------------------- */
/* The value of a key; with a dot, of the object inside. */
static const json_t *find(const json_t *object, const char *key)
{
    const char *dot = strchr(key, '.');
    if (!dot)
        return json_object_get(object, key);
    char *outer = mem_strdup(key);
    outer[dot - key] = '\0';
    const json_t *v = json_object_get(json_object_get(object, outer), dot + 1);
    free(outer);
    return v;
}

/* A value without a kind of its own, as it is. */
static char *plain(const json_t *v)
{
    if (json_is_string(v))
        return mem_strdup(json_string_value(v));
    return json_is_null(v) || !v ? mem_strdup("") : json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
}

static void add_item(struct buf *b, const char *key, const json_t *v)
{
    char *text = plain(v);
    buf_printf(b, "%s%s%s%s", b->len ? "," : "", key ? key : "", key ? "=" : "", text);
    free(text);
}

/* An array or object: "a,b" or "key=a,other=b". */
static char *join(const json_t *list)
{
    struct buf b = {0};
    const char *key;
    size_t i;
    json_t *v;
    json_array_foreach((json_t *)list, i, v) add_item(&b, NULL, v);
    json_object_foreach((json_t *)list, key, v) add_item(&b, key, v);
    return buf_take(&b);
}

static char *format_value(enum kind kind, const json_t *v)
{
    char text[FORMAT_SIZE];
    switch (kind) {
    case KIND_COUNT:
        if (json_is_number(v))
            return mem_strdup(format_count((int64_t)json_number_value(v), text));
        break;
    case KIND_BYTES:
        if (json_is_number(v))
            return mem_strdup(format_bytes((int64_t)json_number_value(v), text));
        break;
    case KIND_SECONDS:
        if (json_is_number(v))
            return mem_strdup(format_seconds(json_number_value(v), text));
        break;
    case KIND_YES:
        if (json_is_boolean(v))
            return mem_strdup(json_is_true(v) ? "yes" : "no");
        break;
    case KIND_LIST:
        if (json_is_array(v) || json_is_object(v))
            return join(v);
        break;
    case KIND_TEXT:
    case KIND_NUMBER:
        break;
    }
    return plain(v);
}

char *print_cell(const struct column *column, const json_t *object)
{
    char *text = format_value(column->kind, find(object, column->key));
    if (column->key2) {
        char *first = text, *second = plain(find(object, column->key2));
        text = mem_printf("%s.%s", first, second);
        free(first);
        free(second);
    }
    char *clean = text_clean(text[0] ? text : "-");
    free(text);
    return clean;
}

void print_line(FILE *out, const char *before, const char *text)
{
    char *clean = text_clean(text);
    fprintf(out, "%s%s\n", before, clean);
    free(clean);
}

void print_text(FILE *out, const char *before, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        char *line = mem_printf("%.*s", (int)n, text);
        print_line(out, before, line);
        free(line);
        text += n + (text[n] == '\n');
    }
}

/* --- Tables ----------------------------------------------------------------------------------- */
static bool is_right(const struct column *c)
{
    return c->kind == KIND_NUMBER || c->kind == KIND_COUNT || c->kind == KIND_BYTES ||
           c->kind == KIND_SECONDS;
}

/* One cell, padded to width unless it is the last of the line. */
static void put_cell(FILE *out, const struct column *c, const char *text, int width, bool is_last)
{
    int blanks = width - text_columns(text, true);
    if (is_right(c))
        fprintf(out, "%*s%s", blanks, "", text);
    else
        fprintf(out, "%s%*s", text, is_last ? 0 : blanks, "");
    fputs(is_last ? "\n" : "  ", out);
}

void print_table(FILE *out, const struct column *columns, size_t n, const json_t *array)
{
    size_t rows = json_array_size(array);
    char **cells = mem_calloc((rows + 1) * n, sizeof *cells);
    int *widths = mem_calloc(n, sizeof *widths);
    for (size_t r = 0; r <= rows; r++)
        for (size_t i = 0; i < n; i++) {
            char *text = r == 0 ? mem_strdup(columns[i].title)
                                : print_cell(&columns[i], json_array_get(array, r - 1));
            int width = text_columns(text, true);
            widths[i] = width > widths[i] ? width : widths[i];
            cells[r * n + i] = text;
        }
    for (size_t r = 0; r <= rows; r++)
        for (size_t i = 0; i < n; i++) {
            put_cell(out, &columns[i], cells[r * n + i], widths[i], i + 1 == n);
            free(cells[r * n + i]);
        }
    free(cells);
    free(widths);
}

void print_facts(FILE *out, const struct column *columns, size_t n, const json_t *object)
{
    int width = 0;
    for (size_t i = 0; i < n; i++) {
        int w = (int)strlen(columns[i].title);
        width = w > width ? w : width;
    }
    for (size_t i = 0; i < n; i++) {
        char *text = print_cell(&columns[i], object);
        fprintf(out, "%s:%*s %s\n", columns[i].title, width - (int)strlen(columns[i].title), "",
                text);
        free(text);
    }
}

/* --- Findings --------------------------------------------------------------------------------- */
static const char *text_of(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

static bool is_at_least(const char *severity, enum severity least)
{
    for (int s = (int)least; s <= SEVERITY_ERROR; s++)
        if (!strcmp(severity, severity_name((enum severity)s)))
            return true;
    return false;
}

void print_wrapped(FILE *out, const char *first, const char *text)
{
    char *clean = text_clean(text);
    int indent = text_columns(first, true);
    const char *before = first;
    for (const char *s = clean; *s;) {
        size_t n = text_break(s, true, WIDTH - indent), shown = n;
        while (shown > 0 && s[shown - 1] == ' ')
            shown--;
        fprintf(out, "%s%*s%.*s\n", before, before == first ? 0 : indent, "", (int)shown, s);
        before = "";
        s += n;
    }
    free(clean);
}

/* Whether the cause is made of the items, which are printed by themselves. */
static bool repeats_items(const char *cause, const json_t *items)
{
    static const char *const keys[] = {"name", "note"};
    const json_t *first = json_array_get(items, 0);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        const char *text = text_of(first, keys[i]);
        if (*text && !strncmp(cause, text, strlen(text)))
            return true;
    }
    return false;
}

void print_items(FILE *out, const json_t *items)
{
    size_t i, printed = 0, left = 0;
    json_t *item;
    json_array_foreach((json_t *)items, i, item)
    {
        const char *note = text_of(item, "note"), *name = text_of(item, "name");
        if (!*name || (!*note && text_of(item, "statement")[0]))
            continue;
        if (printed++ >= MOST_ITEMS) {
            left++;
            continue;
        }
        char *line = mem_printf("%s%s%s", name, *note ? ": " : "", note);
        print_wrapped(out, "  - ", line);
        free(line);
    }
    if (left)
        fprintf(out, "  - and %zu more\n", left);
}

/* A statement of several lines holds literals and bodies of functions: as it is, without an indent,
 * and tabs stay. */
static void print_statement(FILE *out, const char *s)
{
    if (!strchr(s, '\n')) {
        print_line(out, "    ", s);
        return;
    }
    while (*s) {
        size_t n = strcspn(s, "\n\t");
        char *piece = mem_printf("%.*s", (int)n, s), *clean = text_clean(piece);
        fputs(clean, out);
        free(piece);
        free(clean);
        s += n;
        if (*s)
            putc(*s++, out);
    }
    putc('\n', out);
}

bool print_statements(FILE *out, const json_t *items)
{
    json_t *seen = json_object(), *item;
    size_t i;
    json_array_foreach((json_t *)items, i, item)
    {
        const char *statement = text_of(item, "statement");
        if (!*statement || json_object_get(seen, statement))
            continue;
        json_object_set_new(seen, statement, json_true());
        print_statement(out, statement);
    }
    bool any = json_object_size(seen) > 0;
    json_decref(seen);
    return any;
}

void print_findings(FILE *out, const json_t *array, enum severity least)
{
    size_t i;
    json_t *f;
    json_array_foreach((json_t *)array, i, f)
    {
        const char *severity = text_of(f, "severity");
        const json_t *items = json_object_get(f, "items");
        if (!is_at_least(severity, least))
            continue;
        char *head = mem_printf("%s: %s (%s)", severity, text_of(f, "title"), text_of(f, "code"));
        print_wrapped(out, "", head);
        if (text_of(f, "cause")[0] && !repeats_items(text_of(f, "cause"), items))
            print_wrapped(out, items ? "  " : "  cause: ", text_of(f, "cause"));
        print_items(out, items);
        if (!print_statements(out, items) && text_of(f, "remedy")[0])
            print_wrapped(out, "  remedy: ", text_of(f, "remedy"));
        free(head);
    }
}
