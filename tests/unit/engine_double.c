/* A small engine in memory; see engine_double.h. */
#include "engine_double.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define MOST 16

struct token {
    char hash[80];
    char user[NAME_SIZE];
    int64_t expires_at;
};
struct double_mirror {
    struct mirror_config config;
    enum mirror_state state;
};
struct engine {
    pthread_mutex_t lock;
    struct user users[MOST];
    struct token tokens[MOST];
    struct peer peers[MOST];
    struct double_mirror mirrors[MOST];
    size_t n_users, n_tokens, n_peers, n_mirrors;
    int changes;
    void (*before_token)(struct engine *e);
    enum err_code fail;
    char fail_text[200], fail_finding[40];
};

/* --- The double itself ------------------------------------------------------------------------ */
struct engine *double_open(void)
{
    struct engine *e = mem_calloc(1, sizeof *e);
    pthread_mutex_init(&e->lock, NULL);
    return e;
}

void double_close(struct engine *e)
{
    for (size_t i = 0; i < e->n_peers; i++)
        peer_free(&e->peers[i]);
    for (size_t i = 0; i < e->n_mirrors; i++)
        mirror_config_free(&e->mirrors[i].config);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

void double_fail_next(struct engine *e, enum err_code code, const char *text,
                      const char *finding_code)
{
    e->fail = code;
    str_copy(e->fail_text, sizeof e->fail_text, text);
    str_copy(e->fail_finding, sizeof e->fail_finding, finding_code);
}

void double_before_token(struct engine *e, void (*hook)(struct engine *e))
{
    e->before_token = hook;
}

int double_tokens(const struct engine *e, const char *user)
{
    int n = 0;
    for (size_t i = 0; i < e->n_tokens && i < MOST; i++)
        n += !strcmp(e->tokens[i].user, user) && e->tokens[i].expires_at > clock_wall_us();
    return n;
}

int double_changes(const struct engine *e)
{
    return e->changes;
}

static bool fails(struct engine *e, struct findings *findings, struct err *err)
{
    enum err_code code = e->fail;
    e->fail = ERR_NONE;
    if (code == ERR_NONE)
        return false;
    if (findings && e->fail_finding[0])
        findings_add(findings, e->fail_finding, SEVERITY_ERROR, "title", "cause", "remedy", "");
    (void)err_set(err, code, "%s", e->fail_text);
    return true;
}

bool engine_open(const struct engine_options *options, struct engine **out, struct err *err)
{
    (void)options;
    (void)err;
    *out = double_open();
    return true;
}

void engine_close(struct engine *e, int limit_ms)
{
    (void)limit_ms;
    if (e)
        double_close(e);
}

void engine_interrupt(struct engine *e)
{
    (void)e;
}

const char *engine_version(void)
{
    return "0.0-double";
}

/* --- Users ------------------------------------------------------------------------------------ */
static struct user *find_user(struct engine *e, const char *name)
{
    for (size_t i = 0; i < e->n_users; i++)
        if (!strcmp(e->users[i].name, name))
            return &e->users[i];
    return NULL;
}

bool engine_users(struct engine *e, struct user_list *out, struct err *err)
{
    (void)err;
    out->items = mem_calloc(e->n_users, sizeof *out->items);
    memcpy(out->items, e->users, e->n_users * sizeof *out->items);
    out->n = e->n_users;
    return true;
}

bool engine_user_get(struct engine *e, const char *name, struct user *out, struct err *err)
{
    const struct user *u = find_user(e, name);
    if (!u)
        return err_set(err, ERR_USER_NOT_FOUND, "no user is named %s", name);
    *out = *u;
    return true;
}

bool engine_user_create(struct engine *e, const struct user *u, struct err *err)
{
    if (find_user(e, u->name))
        return err_set(err, ERR_USER_EXISTS, "a user is named %s already", u->name);
    struct user *made = &e->users[e->n_users++];
    *made = *u;
    made->id = (int64_t)e->n_users;
    e->changes++;
    return true;
}

static void end_tokens(struct engine *e, const char *user, const char *keep)
{
    for (size_t i = 0; i < e->n_tokens; i++)
        if (!strcmp(e->tokens[i].user, user) && !(keep && !strcmp(e->tokens[i].hash, keep)))
            e->tokens[i].expires_at = 0;
}

bool engine_user_delete(struct engine *e, const char *name, struct err *err)
{
    int admins = 0;
    struct user *u = find_user(e, name);
    if (!u)
        return err_set(err, ERR_USER_NOT_FOUND, "no user is named %s", name);
    for (size_t i = 0; i < e->n_users; i++)
        admins += !strcmp(e->users[i].role, "admin");
    if (admins == 1 && !strcmp(u->role, "admin"))
        return err_set(err, ERR_LAST_ADMIN, "%s is the last admin", name);
    end_tokens(e, name, NULL);
    *u = e->users[--e->n_users];
    e->changes++;
    return true;
}

bool engine_user_password(struct engine *e, const char *name, const char *password_hash,
                          const char *keep, struct err *err)
{
    struct user *u = find_user(e, name);
    if (!u)
        return err_set(err, ERR_USER_NOT_FOUND, "no user is named %s", name);
    str_copy(u->password_hash, sizeof u->password_hash, password_hash);
    end_tokens(e, name, keep);
    e->changes++;
    return true;
}

bool engine_token_create(struct engine *e, const char *token_hash, const char *user,
                         int64_t expires_at, struct err *err)
{
    (void)err;
    void (*hook)(struct engine *) = e->before_token;
    e->before_token = NULL;
    if (hook)
        hook(e);
    struct token *t = &e->tokens[e->n_tokens++ % MOST];
    str_copy(t->hash, sizeof t->hash, token_hash);
    str_copy(t->user, sizeof t->user, user);
    t->expires_at = expires_at;
    return true;
}

bool engine_token_user(struct engine *e, const char *token_hash, struct user *out,
                       int64_t *expires_at, struct err *err)
{
    for (size_t i = 0; i < e->n_tokens; i++) {
        const struct token *t = &e->tokens[i];
        if (!strcmp(t->hash, token_hash) && t->expires_at > clock_wall_us()) {
            *expires_at = t->expires_at;
            return engine_user_get(e, t->user, out, err);
        }
    }
    return err_set(err, ERR_UNAUTHORIZED, "no such token");
}

bool engine_token_delete(struct engine *e, const char *token_hash, struct err *err)
{
    (void)err;
    for (size_t i = 0; i < e->n_tokens; i++)
        if (!strcmp(e->tokens[i].hash, token_hash))
            e->tokens[i].expires_at = 0;
    return true;
}

/* --- Peers ------------------------------------------------------------------------------------ */
static void copy_peer(struct peer *to, const struct peer *p)
{
    *to = (struct peer){
        .name = mem_strdup(p->name),
        .host = mem_strdup(p->host),
        .port = p->port,
        .user = mem_strdup(p->user),
        .database = mem_strdup(p->database),
        .ssl_mode = mem_strdup(p->ssl_mode),
        .has_password = p->password || p->has_password,
        .n_options = p->n_options,
        .option_names = mem_calloc(p->n_options, sizeof *to->option_names),
        .option_values = mem_calloc(p->n_options, sizeof *to->option_values),
    };
    for (size_t i = 0; i < p->n_options; i++) {
        to->option_names[i] = mem_strdup(p->option_names[i]);
        to->option_values[i] = mem_strdup(p->option_values[i]);
    }
}

static struct peer *find_peer(struct engine *e, const char *name, struct err *err)
{
    for (size_t i = 0; i < e->n_peers; i++)
        if (!strcmp(e->peers[i].name, name))
            return &e->peers[i];
    (void)err_set(err, ERR_PEER_NOT_FOUND, "no peer is named %s", name);
    return NULL;
}

bool engine_peer_create(struct engine *e, const struct peer *p, struct err *err)
{
    if (find_peer(e, p->name, err))
        return err_set(err, ERR_PEER_EXISTS, "a peer is named %s already", p->name);
    copy_peer(&e->peers[e->n_peers++], p);
    e->changes++;
    return true;
}

bool engine_peer_update(struct engine *e, const char *name, const struct peer *p, unsigned fields,
                        struct err *err)
{
    struct peer *old = find_peer(e, name, err);
    if (!old)
        return false;
    if (fields & PEER_PORT)
        old->port = p->port;
    if (fields & PEER_HOST) {
        free(old->host);
        old->host = mem_strdup(p->host);
    }
    if (fields & PEER_PASSWORD)
        old->has_password = p->password != NULL;
    e->changes++;
    return true;
}

bool engine_peer_delete(struct engine *e, const char *name, struct err *err)
{
    struct peer *p = find_peer(e, name, err);
    if (!p)
        return false;
    for (size_t i = 0; i < e->n_mirrors; i++)
        if (!strcmp(e->mirrors[i].config.source_peer, name))
            return err_set(err, ERR_PEER_IN_USE, "mirrors use %s", name);
    peer_free(p);
    *p = e->peers[--e->n_peers];
    e->changes++;
    return true;
}

bool engine_peer_get(struct engine *e, const char *name, struct peer *out, struct err *err)
{
    const struct peer *p = find_peer(e, name, err);
    if (p)
        copy_peer(out, p);
    return p != NULL;
}

bool engine_peers(struct engine *e, struct peer_list *out, struct err *err)
{
    (void)err;
    *out = (struct peer_list){mem_calloc(e->n_peers, sizeof *out->items), e->n_peers};
    for (size_t i = 0; i < e->n_peers; i++)
        copy_peer(&out->items[i], &e->peers[i]);
    return true;
}

bool engine_peer_test(struct engine *e, const char *name, struct peer_report *out, struct err *err)
{
    *out = (struct peer_report){.version = "15.18", .version_num = 150018};
    return find_peer(e, name, err) && !fails(e, NULL, err);
}

bool engine_peer_check(struct engine *e, const char *source, const char *dest, struct survey *out,
                       struct err *err)
{
    *out = (struct survey){0};
    if (!find_peer(e, source, err) || (dest && !find_peer(e, dest, err)) || fails(e, NULL, err))
        return false;
    static const struct surveyed_table tables[] = {
        {.table = {.schema = "odd.schema", .table = "a\"b", .can_mirror = true}},
        {.table = {.schema = "odd.schema", .table = "keyless"},
         .verdict = {.worst = SEVERITY_ERROR}},
        {.table = {.schema = "public", .table = "users", .bytes = 8192, .can_mirror = true},
         .verdict = {.worst = SEVERITY_INFO}},
    };
    out->items = mem_calloc(COUNT_OF(tables), sizeof *out->items);
    memcpy(out->items, tables, sizeof tables);
    out->n = COUNT_OF(tables);
    out->has_whole_schemas = true;
    findings_add(&out->objects, "views_not_mirrored", SEVERITY_INFO, "title", "", "remedy", "");
    findings_begin(&out->tables, "no_replica_identity", SEVERITY_ERROR);
    findings_item(&out->tables.items[0], "\"odd.schema\".keyless", "", "ALTER TABLE x;");
    findings_end(&out->tables, "title", "", "");
    return true;
}

bool engine_peer_tables(struct engine *e, const char *name, struct peer_table_list *out,
                        struct err *err)
{
    if (!find_peer(e, name, err) || fails(e, NULL, err))
        return false;
    *out = (struct peer_table_list){mem_calloc(1, sizeof *out->items), 1};
    out->items[0] = (struct peer_table){.schema = "public",
                                        .table = "users",
                                        .kind = "table",
                                        .estimated_rows = -1,
                                        .replica_identity = "default",
                                        .has_primary_key = true,
                                        .can_mirror = true};
    return true;
}

/* --- Mirrors ---------------------------------------------------------------------------------- */
static struct double_mirror *find_mirror(struct engine *e, const char *name, struct err *err)
{
    for (size_t i = 0; i < e->n_mirrors; i++)
        if (!strcmp(e->mirrors[i].config.name, name))
            return &e->mirrors[i];
    (void)err_set(err, ERR_MIRROR_NOT_FOUND, "no mirror is named %s", name);
    return NULL;
}

static void copy_config(struct mirror_config *to, const struct mirror_config *c)
{
    *to = *c;
    to->tables = mem_calloc(c->n_tables, sizeof *to->tables);
    for (size_t i = 0; i < c->n_tables; i++) {
        to->tables[i] = c->tables[i];
        to->tables[i].exclude = mem_calloc(c->tables[i].n_exclude, sizeof(char *));
        for (size_t j = 0; j < c->tables[i].n_exclude; j++)
            to->tables[i].exclude[j] = mem_strdup(c->tables[i].exclude[j]);
    }
}

bool engine_mirror_create(struct engine *e, const struct mirror_config *c,
                          struct findings *findings, struct err *err)
{
    if (!find_peer(e, c->source_peer, err) || !find_peer(e, c->dest_peer, err))
        return false;
    if (find_mirror(e, c->name, err))
        return err_set(err, ERR_MIRROR_EXISTS, "a mirror is named %s already", c->name);
    if (fails(e, findings, err))
        return false;
    struct double_mirror *m = &e->mirrors[e->n_mirrors++];
    copy_config(&m->config, c);
    m->state = MIRROR_RUNNING;
    e->changes++;
    return true;
}

bool engine_mirror_config(struct engine *e, const char *name, struct mirror_config *out,
                          struct err *err)
{
    const struct double_mirror *m = find_mirror(e, name, err);
    if (m)
        copy_config(out, &m->config);
    return m != NULL;
}

bool engine_mirror_available_tables(struct engine *e, const char *name, struct peer_table_list *out,
                                    struct err *err)
{
    const struct double_mirror *m = find_mirror(e, name, err);
    return m && engine_peer_tables(e, m->config.source_peer, out, err);
}

static void remove_mirror(struct engine *e, struct double_mirror *m)
{
    mirror_config_free(&m->config);
    *m = e->mirrors[--e->n_mirrors];
}

bool engine_mirror_command(struct engine *e, const char *name, const struct mirror_request *r,
                           int limit_ms, char **note, struct err *err)
{
    struct double_mirror *m = find_mirror(e, name, err);
    (void)limit_ms;
    if (!m || (r->command != MIRROR_FORCE_DELETE && fails(e, NULL, err)) ||
        !command_check(name, m->state, NULL, r->command, err))
        return false;
    if (r->command == MIRROR_RESYNC_TABLE && strcmp(r->table, "public.users") != 0)
        return err_set(err, ERR_TABLE_NOT_FOUND, "no table %s", r->table);
    if (r->command == MIRROR_CHANGE && !settings_check(r->settings, r->changes, err))
        return false;
    e->changes++;
    if (r->command == MIRROR_CHANGE)
        settings_put(&m->config.settings, r->settings, r->changes);
    if (r->command == MIRROR_CHANGE && note)
        *note = mem_strdup("changed");
    if (r->command == MIRROR_PAUSE)
        m->state = MIRROR_PAUSED;
    else if (r->command == MIRROR_RESUME)
        m->state = MIRROR_RUNNING;
    else if (r->command == MIRROR_DELETE || r->command == MIRROR_FORCE_DELETE)
        remove_mirror(e, m);
    if (r->command == MIRROR_FORCE_DELETE && note)
        *note = mem_strdup("slot s");
    return true;
}

bool engine_mirror_set_tables(struct engine *e, const char *name, const char *by,
                              const struct table_map *tables, size_t n_tables,
                              struct findings *findings, struct err *err)
{
    struct double_mirror *m = find_mirror(e, name, err);
    (void)by;
    if (!m || fails(e, findings, err) ||
        !command_check(name, m->state, NULL, MIRROR_SET_TABLES, err))
        return false;
    struct mirror_config c = {.tables = mem_calloc(n_tables, sizeof *c.tables),
                              .n_tables = n_tables};
    for (size_t i = 0; i < n_tables; i++)
        table_map_copy(&c.tables[i], &tables[i]);
    struct mirror_config old = {.tables = m->config.tables, .n_tables = m->config.n_tables};
    m->config.tables = c.tables;
    m->config.n_tables = c.n_tables;
    mirror_config_free(&old);
    e->changes++;
    return true;
}

bool engine_mirror_schema_plan(struct engine *e, const char *name, struct schema_plan *out,
                               struct err *err)
{
    *out = (struct schema_plan){0};
    if (!find_mirror(e, name, err))
        return false;
    schema_plan_add(out, (struct schema_step){.kind = STEP_RUN,
                                              .sql = mem_strdup("ALTER TABLE t ADD c int"),
                                              .what = mem_strdup("add column t.c"),
                                              .table = mem_strdup("public.t")});
    return true;
}

const struct picture *engine_picture(struct engine *e)
{
    struct picture *p = mem_calloc(1, sizeof *p);
    struct mirror_status *items = mem_calloc(e->n_mirrors, sizeof *items);
    for (size_t i = 0; i < e->n_mirrors; i++) {
        const struct double_mirror *m = &e->mirrors[i];
        str_copy(items[i].name, sizeof items[i].name, m->config.name);
        str_copy(items[i].source_peer, sizeof items[i].source_peer, m->config.source_peer);
        items[i].state = m->state;
        items[i].revision = (uint64_t)e->changes + 1;
        items[i].lag_bytes = -1;
        items[i].lag_seconds = -1;
        items[i].last_lsn = 0x1600000010;
        (void)err_set(&items[i].error, ERR_SQL, "caf\xe9 is not UTF-8");
        str_copy(items[i].error.sqlstate, 6, "23505");
    }
    p->version = (uint64_t)e->changes + 1;
    p->n = e->n_mirrors;
    p->mirrors = items;
    return p;
}

void picture_release(const struct picture *p)
{
    free((void *)p->mirrors);
    free((void *)p);
}

const struct mirror_status *picture_find(const struct picture *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (!strcmp(p->mirrors[i].name, name))
            return &p->mirrors[i];
    return NULL;
}

bool engine_logs(struct engine *e, const char *mirror, enum log_level least, bool exact,
                 const char *search, int limit, int64_t offset, struct log_page *out,
                 struct err *err)
{
    (void)e;
    (void)err;
    (void)search;
    (void)offset;
    *out = (struct log_page){mem_calloc(1, sizeof *out->rows), limit > 0 ? 1 : 0, 1};
    out->rows[0].id = 7;
    out->rows[0].line.level = exact ? least : LOG_LEVEL_INFO;
    str_copy(out->rows[0].line.mirror, sizeof out->rows[0].line.mirror, mirror);
    str_copy(out->rows[0].line.text, sizeof out->rows[0].line.text, "hello");
    return true;
}

bool engine_mirror_cutover(struct engine *e, const char *name, const atomic_bool *give_up,
                           struct cutover *out, struct err *err)
{
    (void)give_up;
    *out = (struct cutover){0};
    if (!find_mirror(e, name, err) || fails(e, NULL, err))
        return false;
    cutover_add(out, "objects", CUTOVER_REMARK, "There is a view.");
    cutover_item(cutover_add(out, "lag", CUTOVER_NOT_YET, "It lags."), "public.t", "note", NULL);
    return true;
}

bool engine_mirror_doctor(struct engine *e, const char *name, const atomic_bool *give_up,
                          struct findings *out, struct err *err)
{
    (void)give_up;
    *out = (struct findings){0};
    if (!find_mirror(e, name, err) || fails(e, NULL, err))
        return false;
    findings_add(out, "status", SEVERITY_OK, "status", "running, streaming", "", "");
    findings_add(out, "slot", SEVERITY_ERROR, "slot", "slot s does not exist", "Retry.", "retry");
    return true;
}

bool engine_mirror_read_only(struct engine *e, const char *name, bool on, struct err *err)
{
    (void)on;
    if (!find_mirror(e, name, err) || fails(e, NULL, err))
        return false;
    e->changes++;
    return true;
}

bool engine_mirror_report(struct engine *e, const char *name, struct verify_report *out,
                          struct err *err)
{
    *out = (struct verify_report){0};
    if (!find_mirror(e, name, err) || fails(e, NULL, err))
        return false;
    *out = (struct verify_report){
        .lsn = 0x123456789, .began_at = 1000000, .ended_at = 2000000, .ending = "complete"};
    out->tables = mem_calloc(2, sizeof *out->tables);
    out->n_tables = 2;
    for (size_t i = 0; i < 2; i++) {
        struct verify_table *t = &out->tables[i];
        *t = (struct verify_table){.source_schema = "public",
                                   .source_table = "t",
                                   .dest_schema = "public",
                                   .dest_table = "u",
                                   .state = VERIFY_DIFFERENT,
                                   .source_rows = 8,
                                   .dest_rows = 7,
                                   .equal = 6,
                                   .differing = 1,
                                   .missing = 1,
                                   .n_rows = 1};
        t->rows = mem_calloc(1, sizeof *t->rows);
        t->rows[0] = (struct verify_row){.kind = VERIFY_DIFFERING, .n_values = 1};
        t->rows[0].values = mem_calloc(1, sizeof(char *));
        t->rows[0].values[0] = mem_strdup(i ? "(1,x)" : "");
        if (i == 0) {
            t->n_key = 1;
            t->key = mem_calloc(1, sizeof(char *));
            t->key[0] = mem_strdup("id");
        }
    }
    return true;
}

bool engine_mirror_runs(struct engine *e, const char *mirror, int limit, int64_t offset,
                        struct run_page *out, struct err *err)
{
    *out = (struct run_page){0};
    if ((mirror && !find_mirror(e, mirror, err)) || fails(e, NULL, err))
        return false;
    out->total = 3;
    out->rows = mem_calloc(3, sizeof *out->rows);
    for (int64_t id = 3 - offset; id > 0 && out->n < (size_t)limit; id--) {
        struct run_row *r = &out->rows[out->n++];
        *r = (struct run_row){.id = id, .kind = "stream", .began_at = id * 1000000};
        if (id == 3) /* it goes on */
            continue;
        r->ended_at = r->began_at + 1500000;
        str_copy(r->ending, sizeof r->ending, id == 1 ? "interrupted" : "failed");
        r->error = mem_strdup("caf\xe9 is not UTF-8");
        r->n_events = 1;
        r->events = mem_calloc(1, sizeof *r->events);
        r->events[0] = (struct run_event){
            .at = r->began_at, .state = "error", .phase = "waiting", .text = mem_strdup("why")};
    }
    return true;
}

void engine_slots(struct engine *e, struct slot_list *out)
{
    (void)e;
    *out = (struct slot_list){.n_slots = 2, .n_sources = 1};
    out->slots = mem_calloc(2, sizeof *out->slots);
    out->slots[0] = (struct source_slot){.source_peer = "s",
                                         .name = "bunny_slot_m",
                                         .mirror = "m",
                                         .type = "logical",
                                         .plugin = "pgoutput",
                                         .database = "shop",
                                         .status = {.sampled_at = 1764300727123000,
                                                    .exists = true,
                                                    .active = true,
                                                    .active_pid = 4711,
                                                    .wal_status = "reserved",
                                                    .confirmed_flush = 0x1F00000001,
                                                    .restart = 0x1F00000000,
                                                    .retained_bytes = 9,
                                                    .safe_wal_size = 10}};
    out->slots[1] = (struct source_slot){.source_peer = "s",
                                         .name = "standby",
                                         .type = "physical",
                                         .is_temporary = true,
                                         .status = {.sampled_at = 1764300727123000,
                                                    .exists = true,
                                                    .retained_bytes = 5,
                                                    .safe_wal_size = -1}};
    out->sources = mem_calloc(1, sizeof *out->sources);
    out->sources[0] = (struct source_sample){.peer = "s",
                                             .sampled_at = 1764300727123000,
                                             .wal_end = 0x1F00000009,
                                             .error = "caf\xe9 is away"};
}

void diagnosis_free(struct diagnosis *d)
{
    report_free(&d->program);
    report_free(&d->source);
    report_free(&d->destination);
}

bool engine_mirror_diagnose(struct engine *e, const char *name, struct diagnosis *out,
                            struct err *err)
{
    *out = (struct diagnosis){0};
    if (!find_mirror(e, name, err) || fails(e, NULL, err))
        return false;
    report_add_text(report_add_row(report_add_section(&out->program, "program", false)), "version",
                    "0.0-double");
    struct report_section *slot = report_add_section(&out->source, "slot", true);
    struct report_row *row = report_add_row(slot);
    report_add(row, "active", REPORT_BOOL, "t");
    report_add(row, "size", REPORT_NUMBER, "12");
    report_add(row, "ratio", REPORT_NUMBER, "1.5");
    report_add(row, "odd", REPORT_NUMBER, "NaN");
    report_add(row, "none", REPORT_TEXT, NULL);
    report_set_error(report_add_section(&out->source, "locks", true), "permission denied");
    (void)err_set(&out->destination_error, ERR_CONNECT, "no route");
    return true;
}

/* --- News ------------------------------------------------------------------------------------- */
void engine_subscribe(struct engine *e, int fd)
{
    (void)e;
    (void)fd;
}

void engine_unsubscribe(struct engine *e, int fd)
{
    (void)e;
    (void)fd;
}

/* One line of the process itself, and one of a mirror. */
size_t engine_log_tail(struct engine *e, const char *mirror, enum log_level least,
                       struct log_row *out, size_t max)
{
    static const struct log_row rows[] = {
        {.id = 1, .line = {.level = LOG_LEVEL_INFO, .component = "users", .text = "user created"}},
        {.id = 2,
         .line = {.level = LOG_LEVEL_INFO, .component = "apply", .mirror = "m", .text = "applied"}},
    };
    (void)e;
    (void)mirror;
    (void)least;
    size_t n = max < COUNT_OF(rows) ? max : COUNT_OF(rows);
    memcpy(out, rows + COUNT_OF(rows) - n, n * sizeof *out);
    return n;
}
