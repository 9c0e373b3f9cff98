/* The catalog's schema as an ordered list of changes. Each runs in a transaction of its own with
 * the version it leads to (PRAGMA user_version), so that a crash leaves one version or the next.
 * Released entries are never edited: a new change is a new entry at the end. */
#include "catalog/db.h"

#include "base/log.h"

#define APPLICATION_ID 0x626e6e79 /* "bnny", tells our files from other programs' */

static const char *const migrations[] = {
    /* 1: the first schema. Names are stored and compared byte by byte. */
    "CREATE TABLE peer ("
    "  name TEXT PRIMARY KEY NOT NULL,"
    "  host TEXT NOT NULL, port INTEGER NOT NULL, user TEXT NOT NULL,"
    "  password BLOB," /* sealed; NULL: none */
    "  database TEXT NOT NULL, ssl_mode TEXT NOT NULL,"
    "  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL) STRICT;"

    "CREATE TABLE peer_option ("
    "  peer TEXT NOT NULL REFERENCES peer(name) ON DELETE CASCADE,"
    "  position INTEGER NOT NULL, name TEXT NOT NULL,"
    "  value TEXT, sealed BLOB," /* one of the two */
    "  PRIMARY KEY (peer, position)) STRICT;"

    "CREATE TABLE mirror ("
    "  name TEXT PRIMARY KEY NOT NULL, mirror_id TEXT NOT NULL UNIQUE,"
    "  source_peer TEXT NOT NULL REFERENCES peer(name),"
    "  dest_peer TEXT NOT NULL REFERENCES peer(name),"
    "  wish TEXT NOT NULL CHECK (wish IN ('run', 'pause', 'delete')),"
    "  snapshot_done INTEGER NOT NULL, slot_created INTEGER NOT NULL,"
    "  do_initial_snapshot INTEGER NOT NULL, rows_per_partition INTEGER NOT NULL,"
    "  workers INTEGER NOT NULL, tables_in_parallel INTEGER NOT NULL,"
    "  batch_size INTEGER NOT NULL, sync_interval INTEGER NOT NULL,"
    "  publication TEXT NOT NULL, slot TEXT NOT NULL,"
    "  replicate_indexes INTEGER NOT NULL, replicate_foreign_keys INTEGER NOT NULL,"
    "  resync_strategy TEXT NOT NULL, schema_changes TEXT NOT NULL, on_table_error TEXT NOT NULL,"
    "  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,"
    "  UNIQUE (source_peer, slot)) STRICT;"
    "CREATE INDEX mirror_dest_peer ON mirror (dest_peer);"

    "CREATE TABLE mirror_table ("
    "  mirror TEXT NOT NULL REFERENCES mirror(name) ON DELETE CASCADE,"
    "  position INTEGER NOT NULL,"
    "  source_schema TEXT NOT NULL, source_table TEXT NOT NULL,"
    "  dest_schema TEXT NOT NULL, dest_table TEXT NOT NULL, partition_key TEXT NOT NULL,"
    "  PRIMARY KEY (mirror, position)) STRICT;"
    "CREATE TABLE mirror_exclude ("
    "  mirror TEXT NOT NULL, position INTEGER NOT NULL, ordinal INTEGER NOT NULL,"
    "  column_name TEXT NOT NULL,"
    "  PRIMARY KEY (mirror, position, ordinal),"
    "  FOREIGN KEY (mirror, position) REFERENCES mirror_table ON DELETE CASCADE) STRICT;"

    "CREATE TABLE table_counter ("
    "  mirror TEXT NOT NULL REFERENCES mirror(name) ON DELETE CASCADE,"
    "  source TEXT NOT NULL,"
    "  rows_synced INTEGER NOT NULL, rows_inserted INTEGER NOT NULL,"
    "  rows_updated INTEGER NOT NULL, rows_deleted INTEGER NOT NULL,"
    "  rows_missing INTEGER NOT NULL, last_synced_at INTEGER NOT NULL,"
    "  PRIMARY KEY (mirror, source)) STRICT;"

    "CREATE TABLE run ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  mirror TEXT NOT NULL REFERENCES mirror(name) ON DELETE CASCADE,"
    "  kind TEXT NOT NULL, began_at INTEGER NOT NULL,"
    "  ended_at INTEGER, ending TEXT, error TEXT) STRICT;"
    "CREATE INDEX run_mirror ON run (mirror, id);"

    /* A mirror's log outlives it, so no foreign key. */
    "CREATE TABLE log ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  at INTEGER NOT NULL, level INTEGER NOT NULL, component TEXT NOT NULL,"
    "  mirror TEXT NOT NULL, text TEXT NOT NULL, details TEXT NOT NULL) STRICT;"
    "CREATE INDEX log_mirror ON log (mirror, id);"
    "CREATE INDEX log_at ON log (at);"

    "CREATE TABLE user ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  name TEXT NOT NULL UNIQUE, role TEXT NOT NULL CHECK (role IN ('admin', 'viewer')),"
    "  password_hash TEXT NOT NULL, created_at INTEGER NOT NULL) STRICT;"
    "CREATE TABLE token ("
    "  hash TEXT PRIMARY KEY NOT NULL,"
    "  user_id INTEGER NOT NULL REFERENCES user(id) ON DELETE CASCADE,"
    "  created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL) STRICT;"
    "CREATE INDEX token_user ON token (user_id);"
    "CREATE INDEX token_expires ON token (expires_at);",

    /* 2: operations that outlive the process, tables that come and go, what happened in a run. */
    "ALTER TABLE mirror ADD COLUMN pending TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE mirror ADD COLUMN pending_by TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE mirror ADD COLUMN pending_at INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE mirror ADD COLUMN republish INTEGER NOT NULL DEFAULT 0;"

    "CREATE TABLE copy_wish ("
    "  mirror TEXT NOT NULL REFERENCES mirror(name) ON DELETE CASCADE,"
    "  source_schema TEXT NOT NULL, source_table TEXT NOT NULL,"
    "  PRIMARY KEY (mirror, source_schema, source_table)) STRICT;"
    "CREATE TABLE removed_table ("
    "  mirror TEXT NOT NULL REFERENCES mirror(name) ON DELETE CASCADE,"
    "  source_schema TEXT NOT NULL, source_table TEXT NOT NULL,"
    "  PRIMARY KEY (mirror, source_schema, source_table)) STRICT;"

    "CREATE TABLE run_event ("
    "  run INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
    "  at INTEGER NOT NULL, state TEXT NOT NULL, phase TEXT NOT NULL, text TEXT NOT NULL) STRICT;"
    "CREATE INDEX run_event_run ON run_event (run);",

    /* 3: the last comparison of each mirror. */
    "CREATE TABLE verify ("
    "  mirror TEXT PRIMARY KEY NOT NULL REFERENCES mirror(name) ON DELETE CASCADE,"
    "  lsn INTEGER NOT NULL, began_at INTEGER NOT NULL, ended_at INTEGER NOT NULL,"
    "  ending TEXT NOT NULL, error TEXT) STRICT;"
    "CREATE TABLE verify_table ("
    "  mirror TEXT NOT NULL REFERENCES verify(mirror) ON DELETE CASCADE,"
    "  position INTEGER NOT NULL,"
    "  source_schema TEXT NOT NULL, source_table TEXT NOT NULL,"
    "  dest_schema TEXT NOT NULL, dest_table TEXT NOT NULL,"
    "  state TEXT NOT NULL, reason TEXT,"
    "  source_rows INTEGER NOT NULL, dest_rows INTEGER NOT NULL, equal INTEGER NOT NULL,"
    "  differing INTEGER NOT NULL, missing INTEGER NOT NULL, extra INTEGER NOT NULL,"
    "  PRIMARY KEY (mirror, position)) STRICT;"
    "CREATE TABLE verify_key ("
    "  mirror TEXT NOT NULL, position INTEGER NOT NULL, ordinal INTEGER NOT NULL,"
    "  column_name TEXT NOT NULL,"
    "  PRIMARY KEY (mirror, position, ordinal),"
    "  FOREIGN KEY (mirror, position) REFERENCES verify_table ON DELETE CASCADE) STRICT;"
    "CREATE TABLE verify_row ("
    "  mirror TEXT NOT NULL, position INTEGER NOT NULL, row INTEGER NOT NULL,"
    "  ordinal INTEGER NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL,"
    "  PRIMARY KEY (mirror, position, row, ordinal),"
    "  FOREIGN KEY (mirror, position) REFERENCES verify_table ON DELETE CASCADE) STRICT;",

    /* 4: an interrupted first snapshot goes on. */
    "ALTER TABLE mirror ADD COLUMN snapshot_begun INTEGER NOT NULL DEFAULT 0;",

    /* 5: tables that are copied while readers keep their old rows. */
    "ALTER TABLE copy_wish ADD COLUMN by_swap INTEGER NOT NULL DEFAULT 0;",

    /* 6: changes that met rows which should not be, or none. */
    "ALTER TABLE table_counter ADD COLUMN rows_conflicting INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE row_trouble ("
    "  mirror TEXT NOT NULL REFERENCES mirror(name) ON DELETE CASCADE,"
    "  code TEXT NOT NULL, source TEXT NOT NULL, count INTEGER NOT NULL,"
    "  first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,"
    "  operation TEXT NOT NULL, row_key TEXT NOT NULL, lsn INTEGER NOT NULL,"
    "  PRIMARY KEY (mirror, code, source)) STRICT;",

    /* 7: what becomes of a column that the source drops. */
    "ALTER TABLE mirror ADD COLUMN dropped_columns TEXT NOT NULL DEFAULT 'keep';",

    /* 8: what was different when definitions were last compared. */
    "CREATE TABLE definition_finding ("
    "  mirror TEXT NOT NULL REFERENCES mirror(name) ON DELETE CASCADE,"
    "  ordinal INTEGER NOT NULL, code TEXT NOT NULL, severity INTEGER NOT NULL,"
    "  title TEXT NOT NULL, cause TEXT NOT NULL, remedy TEXT NOT NULL, action TEXT NOT NULL,"
    "  PRIMARY KEY (mirror, ordinal)) STRICT;",

    /* 9: rows that a comparison has repaired. */
    "ALTER TABLE verify_table ADD COLUMN repaired INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE verify_row ADD COLUMN repaired INTEGER NOT NULL DEFAULT 0;",

    /* 10: who let a run begin, and who ended it. */
    "ALTER TABLE run ADD COLUMN begun_by TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE run ADD COLUMN ended_by TEXT NOT NULL DEFAULT '';",

    /* 11: how far the slot at the source has come for good. */
    "ALTER TABLE mirror ADD COLUMN slot_restart INTEGER NOT NULL DEFAULT 0;",
};

static bool refuse_foreign(struct catalog *c, struct err *err)
{
    err_set(err, ERR_CATALOG, "catalog %s: this is a database of another program", c->path);
    return err_hint(err, "bunnydb has changed nothing in it. Move the file away, or give bunnydb "
                         "another state directory.");
}

static bool refuse_newer(struct catalog *c, int64_t version, struct err *err)
{
    err_set(err, ERR_CATALOG,
            "catalog %s was written by a newer bunnydb (its version is %lld, this program knows up "
            "to %zu)",
            c->path, (long long)version, COUNT_OF(migrations));
    return err_hint(err, "Start that newer bunnydb, or move the file away and create peers and "
                         "mirrors again; nothing in it was changed.");
}

/* A file without our mark is new only when it holds nothing at all. */
static bool is_foreign(int64_t id, int64_t version, int64_t objects)
{
    return id != APPLICATION_ID && (id || version || objects);
}

bool migrations_check(struct catalog *c, int64_t *version, struct err *err)
{
    int64_t id, objects;
    if (!db_value(c, err, version, 0, "PRAGMA user_version", NULL, 0) ||
        !db_value(c, err, &id, 0, "PRAGMA application_id", NULL, 0) ||
        !db_value(c, err, &objects, 0, "SELECT count(*) FROM sqlite_schema", NULL, 0))
        return false;
    if (is_foreign(id, *version, objects))
        return refuse_foreign(c, err);
    if (*version < 0 || (size_t)*version > COUNT_OF(migrations))
        return refuse_newer(c, *version, err);
    return true;
}

static bool migrate_one(struct catalog *c, size_t version, struct err *err)
{
    char mark[128];
    str_printf(mark, sizeof mark, "PRAGMA application_id = %d; PRAGMA user_version = %zu",
               APPLICATION_ID, version + 1);
    if (!db_begin(c, DB_WRITE, err))
        return false;
    bool ok = db_script(c, err, migrations[version]) && db_script(c, err, mark);
    if (!db_end(c, ok, err))
        return err_context(err, "migration to version %zu", version + 1);
    log_info("catalog", NULL, "catalog schema migrated version=%zu", version + 1);
    return true;
}

bool migrations_run(struct catalog *c, int64_t version, struct err *err)
{
    for (size_t v = (size_t)version; v < COUNT_OF(migrations); v++)
        if (!migrate_one(c, v, err))
            return false;
    return true;
}
