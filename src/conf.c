/* The configuration file; see conf.h. inih splits lines into names and values; section names and
 * line numbers are kept by our own line reader, since inih cuts the first and hides the second. */
#include "src/conf.h"

#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "src/spec.h"

#define AT(member) offsetof(struct conf, member)
const struct setting setting_rows[] = {
    {"server", "state_dir", SETTING_TEXT, AT(state_dir), 1, 4096, "",
     "Directory for catalog, key, socket and lock, mode 0700. Default: /var/lib/bunnydb for root, "
     "else $XDG_STATE_HOME/bunnydb."},
    {"http", "listen", SETTING_TEXT, AT(http_listen), 1, 256, "",
     "ADDR:PORT of the HTTP API, such as 127.0.0.1:8112. Without it the API is on the Unix socket "
     "in the state directory only."},
    {"http", "token_ttl", SETTING_DURATION, AT(http_token_ttl_s), 60, 31536000, "24h",
     "How long a token from a login is good."},
    {"http", "insecure", SETTING_BOOL, AT(http_insecure), 0, 0, "no",
     "Listen on an address that is not loopback although there is no TLS."},
    {"http", "tls_cert", SETTING_TEXT, AT(http_tls_cert), 1, 4096, "",
     "Certificate (chain) in PEM format; with tls_key the listener speaks TLS 1.2 and 1.3. Both "
     "files are read at the start only."},
    {"http", "tls_key", SETTING_TEXT, AT(http_tls_key), 1, 4096, "",
     "Private key in PEM format, without a passphrase."},
    {"http", "max_connections", SETTING_INT, AT(http_max_connections), 1, 4096, "512",
     "Connections at the same time over TCP. When there are more, those that wait longest for "
     "their "
     "client are closed; one whose request is being answered never is."},
    {"http", "client_timeout", SETTING_DURATION, AT(http_client_timeout_s), 1, 3600, "30s",
     "How long a client may take to send a request, to take its answer, and to be idle."},
    {"http", "open_metrics", SETTING_BOOL, AT(http_open_metrics), 0, 0, "no",
     "GET /metrics needs no token. Its figures name peers, mirrors and, on request, tables."},
    {"log", "file", SETTING_TEXT, AT(log_file), 1, 4096, "",
     "File of the process log. Default: stderr with --headless, else bunnydb.log in the state "
     "directory. SIGHUP opens it anew."},
    {"log", "level", SETTING_LEVEL, AT(log_level), 0, 0, "info",
     "Least level that is logged: debug, info, warn or error."},
    {"log", "keep_days", SETTING_INT, AT(log_keep_days), 1, 3650, "14",
     "Days that log lines stay in the catalog."},
    {"limits", "memory", SETTING_SIZE, AT(memory), 64 << 20, (int64_t)1 << 40, "256MB",
     "Memory for row data in flight; beyond it the sources are slowed down."},
    {"limits", "index_memory", SETTING_SIZE, AT(index_memory), 1 << 20, (int64_t)1 << 40, "2GB",
     "Memory at a destination for the indexes that a copy builds (maintenance_work_mem of its "
     "sessions, together). What the server gives each session by itself is never lowered."},
    {"limits", "decoding_memory", SETTING_SIZE, AT(decoding_memory), 64 << 10, (int64_t)1 << 40,
     "256MB",
     "Memory at a source that each mirror's stream may use for large transactions before they go "
     "to the source's disk (logical_decoding_work_mem of its session). What the server gives by "
     "itself is never lowered."},
    {"stream", "sequence_interval", SETTING_DURATION, AT(sequence_interval_s), 1, 3600, "10s",
     "How often the values of sequences are read at the sources; three times as seldom while "
     "nothing "
     "changes, and soon after rows were applied."},
    {"alarm", "lag", SETTING_DURATION, AT(lag_alarm_s), 1, 86400, "60s",
     "A mirror that is so far behind, or whose first copy takes longer, says what holds it up."},
    {"alarm", "wal_room", SETTING_SIZE, AT(wal_room), 0, (int64_t)1 << 50, "0",
     "How much WAL a slot may keep at a source whose max_slot_wal_keep_size sets no limit, mostly "
     "what its disk has left. At 50 % a mirror warns, at 80 % it alarms. 0: not known."},
    {"alarm", "wal_action", SETTING_WAL_ACTION, AT(wal_action), 0, 0, "alarm",
     "What happens by itself at 80 %, beside the alarm. pause: the mirror is paused, once until "
     "there is room again. That ends its load on both servers, and nothing else: the slot stays, "
     "and its WAL goes on piling up until the mirror is resumed. drop_slot: the mirror is paused "
     "and its slot dropped, which lets the source remove the WAL; afterwards all tables have to be "
     "copied again."},
    {"alarm", "wal_drops_slot", SETTING_BOOL, AT(wal_drops_slot), 0, 0, "no",
     "Older form of wal_action = drop_slot."},
    {"console", "columns", SETTING_TEXT, AT(columns), 1, 0, "",
     "Columns of the list of mirrors, in this order, with commas between them, beside the names: "
     "state, from_to, tables, lag, behind, 5_min, rows_s, b_s, slot, kept, next. What c chooses in "
     "the console comes before it. Default: what fits."},
    {"console", "table_columns", SETTING_TEXT, AT(table_columns), 1, 0, "",
     "The same for the tables of a mirror: state, copied, size, insert, update, delete, no_row."},
    {"console", "copy_columns", SETTING_TEXT, AT(copy_columns), 1, 0, "",
     "While they are copied: state, progress, rows, size, left, ins, upd, del."},
    {"console", "slot_columns", SETTING_TEXT, AT(slot_columns), 1, 0, "",
     "Slots: source, mirror, health, wal_status, kept, room, full_in, confirmed, pid."},
    {"console", "peer_columns", SETTING_TEXT, AT(peer_columns), 1, 0, "",
     "Peers: address, database, user, ssl, used_by, last_test."},
    {"console", "run_columns", SETTING_TEXT, AT(run_columns), 1, 0, "",
     "Runs: kind, began, ended, took, ending, by, error."},
    {"console", "mouse", SETTING_BOOL, AT(mouse), 0, 0, "no",
     "The console takes the mouse: a click selects, one on a title sorts, the wheel scrolls. The "
     "terminal marks text with Shift then. % changes it."},
};
const size_t setting_count = COUNT_OF(setting_rows);

/* What is known while the file is read. */
struct reading {
    struct conf *conf;
    FILE *file;
    const char *path;
    int line;
    bool is_continuation; /* the line begins with a blank: it continues the value before */
    bool is_too_long;
    char section[96];
    int section_line;
    struct conf_object *object; /* the [peer …] or [mirror …] section being read, or NULL */
    struct buf tables;          /* its tables, which may go over several lines */
    bool seen[COUNT_OF(setting_rows)];
    bool failed;
    struct err *err; /* the first error */
};

static bool fail(struct reading *r, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static bool fail(struct reading *r, int line, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!r->failed)
        (void)err_set(r->err, ERR_INVALID, "%s:%d: %s", r->path, line, text);
    r->failed = true;
    return false;
}

/* --- Values ---------------------------------------------------------------------------------- */
struct unit {
    const char *name;
    int64_t factor;
};
static const struct unit duration_units[] = {
    {"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
static const struct unit size_units[] = {
    {"", 1}, {"B", 1}, {"kB", 1 << 10}, {"MB", 1 << 20}, {"GB", 1 << 30}};
static const struct unit no_units[] = {{"", 1}};

static bool parse_number(const char *s, const struct unit *units, size_t n, int64_t *out)
{
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno || end == s)
        return false;
    end += strspn(end, " ");
    for (size_t i = 0; i < n; i++)
        if (!strcasecmp(end, units[i].name))
            return !__builtin_mul_overflow(v, units[i].factor, out);
    return false;
}

static bool set_number(struct reading *r, const struct setting *s, const char *value)
{
    int64_t n = 0;
    bool ok = false;
    if (s->type == SETTING_DURATION)
        ok = parse_number(value, duration_units, COUNT_OF(duration_units), &n);
    else if (s->type == SETTING_SIZE)
        ok = parse_number(value, size_units, COUNT_OF(size_units), &n);
    else
        ok = parse_number(value, no_units, 1, &n);
    if (!ok)
        return fail(r, r->line, "\"%s\" of [%s] is not a %s: \"%.80s\"", s->key, s->section,
                    s->type == SETTING_DURATION ? "time (such as 90s, 15m, 24h, 7d)"
                    : s->type == SETTING_SIZE   ? "size (such as 256MB, 1GB)"
                                                : "number",
                    value);
    if (n < s->min || n > s->max)
        return fail(r, r->line, "\"%s\" of [%s] must be from %" PRId64 " to %" PRId64 "%s", s->key,
                    s->section, s->min, s->max,
                    s->type == SETTING_DURATION ? " seconds"
                    : s->type == SETTING_SIZE   ? " bytes"
                                                : "");
    *(int64_t *)(void *)((char *)r->conf + s->offset) = n;
    return true;
}

/* As enum wal_action. */
static const char *const wal_actions[] = {"alarm", "pause", "drop_slot"};

static bool set_wal_action(struct reading *r, const struct setting *s, const char *value)
{
    for (size_t i = 0; i < COUNT_OF(wal_actions); i++)
        if (!strcasecmp(value, wal_actions[i])) {
            *(int *)(void *)((char *)r->conf + s->offset) = (int)i;
            return true;
        }
    return fail(r, r->line, "\"%s\" of [%s] must be alarm, pause or drop_slot", s->key, s->section);
}

static bool set_setting(struct reading *r, const struct setting *s, const char *value)
{
    char *at = (char *)r->conf + s->offset;
    struct err ignored;
    switch (s->type) {
    case SETTING_TEXT:
        if (!*value)
            return fail(r, r->line, "\"%s\" of [%s] has no value", s->key, s->section);
        free(*(char **)(void *)at);
        *(char **)(void *)at = mem_strdup(value);
        return true;
    case SETTING_BOOL: {
        struct field f = {.name = s->key, .type = FIELD_BOOL};
        json_t *o = json_object();
        bool ok = fields_set_text(&f, value, o, &ignored);
        *(bool *)(void *)at = json_is_true(json_object_get(o, s->key));
        json_decref(o);
        return ok || fail(r, r->line, "\"%s\" of [%s] must be yes or no", s->key, s->section);
    }
    case SETTING_WAL_ACTION:
        return set_wal_action(r, s, value);
    case SETTING_LEVEL:
        return log_level_parse(value, (enum log_level *)(void *)at) ||
               fail(r, r->line, "\"%s\" of [%s] must be debug, info, warn or error", s->key,
                    s->section);
    case SETTING_INT:
    case SETTING_DURATION:
    case SETTING_SIZE:
        return set_number(r, s, value);
    }
    return false;
}

static bool take_binding(struct reading *r, const char *action, const char *keys)
{
    struct conf *c = r->conf;
    for (size_t i = 0; i < c->n_bindings; i++)
        if (!strcmp(c->bindings[i].action, action))
            return fail(r, r->line, "key \"%s\" in [keys] is given twice", action);
    if (r->is_continuation)
        return fail(r, r->line, "\"%s\" takes one line", action);
    struct conf_binding b = {mem_strdup(action), mem_strdup(keys), r->line};
    MEM_PUSH(c->bindings, c->n_bindings, c->cap_bindings, b);
    return true;
}

static bool take_setting(struct reading *r, const char *key, const char *value)
{
    if (!strcmp(r->section, "keys"))
        return take_binding(r, key, value);
    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_rows[i];
        if (strcmp(s->section, r->section) != 0 || strcmp(s->key, key) != 0)
            continue;
        if (r->is_continuation)
            return fail(r, r->line, "\"%s\" takes one line", key);
        if (r->seen[i])
            return fail(r, r->line, "key \"%s\" in [%s] is given twice", key, r->section);
        r->seen[i] = true;
        r->conf->lines[i] = r->line;
        return set_setting(r, s, value);
    }
    return fail(r, r->line, "unknown key \"%s\" in [%s]", key, r->section);
}

/* --- [peer NAME] and [mirror NAME] ------------------------------------------------------------ */
static bool read_password_file(struct reading *r, const char *path, json_t *object)
{
    char *line = NULL;
    size_t cap = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return fail(r, r->line, "password_file %s: %s", path, strerror(errno));
    ssize_t n = getline(&line, &cap, f);
    fclose(f);
    if (n > 0)
        line[strcspn(line, "\r\n")] = '\0';
    bool ok = n > 0 && json_object_set_new(object, "password", json_string(line)) == 0;
    free(line);
    return ok || fail(r, r->line, "password_file %s has no password in its first line", path);
}

static bool take_peer_key(struct reading *r, const char *key, const char *value)
{
    json_t *o = r->object->object;
    const struct field *f = fields_find(&peer_fields, key);
    struct err e = {0};
    if (r->is_continuation)
        return fail(r, r->line, "\"%s\" takes one line", key);
    bool is_file = !strcmp(key, "password_file");
    if (json_object_get(o, is_file ? "password" : key) ||
        json_object_get(json_object_get(o, "options"), key))
        return fail(r, r->line, "key \"%s\" in [%s] is given twice", key, r->section);
    if (is_file)
        return read_password_file(r, value, o);
    if (!strcmp(key, "name") || !strcmp(key, "options"))
        return fail(r, r->line, "unknown key \"%s\" in [%s]", key, r->section);
    if (f) {
        r->conf->has_secrets |= f->type == FIELD_SECRET;
        return fields_set_text(f, value, o, &e) || fail(r, r->line, "%s", e.text);
    }
    json_t *options = json_object_get(o, "options");
    if (!options) {
        options = json_object();
        json_object_set_new(o, "options", options);
    }
    return json_object_set_new(options, key, json_string(value)) == 0 ||
           fail(r, r->line, "\"%s\" is not valid UTF-8", key);
}

static bool take_mirror_key(struct reading *r, const char *key, const char *value)
{
    json_t *o = r->object->object;
    struct err e = {0};
    if (!strcmp(key, "tables")) {
        if (r->tables.len && !r->is_continuation)
            return fail(r, r->line, "key \"tables\" in [%s] is given twice", r->section);
        if (r->is_continuation && r->tables.len && r->tables.data[r->tables.len - 1] != ',')
            buf_putc(&r->tables, ',');
        buf_puts(&r->tables, value);
        return true;
    }
    const struct field *f = fields_find(&mirror_fields, key);
    if (!f || !strcmp(key, "name") || f->type == FIELD_ARRAY)
        return fail(r, r->line, "unknown key \"%s\" in [%s]", key, r->section);
    if (r->is_continuation)
        return fail(r, r->line, "\"%s\" takes one line", key);
    if (json_object_get(o, key))
        return fail(r, r->line, "key \"%s\" in [%s] is given twice", key, r->section);
    return fields_set_text(f, value, o, &e) || fail(r, r->line, "%s", e.text);
}

static bool is_section_of(const char *section, const char *kind)
{
    size_t n = strlen(kind);
    return !strncmp(section, kind, n) && section[n] == ' ';
}

/* Checks the object section that ends here as the API would check its body. */
static void end_object(struct reading *r)
{
    struct err e = {0};
    bool ok = true;
    if (!r->object)
        return;
    json_t *o = r->object->object;
    if (is_section_of(r->section, "peer")) {
        struct peer_spec s;
        ok = peer_spec_read(o, false, &s, NULL, &e);
        peer_free(&s.peer);
    } else {
        struct mirror_spec s;
        json_t *tables = mirror_tables_parse(buf_text(&r->tables), &e);
        if (tables) {
            json_object_set_new(o, "table_mappings", tables);
            ok = mirror_spec_read(o, &s, &e);
            mirror_config_free(&s.config);
        } else {
            ok = false;
        }
        buf_reset(&r->tables);
    }
    if (!ok)
        (void)fail(r, r->object->line, "[%s]: %s", r->section, e.text);
    r->object = NULL;
}

static void begin_object(struct reading *r, struct conf_objects *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (!strcmp(list->items[i].name, name))
            (void)fail(r, r->line, "[%s] stands in the file twice (line %d)", r->section,
                       list->items[i].line);
    struct conf_object o = {mem_strdup(name), r->line, json_object()};
    json_object_set_new(o.object, "name", json_string(name));
    MEM_PUSH(list->items, list->n, list->cap, o);
    r->object = &list->items[list->n - 1];
}

static void begin_section(struct reading *r, const char *line)
{
    end_object(r);
    size_t n = strcspn(line + 1, "]");
    if (line[1 + n] != ']' || !str_copy_n(r->section, sizeof r->section, line + 1, n)) {
        (void)fail(r, r->line, "a section looks like [http]");
        return;
    }
    if (is_section_of(r->section, "peer"))
        begin_object(r, &r->conf->peers, r->section + strlen("peer "));
    else if (is_section_of(r->section, "mirror"))
        begin_object(r, &r->conf->mirrors, r->section + strlen("mirror "));
    else if (strcmp(r->section, "keys") != 0) {
        for (size_t i = 0; i < setting_count; i++)
            if (!strcmp(setting_rows[i].section, r->section))
                return;
        (void)fail(r, r->line, "unknown section [%s]", r->section);
    }
}

/* --- The file -------------------------------------------------------------------------------- */
/* inih's reader: one line into s, as fgets does. */
static char *read_line(char *s, int num, void *stream)
{
    struct reading *r = stream;
    if (!fgets(s, num, r->file))
        return NULL;
    r->line++;
    size_t n = strlen(s);
    if (n && s[n - 1] != '\n' && !feof(r->file)) {
        (void)fail(r, r->line,
                   "the line has more than %d bytes; a list of tables may go on in the "
                   "next line, after a blank",
                   num - 2);
        for (int c; (c = getc(r->file)) != EOF && c != '\n';)
            ;
        str_copy(s, (size_t)num, "\n");
    }
    const char *first = s + strspn(s, " \t");
    if (r->line == 1 && !strncmp(first, "\xEF\xBB\xBF", 3))
        first += 3;
    r->is_continuation = first != s && *first && !strchr("\r\n;#[", *first);
    if (*first == '[')
        begin_section(r, first);
    return s;
}

/* inih's handler. Its own idea of the section is cut at 50 bytes, so ours is used. */
static int take_pair(void *user, const char *section, const char *key, const char *value)
{
    struct reading *r = user;
    (void)section;
    if (r->failed)
        return 1; /* the first error is the one to show */
    if (r->object)
        return is_section_of(r->section, "peer") ? take_peer_key(r, key, value)
                                                 : take_mirror_key(r, key, value);
    if (!r->section[0])
        return fail(r, r->line, "key \"%s\" stands before the first section", key);
    return take_setting(r, key, value);
}

/* Debian's inih has its limits as variables; elsewhere they are fixed when it is built. */
extern int ini_max_line __attribute__((weak));

static bool read_file(struct conf *c, FILE *file, const char *path, struct err *err)
{
    struct reading r = {.conf = c, .file = file, .path = path, .err = err};
    if (&ini_max_line)
        ini_max_line = 8192;
    int line = ini_parse_stream(read_line, &r, take_pair, &r);
    end_object(&r);
    if (!r.failed && line > 0)
        (void)fail(&r, line, "neither a [section] nor a key = value");
    else if (!r.failed && ferror(file))
        (void)fail(&r, r.line, "%s", strerror(errno));
    buf_free(&r.tables);
    return !r.failed;
}

/* The file to read when none is named; caller frees. */
static char *default_path(void)
{
    const char *env = getenv("BUNNYDB_CONF");
    if (env && *env)
        return mem_strdup(env);
    if (geteuid() == 0)
        return mem_strdup("/etc/bunnydb/bunnydb.conf");
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (xdg && *xdg == '/')
        return mem_printf("%s/bunnydb/bunnydb.conf", xdg);
    return home && *home ? mem_printf("%s/.config/bunnydb/bunnydb.conf", home) : NULL;
}

static bool others_can_read(FILE *f)
{
    struct stat st;
    return fstat(fileno(f), &st) == 0 && (st.st_mode & 077);
}

void conf_init(struct conf *c)
{
    *c = (struct conf){.lines = mem_calloc(setting_count, sizeof(int))};
    struct reading r = {.conf = c, .path = "default", .err = NULL};
    for (size_t i = 0; i < setting_count; i++)
        if (setting_rows[i].normal[0])
            (void)set_setting(&r, &setting_rows[i], setting_rows[i].normal);
}

bool conf_load(struct conf *c, const char *path, struct err *err)
{
    const char *env = getenv("BUNNYDB_CONF");
    bool is_named = path || (env && *env);
    c->path = path ? mem_strdup(path) : default_path();
    FILE *f = c->path ? fopen(c->path, "re") : NULL;
    if (!f && c->path && (is_named || errno != ENOENT))
        return err_set(err, ERR_IO, "configuration file %s: %s", c->path, strerror(errno));
    if (!f) {
        free(c->path);
        c->path = NULL;
        return true;
    }
    bool ok = read_file(c, f, c->path, err);
    c->shows_secrets = c->has_secrets && others_can_read(f);
    fclose(f);
    return ok;
}

static void free_objects(struct conf_objects *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->items[i].name);
        json_decref(l->items[i].object);
    }
    free(l->items);
}

void conf_free(struct conf *c)
{
    free(c->path);
    for (size_t i = 0; i < setting_count; i++)
        if (setting_rows[i].type == SETTING_TEXT)
            free(*(char **)(void *)((char *)c + setting_rows[i].offset));
    for (size_t i = 0; i < c->n_bindings; i++) {
        free(c->bindings[i].action);
        free(c->bindings[i].keys);
    }
    free(c->bindings);
    free(c->lines);
    free_objects(&c->peers);
    free_objects(&c->mirrors);
    *c = (struct conf){0};
}

int conf_line(const struct conf *c, const char *section, const char *key)
{
    for (size_t i = 0; i < setting_count; i++)
        if (!strcmp(setting_rows[i].section, section) && !strcmp(setting_rows[i].key, key))
            return c->lines[i];
    return 0;
}

static json_t *setting_to_json(const struct conf *c, const struct setting *s)
{
    const char *at = (const char *)c + s->offset;
    const char *text;
    switch (s->type) {
    case SETTING_TEXT:
        text = *(char *const *)(const void *)at;
        return text ? json_string(text) : json_null();
    case SETTING_BOOL:
        return json_boolean(*(const bool *)(const void *)at);
    case SETTING_WAL_ACTION:
        return json_string(wal_actions[*(const int *)(const void *)at]);
    case SETTING_LEVEL:
        return json_string(log_level_name(*(const enum log_level *)(const void *)at));
    case SETTING_INT:
    case SETTING_DURATION:
    case SETTING_SIZE:
        return json_integer(*(const int64_t *)(const void *)at);
    }
    return json_null();
}

json_t *conf_to_json(const struct conf *c)
{
    json_t *o = json_object();
    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_rows[i];
        json_t *section = json_object_get(o, s->section);
        if (!section) {
            section = json_object();
            json_object_set_new(o, s->section, section);
        }
        json_object_set_new(section, s->key, setting_to_json(c, s));
    }
    return o;
}
