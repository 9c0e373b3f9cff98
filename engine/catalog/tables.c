/* Tables that come to a mirror and leave it while it lives: its mapping, which of them are to be
 * copied beside the stream, and which the stream is to ignore. */
#include "catalog/catalog.h"

#include <stdlib.h>

#include "base/clock.h"
#include "catalog/db.h"

/* --- One statement for each of some tables ---------------------------------------------------- */

static bool each_table(struct catalog *c, const char *sql, const char *mirror,
                       const struct table_name *tables, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (!db_run(c, err, sql,
                    DB_ARGS(DB_T(mirror), DB_T(tables[i].schema), DB_T(tables[i].table))))
            return false;
    return true;
}

#define THIS_TABLE " WHERE mirror = ?1 AND source_schema = ?2 AND source_table = ?3"
/* The last wish says how. */
#define ADD_COPY(by_swap)                                                                   \
    "INSERT INTO copy_wish (mirror, source_schema, source_table, by_swap) VALUES (?1, ?2, " \
    "?3, " by_swap ") ON CONFLICT DO UPDATE SET by_swap = excluded.by_swap"
static const char add_copy[] = ADD_COPY("0"), add_swap[] = ADD_COPY("1");
static const char drop_copy[] = "DELETE FROM copy_wish" THIS_TABLE;
static const char add_removed[] = "INSERT OR IGNORE INTO removed_table (mirror, source_schema, "
                                  "source_table) VALUES (?1, ?2, ?3)";
static const char drop_removed[] = "DELETE FROM removed_table" THIS_TABLE;
static const char drop_counter[] =
    "DELETE FROM table_counter WHERE mirror = ?1 AND source = ?2 || '.' || ?3";

static bool list(struct catalog *c, const char *sql, const char *mirror,
                 struct table_name_list *out, struct err *err)
{
    struct db_rows r;
    size_t cap = 0;
    *out = (struct table_name_list){0};
    if (!db_begin(c, DB_READ, err))
        return false;
    db_query(&r, c, sql, DB_ARGS(DB_T(mirror)));
    while (db_next(&r)) {
        struct table_name t;
        str_copy(t.schema, sizeof t.schema, db_text(&r, 0));
        str_copy(t.table, sizeof t.table, db_text(&r, 1));
        MEM_PUSH(out->items, out->n, cap, t);
    }
    if (db_end(c, db_done(&r, err), err))
        return true;
    table_name_list_free(out);
    return false;
}

/* --- The mapping ------------------------------------------------------------------------------ */

static bool replace_maps(struct catalog *c, const char *mirror, const struct table_map *maps,
                         size_t n, struct err *err)
{
    bool ok = db_run(c, err, "DELETE FROM mirror_table WHERE mirror = ?1", DB_ARGS(DB_T(mirror)));
    for (size_t i = 0; ok && i < n; i++)
        ok = mirror_insert_map(c, mirror, i, &maps[i], err);
    return ok;
}

static bool set_tables(struct catalog *c, const char *mirror, const struct table_map *maps,
                       size_t n, const struct table_name_list *added,
                       const struct table_name_list *removed, struct err *err)
{
    return mirror_require(c, mirror, err) && replace_maps(c, mirror, maps, n, err) &&
           each_table(c, add_copy, mirror, added->items, added->n, err) &&
           each_table(c, drop_removed, mirror, added->items, added->n, err) &&
           each_table(c, drop_copy, mirror, removed->items, removed->n, err) &&
           each_table(c, drop_counter, mirror, removed->items, removed->n, err) &&
           each_table(c, add_removed, mirror, removed->items, removed->n, err) &&
           db_run(c, err, "UPDATE mirror SET republish = 1, updated_at = ?2 WHERE name = ?1",
                  DB_ARGS(DB_T(mirror), DB_I(clock_wall_us())));
}

bool catalog_mirror_set_tables(struct catalog *c, const char *mirror, const struct table_map *maps,
                               size_t n, const struct table_name_list *added,
                               const struct table_name_list *removed, struct err *err)
{
    return db_begin(c, DB_WRITE, err) &&
           db_end(c, set_tables(c, mirror, maps, n, added, removed, err), err);
}

bool catalog_mirror_published(struct catalog *c, const char *mirror, struct err *err)
{
    return db_begin(c, DB_WRITE, err) &&
           db_end(c,
                  mirror_require(c, mirror, err) &&
                      db_run(c, err, "UPDATE mirror SET republish = 0 WHERE name = ?1",
                             DB_ARGS(DB_T(mirror))),
                  err);
}

static bool drop_copies(struct catalog *c, const char *mirror, struct err *err)
{
    return db_run(c, err, "DELETE FROM copy_wish WHERE mirror = ?1", DB_ARGS(DB_T(mirror)));
}

static bool renew(struct catalog *c, const char *mirror, bool keep_wishes, struct err *err)
{
    return mirror_require(c, mirror, err) && (keep_wishes || drop_copies(c, mirror, err)) &&
           db_run(c, err, "DELETE FROM removed_table WHERE mirror = ?1", DB_ARGS(DB_T(mirror))) &&
           db_run(c, err, "UPDATE mirror SET republish = 0 WHERE name = ?1", DB_ARGS(DB_T(mirror)));
}

bool catalog_mirror_renew(struct catalog *c, const char *mirror, bool keep_wishes, struct err *err)
{
    return db_begin(c, DB_WRITE, err) && db_end(c, renew(c, mirror, keep_wishes, err), err);
}

/* --- Copies beside the stream ----------------------------------------------------------------- */

bool catalog_copies_add(struct catalog *c, const char *mirror, const struct table_name *tables,
                        size_t n, struct err *err)
{
    return db_begin(c, DB_WRITE, err) &&
           db_end(c,
                  mirror_require(c, mirror, err) && each_table(c, add_copy, mirror, tables, n, err),
                  err);
}

bool catalog_swaps_add(struct catalog *c, const char *mirror, const struct table_name *tables,
                       size_t n, struct err *err)
{
    return db_begin(c, DB_WRITE, err) &&
           db_end(c,
                  mirror_require(c, mirror, err) && each_table(c, add_swap, mirror, tables, n, err),
                  err);
}

bool catalog_swaps(struct catalog *c, const char *mirror, struct table_name_list *out,
                   struct err *err)
{
    return list(c,
                "SELECT source_schema, source_table FROM copy_wish WHERE mirror = ?1 AND by_swap "
                "ORDER BY 1, 2",
                mirror, out, err);
}

bool catalog_copies(struct catalog *c, const char *mirror, struct table_name_list *out,
                    struct err *err)
{
    return list(c,
                "SELECT source_schema, source_table FROM copy_wish WHERE mirror = ?1 ORDER BY 1, 2",
                mirror, out, err);
}

bool catalog_copies_clear(struct catalog *c, const char *mirror, struct err *err)
{
    return db_begin(c, DB_WRITE, err) &&
           db_end(c, mirror_require(c, mirror, err) && drop_copies(c, mirror, err), err);
}

bool catalog_copies_remove(struct catalog *c, const char *mirror, const struct table_name *table,
                           struct err *err)
{
    return db_begin(c, DB_WRITE, err) &&
           db_end(c, each_table(c, drop_copy, mirror, table, 1, err), err);
}

bool catalog_removed(struct catalog *c, const char *mirror, struct table_name_list *out,
                     struct err *err)
{
    return list(c,
                "SELECT source_schema, source_table FROM removed_table WHERE mirror = ?1 "
                "ORDER BY 1, 2",
                mirror, out, err);
}
