/* What commands print; see print.h. */
#include "src/cli/print.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "ui/format.h"
#include "ui/text.h"

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

void print_findings(FILE *out, const json_t *array, enum severity least)
{
    size_t i;
    json_t *f;
    json_array_foreach((json_t *)array, i, f)
    {
        const char *severity = text_of(f, "severity");
        if (!is_at_least(severity, least))
            continue;
        char *head = mem_printf("%s: %s (%s)", severity, text_of(f, "title"), text_of(f, "code"));
        print_line(out, "", head);
        if (text_of(f, "cause")[0])
            print_line(out, "  cause: ", text_of(f, "cause"));
        if (text_of(f, "remedy")[0])
            print_line(out, "  remedy: ", text_of(f, "remedy"));
        free(head);
    }
}
