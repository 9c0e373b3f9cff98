/* Samples for tests; see catalog_samples.h. */
#include "tests/unit/catalog_samples.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"

void sample_ok(bool ok, const struct err *err)
{
    if (!ok)
        fail_msg("%s: %s (%s)", err_name(err->code), err->text, err->hint);
}

struct catalog *sample_open(const char *dir)
{
    struct err err;
    struct catalog *c = NULL;
    OK(catalog_open(dir, &c, &err));
    return c;
}

struct peer sample_peer(const char *name)
{
    struct peer p = {
        .name = mem_strdup(name),
        .host = mem_strdup("db1.example.org"),
        .port = 6543,
        .user = mem_strdup("Replicator"),
        .password = mem_strdup(SAMPLE_PASSWORD),
        .database = mem_strdup("Größe"),
        .ssl_mode = mem_strdup("verify-full"),
        .n_options = 3,
        .option_names = mem_calloc(3, sizeof(char *)),
        .option_values = mem_calloc(3, sizeof(char *)),
    };
    p.option_names[0] = mem_strdup("sslrootcert");
    p.option_values[0] = mem_strdup("/etc/ssl/ca.pem");
    p.option_names[1] = mem_strdup("sslpassword");
    p.option_values[1] = mem_strdup(SAMPLE_KEY_PASSWORD);
    p.option_names[2] = mem_strdup("connect_timeout");
    p.option_values[2] = mem_strdup("5");
    return p;
}

void sample_add_peer(struct catalog *c, const char *name)
{
    struct err err;
    struct peer p = sample_peer(name);
    OK(catalog_peer_insert(c, &p, &err));
    peer_free(&p);
}

static void set_table(struct table_map *t, const char *table, size_t n_exclude)
{
    str_copy(t->source_schema, sizeof t->source_schema, "Public \"x\"");
    str_copy(t->source_table, sizeof t->source_table, table);
    str_copy(t->dest_schema, sizeof t->dest_schema, "dwh");
    str_copy(t->dest_table, sizeof t->dest_table, table);
    str_copy(t->partition_key, sizeof t->partition_key, "id");
    t->n_exclude = n_exclude;
    t->exclude = n_exclude ? mem_calloc(n_exclude, sizeof(char *)) : NULL;
    for (size_t i = 0; i < n_exclude; i++)
        t->exclude[i] = mem_printf("%s column %zu", table, i);
}

struct mirror_row sample_mirror(const char *name, const char *slot)
{
    struct mirror_row m = {.wish = WISH_PAUSE, .snapshot_done = true};
    mirror_config_init(&m.config);
    str_copy(m.config.name, sizeof m.config.name, name);
    str_copy(m.config.source_peer, sizeof m.config.source_peer, "src");
    str_copy(m.config.dest_peer, sizeof m.config.dest_peer, "Dst");
    str_copy(m.config.slot, sizeof m.config.slot, slot);
    str_copy(m.config.publication, sizeof m.config.publication, "pub");
    str_copy(m.config.resync_strategy, sizeof m.config.resync_strategy, "swap");
    m.config.cdc_batch_size = INT64_C(5000000000);
    m.config.replicate_indexes = false;
    m.config.n_tables = 2;
    m.config.tables = mem_calloc(2, sizeof *m.config.tables);
    set_table(&m.config.tables[0], "Zebra", 0);
    set_table(&m.config.tables[1], "apple", 3);
    return m;
}

struct user sample_user(const char *name, const char *role)
{
    struct user u = {0};
    str_copy(u.name, sizeof u.name, name);
    str_copy(u.role, sizeof u.role, role);
    str_copy(u.password_hash, sizeof u.password_hash, "$argon2id$v=19$m=65536,t=2,p=1$abc$def");
    return u;
}
