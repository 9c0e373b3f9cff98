/* Peers: what the engine offers on them. Everything is checked here before the catalog sees it. */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/check.h"
#include "control/engine_private.h"

#define HOST_MAX 1024 /* libpq takes a list of hosts */
#define TEXT_MAX 255
#define PASSWORD_MAX 1024
#define OPTION_MAX 1024
#define OPTIONS_MAX 64

static const char *const ssl_modes[] = {"disable", "allow",     "prefer",
                                        "require", "verify-ca", "verify-full"};

static char ssl_default[] = "prefer"; /* libpq's own */

/* Keywords of libpq that have a field of their own, or that bunnydb sets itself. */
static const struct {
    const char *name, *instead;
} reserved_options[] = {
    {"host", "use the field host"},
    {"port", "use the field port"},
    {"user", "use the field user"},
    {"password", "use the field password"},
    {"dbname", "use the field database"},
    {"sslmode", "use the field ssl_mode"},
    {"application_name", "bunnydb sets it"},
    {"fallback_application_name", "bunnydb sets application_name"},
    {"client_encoding", "bunnydb sets it"},
    {"replication", "bunnydb sets it"},
};

/* --- Checks ----------------------------------------------------------------------------------- */

static bool check_option_name(const char *name, struct err *err)
{
    if (!check_text("options", name, TEXT_MAX, true, err))
        return false;
    for (size_t i = 0; i < COUNT_OF(reserved_options); i++)
        if (!strcmp(name, reserved_options[i].name))
            return err_set(err, ERR_INVALID, "options: \"%s\" cannot be given here; %s", name,
                           reserved_options[i].instead);
    if (pg_is_conn_keyword(name))
        return true;
    err_set(err, ERR_INVALID, "options: \"%s\" is not a connection keyword of libpq", name);
    return err_hint(err, "PostgreSQL's documentation lists them: libpq, \"Parameter Key Words\".");
}

static bool check_options(const struct peer *p, struct err *err)
{
    if (p->n_options > OPTIONS_MAX)
        return err_set(err, ERR_INVALID, "options: are more than %d", OPTIONS_MAX);
    for (size_t i = 0; i < p->n_options; i++) {
        char field[TEXT_MAX + 16];
        const char *name = p->option_names[i];
        if (!check_option_name(name, err))
            return false;
        str_printf(field, sizeof field, "options: %s", name);
        if (!p->option_values[i])
            return err_set(err, ERR_INVALID, "%s: has no value", field);
        if (!check_text(field, p->option_values[i], OPTION_MAX, false, err))
            return false;
        for (size_t j = 0; j < i; j++)
            if (!strcmp(name, p->option_names[j]))
                return err_set(err, ERR_INVALID, "%s: is given twice", field);
    }
    return true;
}

static bool check_fields(const struct peer *p, unsigned fields, struct err *err)
{
    return (!(fields & PEER_HOST) || check_text("host", p->host, HOST_MAX, true, err)) &&
           (!(fields & PEER_PORT) || check_range("port", p->port, 1, 65535, err)) &&
           (!(fields & PEER_USER) || check_text("user", p->user, TEXT_MAX, true, err)) &&
           (!(fields & PEER_PASSWORD) ||
            check_text("password", p->password, PASSWORD_MAX, false, err)) &&
           (!(fields & PEER_DATABASE) ||
            check_text("database", p->database, TEXT_MAX, true, err)) &&
           (!(fields & PEER_SSL_MODE) ||
            check_word("ssl_mode", p->ssl_mode, ssl_modes, COUNT_OF(ssl_modes), err)) &&
           (!(fields & PEER_OPTIONS) || check_options(p, err));
}

/* --- Commands --------------------------------------------------------------------------------- */

bool engine_peer_create(struct engine *e, const struct peer *p, struct err *err)
{
    struct peer full = *p; /* borrows */
    if (!full.ssl_mode)
        full.ssl_mode = ssl_default;
    if (full.password && !full.password[0])
        full.password = NULL; /* none: libpq's own ways */
    unsigned all = PEER_HOST | PEER_PORT | PEER_USER | PEER_PASSWORD | PEER_DATABASE |
                   PEER_SSL_MODE | PEER_OPTIONS;
    if (!check_name("name", p->name, err) || !check_fields(&full, all, err) ||
        !catalog_peer_insert(e->catalog, &full, err))
        return false;
    log_info("peers", NULL, "peer created peer=%s host=%s port=%d database=%s", p->name, p->host,
             p->port, p->database);
    return true;
}

bool engine_peer_update(struct engine *e, const char *name, const struct peer *p, unsigned fields,
                        struct err *err)
{
    struct peer full = *p; /* borrows */
    if (full.password && !full.password[0])
        full.password = NULL;
    if (!check_fields(&full, fields, err) ||
        !catalog_peer_update(e->catalog, name, &full, fields, err))
        return false;
    log_info("peers", NULL, "peer changed, its mirrors connect again peer=%s", name);
    engine_peer_changed(e, name);
    return true;
}

bool engine_peer_delete(struct engine *e, const char *name, struct err *err)
{
    if (!catalog_peer_delete(e->catalog, name, err))
        return false;
    log_info("peers", NULL, "peer deleted peer=%s", name);
    return true;
}

/* --- Reading ---------------------------------------------------------------------------------- */

/* Secrets stay inside: the password, and what options hold; that there is one is told. */
static void hide_secrets(struct peer *p)
{
    if (p->password)
        explicit_bzero(p->password, strlen(p->password));
    free(p->password);
    p->password = NULL;
    for (size_t i = 0; i < p->n_options; i++) {
        if (!peer_option_is_secret(p->option_names[i]))
            continue;
        explicit_bzero(p->option_values[i], strlen(p->option_values[i]));
        free(p->option_values[i]);
        p->option_values[i] = mem_strdup(PEER_HIDDEN);
    }
}

bool engine_peer_get(struct engine *e, const char *name, struct peer *out, struct err *err)
{
    if (!catalog_peer_get(e->catalog, name, out, err))
        return false;
    hide_secrets(out);
    return true;
}

bool engine_peers(struct engine *e, struct peer_list *out, struct err *err)
{
    if (!catalog_peers(e->catalog, out, err))
        return false;
    for (size_t i = 0; i < out->n; i++)
        hide_secrets(&out->items[i]);
    return true;
}
