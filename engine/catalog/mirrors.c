/* Mirrors in the catalog: configuration, mappings, what shall become of them after a restart, and
 * row counters. */
#include "catalog/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "catalog/db.h"

static const char *const wishes[] = {"run", "pause", "delete"};

static enum mirror_wish wish_parse(const char *text)
{
    for (size_t i = 0; i < COUNT_OF(wishes); i++)
        if (!strcmp(text, wishes[i]))
            return (enum mirror_wish)i;
    return WISH_PAUSE; /* the table's CHECK allows no other; pausing harms nothing */
}

bool mirror_require(struct catalog *c, const char *name, struct err *err)
{
    int64_t n;
    if (!db_value(c, err, &n, 0, "SELECT 1 FROM mirror WHERE name = ?1", DB_ARGS(DB_T(name))))
        return false;
    return n || err_set(err, ERR_MIRROR_NOT_FOUND, "there is no mirror \"%s\"", name);
}

/* --- Writing ---------------------------------------------------------------------------------- */

static bool check_peer(struct catalog *c, const char *field, const char *name, struct err *err)
{
    int64_t n;
    if (!db_value(c, err, &n, 0, "SELECT 1 FROM peer WHERE name = ?1", DB_ARGS(DB_T(name))))
        return false;
    return n || err_set(err, ERR_PEER_NOT_FOUND, "%s: there is no peer \"%s\"", field, name);
}

/* Name and slot are free, and both peers are there; checked inside the inserting transaction. */
static bool check_new(struct catalog *c, const struct mirror_config *m, struct err *err)
{
    int64_t n;
    if (!db_value(c, err, &n, 0, "SELECT 1 FROM mirror WHERE name = ?1", DB_ARGS(DB_T(m->name))))
        return false;
    if (n)
        return err_set(err, ERR_MIRROR_EXISTS, "a mirror named \"%s\" exists already", m->name);
    if (!check_peer(c, "source_peer", m->source_peer, err) ||
        !check_peer(c, "destination_peer", m->dest_peer, err))
        return false;
    char owner[NAME_SIZE] = "";
    struct db_rows r;
    db_query(&r, c, "SELECT name FROM mirror WHERE source_peer = ?1 AND slot = ?2",
             DB_ARGS(DB_T(m->source_peer), DB_T(m->slot)));
    if (db_next(&r))
        str_copy(owner, sizeof owner, db_text(&r, 0));
    if (!db_done(&r, err))
        return false;
    if (!owner[0])
        return true;
    err_set(err, ERR_SLOT_IN_USE, "slot \"%s\" on peer \"%s\" belongs to mirror \"%s\"", m->slot,
            m->source_peer, owner);
    return err_hint(err, "Give replication_slot_name (and publication_name) another value.");
}

/* A random UUID (RFC 4122, version 4). */
static void make_uuid(char out[37])
{
    unsigned char b[16];
    randombytes_buf(b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    char hex[33];
    sodium_bin2hex(hex, sizeof hex, b, sizeof b);
    str_printf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

#define MIRROR_COLUMNS                                                                   \
    "name, mirror_id, source_peer, dest_peer, wish, snapshot_done, slot_created, "       \
    "do_initial_snapshot, rows_per_partition, workers, tables_in_parallel, batch_size, " \
    "sync_interval, publication, slot, replicate_indexes, replicate_foreign_keys, "      \
    "resync_strategy, schema_changes, on_table_error, created_at, updated_at, "          \
    "dropped_columns"
#define MIRROR_READ_COLUMNS \
    MIRROR_COLUMNS ", republish, pending, pending_by, pending_at, snapshot_begun, slot_restart"

static bool insert_row(struct catalog *c, const struct mirror_row *row, struct err *err)
{
    const struct mirror_config *m = &row->config;
    return db_run(
        c, err,
        "INSERT INTO mirror (" MIRROR_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, "
        "?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?21, ?22)",
        DB_ARGS(DB_T(m->name), DB_T(row->mirror_id), DB_T(m->source_peer), DB_T(m->dest_peer),
                DB_T(wishes[row->wish]), DB_I(row->snapshot_done), DB_I(row->slot_created),
                DB_I(m->do_initial_snapshot), DB_I(m->snapshot_num_rows_per_partition),
                DB_I(m->snapshot_max_parallel_workers), DB_I(m->snapshot_num_tables_in_parallel),
                DB_I(m->cdc_batch_size), DB_I(m->cdc_sync_interval_seconds), DB_T(m->publication),
                DB_T(m->slot), DB_I(m->replicate_indexes), DB_I(m->replicate_foreign_keys),
                DB_T(m->resync_strategy), DB_T(m->schema_changes), DB_T(m->on_table_error),
                DB_I(m->created_at), DB_T(m->dropped_columns)));
}

bool mirror_insert_map(struct catalog *c, const char *mirror, size_t position,
                       const struct table_map *t, struct err *err)
{
    bool ok = db_run(c, err,
                     "INSERT INTO mirror_table (mirror, position, source_schema, source_table, "
                     "dest_schema, dest_table, partition_key) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                     DB_ARGS(DB_T(mirror), DB_I((int64_t)position), DB_T(t->source_schema),
                             DB_T(t->source_table), DB_T(t->dest_schema), DB_T(t->dest_table),
                             DB_T(t->partition_key)));
    for (size_t i = 0; ok && i < t->n_exclude; i++)
        ok = db_run(
            c, err,
            "INSERT INTO mirror_exclude (mirror, position, ordinal, column_name) "
            "VALUES (?1, ?2, ?3, ?4)",
            DB_ARGS(DB_T(mirror), DB_I((int64_t)position), DB_I((int64_t)i), DB_T(t->exclude[i])));
    return ok;
}

static bool insert_mirror(struct catalog *c, struct mirror_row *row, struct err *err)
{
    bool ok = check_new(c, &row->config, err) && insert_row(c, row, err);
    for (size_t i = 0; ok && i < row->config.n_tables; i++)
        ok = mirror_insert_map(c, row->config.name, i, &row->config.tables[i], err);
    return ok;
}

bool catalog_mirror_insert(struct catalog *c, struct mirror_row *row, struct err *err)
{
    make_uuid(row->mirror_id);
    if (!row->config.created_at)
        row->config.created_at = clock_wall_us();
    return db_begin(c, DB_WRITE, err) && db_end(c, insert_mirror(c, row, err), err);
}

bool catalog_mirror_set(struct catalog *c, const char *name, enum mirror_wish wish,
                        bool snapshot_done, bool slot_created, struct err *err)
{
    return db_begin(c, DB_WRITE, err) &&
           db_end(c,
                  mirror_require(c, name, err) &&
                      db_run(c, err,
                             "UPDATE mirror SET wish = ?2, snapshot_done = ?3, slot_created = ?4, "
                             "updated_at = ?5 WHERE name = ?1",
                             DB_ARGS(DB_T(name), DB_T(wishes[wish]), DB_I(snapshot_done),
                                     DB_I(slot_created), DB_I(clock_wall_us()))),
                  err);
}

bool catalog_mirror_set_begun(struct catalog *c, const char *name, bool begun, struct err *err)
{
    return db_begin(c, DB_WRITE, err) &&
           db_end(c,
                  mirror_require(c, name, err) &&
                      db_run(c, err, "UPDATE mirror SET snapshot_begun = ?2 WHERE name = ?1",
                             DB_ARGS(DB_T(name), DB_I(begun))),
                  err);
}

bool catalog_mirror_set_restart(struct catalog *c, const char *name, lsn_t restart, struct err *err)
{
    /* An older position does no harm; one that another slot must not be measured by does. */
    return db_begin(c, restart ? DB_WRITE_LAZY : DB_WRITE, err) &&
           db_end(c,
                  mirror_require(c, name, err) &&
                      db_run(c, err, "UPDATE mirror SET slot_restart = ?2 WHERE name = ?1",
                             DB_ARGS(DB_T(name), DB_I((int64_t)restart))),
                  err);
}

bool catalog_mirror_set_snapshot(struct catalog *c, const char *name, bool do_snapshot,
                                 struct err *err)
{
    return db_begin(c, DB_WRITE, err) &&
           db_end(c,
                  mirror_require(c, name, err) &&
                      db_run(c, err,
                             "UPDATE mirror SET do_initial_snapshot = ?2, updated_at = ?3 "
                             "WHERE name = ?1",
                             DB_ARGS(DB_T(name), DB_I(do_snapshot), DB_I(clock_wall_us()))),
                  err);
}

bool catalog_mirror_set_settings(struct catalog *c, const char *name,
                                 const struct mirror_settings *s, struct err *err)
{
    return db_begin(c, DB_WRITE, err) &&
           db_end(
               c,
               mirror_require(c, name, err) &&
                   db_run(c, err,
                          "UPDATE mirror SET rows_per_partition = ?2, workers = ?3, "
                          "tables_in_parallel = ?4, batch_size = ?5, sync_interval = ?6, "
                          "replicate_indexes = ?7, replicate_foreign_keys = ?8, "
                          "resync_strategy = ?9, schema_changes = ?10, dropped_columns = ?11, "
                          "on_table_error = ?12, updated_at = ?13 WHERE name = ?1",
                          DB_ARGS(DB_T(name), DB_I(s->snapshot_num_rows_per_partition),
                                  DB_I(s->snapshot_max_parallel_workers),
                                  DB_I(s->snapshot_num_tables_in_parallel), DB_I(s->cdc_batch_size),
                                  DB_I(s->cdc_sync_interval_seconds), DB_I(s->replicate_indexes),
                                  DB_I(s->replicate_foreign_keys), DB_T(s->resync_strategy),
                                  DB_T(s->schema_changes), DB_T(s->dropped_columns),
                                  DB_T(s->on_table_error), DB_I(clock_wall_us()))),
               err);
}

bool catalog_mirror_set_pending(struct catalog *c, const char *name, const char *operation,
                                const char *by, int64_t at, struct err *err)
{
    return db_begin(c, DB_WRITE, err) &&
           db_end(c,
                  mirror_require(c, name, err) &&
                      db_run(c, err,
                             "UPDATE mirror SET pending = ?2, pending_by = ?3, pending_at = ?4 "
                             "WHERE name = ?1",
                             DB_ARGS(DB_T(name), DB_T(operation), DB_T(by), DB_I(at))),
                  err);
}

bool catalog_mirror_delete(struct catalog *c, const char *name, struct err *err)
{
    return db_begin(c, DB_WRITE, err) &&
           db_end(c,
                  mirror_require(c, name, err) &&
                      db_run(c, err, "DELETE FROM mirror WHERE name = ?1", DB_ARGS(DB_T(name))),
                  err);
}

/* --- Reading ---------------------------------------------------------------------------------- */

void mirror_row_free(struct mirror_row *m)
{
    mirror_config_free(&m->config);
    *m = (struct mirror_row){0};
}

void mirror_row_list_free(struct mirror_row_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        mirror_row_free(&l->items[i]);
    free(l->items);
    *l = (struct mirror_row_list){0};
}

/* In the order of MIRROR_READ_COLUMNS. */
static void read_row(const struct db_rows *r, struct mirror_row *row)
{
    struct mirror_config *m = &row->config;
    *row = (struct mirror_row){0};
    str_copy(m->name, sizeof m->name, db_text(r, 0));
    str_copy(row->mirror_id, sizeof row->mirror_id, db_text(r, 1));
    str_copy(m->source_peer, sizeof m->source_peer, db_text(r, 2));
    str_copy(m->dest_peer, sizeof m->dest_peer, db_text(r, 3));
    row->wish = wish_parse(db_text(r, 4));
    row->snapshot_done = db_int(r, 5);
    row->slot_created = db_int(r, 6);
    m->do_initial_snapshot = db_int(r, 7);
    m->snapshot_num_rows_per_partition = db_int(r, 8);
    m->snapshot_max_parallel_workers = (int)db_int(r, 9);
    m->snapshot_num_tables_in_parallel = (int)db_int(r, 10);
    m->cdc_batch_size = db_int(r, 11);
    m->cdc_sync_interval_seconds = (int)db_int(r, 12);
    str_copy(m->publication, sizeof m->publication, db_text(r, 13));
    str_copy(m->slot, sizeof m->slot, db_text(r, 14));
    m->replicate_indexes = db_int(r, 15);
    m->replicate_foreign_keys = db_int(r, 16);
    str_copy(m->resync_strategy, sizeof m->resync_strategy, db_text(r, 17));
    str_copy(m->schema_changes, sizeof m->schema_changes, db_text(r, 18));
    str_copy(m->on_table_error, sizeof m->on_table_error, db_text(r, 19));
    m->created_at = db_int(r, 20);
    str_copy(m->dropped_columns, sizeof m->dropped_columns, db_text(r, 22));
    row->republish = db_int(r, 23);
    str_copy(row->pending, sizeof row->pending, db_text(r, 24));
    str_copy(row->pending_by, sizeof row->pending_by, db_text(r, 25));
    row->pending_at = db_int(r, 26);
    row->snapshot_begun = db_int(r, 27);
    row->slot_restart = (lsn_t)db_int(r, 28);
}

static bool read_maps(struct catalog *c, struct mirror_config *m, struct err *err)
{
    struct db_rows r;
    size_t cap = 0;
    db_query(&r, c,
             "SELECT source_schema, source_table, dest_schema, dest_table, partition_key "
             "FROM mirror_table WHERE mirror = ?1 ORDER BY position",
             DB_ARGS(DB_T(m->name)));
    while (db_next(&r)) {
        struct table_map t = {0};
        str_copy(t.source_schema, sizeof t.source_schema, db_text(&r, 0));
        str_copy(t.source_table, sizeof t.source_table, db_text(&r, 1));
        str_copy(t.dest_schema, sizeof t.dest_schema, db_text(&r, 2));
        str_copy(t.dest_table, sizeof t.dest_table, db_text(&r, 3));
        str_copy(t.partition_key, sizeof t.partition_key, db_text(&r, 4));
        MEM_PUSH(m->tables, m->n_tables, cap, t);
    }
    return db_done(&r, err);
}

/* Positions are dense from 0, so that they index m->tables. */
static bool read_excludes(struct catalog *c, struct mirror_config *m, struct err *err)
{
    struct db_rows r;
    db_query(&r, c,
             "SELECT position, column_name FROM mirror_exclude WHERE mirror = ?1 "
             "ORDER BY position, ordinal",
             DB_ARGS(DB_T(m->name)));
    while (db_next(&r)) {
        size_t i = (size_t)db_int(&r, 0);
        if (i >= m->n_tables)
            continue;
        struct table_map *t = &m->tables[i];
        t->exclude = mem_realloc(t->exclude, (t->n_exclude + 1) * sizeof *t->exclude);
        t->exclude[t->n_exclude++] = mem_strdup(db_text(&r, 1));
    }
    return db_done(&r, err);
}

/* All mirrors, or the one of that name. */
static bool list_mirrors(struct catalog *c, const char *name, struct mirror_row_list *out,
                         struct err *err)
{
    struct db_rows r;
    size_t cap = 0;
    db_query(&r, c,
             name ? "SELECT " MIRROR_READ_COLUMNS " FROM mirror WHERE name = ?1"
                  : "SELECT " MIRROR_READ_COLUMNS " FROM mirror ORDER BY name",
             &(struct db_arg)DB_T(name), name ? 1 : 0);
    while (db_next(&r)) {
        struct mirror_row row;
        read_row(&r, &row);
        MEM_PUSH(out->items, out->n, cap, row);
    }
    bool ok = db_done(&r, err);
    for (size_t i = 0; ok && i < out->n; i++)
        ok = read_maps(c, &out->items[i].config, err) &&
             read_excludes(c, &out->items[i].config, err);
    return ok;
}

bool catalog_mirrors(struct catalog *c, struct mirror_row_list *out, struct err *err)
{
    *out = (struct mirror_row_list){0};
    if (!db_begin(c, DB_READ, err))
        return false;
    if (db_end(c, list_mirrors(c, NULL, out, err), err))
        return true;
    mirror_row_list_free(out);
    return false;
}

bool catalog_mirror_get(struct catalog *c, const char *name, struct mirror_row *out,
                        struct err *err)
{
    struct mirror_row_list found = {0};
    *out = (struct mirror_row){0};
    if (!db_begin(c, DB_READ, err))
        return false;
    bool ok = mirror_require(c, name, err) && list_mirrors(c, name, &found, err);
    ok = db_end(c, ok, err);
    if (ok) {
        *out = found.items[0];
        found.items[0] = (struct mirror_row){0};
    }
    mirror_row_list_free(&found);
    return ok;
}

/* --- Counters --------------------------------------------------------------------------------- */

static bool save_counters(struct catalog *c, const char *mirror, const struct table_status *t,
                          size_t n, struct err *err)
{
    if (!mirror_require(c, mirror, err))
        return false;
    struct db_rows r;
    db_query(&r, c,
             "INSERT OR REPLACE INTO table_counter (mirror, source, rows_synced, rows_inserted, "
             "rows_updated, rows_deleted, rows_missing, last_synced_at, rows_conflicting) "
             "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
             NULL, 0);
    for (size_t i = 0; i < n; i++) {
        db_again(&r, DB_ARGS(DB_T(mirror), DB_T(t[i].source), DB_I(t[i].rows_synced),
                             DB_I(t[i].rows_inserted), DB_I(t[i].rows_updated),
                             DB_I(t[i].rows_deleted), DB_I(t[i].rows_missing),
                             DB_I(t[i].last_synced_at), DB_I(t[i].rows_conflicting)));
        db_next(&r);
    }
    return db_done(&r, err);
}

bool catalog_counters_save(struct catalog *c, const char *mirror, const struct table_status *t,
                           size_t n, struct err *err)
{
    return db_begin(c, DB_WRITE_LAZY, err) && db_end(c, save_counters(c, mirror, t, n, err), err);
}

static bool load_counters(struct catalog *c, const char *mirror, struct table_status *t, size_t n,
                          struct err *err)
{
    struct db_rows r;
    db_query(
        &r, c,
        "SELECT rows_synced, rows_inserted, rows_updated, rows_deleted, rows_missing, "
        "last_synced_at, rows_conflicting FROM table_counter WHERE mirror = ?1 AND source = ?2",
        NULL, 0);
    for (size_t i = 0; i < n; i++) {
        db_again(&r, DB_ARGS(DB_T(mirror), DB_T(t[i].source)));
        if (!db_next(&r))
            continue;
        t[i].rows_synced = db_int(&r, 0);
        t[i].rows_inserted = db_int(&r, 1);
        t[i].rows_updated = db_int(&r, 2);
        t[i].rows_deleted = db_int(&r, 3);
        t[i].rows_missing = db_int(&r, 4);
        t[i].last_synced_at = db_int(&r, 5);
        t[i].rows_conflicting = db_int(&r, 6);
    }
    return db_done(&r, err);
}

bool catalog_counters_load(struct catalog *c, const char *mirror, struct table_status *t, size_t n,
                           struct err *err)
{
    return db_begin(c, DB_READ, err) && db_end(c, load_counters(c, mirror, t, n, err), err);
}
