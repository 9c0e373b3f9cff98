/* Peers in the catalog. Passwords (and libpq options that are secrets) are sealed. */
#include "catalog/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "catalog/db.h"

#define PEER_COLUMNS "name, host, port, user, password, database, ssl_mode, created_at, updated_at"

static bool peer_exists(struct catalog *c, const char *name, bool *exists, struct err *err)
{
    int64_t n = 0;
    bool ok = db_value(c, err, &n, 0, "SELECT 1 FROM peer WHERE name = ?1", DB_ARGS(DB_T(name)));
    *exists = n != 0;
    return ok;
}

static bool not_found(const char *name, struct err *err)
{
    return err_set(err, ERR_PEER_NOT_FOUND, "there is no peer \"%s\"", name);
}

static bool require_peer(struct catalog *c, const char *name, struct err *err)
{
    bool exists;
    return peer_exists(c, name, &exists, err) && (exists || not_found(name, err));
}

/* --- Options --------------------------------------------------------------------------------- */

/* NULL for NULL; *ok turns false when the value cannot be decrypted. */
static char *unseal_column(struct catalog *c, const struct db_rows *r, int col, bool *ok)
{
    if (db_is_null(r, col))
        return NULL;
    char *text = secret_unseal(c, sqlite3_column_blob(r->stmt, col),
                               (size_t)sqlite3_column_bytes(r->stmt, col));
    if (!text)
        *ok = false;
    return text;
}

static bool read_options(struct catalog *c, struct peer *p, bool *readable, struct err *err)
{
    struct db_rows r;
    size_t names_cap = 0, values_cap = 0;
    db_query(&r, c, "SELECT name, value, sealed FROM peer_option WHERE peer = ?1 ORDER BY position",
             DB_ARGS(DB_T(p->name)));
    while (db_next(&r)) {
        char *value =
            db_is_null(&r, 2) ? mem_strdup(db_text(&r, 1)) : unseal_column(c, &r, 2, readable);
        size_t n = p->n_options;
        MEM_PUSH(p->option_names, n, names_cap, mem_strdup(db_text(&r, 0)));
        MEM_PUSH(p->option_values, p->n_options, values_cap, value ? value : mem_strdup(""));
    }
    return db_done(&r, err);
}

static bool insert_option(struct catalog *c, const char *peer, size_t position, const char *name,
                          const char *value, struct err *err)
{
    size_t len = 0;
    bool is_secret = peer_option_is_secret(name);
    unsigned char *box = is_secret ? secret_seal(c, value, &len) : NULL;
    bool ok = db_run(c, err,
                     "INSERT INTO peer_option (peer, position, name, value, sealed) "
                     "VALUES (?1, ?2, ?3, ?4, ?5)",
                     DB_ARGS(DB_T(peer), DB_I((int64_t)position), DB_T(name),
                             DB_T(is_secret ? NULL : value), DB_B(box, len)));
    free(box);
    return ok;
}

static bool refuse_unreadable(struct catalog *c, const char *peer, struct err *err)
{
    err_set(err, ERR_CATALOG, "the password of peer \"%s\" cannot be decrypted with %s", peer,
            c->key_path);
    return err_hint(err, "Put back the secret.key that belongs to this catalog.");
}

/* The value that an option gets: the stored one, where nothing but PEER_HIDDEN is given. */
static const char *option_value(const struct peer *p, size_t i, const struct peer *stored)
{
    const char *name = p->option_names[i], *value = p->option_values[i];
    if (!peer_option_is_secret(name) || strcmp(value, PEER_HIDDEN) != 0)
        return value;
    for (size_t j = 0; j < stored->n_options; j++)
        if (!strcmp(stored->option_names[j], name))
            return stored->option_values[j];
    return NULL;
}

static bool put_options(struct catalog *c, const char *name, const struct peer *p,
                        const struct peer *stored, struct err *err)
{
    bool ok = db_run(c, err, "DELETE FROM peer_option WHERE peer = ?1", DB_ARGS(DB_T(name)));
    for (size_t i = 0; ok && i < p->n_options; i++) {
        const char *value = option_value(p, i, stored);
        if (value)
            ok = insert_option(c, name, i, p->option_names[i], value, err);
        else
            ok = err_set(err, ERR_INVALID,
                         "options: %s: " PEER_HIDDEN " stands for a stored value, and none is "
                         "stored; write it",
                         p->option_names[i]);
    }
    return ok;
}

static bool replace_options(struct catalog *c, const char *name, const struct peer *p,
                            struct err *err)
{
    struct peer stored = {.name = mem_strdup(name)};
    bool readable = true, hidden = false;
    for (size_t i = 0; i < p->n_options; i++)
        hidden |=
            peer_option_is_secret(p->option_names[i]) && !strcmp(p->option_values[i], PEER_HIDDEN);
    bool ok = !hidden || read_options(c, &stored, &readable, err);
    if (ok && !readable)
        ok = refuse_unreadable(c, name, err);
    ok = ok && put_options(c, name, p, &stored, err);
    peer_free(&stored);
    return ok;
}

/* --- Writing -------------------------------------------------------------------------------- */

static bool insert_peer(struct catalog *c, const struct peer *p, struct err *err)
{
    bool exists;
    if (!peer_exists(c, p->name, &exists, err))
        return false;
    if (exists)
        return err_set(err, ERR_PEER_EXISTS, "a peer named \"%s\" exists already", p->name);
    size_t len = 0;
    unsigned char *box = p->password ? secret_seal(c, p->password, &len) : NULL;
    int64_t now = clock_wall_us();
    bool ok = db_run(c, err,
                     "INSERT INTO peer (" PEER_COLUMNS ") "
                     "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
                     DB_ARGS(DB_T(p->name), DB_T(p->host), DB_I(p->port), DB_T(p->user),
                             DB_B(box, len), DB_T(p->database), DB_T(p->ssl_mode), DB_I(now)));
    free(box);
    return ok && replace_options(c, p->name, p, err);
}

bool catalog_peer_insert(struct catalog *c, const struct peer *p, struct err *err)
{
    return db_begin(c, DB_WRITE, err) && db_end(c, insert_peer(c, p, err), err);
}

static bool update_password(struct catalog *c, const char *name, const char *password,
                            struct err *err)
{
    size_t len = 0;
    unsigned char *box = password ? secret_seal(c, password, &len) : NULL;
    bool ok = db_run(c, err, "UPDATE peer SET password = ?2 WHERE name = ?1",
                     DB_ARGS(DB_T(name), DB_B(box, len)));
    free(box);
    return ok;
}

static bool update_columns(struct catalog *c, const char *name, const struct peer *p,
                           unsigned fields, struct err *err)
{
    const struct {
        unsigned field;
        const char *sql;
        struct db_arg value;
    } columns[] = {
        {PEER_HOST, "UPDATE peer SET host = ?2 WHERE name = ?1", DB_T(p->host)},
        {PEER_PORT, "UPDATE peer SET port = ?2 WHERE name = ?1", DB_I(p->port)},
        {PEER_USER, "UPDATE peer SET user = ?2 WHERE name = ?1", DB_T(p->user)},
        {PEER_DATABASE, "UPDATE peer SET database = ?2 WHERE name = ?1", DB_T(p->database)},
        {PEER_SSL_MODE, "UPDATE peer SET ssl_mode = ?2 WHERE name = ?1", DB_T(p->ssl_mode)},
    };
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        if ((fields & columns[i].field) &&
            !db_run(c, err, columns[i].sql, DB_ARGS(DB_T(name), columns[i].value)))
            return false;
    return true;
}

static bool update_peer(struct catalog *c, const char *name, const struct peer *p, unsigned fields,
                        struct err *err)
{
    return require_peer(c, name, err) && update_columns(c, name, p, fields, err) &&
           (!(fields & PEER_PASSWORD) || update_password(c, name, p->password, err)) &&
           (!(fields & PEER_OPTIONS) || replace_options(c, name, p, err)) &&
           db_run(c, err, "UPDATE peer SET updated_at = ?2 WHERE name = ?1",
                  DB_ARGS(DB_T(name), DB_I(clock_wall_us())));
}

bool catalog_peer_update(struct catalog *c, const char *name, const struct peer *p, unsigned fields,
                         struct err *err)
{
    return db_begin(c, DB_WRITE, err) && db_end(c, update_peer(c, name, p, fields, err), err);
}

/* ERR_PEER_IN_USE with the names of the mirrors that use it. */
static bool refuse_in_use(struct catalog *c, const char *name, struct err *err)
{
    struct buf users = {0};
    struct db_rows r;
    db_query(&r, c,
             "SELECT name FROM mirror WHERE source_peer = ?1 OR dest_peer = ?1 ORDER BY name",
             DB_ARGS(DB_T(name)));
    while (db_next(&r))
        buf_printf(&users, "%s%s", users.len ? ", " : "", db_text(&r, 0));
    bool ok = db_done(&r, err);
    if (ok && users.len) {
        ok = err_set(err, ERR_PEER_IN_USE, "peer \"%s\" is in use by these mirrors: %s", name,
                     buf_text(&users));
        err_hint(err, "Delete the mirrors first.");
    }
    buf_free(&users);
    return ok;
}

bool catalog_peer_delete(struct catalog *c, const char *name, struct err *err)
{
    return db_begin(c, DB_WRITE, err) &&
           db_end(c,
                  require_peer(c, name, err) && refuse_in_use(c, name, err) &&
                      db_run(c, err, "DELETE FROM peer WHERE name = ?1", DB_ARGS(DB_T(name))),
                  err);
}

/* --- Reading --------------------------------------------------------------------------------- */

/* The row that r stands on. */
static bool read_peer(struct catalog *c, const struct db_rows *r, struct peer *p, struct err *err)
{
    bool readable = true;
    *p = (struct peer){
        .name = mem_strdup(db_text(r, 0)),
        .host = mem_strdup(db_text(r, 1)),
        .port = (int)db_int(r, 2),
        .user = mem_strdup(db_text(r, 3)),
        .password = unseal_column(c, r, 4, &readable),
        .database = mem_strdup(db_text(r, 5)),
        .ssl_mode = mem_strdup(db_text(r, 6)),
        .has_password = !db_is_null(r, 4),
        .created_at = db_int(r, 7),
        .updated_at = db_int(r, 8),
    };
    if (!read_options(c, p, &readable, err))
        return false;
    return readable || refuse_unreadable(c, p->name, err);
}

static bool get_peer(struct catalog *c, const char *name, struct peer *out, struct err *err)
{
    struct db_rows r;
    *out = (struct peer){0};
    db_query(&r, c, "SELECT " PEER_COLUMNS " FROM peer WHERE name = ?1", DB_ARGS(DB_T(name)));
    bool found = db_next(&r);
    bool ok = !found || read_peer(c, &r, out, err);
    ok = db_done(&r, ok ? err : NULL) && ok;
    return ok && (found || not_found(name, err));
}

bool catalog_peer_get(struct catalog *c, const char *name, struct peer *out, struct err *err)
{
    if (!db_begin(c, DB_READ, err))
        return false;
    if (db_end(c, get_peer(c, name, out, err), err))
        return true;
    peer_free(out);
    return false;
}

static bool list_peers(struct catalog *c, struct peer_list *out, struct err *err)
{
    struct db_rows r;
    size_t cap = 0;
    bool ok = true;
    db_query(&r, c, "SELECT " PEER_COLUMNS " FROM peer ORDER BY name", NULL, 0);
    while (ok && db_next(&r)) {
        struct peer p;
        ok = read_peer(c, &r, &p, err);
        MEM_PUSH(out->items, out->n, cap, p);
    }
    return db_done(&r, ok ? err : NULL) && ok;
}

bool catalog_peers(struct catalog *c, struct peer_list *out, struct err *err)
{
    *out = (struct peer_list){0};
    if (!db_begin(c, DB_READ, err))
        return false;
    if (db_end(c, list_peers(c, out, err), err))
        return true;
    peer_list_free(out);
    return false;
}
