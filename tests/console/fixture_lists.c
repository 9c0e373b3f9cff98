/* What the stand-in answers when the console asks for lists: slots, runs, peers, definitions. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define SECOND INT64_C(1000000)
#define GIB (INT64_C(1) << 30)

/* --- Slots: of each mirror, and two of others --------------------------------------------------
 */
static void put_foreign(struct source_slot *s, const char *name, int64_t kept, const char *wal)
{
    *s = (struct source_slot){.status = {.sampled_at = clock_wall_us(),
                                         .exists = true,
                                         .restart = 0x1000000,
                                         .confirmed_flush = 0x1000000,
                                         .retained_bytes = kept,
                                         .safe_wal_size = strcmp(wal, "lost") ? -1 : 0}};
    str_copy(s->source_peer, sizeof s->source_peer, "us-prod");
    str_copy(s->name, sizeof s->name, name);
    str_copy(s->type, sizeof s->type, "logical");
    str_copy(s->plugin, sizeof s->plugin, "test_decoding");
    str_copy(s->database, sizeof s->database, "shop");
    str_copy(s->status.wal_status, sizeof s->status.wal_status, wal);
}

static void put_source(struct slot_list *l, const char *peer)
{
    for (size_t i = 0; i < l->n_sources; i++)
        if (!strcmp(l->sources[i].peer, peer))
            return;
    struct source_sample *s = &l->sources[l->n_sources++];
    str_copy(s->peer, sizeof s->peer, peer);
    s->sampled_at = clock_wall_us();
    if (!strcmp(peer, "us-prod"))
        str_copy(s->error, sizeof s->error, "connection refused");
}

void engine_slots(struct engine *e, struct slot_list *out)
{
    const struct picture *p = engine_picture(e);
    *out = (struct slot_list){0};
    out->slots = mem_calloc(p->n + 3, sizeof *out->slots);
    out->sources = mem_calloc(p->n + 1, sizeof *out->sources);
    for (size_t i = 0; i < p->n; i++) {
        const struct mirror_status *m = &p->mirrors[i];
        struct source_slot *s = &out->slots[out->n_slots++];
        str_copy(s->source_peer, sizeof s->source_peer, m->source_peer);
        str_copy(s->name, sizeof s->name, m->slot_name);
        str_copy(s->mirror, sizeof s->mirror, m->name);
        str_copy(s->type, sizeof s->type, "logical");
        str_copy(s->plugin, sizeof s->plugin, "pgoutput");
        s->status = m->slot;
        s->status.active = m->state == MIRROR_RUNNING;
        s->status.exists = strcmp(m->name, "users") != 0;
        put_source(out, m->source_peer);
    }
    if (p->n) {
        put_foreign(&out->slots[out->n_slots++], "old_consumer", 40 * GIB, "lost");
        put_foreign(&out->slots[out->n_slots++], "reporting", 3 * GIB, "extended");
        put_foreign(&out->slots[out->n_slots++], "bunny_slot_billing", GIB >> 10, "reserved");
    }
    picture_release(p);
}

/* --- Runs --------------------------------------------------------------------------------------
 */
static void put_run(struct run_row *r, int64_t id, const char *mirror, int64_t now)
{
    static const char *const phases[] = {"creating_slot", "copying", "streaming"};
    bool failed = id % 3 == 1, goes_on = id > 20;
    *r = (struct run_row){.id = id, .began_at = now - (30 - id) * 3600 * SECOND, .n_events = 3};
    str_copy(r->mirror, sizeof r->mirror, mirror);
    str_copy(r->kind, sizeof r->kind, "run");
    str_copy(r->ending, sizeof r->ending, goes_on ? "" : failed ? "failed" : "stopped");
    str_copy(r->begun_by, sizeof r->begun_by, id % 2 ? "resume by ana" : "");
    str_copy(r->ended_by, sizeof r->ended_by, failed || goes_on ? "" : "pause by ben");
    r->ended_at = goes_on ? 0 : r->began_at + 95 * SECOND;
    r->error = failed && !goes_on ? mem_strdup("23505 duplicate key value") : NULL;
    r->events = mem_calloc(3, sizeof *r->events);
    for (int i = 0; i < 3; i++) {
        struct run_event *x = &r->events[i];
        x->at = r->began_at + i * 10 * SECOND;
        str_copy(x->state, sizeof x->state, i == 2 ? "running" : "snapshotting");
        str_copy(x->phase, sizeof x->phase, phases[i]);
    }
}

bool engine_mirror_runs(struct engine *e, const char *mirror, int limit, int64_t offset,
                        struct run_page *out, struct err *err)
{
    static const char *const names[] = {"billing", "catalog", "orders_eu"};
    (void)e, (void)limit, (void)offset, (void)err;
    *out = (struct run_page){.rows = mem_calloc(24, sizeof *out->rows)};
    for (int64_t id = 23; id > 0; id--)
        if (!mirror || !strcmp(mirror, names[id % 3]))
            put_run(&out->rows[out->n++], id, names[id % 3], clock_wall_us());
    out->total = (int64_t)out->n;
    return true;
}

/* --- Peers -------------------------------------------------------------------------------------
 */
#define PEERS_MOST 16
static struct peer peers[PEERS_MOST];
static size_t n_peers;

static char *copy(const char *s)
{
    return mem_strdup(s ? s : "");
}

static void put_peer(const char *name, const char *host)
{
    peers[n_peers++] = (struct peer){.name = copy(name),
                                     .host = copy(host),
                                     .port = 5432,
                                     .user = copy("bunny"),
                                     .database = copy("shop"),
                                     .ssl_mode = copy("verify-full"),
                                     .has_password = true};
}

static void begin(void)
{
    if (n_peers)
        return;
    put_peer("dwh", "10.0.0.7");
    put_peer("eu-prod", "db1.example.com");
    put_peer("spare", "/run/postgresql");
}

bool engine_peers(struct engine *e, struct peer_list *out, struct err *err)
{
    (void)e, (void)err;
    begin();
    *out = (struct peer_list){.items = mem_calloc(n_peers + 1, sizeof *out->items), .n = n_peers};
    for (size_t i = 0; i < n_peers; i++) {
        out->items[i] = peers[i];
        out->items[i].name = copy(peers[i].name);
        out->items[i].host = copy(peers[i].host);
        out->items[i].user = copy(peers[i].user);
        out->items[i].database = copy(peers[i].database);
        out->items[i].ssl_mode = copy(peers[i].ssl_mode);
        out->items[i].password = NULL;
        out->items[i].option_names = mem_calloc(2, sizeof(char *));
        out->items[i].option_values = mem_calloc(2, sizeof(char *));
        for (size_t k = 0; k < peers[i].n_options && k < 2; k++) {
            out->items[i].option_names[k] = copy(peers[i].option_names[k]);
            out->items[i].option_values[k] = copy(peers[i].option_values[k]);
        }
    }
    return true;
}

static bool check(const struct peer *p, struct err *err)
{
    if (!p->host || !*p->host)
        return err_set(err, ERR_INVALID, "host must not be empty");
    return true;
}

bool engine_peer_create(struct engine *e, const struct peer *p, struct err *err)
{
    begin();
    if (!check(p, err))
        return false;
    for (size_t i = 0; i < n_peers; i++)
        if (!strcmp(peers[i].name, p->name))
            return err_set(err, ERR_PEER_EXISTS, "field \"name\": peer %s exists", p->name);
    fixture_record(e, "peer-create", p->name);
    put_peer(p->name, p->host);
    peers[n_peers - 1].port = p->port;
    peers[n_peers - 1].has_password = p->password && *p->password;
    return true;
}

bool engine_peer_update(struct engine *e, const char *name, const struct peer *p, unsigned fields,
                        struct err *err)
{
    char what[40];
    if (!check(p, err))
        return false;
    str_printf(what, sizeof what, "peer-update %u", fields);
    fixture_record(e, what, name);
    for (size_t i = 0; i < n_peers; i++)
        if (!strcmp(peers[i].name, name) && fields & PEER_HOST) {
            free(peers[i].host);
            peers[i].host = copy(p->host);
        }
    return true;
}

bool engine_peer_delete(struct engine *e, const char *name, struct err *err)
{
    (void)err;
    fixture_record(e, "peer-delete", name);
    for (size_t i = 0; i < n_peers; i++)
        if (!strcmp(peers[i].name, name)) {
            peer_free(&peers[i]);
            peers[i] = peers[--n_peers];
        }
    return true;
}

bool engine_peer_test(struct engine *e, const char *name, struct peer_report *out, struct err *err)
{
    *out = (struct peer_report){.version = "15.18", .version_num = 150018};
    fixture_record(e, "peer-test", name);
    if (!strcmp(name, "spare")) {
        (void)err_set(err, ERR_CONNECT, "spare: no password supplied");
        return err_hint(err, "give the peer a password, or put one into pgpass");
    }
    findings_add(&out->as_source, "wal_level", SEVERITY_ERROR, "wal_level is replica",
                 "Logical decoding needs wal_level = logical.",
                 "ALTER SYSTEM SET wal_level = 'logical';", "");
    return true;
}

/* --- A mirror ----------------------------------------------------------------------------------
 */
static struct mirror_settings changed; /* of all of them */
static unsigned changes;

/* As an engine that is newer than this console, and takes no batch of 666. */
bool fixture_change(struct engine *e, const char *name, const struct mirror_request *r,
                    struct err *err)
{
    struct mirror_config before = {0}, after;
    if (!settings_check(r->settings, r->changes, err) ||
        !engine_mirror_config(e, name, &before, err))
        return false;
    if (r->changes & TUNE_BIT(TUNE_BATCH_SIZE) && r->settings->cdc_batch_size == 666) {
        mirror_config_free(&before);
        (void)err_set(err, ERR_INVALID, "cdc_batch_size: 666 is not taken today");
        return err_hint(err, "take 667");
    }
    after = before;
    settings_put(&after.settings, r->settings, r->changes);
    settings_put(&changed, r->settings, r->changes);
    changes |= r->changes;
    char *text = settings_changes(&before.settings, &after.settings);
    fixture_record(e, text, name);
    free(text);
    mirror_config_free(&before);
    return true;
}

bool engine_mirror_config(struct engine *e, const char *name, struct mirror_config *out,
                          struct err *err)
{
    (void)e, (void)err;
    mirror_config_init(out);
    settings_put(&out->settings, &changed, changes);
    str_copy(out->name, sizeof out->name, name);
    str_copy(out->source_peer, sizeof out->source_peer, "eu-prod");
    str_copy(out->dest_peer, sizeof out->dest_peer, "dwh");
    str_printf(out->slot, sizeof out->slot, "bunny_slot_%.40s", name);
    str_printf(out->publication, sizeof out->publication, "bunny_pub_%.40s", name);
    out->n_tables = 2;
    out->tables = mem_calloc(2, sizeof *out->tables);
    for (int i = 0; i < 2; i++) {
        struct table_map *t = &out->tables[i];
        str_copy(t->source_schema, sizeof t->source_schema, "public");
        str_copy(t->dest_schema, sizeof t->dest_schema, i ? "archive" : "public");
        str_copy(t->source_table, sizeof t->source_table, i ? "invoices" : "orders");
        str_copy(t->dest_table, sizeof t->dest_table, i ? "invoices" : "orders");
    }
    out->tables[1].n_exclude = 1;
    out->tables[1].exclude = mem_calloc(1, sizeof(char *));
    out->tables[1].exclude[0] = copy("secret");
    return true;
}

/* orders_eu is the same on both sides. */
bool engine_mirror_schema_plan(struct engine *e, const char *name, struct schema_plan *out,
                               struct err *err)
{
    *out = (struct schema_plan){0};
    fixture_record(e, "schema-plan", name);
    if (!strcmp(name, "archive"))
        return err_set(err, ERR_PEER_UNREACHABLE, "source us-prod cannot be reached");
    if (!strcmp(name, "orders_eu"))
        return true;
    schema_plan_add(out, (struct schema_step){.kind = STEP_RUN,
                                              .what = copy("add column public.orders.note"),
                                              .sql = copy("ALTER TABLE public.orders ADD COLUMN "
                                                          "note text"),
                                              .mapping = -1});
    schema_plan_add(out, (struct schema_step){.kind = STEP_MANUAL,
                                              .what = copy("column public.orders.old"),
                                              .why = copy("it is only at the destination"),
                                              .mapping = -1});
    return true;
}

/* --- Wizards -----------------------------------------------------------------------------------
 */
static void put_table(struct peer_table *t, const char *table, int64_t bytes, bool can)
{
    str_copy(t->schema, sizeof t->schema, "public");
    str_copy(t->table, sizeof t->table, table);
    t->estimated_rows = bytes / 100;
    t->bytes = bytes;
    t->can_mirror = can;
    str_copy(t->reason, sizeof t->reason, can ? "" : "it is unlogged");
}

/* dwh cannot be asked; what goes there from eu-prod lacks a right. */
bool engine_peer_check(struct engine *e, const char *source, const char *dest, struct survey *out,
                       struct err *err)
{
    static const char *const names[] = {"customers", "invoices", "orders", "scratch"};
    fixture_record(e, "check", source);
    *out = (struct survey){0};
    if (!strcmp(source, "dwh"))
        return err_set(err, ERR_PEER_UNREACHABLE, "dwh: connection refused");
    out->n = COUNT_OF(names);
    out->items = mem_calloc(out->n, sizeof *out->items);
    for (size_t i = 0; i < out->n; i++)
        put_table(&out->items[i].table, names[i], (int64_t)(i + 1) * GIB, i != 3);
    verdict_add(&out->items[2].verdict, "no_key", SEVERITY_WARNING);
    verdict_add(&out->items[3].verdict, "unlogged", SEVERITY_ERROR);
    struct finding *f = findings_begin(&out->tables, "no_key", SEVERITY_WARNING);
    findings_item(f, "public.orders", "updates search the whole table",
                  "ALTER TABLE public.orders REPLICA IDENTITY FULL;");
    findings_end(&out->tables, "no primary key: %s", "", "");
    if (dest && !strcmp(dest, "spare"))
        findings_add(&out->destination, "no_create", SEVERITY_ERROR,
                     "role bunny may not create schemas", "CREATE on the database is missing.",
                     "GRANT CREATE ON DATABASE shop TO bunny;", "");
    return true;
}

static void record_tables(struct engine *e, const char *what, const char *name,
                          const struct table_map *t, size_t n)
{
    char text[400];
    str_printf(text, sizeof text, "%s", name);
    for (size_t i = 0; i < n; i++) {
        size_t k = strlen(text);
        str_printf(text + k, sizeof text - k, " %s.%s", t[i].source_schema, t[i].source_table);
    }
    fixture_record(e, what, text);
}

bool engine_mirror_create(struct engine *e, const struct mirror_config *c,
                          struct findings *findings, struct err *err)
{
    char what[100];
    str_printf(what, sizeof what, "create %s-%s %s", c->source_peer, c->dest_peer,
               c->schema_changes);
    record_tables(e, what, c->name, c->tables, c->n_tables);
    if (strcmp(c->dest_peer, "spare") != 0)
        return true;
    findings_add(findings, "no_create", SEVERITY_ERROR, "role bunny may not create schemas",
                 "CREATE on the database is missing.", "GRANT CREATE ON DATABASE shop TO bunny;",
                 "");
    return err_set(err, ERR_PREFLIGHT, "the servers lack something");
}

bool engine_mirror_available_tables(struct engine *e, const char *name, struct peer_table_list *out,
                                    struct err *err)
{
    (void)e, (void)name, (void)err;
    *out = (struct peer_table_list){.items = mem_calloc(2, sizeof *out->items), .n = 2};
    put_table(&out->items[0], "customers", GIB, true);
    put_table(&out->items[1], "scratch", GIB, false);
    return true;
}

bool engine_mirror_set_tables(struct engine *e, const char *name, const char *by,
                              const struct table_map *tables, size_t n_tables,
                              struct findings *findings, struct err *err)
{
    (void)by, (void)findings;
    record_tables(e, "set-tables", name, tables, n_tables);
    if (!strcmp(name, "catalog"))
        return err_set(err, ERR_PEER_UNREACHABLE, "source eu-prod cannot be reached");
    return true;
}

bool fixture_bundle(const char *state_dir, const char *mirror, char **path, struct err *err)
{
    (void)state_dir;
    *path = mem_printf("/tmp/bunnydb-%s-20261128-064000.json", mirror);
    return strcmp(mirror, "users") != 0 || err_set(err, ERR_IO, "%s: the disk is full", *path);
}
