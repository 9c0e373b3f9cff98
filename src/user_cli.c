/* bunnydb user add; see user_cli.h. */
#include "src/user_cli.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine.h"
#include "src/client.h"
#include "src/http/users.h"
#include "src/password.h"
#include "src/state_dir.h"

/* Nobody runs on the directory: the catalog is ours. */
static bool add_to_catalog(const char *dir, const struct user_spec *u, struct err *err)
{
    struct engine_options options = {.state_dir = dir, .catalog_only = true};
    struct engine *e;
    if (!engine_open(&options, &e, err))
        return false;
    bool ok = users_create(e, u, err);
    engine_close(e, 1000);
    return ok;
}

/* A process runs: it makes the user, over its Unix socket. */
static bool add_by_process(const char *dir, const struct user_spec *u, struct err *err)
{
    json_t *body =
        json_pack("{s:s, s:s, s:s}", "username", u->name, "password", u->password, "role", u->role);
    json_t *answer = NULL;
    bool ok = client_call(dir, "POST", "/v1/users", body, &answer, err);
    json_decref(body);
    json_decref(answer);
    return ok;
}

static bool add(const char *dir, const struct user_spec *u, struct err *err)
{
    int lock, holder;
    if (!state_dir_make(dir, err))
        return false;
    if (state_dir_lock(dir, &lock, &holder, err)) {
        bool ok = add_to_catalog(dir, u, err);
        close(lock);
        return ok;
    }
    return err->code == ERR_BUSY && add_by_process(dir, u, err);
}

bool user_cli_add(const struct options *o, const struct conf *c, struct err *err)
{
    char password[PASSWORD_MAX + 2];
    struct user_spec u = {.password = password};
    const char *role = options_text(o, OPTION_ROLE), *wish = options_text(o, OPTION_STATE_DIR);
    json_t *object =
        json_pack("{s:s, s:s}", "username", o->arguments[0], "role", role ? role : "viewer");
    bool ok = object && fields_read(&user_fields, object, true, &u, NULL, err);
    if (!object)
        (void)err_set(err, ERR_INVALID, "the name is not valid UTF-8");
    json_decref(object);
    char *dir = ok ? state_dir_path(wish ? wish : c->state_dir, err) : NULL;
    ok = dir &&
         password_read(options_has(o, OPTION_PASSWORD_STDIN), password, sizeof password, err) &&
         password_check_rule(password, err) && add(dir, &u, err);
    sodium_memzero(password, sizeof password);
    free(dir);
    if (ok)
        printf("user %s added as %s\n", u.name, u.role);
    return ok;
}
