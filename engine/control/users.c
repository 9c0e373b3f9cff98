/* Users and tokens: checks, then the catalog. Hashes come from the caller and are never logged. */
#include "engine.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "control/check.h"
#include "control/engine_private.h"

#define HASH_LEAST 16

static const char *const roles[] = {"admin", "viewer"};

/* All of user's password_hash fits into its array by construction. */
static bool check_hash(const char *hash, struct err *err)
{
    struct user u;
    if (!check_text("password_hash", hash, sizeof u.password_hash - 1, true, err))
        return false;
    return strlen(hash) >= HASH_LEAST ||
           err_set(err, ERR_INVALID, "password_hash: is too short to be one");
}

static bool check_token(const char *hash, struct err *err)
{
    size_t n = hash ? strlen(hash) : 0;
    if (n < HASH_LEAST || n > 128 || strspn(hash, "0123456789abcdefABCDEF") != n)
        return err_set(err, ERR_INVALID, "token_hash: must be hex digits");
    return true;
}

bool engine_users(struct engine *e, struct user_list *out, struct err *err)
{
    return catalog_users(e->catalog, out, err);
}

bool engine_user_get(struct engine *e, const char *name, struct user *out, struct err *err)
{
    return catalog_user_get(e->catalog, name, out, err);
}

bool engine_user_create(struct engine *e, const struct user *u, struct err *err)
{
    if (!check_name("username", u->name, err) ||
        !check_word("role", u->role, roles, COUNT_OF(roles), err) ||
        !check_hash(u->password_hash, err) || !catalog_user_insert(e->catalog, u, err))
        return false;
    log_info("users", NULL, "user created user=%s role=%s", u->name, u->role);
    return true;
}

bool engine_user_delete(struct engine *e, const char *name, struct err *err)
{
    bool ok = catalog_user_delete(e->catalog, name, err);
    tokens_forget(&e->tokens);
    if (!ok)
        return false;
    log_info("users", NULL, "user deleted user=%s", name);
    return true;
}

bool engine_user_password(struct engine *e, const char *name, const char *password_hash,
                          const char *keep, struct err *err)
{
    if (!check_hash(password_hash, err) || (keep && !check_token(keep, err)))
        return false;
    bool ok = catalog_user_password(e->catalog, name, password_hash, keep, err);
    tokens_forget(&e->tokens);
    if (!ok)
        return false;
    log_info("users", NULL, "password changed user=%s", name);
    return true;
}

bool engine_token_create(struct engine *e, const char *token_hash, const char *user,
                         int64_t expires_at, struct err *err)
{
    if (!check_token(token_hash, err))
        return false;
    if (expires_at <= clock_wall_us())
        return err_set(err, ERR_INVALID, "expires_at: lies in the past");
    return catalog_token_insert(e->catalog, token_hash, user, expires_at, err);
}

bool engine_token_user(struct engine *e, const char *token_hash, struct user *out,
                       int64_t *expires_at, struct err *err)
{
    int64_t expires;
    uint64_t generation;
    bool ok = tokens_find(&e->tokens, token_hash, clock_wall_us(), out, &expires, &generation);
    if (!ok && catalog_token_user(e->catalog, token_hash, out, &expires, err)) {
        tokens_remember(&e->tokens, token_hash, out, expires, generation);
        ok = true;
    }
    if (ok && expires_at)
        *expires_at = expires;
    return ok;
}

bool engine_token_delete(struct engine *e, const char *token_hash, struct err *err)
{
    bool ok = catalog_token_delete(e->catalog, token_hash, err);
    tokens_forget(&e->tokens);
    return ok;
}
