/* Bodies of requests; see body.h. */
#include "src/cli/body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

bool body_set(json_t *object, const char *key, const char *text, const char *what, struct err *err)
{
    return json_object_set_new(object, key, json_string(text)) == 0 ||
           err_set(err, ERR_INVALID, "%s is not valid UTF-8", what);
}

bool body_set_name(json_t *body, const char *name, struct err *err)
{
    const json_t *given = json_object_get(body, "name");
    if (given && (!json_is_string(given) || strcmp(json_string_value(given), name) != 0))
        return err_set(err, ERR_INVALID, "--file has another \"name\" than %s", name);
    return body_set(body, "name", name, "the name", err);
}

/* --- --file ----------------------------------------------------------------------------------- */
static json_t *read_file(const char *path, struct err *err)
{
    bool is_stdin = !strcmp(path, "-");
    const char *name = is_stdin ? "standard input" : path;
    FILE *f = is_stdin ? stdin : fopen(path, "re");
    json_error_t e;
    if (!f) {
        (void)err_set(err, ERR_IO, "--file %s: %s", path, strerror(errno));
        return NULL;
    }
    json_t *v = json_loadf(f, JSON_REJECT_DUPLICATES, &e);
    if (!v)
        (void)err_set(err, ERR_INVALID, "--file: %s is not valid JSON: %s (line %d, column %d)",
                      name, e.text, e.line, e.column);
    if (!is_stdin)
        fclose(f);
    return v;
}

/* A list alone is the tables of a mirror, as GET …/tables gives them. */
static json_t *read_object(const struct options *o, struct err *err)
{
    const char *path = options_text(o, OPTION_FILE);
    json_t *v = path ? read_file(path, err) : json_object();
    if (json_is_array(v) && o->command == COMMAND_MIRROR_TABLES)
        return json_pack("{s:o}", "table_mappings", v);
    if (!v || json_is_object(v))
        return v;
    json_decref(v);
    (void)err_set(err, ERR_INVALID, "--file: the body must be a JSON object");
    return NULL;
}

/* --- Options that are fields ------------------------------------------------------------------ */
static bool set_field(json_t *body, const struct given *g, struct err *err)
{
    struct option_row rows[OPTIONS_MAX];
    if (fields_set_text(g->field, g->value, body, err))
        return true;
    size_t n = options_all(rows);
    for (size_t i = 0; i < n; i++)
        if (rows[i].field == g->field)
            return err_context(err, "--%s", rows[i].name);
    return false;
}

/* --option KEY=VALUE */
static bool set_libpq_option(json_t *body, const char *text, struct err *err)
{
    const char *is = strchr(text, '=');
    if (!is || is == text)
        return err_set(err, ERR_INVALID, "--option must be KEY=VALUE");
    json_t *options = json_object_get(body, "options");
    if (!json_is_object(options)) {
        options = json_object();
        json_object_set_new(body, "options", options);
    }
    char *key = mem_strdup(text);
    key[is - text] = '\0';
    bool ok = body_set(options, key, is + 1, "--option", err);
    free(key);
    return ok;
}

json_t *body_read(const struct options *o, struct err *err)
{
    json_t *body = read_object(o, err);
    bool ok = body != NULL;
    if (ok && options_has(o, OPTION_OPTION))
        (void)json_object_del(body, "options");
    for (size_t i = 0; ok && i < o->n_given; i++) {
        const struct given *g = &o->given[i];
        if (g->field)
            ok = set_field(body, g, err);
        else if (g->id == OPTION_OPTION)
            ok = set_libpq_option(body, g->value, err);
    }
    json_t *tables = ok ? body_tables(o, err) : NULL;
    if (tables)
        json_object_set_new(body, "table_mappings", tables);
    ok = ok && !err->text[0];
    if (ok)
        return body;
    json_decref(body);
    return NULL;
}

/* --- Tables ----------------------------------------------------------------------------------- */
/* The first (or last) such character that is not inside double quotes; NULL: none. */
static const char *find_outside(const char *s, char wanted, bool last)
{
    const char *found = NULL;
    bool quoted = false;
    for (; *s; s++) {
        if (*s == '"')
            quoted = !quoted;
        else if (!quoted && *s == wanted && (last || !found))
            found = s;
    }
    return found;
}

static bool add_table(json_t *mappings, const char *text, struct err *err)
{
    const char *is = find_outside(text, '=', false);
    char *source = mem_strdup(text);
    json_t *m = json_object();
    if (is)
        source[is - text] = '\0';
    bool ok = body_set(m, "source_table", source, "--table", err) &&
              (!is || body_set(m, "destination_table", is + 1, "--table", err));
    free(source);
    json_array_append_new(mappings, m);
    return ok;
}

/* The mapping that an earlier or later --table made; NULL: there is none. */
static json_t *find_mapping(const json_t *mappings, const char *source)
{
    size_t i;
    json_t *m;
    json_array_foreach(
        (json_t *)mappings, i,
        m) if (!strcmp(json_string_value(json_object_get(m, "source_table")), source)) return m;
    return NULL;
}

/* TABLE:COLUMN. The column may stand in double quotes when its name has a colon. */
static bool add_column(json_t *mappings, bool is_exclude, const char *text, struct err *err)
{
    const char *option = is_exclude ? "--exclude" : "--partition-key";
    const char *colon = find_outside(text, ':', true);
    if (!colon || colon == text || !colon[1])
        return err_set(err, ERR_INVALID, "%s must be TABLE:COLUMN", option);
    char *table = mem_strdup(text), *column = mem_strdup(colon + 1);
    size_t n = strlen(column);
    table[colon - text] = '\0';
    if (n > 2 && column[0] == '"' && column[n - 1] == '"') {
        memmove(column, column + 1, n - 2);
        column[n - 2] = '\0';
    }
    json_t *m = find_mapping(mappings, table), *list;
    bool ok = m || err_set(err, ERR_INVALID, "%s %s: there is no --table %s", option, text, table);
    json_t *name = json_string(column);
    if (ok && !name)
        ok = err_set(err, ERR_INVALID, "%s is not valid UTF-8", option);
    if (ok && !is_exclude) {
        json_object_set(m, "partition_key", name);
    } else if (ok) {
        if (!(list = json_object_get(m, "exclude_columns"))) {
            list = json_array();
            json_object_set_new(m, "exclude_columns", list);
        }
        json_array_append(list, name);
    }
    json_decref(name);
    free(table);
    free(column);
    return ok;
}

json_t *body_tables(const struct options *o, struct err *err)
{
    json_t *mappings = json_array();
    bool ok = true, any = false;
    for (size_t i = 0; ok && i < o->n_given; i++)
        if (o->given[i].id == OPTION_TABLE)
            ok = any = add_table(mappings, o->given[i].value, err);
    for (size_t i = 0; ok && i < o->n_given; i++) {
        const struct given *g = &o->given[i];
        if (g->id == OPTION_EXCLUDE || g->id == OPTION_PARTITION_KEY)
            ok = add_column(mappings, g->id == OPTION_EXCLUDE, g->value, err);
    }
    if (ok && any)
        return mappings;
    json_decref(mappings);
    return NULL;
}
