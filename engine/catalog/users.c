/* Users of the HTTP interface and their tokens: hashes only, made by the caller. */
#include "catalog/catalog.h"

#include <string.h>

#include "base/clock.h"
#include "catalog/db.h"

#define USER_COLUMNS "user.id, user.name, user.role, user.password_hash, user.created_at"

static bool not_found(const char *name, struct err *err)
{
    return err_set(err, ERR_USER_NOT_FOUND, "there is no user \"%s\"", name);
}

static void read_user(const struct db_rows *r, struct user *u)
{
    *u = (struct user){.id = db_int(r, 0), .created_at = db_int(r, 4)};
    str_copy(u->name, sizeof u->name, db_text(r, 1));
    str_copy(u->role, sizeof u->role, db_text(r, 2));
    str_copy(u->password_hash, sizeof u->password_hash, db_text(r, 3));
}

static bool get_user(struct catalog *c, const char *name, struct user *out, struct err *err)
{
    struct db_rows r;
    db_query(&r, c, "SELECT " USER_COLUMNS " FROM user WHERE name = ?1", DB_ARGS(DB_T(name)));
    bool found = db_next(&r);
    if (found)
        read_user(&r, out);
    return db_done(&r, err) && (found || not_found(name, err));
}

bool catalog_user_get(struct catalog *c, const char *name, struct user *out, struct err *err)
{
    return db_begin(c, DB_READ, err) && db_end(c, get_user(c, name, out, err), err);
}

static bool list_users(struct catalog *c, struct user_list *out, struct err *err)
{
    struct db_rows r;
    size_t cap = 0;
    db_query(&r, c, "SELECT " USER_COLUMNS " FROM user ORDER BY user.name", NULL, 0);
    while (db_next(&r)) {
        struct user u;
        read_user(&r, &u);
        MEM_PUSH(out->items, out->n, cap, u);
    }
    return db_done(&r, err);
}

bool catalog_users(struct catalog *c, struct user_list *out, struct err *err)
{
    *out = (struct user_list){0};
    if (!db_begin(c, DB_READ, err))
        return false;
    if (db_end(c, list_users(c, out, err), err))
        return true;
    user_list_free(out);
    return false;
}

static bool insert_user(struct catalog *c, const struct user *u, struct err *err)
{
    int64_t n;
    if (!db_value(c, err, &n, 0, "SELECT 1 FROM user WHERE name = ?1", DB_ARGS(DB_T(u->name))))
        return false;
    if (n)
        return err_set(err, ERR_USER_EXISTS, "a user named \"%s\" exists already", u->name);
    return db_run(
        c, err, "INSERT INTO user (name, role, password_hash, created_at) VALUES (?1, ?2, ?3, ?4)",
        DB_ARGS(DB_T(u->name), DB_T(u->role), DB_T(u->password_hash), DB_I(clock_wall_us())));
}

bool catalog_user_insert(struct catalog *c, const struct user *u, struct err *err)
{
    return db_begin(c, DB_WRITE, err) && db_end(c, insert_user(c, u, err), err);
}

/* The user's tokens go with the row (ON DELETE CASCADE). */
static bool delete_user(struct catalog *c, const char *name, struct err *err)
{
    struct user u;
    int64_t admins;
    if (!get_user(c, name, &u, err) ||
        !db_value(c, err, &admins, 0, "SELECT count(*) FROM user WHERE role = 'admin'", NULL, 0))
        return false;
    if (!strcmp(u.role, "admin") && admins <= 1) {
        err_set(err, ERR_LAST_ADMIN, "\"%s\" is the last admin and cannot be deleted", name);
        return err_hint(err, "Make another admin first.");
    }
    return db_run(c, err, "DELETE FROM user WHERE name = ?1", DB_ARGS(DB_T(name)));
}

bool catalog_user_delete(struct catalog *c, const char *name, struct err *err)
{
    return db_begin(c, DB_WRITE, err) && db_end(c, delete_user(c, name, err), err);
}

static bool set_password(struct catalog *c, const char *name, const char *hash, const char *keep,
                         struct err *err)
{
    struct user u;
    return get_user(c, name, &u, err) &&
           db_run(c, err, "UPDATE user SET password_hash = ?2 WHERE id = ?1",
                  DB_ARGS(DB_I(u.id), DB_T(hash))) &&
           db_run(c, err, "DELETE FROM token WHERE user_id = ?1 AND hash IS NOT ?2",
                  DB_ARGS(DB_I(u.id), DB_T(keep)));
}

bool catalog_user_password(struct catalog *c, const char *name, const char *hash, const char *keep,
                           struct err *err)
{
    return db_begin(c, DB_WRITE, err) && db_end(c, set_password(c, name, hash, keep, err), err);
}

/* --- Tokens ----------------------------------------------------------------------------------- */

/* Takes the chance to forget those that have expired. */
static bool insert_token(struct catalog *c, const char *token_hash, const char *user,
                         int64_t expires_at, struct err *err)
{
    struct user u;
    int64_t now = clock_wall_us();
    return get_user(c, user, &u, err) &&
           db_run(c, err, "DELETE FROM token WHERE expires_at <= ?1", DB_ARGS(DB_I(now))) &&
           db_run(c, err,
                  "INSERT INTO token (hash, user_id, created_at, expires_at) "
                  "VALUES (?1, ?2, ?3, ?4)",
                  DB_ARGS(DB_T(token_hash), DB_I(u.id), DB_I(now), DB_I(expires_at)));
}

bool catalog_token_insert(struct catalog *c, const char *token_hash, const char *user,
                          int64_t expires_at, struct err *err)
{
    return db_begin(c, DB_WRITE, err) &&
           db_end(c, insert_token(c, token_hash, user, expires_at, err), err);
}

static bool token_user(struct catalog *c, const char *token_hash, struct user *out,
                       int64_t *expires_at, struct err *err)
{
    struct db_rows r;
    db_query(&r, c,
             "SELECT " USER_COLUMNS ", token.expires_at FROM token "
             "JOIN user ON user.id = token.user_id WHERE token.hash = ?1 AND expires_at > ?2",
             DB_ARGS(DB_T(token_hash), DB_I(clock_wall_us())));
    bool found = db_next(&r);
    if (found) {
        read_user(&r, out);
        if (expires_at)
            *expires_at = db_int(&r, 5);
    }
    return db_done(&r, err) &&
           (found || err_set(err, ERR_UNAUTHORIZED, "the token is not known or has expired"));
}

bool catalog_token_user(struct catalog *c, const char *token_hash, struct user *out,
                        int64_t *expires_at, struct err *err)
{
    return db_begin(c, DB_READ, err) &&
           db_end(c, token_user(c, token_hash, out, expires_at, err), err);
}

bool catalog_token_delete(struct catalog *c, const char *token_hash, struct err *err)
{
    return db_begin(c, DB_WRITE, err) &&
           db_end(c, db_run(c, err, "DELETE FROM token WHERE hash = ?1", DB_ARGS(DB_T(token_hash))),
                  err);
}
