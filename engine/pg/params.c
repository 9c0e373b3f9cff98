/* What a session is opened with: libpq's keywords ("Parameter Key Words") and the server's
 * settings. Settings go with the startup packet, where neither ALTER ROLE nor ALTER DATABASE nor
 * the peer's own options can get in front of them. */
#include "pg/pg_private.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"

/* Values and definitions must read the same everywhere, statements must not be filtered or ended
 * behind our back. row_security=off makes a statement fail that would silently see fewer rows.
 * Compiling a query on a catalog takes seconds, running it milliseconds. */
static const struct {
    const char *name, *value;
} settings[] = {
    {"DateStyle", "ISO"},
    {"IntervalStyle", "postgres"},
    {"extra_float_digits", "3"},
    {"bytea_output", "hex"},
    {"TimeZone", "UTC"},
    {"lc_monetary", "C"},
    {"xmloption", "content"},
    {"array_nulls", "on"},
    {"standard_conforming_strings", "on"},
    {"quote_all_identifiers", "off"},
    {"jit", "off"},
    {"search_path", ""},
    {"row_security", "off"},
    {"statement_timeout", "0"},
    {"lock_timeout", "0"},
    {"idle_in_transaction_session_timeout", "0"},
    {"default_transaction_isolation", "read committed"},
    {"default_transaction_read_only", "off"},
    {"exit_on_error", "off"}, /* what is refused is tried in another way, in the same session */
    /* that a server notices within a minute when we are cut off: what we left locked is free then
     */
    {"tcp_keepalives_idle", "30"},
    {"tcp_keepalives_interval", "10"},
    {"tcp_keepalives_count", "3"},
};

/* A tcp_user_timeout only for replication: it also ends a connection whose receiver is alive and
 * has a full window, as a destination behind a lock has. A WAL sender reads the little we send, and
 * without it a source that is cut off would be noticed after a quarter of an hour. GSSAPI
 * encryption would block while it asks a ticket cache. */
static const struct {
    const char *name, *value;
} defaults[] = {
    {"keepalives", "1"},       {"keepalives_idle", "30"}, {"keepalives_interval", "10"},
    {"keepalives_count", "3"}, {"connect_timeout", "10"}, {"gssencmode", "disable"},
};

int pg_client_version(void)
{
    return PQlibVersion();
}

bool pg_is_conn_keyword(const char *name)
{
    bool found = false;
    PQconninfoOption *all = PQconninfoParse("", NULL);
    for (PQconninfoOption *o = all; o && o->keyword && !found; o++)
        found = !strcmp(o->keyword, name);
    PQconninfoFree(all);
    return found;
}

/* Adds or replaces; NULL leaves what there is. Borrows both. */
static void set(struct params *p, const char *name, const char *value)
{
    if (!value)
        return;
    for (size_t i = 0; i < p->n; i++)
        if (!strcmp(p->names[i], name)) {
            p->values[i] = value;
            return;
        }
    mem_grow((void **)&p->values, &p->cap_values, p->n, sizeof *p->values);
    MEM_PUSH(p->names, p->n, p->cap_names, name);
    p->values[p->n - 1] = value;
}

const char *params_get(const struct params *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (!strcmp(p->names[i], name))
            return p->values[i];
    return NULL;
}

/* The server splits options at blanks, unless a backslash is in front ("options"). */
static void add_setting(struct buf *b, const char *name, const char *value)
{
    buf_printf(b, " -c %s=", name);
    for (; *value; value++) {
        if (*value == '\\' || isspace((unsigned char)*value))
            buf_putc(b, '\\');
        buf_putc(b, *value);
    }
}

static bool set_options(struct params *p, const struct pg_target *t, struct err *err)
{
    for (size_t i = 0; i < t->n_options; i++) {
        const char *name = t->option_names[i];
        if (!pg_is_conn_keyword(name))
            return err_set(err, ERR_INVALID, "\"%s\" is not a connection option of libpq", name);
        if (!strcmp(name, "options"))
            buf_puts(&p->server_options, t->option_values[i]);
        else
            set(p, name, t->option_values[i]);
    }
    return true;
}

/* libpq complains on stderr, which may be the console's screen, about a password file that others
 * can read, and then ignores it. We log it and have libpq look where there is none. */
static void check_password_file(struct params *p)
{
    const char *file = params_get(p, "passfile");
    const char *home = getenv("HOME");
    char *path = NULL;
    struct stat st;
    if (!file || !*file)
        file = getenv("PGPASSFILE");
    if ((!file || !*file) && home)
        file = path = mem_printf("%s/.pgpass", home);
    if (file && !stat(file, &st) && (!S_ISREG(st.st_mode) || (st.st_mode & (S_IRWXG | S_IRWXO)))) {
        log_warn("pg", NULL, "password file ignored: it must be a plain file of mode 0600");
        set(p, "passfile", "/dev/null/none");
    }
    free(path);
}

bool params_build(struct params *p, const struct pg_target *t, enum pg_kind kind, const char *app,
                  const char *extra_options, struct err *err)
{
    *p = (struct params){0};
    set(p, "application_name", app);
    for (size_t i = 0; i < COUNT_OF(defaults); i++)
        set(p, defaults[i].name, defaults[i].value);
    if (!set_options(p, t, err))
        return false;
    str_printf(p->port, sizeof p->port, "%d", t->port);
    set(p, "host", t->host);
    set(p, "port", t->port > 0 ? p->port : NULL);
    set(p, "user", t->user);
    set(p, "password", t->password);
    set(p, "dbname", t->database);
    set(p, "sslmode", t->ssl_mode && *t->ssl_mode ? t->ssl_mode : NULL);
    set(p, "client_encoding", "UTF8");
    set(p, "replication", kind == PG_REPLICATION ? "database" : "false");
    if (kind == PG_REPLICATION && !params_get(p, "tcp_user_timeout"))
        set(p, "tcp_user_timeout", "60000");

    for (size_t i = 0; i < COUNT_OF(settings); i++)
        add_setting(&p->server_options, settings[i].name, settings[i].value);
    if (extra_options) {
        buf_putc(&p->server_options, ' ');
        buf_puts(&p->server_options, extra_options);
    }
    set(p, "options", buf_text(&p->server_options));
    if (!t->password)
        check_password_file(p);
    mem_grow((void **)&p->values, &p->cap_values, p->n, sizeof *p->values);
    mem_grow((void **)&p->names, &p->cap_names, p->n, sizeof *p->names);
    p->names[p->n] = NULL;
    p->values[p->n] = NULL;
    return true;
}

void params_free(struct params *p)
{
    free((void *)p->names);
    free((void *)p->values);
    buf_free(&p->server_options);
}
