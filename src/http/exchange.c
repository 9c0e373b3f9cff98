/* Requests over libmicrohttpd; see exchange.h. */
#include "src/http/exchange.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "src/http/sockets.h"
#include "src/http/url.h"

#define DISCARD_MAX                                                               \
    (8U << 20) /* of a body that is too large, so that its client sees the answer \
                */

/* One request while it comes in; libmicrohttpd's con_cls. */
struct incoming {
    struct line *line;
    struct guarded *guarded;
    char *target;
    uintptr_t target_end; /* where it ends in libmicrohttpd's memory */
    struct buf body;
    size_t received;
    bool has_begun;
    bool has_no_room; /* for its body */
};

/* A connection; its socket context. libmicrohttpd forgets a request whose parameters do not fit
 * into its memory, so the connection knows what is to be freed. */
struct line {
    struct guarded *guarded;
    struct incoming *incoming; /* NULL: none */
};

/* --- Connections ------------------------------------------------------------------------------ */
static void drop_body(struct incoming *in)
{
    if (in->body.data)
        sodium_memzero(in->body.data, in->body.len); /* may hold a password */
    buf_free(&in->body);
    guard_drop(in->guarded);
}

static void free_incoming(struct line *line)
{
    struct incoming *in = line->incoming;
    if (!in)
        return;
    drop_body(in);
    free(in->target);
    free(in);
    line->incoming = NULL;
}

void exchange_connection(void *arg, struct MHD_Connection *connection, void **context,
                         enum MHD_ConnectionNotificationCode code)
{
    const struct listener *l = arg;
    const union MHD_ConnectionInfo *fd;
    struct line *line = *context;
    switch (code) {
    case MHD_CONNECTION_NOTIFY_STARTED:
        fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        line = mem_calloc(1, sizeof *line);
        line->guarded = guard_opened(l->guard, fd->connect_fd);
        *context = line;
        return;
    case MHD_CONNECTION_NOTIFY_CLOSED:
        free_incoming(line);
        guard_closed(line->guarded);
        free(line);
        return;
    }
}

void *exchange_begin(void *arg, const char *target, struct MHD_Connection *connection)
{
    (void)arg;
    struct line *line =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    free_incoming(line);
    struct incoming *in = mem_calloc(1, sizeof *in);
    in->line = line;
    in->guarded = line->guarded;
    in->target = mem_strdup(target);
    in->target_end = (uintptr_t)target + strlen(target);
    line->incoming = in;
    guard_enter(in->guarded, GUARD_READING);
    return in;
}

void exchange_end(void *arg, struct MHD_Connection *connection, void **state,
                  enum MHD_RequestTerminationCode code)
{
    (void)arg;
    (void)connection;
    (void)code;
    struct incoming *in = *state;
    if (!in)
        return;
    guard_enter(in->guarded, GUARD_IDLE);
    free_incoming(in->line);
    *state = NULL;
}

/* --- The answer ------------------------------------------------------------------------------- */
static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static void add_header(struct MHD_Response *r, const char *name, const char *value)
{
    (void)MHD_add_response_header(r, name, value); /* fails only without memory */
}

static enum MHD_Result send_response(struct MHD_Connection *connection, struct incoming *in,
                                     struct response *r)
{
    char seconds[12];
    struct MHD_Response *m =
        MHD_create_response_from_buffer(r->body_len, r->body, MHD_RESPMEM_MUST_FREE);
    if (!m) {
        response_free(r);
        return MHD_NO;
    }
    r->body = NULL; /* libmicrohttpd frees it */
    add_header(m, "Content-Type",
               r->content_type ? r->content_type : "application/json; charset=utf-8");
    add_header(m, "Cache-Control", "no-store");
    add_header(m, "X-Content-Type-Options", "nosniff");
    if (r->allow[0])
        add_header(m, "Allow", r->allow);
    if (r->challenge)
        add_header(m, "WWW-Authenticate", "Bearer");
    if (r->retry_after) {
        str_printf(seconds, sizeof seconds, "%d", r->retry_after);
        add_header(m, "Retry-After", seconds);
    }
    enum MHD_Result result = MHD_queue_response(connection, (unsigned)r->status, m);
    MHD_destroy_response(m);
    guard_enter(in->guarded, GUARD_SENDING);
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, struct incoming *in, int status,
                              enum err_code code, const char *text)
{
    struct response r;
    api_refuse(status, code, text, &r);
    return send_response(connection, in, &r);
}

/* Who asks: the client's address, and whether it is the owner of the Unix socket. */
static void identify(struct MHD_Connection *connection, struct request *q)
{
    const union MHD_ConnectionInfo *at =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const struct sockaddr *address = at ? at->client_addr : NULL;
    bool is_tcp = address && (address->sa_family == AF_INET || address->sa_family == AF_INET6);
    sockets_format(address, false, q->address);
    q->is_local = !is_tcp && fd && sockets_is_owner(fd->connect_fd, &q->local_uid);
}

static enum MHD_Result answer(const struct listener *l, struct MHD_Connection *connection,
                              struct incoming *in, const char *method)
{
    struct response r;
    struct request q = {
        .method = method,
        .target = in->target,
        .content_type = header(connection, "Content-Type"),
        .authorization = header(connection, "Authorization"),
        .agent = header(connection, "User-Agent"),
        .body = in->body.data,
        .body_len = in->body.len,
        .is_too_large = in->received > BODY_MAX,
    };
    identify(connection, &q);
    guard_enter(in->guarded, GUARD_ANSWERING);
    if (in->has_no_room && !q.is_too_large)
        return refuse(connection, in, 503, ERR_MEMORY, "too many large requests at once");
    api_handle(l->api, &q, &r);
    return send_response(connection, in, &r);
}

/* --- The head --------------------------------------------------------------------------------- */
/* The fields that may be there once at most: who reads them twice may read them differently. */
enum single {
    AUTHORIZATION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    HOST,
    TRANSFER_ENCODING,
    SINGLE_COUNT,
};
static const struct {
    const char *name, *twice;
} singles[SINGLE_COUNT] = {
    [AUTHORIZATION] = {"Authorization", "the header has Authorization twice"},
    [CONTENT_LENGTH] = {"Content-Length", "the header has Content-Length twice"},
    [CONTENT_TYPE] = {"Content-Type", "the header has Content-Type twice"},
    [HOST] = {"Host", "the header has Host twice"},
    [TRANSFER_ENCODING] = {"Transfer-Encoding", "the header has Transfer-Encoding twice"},
};
struct head {
    const char *values[SINGLE_COUNT];
    const char *fault; /* NULL: none */
};

/* RFC 9110, 5.6.2: names of fields. A blank before the colon hides a field from us, but not from a
 * proxy that trims it. */
static bool is_token(const char *s)
{
    return *s && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                           "!#$%&'*+-.^_`|~") == strlen(s);
}

static bool has_control(const char *s)
{
    for (; *s; s++)
        if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f)
            return true;
    return false;
}

static enum MHD_Result look_at_field(void *arg, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    struct head *h = arg;
    (void)kind;
    if (!is_token(name))
        h->fault = "a name in the header is malformed";
    else if (value && has_control(value))
        h->fault = "the header holds a control character";
    for (int i = 0; i < SINGLE_COUNT && !h->fault; i++) {
        if (strcasecmp(name, singles[i].name) != 0)
            continue;
        if (h->values[i])
            h->fault = singles[i].twice;
        h->values[i] = value ? value : "";
    }
    return h->fault ? MHD_NO : MHD_YES;
}

/* libmicrohttpd ends the target at its first NUL; the version stands behind the target's real end.
 * Where it keeps the version elsewhere, nothing can be told. */
static bool is_cut(const struct incoming *in, const char *version)
{
    uintptr_t at = (uintptr_t)version;
    return at > in->target_end + 1 && at - in->target_end < URL_MAX;
}

/* Why the request is refused before its body is read; NULL: it is not. libmicrohttpd closes the
 * connection then, so that nothing behind it is taken for a request. */
static const char *find_fault(struct MHD_Connection *connection, const struct incoming *in,
                              const char *version)
{
    struct head h = {0};
    (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, look_at_field, &h);
    if (h.fault)
        return h.fault;
    if (is_cut(in, version) || strchr(in->target, ' '))
        return "the address holds a blank or a NUL";
    if (h.values[TRANSFER_ENCODING] && h.values[CONTENT_LENGTH])
        return "Content-Length and Transfer-Encoding exclude each other";
    if (h.values[TRANSFER_ENCODING] && strcasecmp(h.values[TRANSFER_ENCODING], "chunked") != 0)
        return "the only Transfer-Encoding that is known is chunked";
    if (!h.values[HOST] && !strcmp(version, MHD_HTTP_VERSION_1_1))
        return "the header has no Host";
    return NULL;
}

/* A body that is too large is refused at once when its client waits for that, or when it is so
 * large that reading it is not worth it. */
static bool is_refused_at_once(struct MHD_Connection *connection)
{
    const char *text = header(connection, "Content-Length");
    unsigned long long length = text ? strtoull(text, NULL, 10) : 0;
    return length > DISCARD_MAX || (length > BODY_MAX && header(connection, "Expect"));
}

static enum MHD_Result read_head(const struct listener *l, struct MHD_Connection *connection,
                                 struct incoming *in, const char *method, const char *version)
{
    const char *fault = find_fault(connection, in, version);
    if (fault)
        return refuse(connection, in, 400, ERR_INVALID, fault);
    if (!is_refused_at_once(connection))
        return MHD_YES;
    in->received = BODY_MAX + 1;
    return answer(l, connection, in, method);
}

static void keep(struct incoming *in, const char *data, size_t size)
{
    in->received += size;
    if (in->received > BODY_MAX || in->has_no_room)
        drop_body(in);
    else if (guard_keep(in->guarded, in->received))
        buf_add(&in->body, data, size);
    else
        in->has_no_room = true;
}

enum MHD_Result exchange_handle(void *arg, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *data,
                                size_t *size, void **state)
{
    (void)url;
    struct incoming *in = *state;
    if (!in->has_begun) {
        in->has_begun = true;
        return read_head(arg, connection, in, method, version);
    }
    if (*size == 0)
        return answer(arg, connection, in, method);
    keep(in, data, *size);
    *size = 0;
    return in->received <= DISCARD_MAX ? MHD_YES : MHD_NO;
}
