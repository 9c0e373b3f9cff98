/* Who asks, and what they may do; see auth.h. A token is 256 random bits; only its BLAKE2b hash is
 * kept, which needs no salt, since nobody can guess what it was made from. */
#include "src/http/auth.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "src/client.h"
#include "src/owner.h"
#include "src/password.h"

#define TOKEN_BYTES 32
#define TOKEN_TEXT_SIZE 44 /* of 32 bytes in base64url, and the end */

static void hash_token(const char *token, char out[TOKEN_HASH_SIZE])
{
    unsigned char hash[32];
    crypto_generichash(hash, sizeof hash, (const unsigned char *)token, strlen(token), NULL, 0);
    sodium_bin2hex(out, TOKEN_HASH_SIZE, hash, sizeof hash);
}

static bool check_token(struct call *c, const char *header, struct err *err)
{
    int64_t expires_at;
    static const char scheme[] = "Bearer ";
    size_t n = sizeof scheme - 1;
    if (strncasecmp(header, scheme, n) != 0 || strlen(header + n) != TOKEN_TEXT_SIZE - 1) {
        (void)err_set(err, ERR_UNAUTHORIZED, "the token is not valid");
        return err_hint(err, "send the header Authorization: Bearer TOKEN; POST /v1/auth/login "
                             "gives one");
    }
    hash_token(header + n, c->token_hash);
    if (engine_token_user(c->engine, c->token_hash, &c->user, &expires_at, err))
        return true;
    if (err->code == ERR_UNAUTHORIZED) {
        (void)err_set(err, ERR_UNAUTHORIZED, "the token is not valid, or not any more");
        (void)err_hint(err, "log in again with POST /v1/auth/login");
    }
    return false;
}

/* Only what changes something needs the name: looking it up may wait. */
static void name_local(struct call *c)
{
    const struct request *q = c->request;
    bool is_console = q->agent && !strcmp(q->agent, CLIENT_CONSOLE);
    if (!strcmp(q->method, "GET") || !strcmp(q->method, "HEAD"))
        str_copy(c->user.name, sizeof c->user.name, LOCAL_USER);
    else
        owner_name(q->local_uid, is_console ? "console" : LOCAL_USER, c->user.name,
                   sizeof c->user.name);
    str_copy(c->user.role, sizeof c->user.role, "admin");
}

bool auth_check(struct call *c, enum level level, struct err *err)
{
    const char *header = c->request->authorization;
    if (level == LEVEL_OPEN || (level == LEVEL_METRICS && c->api->open_metrics))
        return true;
    if (header) {
        if (!check_token(c, header, err))
            return false;
    } else if (c->request->is_local) {
        name_local(c);
    } else {
        (void)err_set(err, ERR_UNAUTHORIZED, "a token is needed");
        return err_hint(err, "send the header Authorization: Bearer TOKEN; POST /v1/auth/login "
                             "gives one");
    }
    if (level == LEVEL_ADMIN && strcmp(c->user.role, "admin") != 0)
        return err_set(err, ERR_FORBIDDEN, "this needs the role admin; %s is %s", c->user.name,
                       c->user.role);
    return true;
}

/* --- Endpoints -------------------------------------------------------------------------------- */
struct login {
    char *username, *password;
};
static const struct field login_rows[] = {
    {.name = "username",
     .type = FIELD_STRING,
     .offset = offsetof(struct login, username),
     .min = 1,
     .max = 1024,
     .is_required = true},
    {.name = "password",
     .type = FIELD_STRING,
     .offset = offsetof(struct login, password),
     .min = 1,
     .max = 1024,
     .is_required = true},
};
static const struct field_table login_fields = FIELD_TABLE(login_rows);

static void free_secret(char *s)
{
    if (s)
        sodium_memzero(s, strlen(s));
    free(s);
}

static bool grant_token(struct call *c, const struct user *u, struct err *err)
{
    unsigned char random[TOKEN_BYTES];
    char token[TOKEN_TEXT_SIZE], expires[CLOCK_TEXT_SIZE];
    int64_t expires_at = clock_wall_us() + c->api->token_ttl_s * 1000000;
    randombytes_buf(random, sizeof random);
    sodium_bin2base64(token, sizeof token, random, sizeof random,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    hash_token(token, c->token_hash);
    bool ok = engine_token_create(c->engine, c->token_hash, u->name, expires_at, err);
    if (ok)
        c->reply = json_pack("{s:s, s:s, s:s, s:s}", "token", token, "username", u->name, "role",
                             u->role, "expires_at", clock_format(expires_at, expires));
    sodium_memzero(token, sizeof token);
    sodium_memzero(random, sizeof random);
    return ok;
}

static bool may_try(struct call *c, const char *name, struct err *err)
{
    c->retry_after = throttle_wait_s(&c->api->throttle, name, c->request->address, clock_mono_ms());
    if (!c->retry_after)
        return true;
    return err_set(err, ERR_THROTTLED, "too many failed logins: wait %d s", c->retry_after);
}

/* Looks at the failures once more when it is its turn, and counts its own before the next one
 * looks: many guesses at the same time are not more than one after the other. */
static bool check_password(struct call *c, const char *name, const char *hash, const char *password,
                           struct err *err)
{
    if (!may_try(c, name, err) || !password_begin(err))
        return false;
    bool ok = may_try(c, name, err) && password_verify(hash, password, err);
    if (!ok && err->code == ERR_CREDENTIALS)
        throttle_failed(&c->api->throttle, name, c->request->address, clock_mono_ms());
    password_end();
    return ok;
}

/* A password that was changed, or a user that was deleted, while it was being checked: the new
 * token may have come too late to be ended by that. */
static bool is_still(struct call *c, const struct user *u, struct err *err)
{
    struct user now;
    struct err gone;
    bool known = engine_user_get(c->engine, u->name, &now, err);
    if (known && now.id == u->id && !strcmp(now.password_hash, u->password_hash))
        return true;
    if (known || err->code == ERR_USER_NOT_FOUND)
        (void)err_set(err, ERR_CREDENTIALS, "wrong user name or password");
    if (!engine_token_delete(c->engine, c->token_hash, &gone))
        *err = gone;
    return false;
}

static bool try_login(struct call *c, const struct login *l, struct err *err)
{
    struct user u;
    bool known = engine_user_get(c->engine, l->username, &u, err);
    if (!known && err->code != ERR_USER_NOT_FOUND)
        return false;
    if (!check_password(c, l->username, known ? u.password_hash : NULL, l->password, err)) {
        if (err->code == ERR_CREDENTIALS)
            log_warn("http", NULL, "login failed address=%s", c->request->address);
        return false;
    }
    throttle_passed(&c->api->throttle, l->username, c->request->address);
    c->user = u;
    return grant_token(c, &u, err) && is_still(c, &u, err);
}

bool auth_login(struct call *c, struct err *err)
{
    struct login l = {0};
    bool ok = fields_read(&login_fields, c->body, false, &l, NULL, err) && try_login(c, &l, err);
    free(l.username);
    free_secret(l.password);
    return ok;
}

/* What only makes sense with a token. */
static bool need_token(const struct call *c, struct err *err)
{
    return c->token_hash[0] ||
           err_set(err, ERR_INVALID, "there is no token here: the Unix socket needs none");
}

bool auth_logout(struct call *c, struct err *err)
{
    if (!need_token(c, err) || !engine_token_delete(c->engine, c->token_hash, err))
        return false;
    c->status = 204;
    return true;
}

bool auth_me(struct call *c, struct err *err)
{
    (void)err;
    c->reply = json_pack("{s:s, s:s}", "username", c->user.name, "role", c->user.role);
    return true;
}

struct change {
    char *current, *wanted;
};
static const struct field change_rows[] = {
    {.name = "current_password",
     .type = FIELD_STRING,
     .offset = offsetof(struct change, current),
     .min = 1,
     .max = 1024,
     .is_required = true},
    {.name = "new_password",
     .type = FIELD_STRING,
     .offset = offsetof(struct change, wanted),
     .min = PASSWORD_MIN,
     .max = PASSWORD_MAX,
     .is_required = true},
};
static const struct field_table change_fields = FIELD_TABLE(change_rows);

/* A stolen token must not be good for guessing the password: failures count as those of logins. */
static bool change_password(struct call *c, const struct change *x, struct err *err)
{
    char hash[PASSWORD_HASH_SIZE];
    if (!check_password(c, c->user.name, c->user.password_hash, x->current, err)) {
        if (err->code == ERR_CREDENTIALS)
            (void)err_set(err, ERR_CREDENTIALS, "current_password is wrong");
        return false;
    }
    if (!password_hash(x->wanted, hash, err) ||
        !engine_user_password(c->engine, c->user.name, hash, c->token_hash, err))
        return false;
    c->reply = json_pack("{s:s}", "message", "password changed; other tokens have ended");
    return true;
}

bool auth_change_password(struct call *c, struct err *err)
{
    struct change x = {0};
    bool ok = need_token(c, err) && fields_read(&change_fields, c->body, false, &x, NULL, err) &&
              change_password(c, &x, err);
    free_secret(x.current);
    free_secret(x.wanted);
    return ok;
}
