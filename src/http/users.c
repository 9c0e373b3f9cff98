/* Users of the HTTP API; see users.h. */
#include "src/http/users.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "src/password.h"

#define ROLES "admin|viewer|readonly=viewer"
static const struct field user_rows[] = {
    {.name = "username",
     .type = FIELD_NAME,
     .offset = offsetof(struct user_spec, name),
     .min = 1,
     .max = NAME_SIZE - 1,
     .is_required = true,
     .choices = ".@"},
    {.name = "password",
     .type = FIELD_STRING,
     .offset = offsetof(struct user_spec, password),
     .min = PASSWORD_MIN,
     .max = PASSWORD_MAX,
     .is_required = true},
    {.name = "role",
     .type = FIELD_CHOICE,
     .offset = offsetof(struct user_spec, role),
     .max = 15,
     .is_required = true,
     .choices = ROLES},
};
const struct field_table user_fields = FIELD_TABLE(user_rows);

bool users_create(struct engine *e, const struct user_spec *u, struct err *err)
{
    struct user row = {.created_at = clock_wall_us()};
    if (!password_check_rule(u->password, err) ||
        !password_hash(u->password, row.password_hash, err))
        return false;
    str_copy(row.name, sizeof row.name, u->name);
    str_copy(row.role, sizeof row.role, u->role);
    return engine_user_create(e, &row, err);
}

bool users_exist(struct engine *e, bool *exist, struct err *err)
{
    struct user_list l = {0};
    if (!engine_users(e, &l, err))
        return false;
    *exist = l.n > 0;
    user_list_free(&l);
    return true;
}

static bool create_from_environment(struct engine *e, const char *name, const char *password,
                                    struct err *err)
{
    struct user_spec u = {0};
    json_t *o =
        json_pack("{s:s, s:s, s:s}", "username", name, "password", password, "role", "admin");
    bool ok = o ? fields_read(&user_fields, o, false, &u, NULL, err)
                : err_set(err, ERR_INVALID, "not valid UTF-8");
    json_decref(o);
    ok = ok && users_create(e, &u, err);
    free(u.password);
    if (!ok)
        return err_context(err, "BUNNY_ADMIN_USER, BUNNY_ADMIN_PASSWORD");
    log_info("main", NULL, "first admin created from the environment user=%s", name);
    return true;
}

bool users_create_first(struct engine *e, struct err *err)
{
    const char *name = getenv("BUNNY_ADMIN_USER");
    char *password = getenv("BUNNY_ADMIN_PASSWORD");
    bool exist = true;
    if (!name && !password)
        return true;
    bool ok = users_exist(e, &exist, err);
    if (ok && !exist && !(name && password))
        ok = err_set(err, ERR_INVALID,
                     "of BUNNY_ADMIN_USER and BUNNY_ADMIN_PASSWORD only one is set");
    else if (ok && !exist)
        ok = create_from_environment(e, name, password, err);
    if (password) {
        sodium_memzero(password, strlen(password));
        unsetenv("BUNNY_ADMIN_PASSWORD");
    }
    return ok;
}

/* --- Endpoints -------------------------------------------------------------------------------- */
static json_t *user_to_json(const struct user *u)
{
    char at[CLOCK_TEXT_SIZE];
    return json_pack("{s:I, s:s, s:s, s:s}", "id", (json_int_t)u->id, "username", u->name, "role",
                     u->role, "created_at", clock_format(u->created_at, at));
}

bool users_list(struct call *c, struct err *err)
{
    struct user_list l = {0};
    if (!engine_users(c->engine, &l, err))
        return false;
    c->reply = json_array();
    for (size_t i = 0; i < l.n; i++)
        json_array_append_new(c->reply, user_to_json(&l.items[i]));
    user_list_free(&l);
    return true;
}

bool users_add(struct call *c, struct err *err)
{
    struct user_spec u = {0};
    struct user made;
    bool ok = fields_read(&user_fields, c->body, false, &u, NULL, err) &&
              users_create(c->engine, &u, err) && engine_user_get(c->engine, u.name, &made, err);
    if (u.password)
        sodium_memzero(u.password, strlen(u.password));
    free(u.password);
    if (!ok)
        return false;
    c->status = 201;
    c->reply = user_to_json(&made);
    return true;
}

bool users_remove(struct call *c, struct err *err)
{
    const char *name = c->args[0];
    if (c->token_hash[0] && !strcmp(name, c->user.name)) {
        (void)err_set(err, ERR_INVALID, "you cannot delete yourself");
        return err_hint(err, "another admin can");
    }
    if (!engine_user_delete(c->engine, name, err))
        return false;
    c->reply = json_pack("{s:s}", "deleted", name);
    return true;
}
