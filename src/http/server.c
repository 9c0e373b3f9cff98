/* The HTTP listeners; see server.h. Only this file and exchange.c know libmicrohttpd. */
#include "src/http/server.h"

#include <errno.h>
#include <microhttpd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "src/http/exchange.h"
#include "src/http/guard.h"
#include "src/http/router.h"
#include "src/http/sockets.h"
#include "src/http/users.h"
#include "src/password.h"
#include "src/state_dir.h"

#define CONNECTION_MEMORY (32U << 10) /* of a request's head */
#define THREAD_STACK (512U << 10)
#define ANSWER_GRACE_MS 400
#define LOCAL_CONNECTIONS 64
/* libmicrohttpd's own limit lies above the guard's, since it would turn newcomers away: those that
 * are hung up on count until their threads have ended. */
#define SPARE_CONNECTIONS 256
#define PEM_MAX (1U << 20)

static char tls_versions[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

struct http {
    struct api api;
    struct listener tcp, local;
    char *socket_path;
    char *cert, *key; /* PEM, NULL: no TLS */
};

/* libmicrohttpd's first words in the thread that starts a listener. */
static _Thread_local char *trouble;
#define TROUBLE_SIZE 200

/* --- Start and stop --------------------------------------------------------------------------- */
static void take_log(void *arg, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void take_log(void *arg, const char *fmt, va_list ap)
{
    char text[300];
    (void)arg;
    (void)vsnprintf(text, sizeof text, fmt, ap);
    text[strcspn(text, "\n")] = '\0';
    if (trouble && !*trouble)
        str_copy(trouble, TROUBLE_SIZE, text);
    log_debug("http", NULL, "libmicrohttpd: %s", text);
}

static void panic(void *arg, const char *file, unsigned line, const char *reason)
{
    (void)arg;
    log_error("http", NULL, "libmicrohttpd gave up file=%s line=%u reason=\"%s\"", file, line,
              reason ? reason : "");
    abort();
}

/* libmicrohttpd has no time limit of its own: it would count the time that an answer takes. */
static bool start_daemon(struct http *h, struct listener *l, int fd, unsigned connections,
                         struct err *err)
{
    static const char prefix[] = "GnuTLS failed to setup x509 certificate/key: ";
    char why[TROUBLE_SIZE] = "";
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, h->cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, h->key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, tls_versions},
        {MHD_OPTION_END, 0, NULL},
    };
    bool has_tls = l == &h->tcp && h->cert;
    if (!has_tls)
        tls[0].option = MHD_OPTION_END;
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC |
                     MHD_USE_ERROR_LOG | (has_tls ? MHD_USE_TLS : 0U);
    l->api = &h->api;
    trouble = why;
    l->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, exchange_handle, l,                      /* */
        MHD_OPTION_EXTERNAL_LOGGER, take_log, NULL,                    /* */
        MHD_OPTION_LISTEN_SOCKET, fd,                                  /* */
        MHD_OPTION_CONNECTION_LIMIT, connections + SPARE_CONNECTIONS,  /* */
        MHD_OPTION_CONNECTION_TIMEOUT, 0U,                             /* */
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, /* */
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)THREAD_STACK,            /* */
        MHD_OPTION_URI_LOG_CALLBACK, exchange_begin, l,                /* */
        MHD_OPTION_NOTIFY_CONNECTION, exchange_connection, l,          /* */
        MHD_OPTION_NOTIFY_COMPLETED, exchange_end, l, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    trouble = NULL;
    if (l->daemon)
        return true;
    /* fd is closed, or not: the process ends now */
    size_t skip = !strncmp(why, prefix, sizeof prefix - 1) ? sizeof prefix - 1 : 0;
    return err_set(err, ERR_INVALID, "%s", why[skip] ? why + skip : "libmicrohttpd does not start");
}

static bool start_local(struct http *h, const struct http_options *o, struct err *err)
{
    int fd;
    h->socket_path = mem_printf("%s/%s", o->state_dir, SOCKET_FILE);
    return guard_start("local", LOCAL_CONNECTIONS, o->client_timeout_s * 1000, &h->local.guard,
                       err) &&
           sockets_listen_unix(h->socket_path, &fd, err) &&
           (start_daemon(h, &h->local, fd, LOCAL_CONNECTIONS, err) ||
            err_context(err, "%s", h->socket_path));
}

/* --- TLS -------------------------------------------------------------------------------------- */
static bool read_pem(const char *path, const char *what, char **out, struct err *err)
{
    struct buf b = {0};
    char piece[4096];
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(err, ERR_IO, "%s %s: %s", what, path, strerror(errno));
    for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0 && b.len < PEM_MAX;)
        buf_add(&b, piece, n);
    bool ok = !ferror(f);
    if (!ok)
        (void)err_set(err, ERR_IO, "%s %s: %s", what, path, strerror(errno));
    fclose(f);
    sodium_memzero(piece, sizeof piece);
    *out = buf_take(&b);
    return ok;
}

static bool check_pem(const struct http *h, const struct http_options *o, struct err *err)
{
    if (!strstr(h->cert, "-----BEGIN CERTIFICATE-----"))
        return err_set(err, ERR_INVALID, "tls_cert %s holds no certificate in PEM format",
                       o->tls_cert);
    if (strstr(h->key, "-----BEGIN ENCRYPTED PRIVATE KEY-----") || strstr(h->key, "DEK-Info:")) {
        (void)err_set(err, ERR_INVALID, "tls_key %s is protected by a passphrase", o->tls_key);
        return err_hint(err, "openssl pkey -in %s -out NEW_FILE makes one without", o->tls_key);
    }
    return strstr(h->key, "PRIVATE KEY-----") ||
           err_set(err, ERR_INVALID, "tls_key %s holds no private key in PEM format", o->tls_key);
}

static bool read_tls(struct http *h, const struct http_options *o, struct err *err)
{
    if (!o->tls_cert && !o->tls_key)
        return true;
    if (!o->tls_cert || !o->tls_key)
        return err_set(err, ERR_INVALID, "[http]: tls_cert and tls_key go together");
    return read_pem(o->tls_cert, "tls_cert", &h->cert, err) &&
           read_pem(o->tls_key, "tls_key", &h->key, err) && check_pem(h, o, err);
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

/* The engine needs descriptors too: connections get at most half of what the process may have,
 * after that has been raised as far as it can be. */
static unsigned limit_connections(unsigned wanted)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return wanted;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || wanted <= files.rlim_cur / 2)
        return wanted;
    unsigned most = (unsigned)(files.rlim_cur / 2);
    log_warn("http", NULL,
             "max_connections is more than half of the files that the process may open "
             "max_connections=%u used=%u remedy=\"raise LimitNOFILE or ulimit -n\"",
             wanted, most);
    return most;
}

/* In front of a listener: what must hold before anybody can reach it. */
static bool check_reach(const struct http *h, const struct http_options *o, bool loopback,
                        struct err *err)
{
    if (loopback || h->cert || o->insecure)
        return true;
    (void)err_set(err, ERR_INVALID, "%s can be reached from other machines and has no TLS",
                  o->listen);
    return err_hint(err, "set tls_cert and tls_key in [http], listen on 127.0.0.1, or set "
                         "insecure = yes");
}

static bool start_tcp(struct http *h, const struct http_options *o, struct err *err)
{
    int fd;
    bool loopback;
    char bound[ADDRESS_TEXT_SIZE];
    if (!o->listen)
        return true;
    unsigned most = limit_connections(o->max_connections);
    if (!check_users(o, err) || !read_tls(h, o, err) ||
        !guard_start("tcp", most, o->client_timeout_s * 1000, &h->tcp.guard, err) ||
        !sockets_listen_tcp(o->listen, &fd, &loopback, bound, err))
        return false;
    if (!check_reach(h, o, loopback, err)) {
        close(fd);
        return false;
    }
    if (!start_daemon(h, &h->tcp, fd, most, err))
        return h->cert ? err_context(err, "tls_cert %s and tls_key %s", o->tls_cert, o->tls_key)
                       : err_context(err, "%s", o->listen);
    log_info("http", NULL, "listening address=%s tls=%s", bound, h->cert ? "yes" : "no");
    return true;
}

bool http_start(const struct http_options *o, struct http **out, struct err *err)
{
    struct http *h = mem_calloc(1, sizeof *h);
    api_init(&h->api, o->engine, o->token_ttl_s);
    h->api.conf = o->conf;
    h->api.library = MHD_get_version();
    h->api.open_metrics = o->open_metrics;
    MHD_set_panic_func(panic, NULL);
    *out = h;
    if (start_local(h, o, err) && start_tcp(h, o, err))
        return true;
    http_stop(h);
    *out = NULL;
    return false;
}

/* Those who wait for an answer still get it; libmicrohttpd would hang up on them. */
static void wait_for_answers(struct http *h)
{
    int64_t until = clock_mono_ms() + ANSWER_GRACE_MS;
    const struct listener *const all[] = {&h->tcp, &h->local};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (all[i]->guard)
            guard_wait_answered(all[i]->guard, (int)(until - clock_mono_ms()));
}

static void stop_listener(struct listener *l)
{
    if (l->daemon)
        MHD_stop_daemon(l->daemon);
    guard_stop(l->guard);
}

void http_stop(struct http *h)
{
    if (!h)
        return;
    password_interrupt();
    api_interrupt(&h->api);
    wait_for_answers(h);
    stop_listener(&h->tcp);
    bool has_socket = h->local.daemon != NULL;
    stop_listener(&h->local);
    if (has_socket)
        (void)unlink(h->socket_path);
    api_destroy(&h->api);
    free(h->socket_path);
    if (h->key)
        sodium_memzero(h->key, strlen(h->key));
    free(h->cert);
    free(h->key);
    free(h);
}
