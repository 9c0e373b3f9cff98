/* Keys and columns from the configuration; see looks.h. */
#include "src/looks.h"

#include <string.h>

#include "base/mem.h"

static bool fail(const struct conf *c, int line, const char *where, const struct err *why,
                 struct err *err)
{
    err_set(err, ERR_INVALID, "%s:%d: %s: %s", c->path, line, where, why->text);
    return err_hint(err, "%s", why->hint);
}

/* The line of a binding; 0: it is the usual one. */
static int line_of(const struct conf *c, const char *id)
{
    for (size_t i = 0; id && i < c->n_bindings; i++)
        if (!strcmp(c->bindings[i].action, id))
            return c->bindings[i].line;
    return 0;
}

static bool read_keys(const struct conf *c, struct look *out, struct err *err)
{
    const char *ids[2];
    struct err why = {0};
    for (size_t i = 0; i < c->n_bindings; i++) {
        const struct conf_binding *b = &c->bindings[i];
        if (!keymap_bind(&out->keys, b->action, b->keys, &why))
            return fail(c, b->line, "[keys]", &why, err);
    }
    if (keymap_check(&out->keys, ids, &why))
        return true;
    int first = line_of(c, ids[0]), second = line_of(c, ids[1]);
    return fail(c, first > second ? first : second, "[keys]", &why, err);
}

bool looks_read(const struct conf *c, struct look *out, struct err *err)
{
    const struct {
        const char *key, *text;
    } columns[] = {{"columns", c->columns},           {"table_columns", c->table_columns},
                   {"copy_columns", c->copy_columns}, {"slot_columns", c->slot_columns},
                   {"peer_columns", c->peer_columns}, {"run_columns", c->run_columns}};
    struct err why = {0};
    look_usual(out);
    out->mouse = c->mouse;
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        if (columns[i].text && !look_columns(out, columns[i].key, columns[i].text, &why)) {
            char where[64];
            str_printf(where, sizeof where, "[console] %s", columns[i].key);
            return fail(c, conf_line(c, "console", columns[i].key), where, &why, err);
        }
    return read_keys(c, out, err);
}
