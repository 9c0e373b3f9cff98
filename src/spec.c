/* What a peer and a mirror are made of; see spec.h. */
#include "src/spec.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define PEER(member) offsetof(struct peer_spec, peer.member)
static const struct field peer_rows[] = {
    {.name = "name",
     .type = FIELD_STRING,
     .offset = PEER(name),
     .min = 1,
     .max = 50,
     .is_required = true,
     .text = "Name of the peer."},
    {.name = "host",
     .type = FIELD_STRING,
     .offset = PEER(host),
     .min = 1,
     .max = 1024,
     .is_required = true,
     .bit = PEER_HOST,
     .text = "Host name, address, or directory of the Unix socket."},
    {.name = "port",
     .type = FIELD_INT,
     .offset = PEER(port),
     .min = 1,
     .max = 65535,
     .bit = PEER_PORT,
     .text = "Port; 5432 by default."},
    {.name = "user",
     .type = FIELD_STRING,
     .offset = PEER(user),
     .min = 1,
     .max = 63,
     .is_required = true,
     .bit = PEER_USER,
     .text = "Role to log in as."},
    {.name = "password",
     .type = FIELD_SECRET,
     .offset = PEER(password),
     .min = 1,
     .max = 1024,
     .bit = PEER_PASSWORD,
     .text = "Password. Without one libpq's own ways apply (pgpass, certificate, peer)."},
    {.name = "database",
     .type = FIELD_STRING,
     .offset = PEER(database),
     .min = 1,
     .max = 63,
     .is_required = true,
     .bit = PEER_DATABASE,
     .text = "Database."},
    {.name = "ssl_mode",
     .type = FIELD_STRING,
     .offset = PEER(ssl_mode),
     .min = 1,
     .max = 15,
     .bit = PEER_SSL_MODE,
     .text = "disable, allow, prefer (the default), require, verify-ca or verify-full."},
    {.name = "options",
     .type = FIELD_OBJECT,
     .offset = offsetof(struct peer_spec, options),
     .bit = PEER_OPTIONS,
     .text = "Further libpq keywords and their values. Secrets among them are shown as ********, "
             "which leaves the stored value as it is when it is written back."},
};
const struct field_table peer_fields = FIELD_TABLE(peer_rows);

#define MIRROR(member) offsetof(struct mirror_spec, config.member)
static const struct field mirror_rows[] = {
    {.name = "name",
     .type = FIELD_NAME,
     .offset = MIRROR(name),
     .min = 1,
     .max = 50,
     .is_required = true,
     .text = "Name of the mirror."},
    {.name = "source_peer",
     .type = FIELD_TEXT,
     .offset = MIRROR(source_peer),
     .min = 1,
     .max = NAME_SIZE - 1,
     .is_required = true,
     .text = "Peer to copy from."},
    {.name = "destination_peer",
     .type = FIELD_TEXT,
     .offset = MIRROR(dest_peer),
     .min = 1,
     .max = NAME_SIZE - 1,
     .is_required = true,
     .text = "Peer to copy to."},
    {.name = "table_mappings",
     .type = FIELD_ARRAY,
     .offset = offsetof(struct mirror_spec, table_mappings),
     .is_required = true,
     .text = "The tables."},
    {.name = "do_initial_snapshot",
     .type = FIELD_BOOL,
     .offset = MIRROR(do_initial_snapshot),
     .text = "Copy what the tables hold; else stream only, into tables that exist. Default yes."},
    {.name = "snapshot_num_rows_per_partition",
     .type = FIELD_INT64,
     .offset = MIRROR(snapshot_num_rows_per_partition),
     .bit = TUNE_BIT(TUNE_ROWS_PER_PARTITION),
     .min = 1,
     .max = 1000000000000,
     .text = "Rows of one piece of a snapshot. Default 500000."},
    {.name = "snapshot_max_parallel_workers",
     .type = FIELD_INT,
     .offset = MIRROR(snapshot_max_parallel_workers),
     .bit = TUNE_BIT(TUNE_WORKERS),
     .min = 1,
     .max = 64,
     .text = "Workers that copy one table. Default 4."},
    {.name = "snapshot_num_tables_in_parallel",
     .type = FIELD_INT,
     .offset = MIRROR(snapshot_num_tables_in_parallel),
     .bit = TUNE_BIT(TUNE_TABLES_IN_PARALLEL),
     .min = 1,
     .max = 64,
     .text = "Tables that are copied at the same time. Default 4."},
    {.name = "cdc_batch_size",
     .type = FIELD_INT64,
     .offset = MIRROR(cdc_batch_size),
     .bit = TUNE_BIT(TUNE_BATCH_SIZE),
     .min = 1,
     .max = 10000000,
     .text = "Most changes in one destination transaction; a larger source transaction is never "
             "split. Default 10000."},
    {.name = "max_batch_size",
     .type = FIELD_INT64,
     .offset = MIRROR(cdc_batch_size),
     .bit = TUNE_BIT(TUNE_BATCH_SIZE),
     .min = 1,
     .max = 10000000,
     .text = "Older name of cdc_batch_size."},
    {.name = "cdc_sync_interval_seconds",
     .type = FIELD_INT,
     .offset = MIRROR(cdc_sync_interval_seconds),
     .bit = TUNE_BIT(TUNE_SYNC_INTERVAL),
     .min = 0,
     .max = 86400,
     .text = "Longest time that a committed change may wait so that a batch fills. Default 0: "
             "applied as soon as it arrives."},
    {.name = "idle_timeout_seconds",
     .type = FIELD_INT,
     .offset = MIRROR(cdc_sync_interval_seconds),
     .bit = TUNE_BIT(TUNE_SYNC_INTERVAL),
     .min = 0,
     .max = 86400,
     .text = "Older name of cdc_sync_interval_seconds."},
    {.name = "publication_name",
     .type = FIELD_TEXT,
     .offset = MIRROR(publication),
     .min = 1,
     .max = NAME_SIZE - 1,
     .text = "Publication at the source. Default bunny_pub_NAME."},
    {.name = "replication_slot_name",
     .type = FIELD_TEXT,
     .offset = MIRROR(slot),
     .min = 1,
     .max = NAME_SIZE - 1,
     .text = "Slot at the source. Default bunny_slot_NAME."},
    {.name = "replicate_indexes",
     .type = FIELD_BOOL,
     .offset = MIRROR(replicate_indexes),
     .bit = TUNE_BIT(TUNE_INDEXES),
     .text = "Create the source's indexes. Default yes."},
    {.name = "replicate_foreign_keys",
     .type = FIELD_BOOL,
     .offset = MIRROR(replicate_foreign_keys),
     .bit = TUNE_BIT(TUNE_FOREIGN_KEYS),
     .text = "Create the source's foreign keys. Default yes."},
    {.name = "resync_strategy",
     .type = FIELD_CHOICE,
     .offset = MIRROR(resync_strategy),
     .bit = TUNE_BIT(TUNE_RESYNC_STRATEGY),
     .max = 15,
     .choices = "truncate|swap",
     .text =
         "How a resync replaces a table: emptied first, or with the old rows to be read until the "
         "new ones are there. Default truncate."},
    {.name = "schema_changes",
     .type = FIELD_CHOICE,
     .offset = MIRROR(schema_changes),
     .bit = TUNE_BIT(TUNE_SCHEMA_CHANGES),
     .max = 15,
     .choices = "manual|auto",
     .text =
         "auto: the destination's definitions follow the source's at their place in the stream; "
         "manual: the mirror stops there until sync-schema. Default manual."},
    {.name = "dropped_columns",
     .type = FIELD_CHOICE,
     .offset = MIRROR(dropped_columns),
     .bit = TUNE_BIT(TUNE_DROPPED_COLUMNS),
     .max = 15,
     .choices = "keep|drop",
     .text = "What becomes of a column that the source drops: keep leaves it and its values at the "
             "destination. Default keep."},
    {.name = "on_table_error",
     .type = FIELD_CHOICE,
     .offset = MIRROR(on_table_error),
     .bit = TUNE_BIT(TUNE_ON_TABLE_ERROR),
     .max = 15,
     .choices = "stop|set_aside",
     .text = "set_aside: a table whose change cannot be applied leaves the stream until it is "
             "resynced. Default stop."},
};
const struct field_table mirror_fields = FIELD_TABLE(mirror_rows);

/* --- Peers ----------------------------------------------------------------------------------- */
static bool read_options(struct peer_spec *s, struct err *err)
{
    const char *key;
    json_t *v;
    size_t n = json_object_size(s->options);
    struct peer *p = &s->peer;
    p->option_names = mem_calloc(n, sizeof *p->option_names);
    p->option_values = mem_calloc(n, sizeof *p->option_values);
    json_object_foreach(s->options, key, v)
    {
        if (json_is_integer(v))
            p->option_values[p->n_options] =
                mem_printf("%" JSON_INTEGER_FORMAT, json_integer_value(v));
        else if (json_is_string(v))
            p->option_values[p->n_options] = mem_strdup(json_string_value(v));
        else
            return err_set(err, ERR_INVALID, "field \"options.%.64s\" must be a string or integer",
                           key);
        p->option_names[p->n_options++] = mem_strdup(key);
    }
    return true;
}

static bool check_name(const char *name, struct err *err)
{
    static const struct field rule = {.name = "name", .type = FIELD_NAME, .min = 1, .max = 50};
    static const struct field_table rules = {&rule, 1};
    char copy[51];
    json_t *o = json_pack("{s:s}", "name", name);
    bool ok = fields_read(&rules, o, false, copy, NULL, err);
    json_decref(o);
    return ok;
}

static bool check_ssl_mode(const char *mode, struct err *err)
{
    static const char *const modes[] = {"disable", "allow",     "prefer",
                                        "require", "verify-ca", "verify-full"};
    for (size_t i = 0; i < COUNT_OF(modes); i++)
        if (!strcmp(mode, modes[i]))
            return true;
    return err_set(err, ERR_INVALID,
                   "field \"ssl_mode\" must be disable, allow, prefer, require, verify-ca or "
                   "verify-full");
}

bool peer_spec_read(const json_t *object, bool partial, struct peer_spec *out, unsigned *given,
                    struct err *err)
{
    *out = (struct peer_spec){.peer.port = 5432};
    if (!fields_read(&peer_fields, object, partial, out, given, err))
        return false;
    if (out->peer.name && !check_name(out->peer.name, err))
        return false;
    if (out->peer.ssl_mode && !check_ssl_mode(out->peer.ssl_mode, err))
        return false;
    if (!out->peer.ssl_mode && !partial)
        out->peer.ssl_mode = mem_strdup("prefer");
    return !out->options || read_options(out, err);
}

/* --- Tables ---------------------------------------------------------------------------------- */
/* Takes one identifier off *s: in double quotes (doubled inside), or up to a dot or the end. */
static bool take_ident(const char **s, char out[NAME_SIZE], bool is_last)
{
    size_t n = 0;
    const char *p = *s;
    if (*p != '"') {
        n = is_last ? strlen(p) : strcspn(p, ".");
        *s = p + n;
        return n > 0 && str_copy_n(out, NAME_SIZE, p, n);
    }
    for (p++; *p && (*p != '"' || p[1] == '"'); p++) {
        if (*p == '"')
            p++;
        if (n + 1 >= NAME_SIZE)
            return false;
        out[n++] = *p;
    }
    out[n] = '\0';
    if (*p != '"' || n == 0)
        return false;
    *s = p + 1;
    return true;
}

/* Splits "schema.table" at the first dot that is not inside double quotes. */
static bool split_table(const char *field, const char *text, char schema[NAME_SIZE],
                        char table[NAME_SIZE], struct err *err)
{
    const char *s = text;
    if (take_ident(&s, schema, false) && *s++ == '.' && take_ident(&s, table, true) && !*s)
        return true;
    return err_set(err, ERR_INVALID,
                   "field \"%s\": \"%.140s\" is not schema.table (names of at most 63 bytes)",
                   field, text);
}

struct mapping_spec {
    struct table_map map;
    char *source, *dest; /* source_table and destination_table as given */
    json_t *exclude;
};
#define MAP(member) offsetof(struct mapping_spec, map.member)
static const struct field mapping_rows[] = {
    {.name = "source_schema",
     .type = FIELD_TEXT,
     .offset = MAP(source_schema),
     .min = 1,
     .max = NAME_SIZE - 1},
    {.name = "source_table",
     .type = FIELD_STRING,
     .offset = offsetof(struct mapping_spec, source),
     .min = 1,
     .max = 4 * NAME_SIZE,
     .is_required = true},
    {.name = "destination_schema",
     .type = FIELD_TEXT,
     .offset = MAP(dest_schema),
     .min = 1,
     .max = NAME_SIZE - 1},
    {.name = "destination_table",
     .type = FIELD_STRING,
     .offset = offsetof(struct mapping_spec, dest),
     .min = 1,
     .max = 4 * NAME_SIZE},
    {.name = "exclude_columns",
     .type = FIELD_ARRAY,
     .offset = offsetof(struct mapping_spec, exclude)},
    {.name = "partition_key",
     .type = FIELD_TEXT,
     .offset = MAP(partition_key),
     .max = NAME_SIZE - 1,
     .is_nullable = true}, /* as GET …/tables gives it */
};
static const struct field_table mapping_fields = FIELD_TABLE(mapping_rows);

static bool read_exclude(struct mapping_spec *m, struct err *err)
{
    size_t n = json_array_size(m->exclude);
    m->map.exclude = mem_calloc(n, sizeof *m->map.exclude);
    for (size_t i = 0; i < n; i++) {
        const char *column = json_string_value(json_array_get(m->exclude, i));
        if (!column || !*column || strlen(column) >= NAME_SIZE)
            return err_set(err, ERR_INVALID, "field \"exclude_columns\" must hold column names");
        m->map.exclude[m->map.n_exclude++] = mem_strdup(column);
    }
    return true;
}

/* One end of a mapping: the long form has the schema on its own, the short one before the dot. */
static bool read_end(const char *field, const char *text, char schema[NAME_SIZE],
                     char table[NAME_SIZE], bool has_schema, struct err *err)
{
    if (!has_schema)
        return split_table(field, text, schema, table, err);
    if (!str_copy(table, NAME_SIZE, text))
        return err_set(err, ERR_INVALID, "field \"%s\" must have at most 63 bytes", field);
    return true;
}

static bool read_mapping(const json_t *object, struct mapping_spec *m, struct err *err)
{
    if (!json_is_object(object))
        return err_set(err, ERR_INVALID, "must be an object");
    if (!fields_read(&mapping_fields, object, false, m, NULL, err))
        return false;
    struct table_map *t = &m->map;
    bool is_long = t->source_schema[0];
    if (!read_end("source_table", m->source, t->source_schema, t->source_table, is_long, err))
        return false;
    if (m->dest && !read_end("destination_table", m->dest, t->dest_schema, t->dest_table,
                             is_long || t->dest_schema[0], err))
        return false;
    bool is_star = !strcmp(t->source_table, "*");
    if (is_star && !strcmp(t->dest_table, "*"))
        t->dest_table[0] = '\0';
    if (is_star && t->dest_table[0])
        return err_set(err, ERR_INVALID,
                       "field \"destination_table\": every table of a schema keeps its name");
    if (is_star && (m->exclude || t->partition_key[0]))
        return err_set(err, ERR_INVALID, "field \"%s\" needs a single table, not a whole schema",
                       m->exclude ? "exclude_columns" : "partition_key");
    return !m->exclude || read_exclude(m, err);
}

static bool read_mappings(const json_t *array, struct mirror_config *c, struct err *err)
{
    size_t n = json_array_size(array);
    if (n == 0)
        return err_set(err, ERR_INVALID, "field \"table_mappings\" must not be empty");
    c->tables = mem_calloc(n, sizeof *c->tables);
    for (size_t i = 0; i < n; i++) {
        struct mapping_spec m = {0};
        bool ok = read_mapping(json_array_get(array, i), &m, err);
        free(m.source);
        free(m.dest);
        if (!ok) {
            table_map_free(&m.map);
            return err_context(err, "table_mappings[%zu]", i);
        }
        c->tables[c->n_tables++] = m.map;
    }
    return true;
}

bool mirror_spec_read(const json_t *object, struct mirror_spec *out, struct err *err)
{
    *out = (struct mirror_spec){0};
    mirror_config_init(&out->config);
    return fields_read(&mirror_fields, object, false, out, NULL, err) &&
           read_mappings(out->table_mappings, &out->config, err);
}

/* What a mirror keeps for its life, or gets in another way. */
static const struct {
    const char *field, *why, *hint;
} fixed[] = {
    {"name", "a mirror keeps its name",
     "Make another mirror with the name that you want, then delete this one."},
    {"source_peer", "what was copied and the slot belong to that source",
     "Another address of the same server is a change of the peer (PUT /v1/peers/NAME, bunnydb peer "
     "change); for another source make another mirror."},
    {"destination_peer", "what was copied is at that destination",
     "Another address of the same server is a change of the peer (PUT /v1/peers/NAME, bunnydb peer "
     "change); for another destination make another mirror."},
    {"table_mappings", "tables are changed while the mirror is paused",
     "Pause it, then PUT /v1/mirrors/NAME/tables (bunnydb mirror tables NAME --set), resume it."},
    {"do_initial_snapshot", "it says how the mirror began",
     "POST /v1/mirrors/NAME/resync (bunnydb resync NAME) copies the tables."},
    {"publication_name", "the mirror reads by this publication",
     "Delete the mirror and make it again with another name."},
    {"replication_slot_name", "the slot holds the mirror's place in the WAL",
     "Delete the mirror and make it again with another name."},
};

bool mirror_change_read(const json_t *object, struct mirror_spec *out, unsigned *changes,
                        struct err *err)
{
    *out = (struct mirror_spec){0};
    for (size_t i = 0; i < COUNT_OF(fixed); i++) {
        if (!json_object_get(object, fixed[i].field))
            continue;
        err_set(err, ERR_INVALID, "field \"%s\" cannot be changed: %s", fixed[i].field,
                fixed[i].why);
        return err_hint(err, "%s", fixed[i].hint);
    }
    if (!fields_read(&mirror_fields, object, true, out, changes, err))
        return false;
    return *changes || err_set(err, ERR_INVALID, "no field is given: name what shall change");
}

static const struct field maps_rows[] = {
    {.name = "table_mappings",
     .type = FIELD_ARRAY,
     .offset = offsetof(struct mirror_spec, table_mappings),
     .is_required = true},
};
static const struct field_table maps_fields = FIELD_TABLE(maps_rows);

bool mirror_maps_read(const json_t *object, struct mirror_spec *out, struct err *err)
{
    *out = (struct mirror_spec){0};
    mirror_config_init(&out->config);
    return fields_read(&maps_fields, object, false, out, NULL, err) &&
           read_mappings(out->table_mappings, &out->config, err);
}

/* Cuts the blanks around a piece of n bytes; caller frees. */
static char *trimmed(const char *s, size_t n)
{
    while (n && strchr(" \t\r\n", *s))
        s++, n--;
    while (n && strchr(" \t\r\n", s[n - 1]))
        n--;
    struct buf b = {0};
    buf_add(&b, s, n);
    return buf_take(&b);
}

/* Bytes up to the comma, arrow or end that is not inside double quotes. */
static size_t piece_len(const char *s)
{
    bool quoted = false;
    size_t n = 0;
    for (; s[n]; n++) {
        if (s[n] == '"')
            quoted = !quoted;
        else if (!quoted && (s[n] == ',' || !strncmp(s + n, "->", 2)))
            break;
    }
    return n;
}

json_t *mirror_tables_parse(const char *list, struct err *err)
{
    json_t *array = json_array();
    for (const char *s = list; *s;) {
        size_t n = piece_len(s);
        char *source = trimmed(s, n), *dest = NULL;
        s += n;
        if (!strncmp(s, "->", 2)) {
            s += 2;
            n = piece_len(s);
            dest = trimmed(s, n);
            s += n;
        }
        bool ok = (*s == ',' || !*s) && *source && (!dest || *dest);
        json_t *m =
            ok ? json_pack("{s:s, s:s*}", "source_table", source, "destination_table", dest) : NULL;
        free(source);
        free(dest);
        if (!m) {
            json_decref(array);
            (void)err_set(err, ERR_INVALID,
                          "tables must be a list such as: public.users, sales.*, a.b -> c.d");
            return NULL;
        }
        json_array_append_new(array, m);
        if (*s == ',')
            s++;
        s += strspn(s, " \t\r\n"); /* a comma at the end is fine */
    }
    return array;
}
