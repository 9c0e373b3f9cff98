/* The HTTP listeners; see server.h. Everything that knows libmicrohttpd is in this file. */
#include "src/http/server.h"

#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "src/http/router.h"
#include "src/http/sockets.h"
#include "src/http/users.h"
#include "src/password.h"
#include "src/state_dir.h"

#define CONNECTION_TIMEOUT_S 30
#define CONNECTION_MEMORY (32U << 10) /* of a request's head */
#define THREAD_STACK (512U << 10)
#define ANSWER_GRACE_MS 400
#define DISCARD_MAX                                                               \
    (8U << 20) /* what of a too large body is still read, so that the 413 arrives \
                */

struct http {
    struct api api;
    struct MHD_Daemon *tcp, *local;
    char *socket_path;
    char *cert, *key; /* PEM, NULL: no TLS */
    pthread_mutex_t lock;
    pthread_cond_t all_answered;
    int running; /* requests that are being answered */
};

/* One request while it comes in; libmicrohttpd's con_cls. */
struct incoming {
    char *target;
    struct buf body;
    size_t received;
    bool has_begun;
    bool is_running; /* counted in running */
};

static void count_running(struct http *h, int more)
{
    pthread_mutex_lock(&h->lock);
    h->running += more;
    if (h->running == 0)
        pthread_cond_broadcast(&h->all_answered);
    pthread_mutex_unlock(&h->lock);
}

/* --- One request ------------------------------------------------------------------------------ */
/* Called with the target as sent, before anything is decoded. */
static void *begin(void *arg, const char *uri, struct MHD_Connection *connection)
{
    (void)arg;
    (void)connection;
    struct incoming *in = mem_calloc(1, sizeof *in);
    in->target = mem_strdup(uri);
    return in;
}

static void finish(void *arg, struct MHD_Connection *connection, void **state,
                   enum MHD_RequestTerminationCode code)
{
    (void)connection;
    (void)code;
    struct incoming *in = *state;
    if (!in)
        return;
    if (in->is_running)
        count_running(arg, -1);
    if (in->body.data)
        sodium_memzero(in->body.data, in->body.len); /* may hold a password */
    buf_free(&in->body);
    free(in->target);
    free(in);
    *state = NULL;
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static void add_header(struct MHD_Response *r, const char *name, const char *value)
{
    (void)MHD_add_response_header(r, name, value); /* fails only without memory */
}

static enum MHD_Result send_response(struct MHD_Connection *connection, struct response *r)
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
    return result;
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
    q->is_local = !is_tcp && fd && sockets_is_owner(fd->connect_fd);
}

static enum MHD_Result answer(struct http *h, struct MHD_Connection *connection,
                              struct incoming *in, const char *method)
{
    struct response r;
    struct request q = {
        .method = method,
        .target = in->target,
        .content_type = header(connection, "Content-Type"),
        .authorization = header(connection, "Authorization"),
        .body = in->body.data,
        .body_len = in->body.len,
        .is_too_large = in->received > BODY_MAX,
    };
    identify(connection, &q);
    in->is_running = true;
    count_running(h, 1);
    api_handle(&h->api, &q, &r);
    return send_response(connection, &r);
}

static bool announces_too_much(struct MHD_Connection *connection)
{
    const char *text = header(connection, "Content-Length");
    return text && strtoull(text, NULL, 10) > BODY_MAX;
}

/* libmicrohttpd's handler: first with the head, then with each piece of the body, then without. */
static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **state)
{
    (void)url;
    (void)version;
    struct incoming *in = *state;
    if (!in->has_begun) {
        in->has_begun = true;
        if (!announces_too_much(connection))
            return MHD_YES;
        in->received = BODY_MAX + 1; /* answered at once; the connection ends then */
        return answer(arg, connection, in, method);
    }
    if (*size == 0)
        return answer(arg, connection, in, method);
    in->received += *size;
    if (in->received <= BODY_MAX)
        buf_add(&in->body, data, *size);
    *size = 0;
    return in->received <= DISCARD_MAX ? MHD_YES : MHD_NO;
}

/* --- Start and stop --------------------------------------------------------------------------- */
static void take_log(void *arg, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void take_log(void *arg, const char *fmt, va_list ap)
{
    char text[300];
    (void)arg;
    (void)vsnprintf(text, sizeof text, fmt, ap);
    log_debug("http", NULL, "libmicrohttpd: %s", text);
}

static void panic(void *arg, const char *file, unsigned line, const char *reason)
{
    (void)arg;
    log_error("http", NULL, "libmicrohttpd gave up file=%s line=%u reason=\"%s\"", file, line,
              reason ? reason : "");
    abort();
}

static struct MHD_Daemon *start_daemon(struct http *h, int fd, bool tls, unsigned connections)
{
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, h->cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, h->key},
        {MHD_OPTION_END, 0, NULL},
    };
    if (!tls)
        options[0].option = MHD_OPTION_END;
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC |
                     MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0U);
    return MHD_start_daemon(
        flags, 0, NULL, NULL, handle, h,            /* */
        MHD_OPTION_EXTERNAL_LOGGER, take_log, NULL, /* */
        MHD_OPTION_LISTEN_SOCKET, fd,               /* */
        MHD_OPTION_CONNECTION_LIMIT, connections,   /* */
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_TIMEOUT_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)THREAD_STACK, MHD_OPTION_URI_LOG_CALLBACK, begin, NULL, /* */
        MHD_OPTION_NOTIFY_COMPLETED, finish, h, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

static bool start_local(struct http *h, const struct http_options *o, struct err *err)
{
    int fd;
    h->socket_path = mem_printf("%s/%s", o->state_dir, SOCKET_FILE);
    if (!sockets_listen_unix(h->socket_path, &fd, err))
        return false;
    h->local = start_daemon(h, fd, false, o->max_connections);
    if (h->local)
        return true;
    close(fd);
    return err_set(err, ERR_INTERNAL, "the HTTP listener on %s cannot be started", h->socket_path);
}

static bool read_pem(const char *path, const char *what, char **out, struct err *err)
{
    struct buf b = {0};
    char piece[4096];
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(err, ERR_IO, "%s %s: %s", what, path, strerror(errno));
    for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0 && b.len < BODY_MAX;)
        buf_add(&b, piece, n);
    fclose(f);
    *out = buf_take(&b);
    return true;
}

static bool read_tls(struct http *h, const struct http_options *o, struct err *err)
{
    if (!o->tls_cert && !o->tls_key)
        return true;
    if (!o->tls_cert || !o->tls_key)
        return err_set(err, ERR_INVALID, "[http]: tls_cert and tls_key go together");
    return read_pem(o->tls_cert, "tls_cert", &h->cert, err) &&
           read_pem(o->tls_key, "tls_key", &h->key, err);
}

/* A listener on the network needs somebody who may log in. */
static bool check_users(const struct http_options *o, struct err *err)
{
    bool exist = false;
    if (!users_exist(o->engine, &exist, err))
        return false;
    if (exist)
        return true;
    (void)err_set(err, ERR_INVALID, "the HTTP API does not start on %s while no user exists",
                  o->listen);
    return err_hint(err, "make one: bunnydb user add NAME --role admin (or set BUNNY_ADMIN_USER "
                         "and BUNNY_ADMIN_PASSWORD)");
}

static bool start_tcp(struct http *h, const struct http_options *o, struct err *err)
{
    int fd;
    bool loopback;
    char bound[ADDRESS_TEXT_SIZE];
    if (!o->listen)
        return true;
    if (!check_users(o, err) || !read_tls(h, o, err) ||
        !sockets_listen_tcp(o->listen, &fd, &loopback, bound, err))
        return false;
    bool tls = h->cert != NULL;
    if (!loopback && !tls && !o->insecure) {
        close(fd);
        (void)err_set(err, ERR_INVALID, "%s can be reached from other machines and has no TLS",
                      o->listen);
        return err_hint(err, "set tls_cert and tls_key in [http], listen on 127.0.0.1, or set "
                             "insecure = yes");
    }
    h->tcp = start_daemon(h, fd, tls, o->max_connections);
    if (!h->tcp) {
        close(fd);
        return err_set(err, ERR_INVALID, "the HTTP listener cannot be started%s",
                       tls ? "; are tls_cert and tls_key a pair of PEM files?" : "");
    }
    log_info("http", NULL, "listening address=%s tls=%s", bound, tls ? "yes" : "no");
    return true;
}

bool http_start(const struct http_options *o, struct http **out, struct err *err)
{
    pthread_condattr_t attr;
    struct http *h = mem_calloc(1, sizeof *h);
    api_init(&h->api, o->engine, o->token_ttl_s);
    h->api.conf = o->conf;
    h->api.open_metrics = o->open_metrics;
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->all_answered, &attr);
    pthread_condattr_destroy(&attr);
    MHD_set_panic_func(panic, NULL);
    *out = h;
    if (start_local(h, o, err) && start_tcp(h, o, err))
        return true;
    http_stop(h);
    *out = NULL;
    return false;
}

/* Lets those who wait for an answer still get it; libmicrohttpd would hang up on them. */
static void wait_for_answers(struct http *h)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ANSWER_GRACE_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&h->lock);
    while (h->running > 0 && pthread_cond_timedwait(&h->all_answered, &h->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&h->lock);
}

void http_stop(struct http *h)
{
    if (!h)
        return;
    password_interrupt();
    wait_for_answers(h);
    if (h->tcp)
        MHD_stop_daemon(h->tcp);
    if (h->local)
        MHD_stop_daemon(h->local);
    if (h->local)
        (void)unlink(h->socket_path);
    api_destroy(&h->api);
    pthread_cond_destroy(&h->all_answered);
    pthread_mutex_destroy(&h->lock);
    free(h->socket_path);
    if (h->key)
        sodium_memzero(h->key, strlen(h->key));
    free(h->cert);
    free(h->key);
    free(h);
}
