/* libpq's errors as struct err. What a server said is taken from the fields of its message, never
 * by reading its text, which may be translated; only the text of a failed login is taken apart,
 * since libpq hands out nothing else for it. */
#include "pg/pg_private.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* One line of text: lines joined, blanks trimmed. */
static void flatten(struct buf *out, const char *text)
{
    for (const char *p = text; p && *p; p++) {
        bool is_blank = isspace((unsigned char)*p) != 0;
        if (!is_blank)
            buf_putc(out, *p);
        else if (out->len && out->data[out->len - 1] != ' ')
            buf_putc(out, ' ');
    }
    while (out->len && out->data[out->len - 1] == ' ')
        out->data[--out->len] = '\0';
}

/* Where the server itself has no advice. */
static const struct {
    const char *sqlstate, *hint;
} advice[] = {
    {"22021",
     "A value is no text of that encoding: correct it at the source, or exclude the column."},
    {"22P05",
     "A character does not exist in the other encoding: change it at the source, exclude the "
     "column, or mirror into a database with encoding UTF8."},
};

static void add_advice(const char *sqlstate, struct err *err)
{
    for (size_t i = 0; i < COUNT_OF(advice); i++)
        if (!err->hint[0] && !strcmp(sqlstate, advice[i].sqlstate))
            err_hint(err, "%s", advice[i].hint);
}

/* DETAIL and HINT. CONTEXT is left out: for COPY it quotes the row. */
static void fill_hint(const PGresult *r, struct err *err)
{
    struct buf b = {0};
    flatten(&b, PQresultErrorField(r, PG_DIAG_MESSAGE_DETAIL));
    const char *hint = PQresultErrorField(r, PG_DIAG_MESSAGE_HINT);
    if (hint && b.len)
        buf_putc(&b, ' ');
    flatten(&b, hint);
    if (b.len)
        err_hint(err, "%s", buf_text(&b));
    buf_free(&b);
}

/* An IPv6 address has colons of its own. */
bool error_at_server(const struct pg_conn *c, struct err *err)
{
    const char *host = PQhost(c->pq), *port = PQport(c->pq);
    if (!host || !*host)
        return false;
    bool is_v6 = host[0] != '/' && strchr(host, ':');
    return err_context(err, "server %s%.150s%s:%s", is_v6 ? "[" : "", host, is_v6 ? "]" : "",
                       port ? port : "");
}

bool error_lost(const struct pg_conn *c, struct err *err)
{
    err_set(err, ERR_CONNECT, "the connection was lost");
    return error_at_server(c, err);
}

bool error_of_result(const struct pg_conn *c, const PGresult *r, struct err *err)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    if (!state || !text)
        return error_of_conn(c, err); /* libpq made it up */
    bool is_over = severity && (!strcmp(severity, "FATAL") || !strcmp(severity, "PANIC"));
    struct buf b = {0};
    flatten(&b, text);
    err_set(err, is_over ? ERR_CONNECT : ERR_SQL, "%s", buf_text(&b));
    buf_free(&b);
    if (is_over)
        error_at_server(c, err);
    if (err) {
        const char *schema = PQresultErrorField(r, PG_DIAG_SCHEMA_NAME);
        const char *table = PQresultErrorField(r, PG_DIAG_TABLE_NAME);
        const char *constraint = PQresultErrorField(r, PG_DIAG_CONSTRAINT_NAME);
        str_copy(err->sqlstate, sizeof err->sqlstate, state);
        str_copy(err->schema, sizeof err->schema, schema ? schema : "");
        str_copy(err->table, sizeof err->table, table ? table : "");
        str_copy(err->constraint, sizeof err->constraint, constraint ? constraint : "");
        fill_hint(r, err);
        add_advice(state, err);
    }
    return false;
}

bool error_of_conn(const struct pg_conn *c, struct err *err)
{
    struct buf b = {0};
    flatten(&b, PQerrorMessage(c->pq));
    bool is_lost = PQstatus(c->pq) != CONNECTION_OK;
    err_set(err, is_lost ? ERR_CONNECT : ERR_PROTOCOL, "%s",
            b.len ? buf_text(&b) : "the connection was lost");
    buf_free(&b);
    return is_lost ? error_at_server(c, err) : false;
}

static bool is_sqlstate(const char *p)
{
    for (int i = 0; i < 5; i++)
        if (!isdigit((unsigned char)p[i]) && !(p[i] >= 'A' && p[i] <= 'Z'))
            return false;
    return p[5] == ':' && p[6] == ' ';
}

/* "LOCATION:  function, file.c:123", whatever the first word is in the language of the user. */
static bool is_location(const char *line, size_t len)
{
    size_t n = len;
    while (n && isdigit((unsigned char)line[n - 1]))
        n--;
    return n < len && n >= 3 && !memcmp(line + n - 3, ".c:", 3) && memchr(line, ',', n);
}

/* A server's message in verbose form is "SEVERITY:  SQLSTATE: text" and further lines; takes the
 * SQLSTATE out. Several addresses may have been tried: the last word counts. */
static void add_login_line(struct buf *out, const char *line, size_t len, struct err *err)
{
    char *copy = mem_calloc(len + 1, 1);
    memcpy(copy, line, len);
    for (char *p = strstr(copy, ":  "); p; p = strstr(p + 1, ":  ")) {
        if (!is_sqlstate(p + 3))
            continue;
        if (err)
            str_copy_n(err->sqlstate, sizeof err->sqlstate, p + 3, 5);
        memmove(p + 2, p + 10, strlen(p + 10) + 1);
        break;
    }
    if (out->len)
        buf_puts(out, "; ");
    struct buf flat = {0};
    flatten(&flat, copy);
    buf_puts(out, buf_text(&flat));
    buf_free(&flat);
    free(copy);
}

bool error_of_login(const struct pg_conn *c, struct err *err)
{
    struct buf b = {0};
    struct err said = {0};
    const char *line = PQerrorMessage(c->pq);
    while (*line) {
        size_t len = strcspn(line, "\n");
        if (len && line[0] != '\t' && !is_location(line, len))
            add_login_line(&b, line, len, &said);
        line += len + (line[len] == '\n');
    }
    err_set(err, ERR_CONNECT, "%s", b.len ? buf_text(&b) : "the server refused the connection");
    if (err)
        str_copy(err->sqlstate, sizeof err->sqlstate, said.sqlstate);
    buf_free(&b);
    return false;
}

bool pg_server_error_is(const struct err *err, const char *sqlstate)
{
    return !strcmp(err->sqlstate, sqlstate);
}

bool pg_refuses_definition(const struct err *err)
{
    return err->code == ERR_SQL && !pg_server_error_is(err, "42501") &&
           (!strncmp(err->sqlstate, "42", 2) || !strncmp(err->sqlstate, "0A", 2));
}
