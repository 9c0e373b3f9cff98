/* The running process; see process.h. What is started last is stopped first. */
#include "src/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine.h"
#include "src/attach/ask.h"
#include "src/declare.h"
#include "src/http/server.h"
#include "src/http/users.h"
#include "src/looks.h"
#include "src/owner.h"
#include "src/signals.h"
#include "src/state_dir.h"
#include "ui/console.h"

#define ENGINE_CLOSE_MS 1500 /* of the two seconds in which a stop must be done */

struct process {
    const struct conf *conf;
    struct look look;
    bool headless;
    char *state_dir;
    int lock_fd;
    int signal_fd;
    char *log_path; /* NULL: stderr */
    int log_fd;
    int terminal_stderr; /* while the console has the screen and stderr is the log; else -1 */
    enum log_level level;
    struct engine *engine;
    struct declare *declare;
    struct http *http;
};

/* --- Log ------------------------------------------------------------------------------------- */
/* Opens the log's file (anew); the old one stays in use when that fails. */
static bool open_log(struct process *p, struct err *err)
{
    if (!p->log_path) {
        log_to_fd(STDERR_FILENO, p->level);
        return true;
    }
    int fd = open(p->log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0)
        return err_set(err, ERR_IO, "log file %s: %s", p->log_path, strerror(errno));
    log_to_fd(fd, p->level);
    if (p->terminal_stderr >= 0)
        dup2(fd, STDERR_FILENO);
    if (p->log_fd >= 0)
        close(p->log_fd);
    p->log_fd = fd;
    return true;
}

static bool start_log(struct process *p, struct err *err)
{
    const char *level = getenv("BUNNYDB_LOG");
    p->level = p->conf->log_level;
    if (level && !log_level_parse(level, &p->level))
        return err_set(err, ERR_INVALID, "BUNNYDB_LOG must be debug, info, warn or error");
    if (p->conf->log_file)
        p->log_path = mem_strdup(p->conf->log_file);
    else if (!p->headless) /* the terminal belongs to the console */
        p->log_path = mem_printf("%s/%s", p->state_dir, LOG_FILE);
    return open_log(p, err);
}

/* --- Start ----------------------------------------------------------------------------------- */
static bool start_engine(struct process *p, struct err *err)
{
    struct engine_options options = {
        .state_dir = p->state_dir,
        .memory_budget = (size_t)p->conf->memory,
        .index_memory = p->conf->index_memory,
        .decoding_memory = p->conf->decoding_memory,
        .log_keep_days = (int)p->conf->log_keep_days,
        .sequence_interval_s = (int)p->conf->sequence_interval_s,
        .lag_alarm_s = (int)p->conf->lag_alarm_s,
        .wal_room = p->conf->wal_room,
        .wal_action =
            p->conf->wal_drops_slot ? WAL_DROP_SLOT : (enum wal_action)p->conf->wal_action,
    };
    return engine_open(&options, &p->engine, err);
}

static bool start_http(struct process *p, const char *listen, struct err *err)
{
    const struct conf *c = p->conf;
    struct http_options options = {
        .engine = p->engine,
        .conf = c,
        .state_dir = p->state_dir,
        .listen = listen,
        .insecure = c->http_insecure,
        .tls_cert = c->http_tls_cert,
        .tls_key = c->http_tls_key,
        .max_connections = (unsigned)c->http_max_connections,
        .client_timeout_s = c->http_client_timeout_s,
        .token_ttl_s = c->http_token_ttl_s,
        .open_metrics = c->http_open_metrics,
    };
    return http_start(&options, &p->http, err);
}

static bool start(struct process *p, const struct options *o, struct err *err)
{
    int holder;
    if (!p->headless && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))) {
        (void)err_set(err, ERR_INVALID, "the console needs a terminal, and this is none");
        return err_hint(err, "use --headless");
    }
    const char *wish = options_text(o, OPTION_STATE_DIR), *listen = options_text(o, OPTION_HTTP);
    const char *dir = wish ? wish : p->conf->state_dir;
    if (!(p->state_dir = state_dir_path(dir, err)) || !state_dir_make(p->state_dir, err) ||
        !state_dir_lock(p->state_dir, &p->lock_fd, &holder, err) || !start_log(p, err))
        return false;
    log_info("main", NULL, "starting version=%s pid=%d state_dir=%s config=%s", engine_version(),
             (int)getpid(), p->state_dir, p->conf->path ? p->conf->path : "none");
    if (p->conf->shows_secrets)
        log_warn("config", NULL,
                 "others can read the configuration, which holds passwords path=%s "
                 "remedy=\"chmod 600\"",
                 p->conf->path);
    if (!start_engine(p, err) || !users_create_first(p->engine, err) ||
        !declare_peers(p->engine, p->conf, err) ||
        !start_http(p, listen ? listen : p->conf->http_listen, err))
        return false;
    p->declare = declare_start(p->engine, p->conf);
    log_info("main", NULL, "started");
    return true;
}

/* --- Run ------------------------------------------------------------------------------------- */
static void reopen_log(struct process *p)
{
    struct err err;
    if (!p->log_path)
        return;
    if (open_log(p, &err))
        log_info("main", NULL, "log opened anew");
    else
        log_error("main", NULL, "%s", err.text);
}

static void run_headless(struct process *p)
{
    for (;;) {
        struct pollfd fd = {.fd = p->signal_fd, .events = POLLIN};
        if (poll(&fd, 1, -1) < 0 && errno != EINTR)
            return;
        for (enum signal_wish w; (w = signals_next(p->signal_fd)) != SIGNAL_NONE;) {
            if (w == SIGNAL_STOP)
                return;
            reopen_log(p);
        }
    }
}

/* What libraries print must not spoil the screen: it goes to the log. */
static void lend_stderr(struct process *p)
{
    p->terminal_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    dup2(p->log_fd, STDERR_FILENO);
}

static void return_stderr(struct process *p)
{
    if (p->terminal_stderr < 0)
        return;
    dup2(p->terminal_stderr, STDERR_FILENO);
    close(p->terminal_stderr);
    p->terminal_stderr = -1;
}

/* Nothing of us may hold on to the terminal, nor fail when it is gone. */
static void leave_terminal(struct process *p)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (p->terminal_stderr >= 0)
        dup2(null, p->terminal_stderr);
    close(null);
}

static bool is_terminal_gone(void)
{
    struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
    return !isatty(STDIN_FILENO) || (poll(&fd, 1, 0) > 0 && (fd.revents & (POLLHUP | POLLERR)));
}

/* What to do after the console has left the screen because of a signal. True: draw again. */
static bool obey_signals(struct process *p, bool *stop)
{
    for (enum signal_wish w; (w = signals_next(p->signal_fd)) != SIGNAL_NONE;) {
        *stop |= w == SIGNAL_STOP;
        if (w == SIGNAL_HANGUP)
            reopen_log(p);
    }
    return !*stop && !is_terminal_gone();
}

/* False: the console never came up. */
static bool run_console(struct process *p, struct err *err)
{
    char host[65] = "", by[NAME_SIZE];
    char *hint = mem_printf("bunnydb attach --state-dir %s", p->state_dir);
    bool again = true, stop = false, ok = true;
    (void)gethostname(host, sizeof host - 1);
    struct model model;
    model_of_engine(p->engine, &model);
    model.state_dir = p->state_dir; /* a bundle is what the API makes, over our own socket */
    model.bundle = ask_bundle;
    model.by = owner_name(geteuid(), "console", by, sizeof by);
    char *choices = mem_printf("%s/console", p->state_dir);
    struct console_options options = {.stop_fd = p->signal_fd,
                                      .process = host,
                                      .choices = choices,
                                      .look = &p->look,
                                      .attach_hint = hint};
    lend_stderr(p);
    while (again) {
        enum console_end end = console_run(&model, &options, err);
        again = false;
        switch (end) {
        case CONSOLE_STOPPED:
            again = obey_signals(p, &stop);
            break;
        case CONSOLE_QUIT:
            stop = true;
            break;
        case CONSOLE_FAILED:
            ok = false;
            break;
        case CONSOLE_LOST:
        case CONSOLE_DETACHED:
            break;
        }
    }
    free(hint);
    free(choices);
    if (!ok || stop)
        return ok;
    log_info("main", NULL, "console has left, going on without it pid=%d", (int)getpid());
    leave_terminal(p);
    signals_reset();
    run_headless(p);
    return true;
}

/* --- End ------------------------------------------------------------------------------------- */
static void finish(struct process *p)
{
    int64_t began = clock_mono_ms();
    if (p->engine) {
        log_info("main", NULL, "stopping");
        engine_interrupt(p->engine);
    }
    declare_stop(p->declare);
    http_stop(p->http);
    int64_t left = ENGINE_CLOSE_MS - (clock_mono_ms() - began);
    engine_close(p->engine, left > 200 ? (int)left : 200);
    if (p->engine)
        log_info("main", NULL, "stopped ms=%lld", (long long)(clock_mono_ms() - began));
    return_stderr(p);
    log_to_fd(STDERR_FILENO, LOG_LEVEL_INFO);
    if (p->log_fd >= 0)
        close(p->log_fd);
    if (p->lock_fd >= 0)
        close(p->lock_fd);
    if (p->signal_fd >= 0)
        close(p->signal_fd);
    free(p->log_path);
    free(p->state_dir);
}

bool process_run(const struct options *o, const struct conf *c, const struct look *look,
                 struct err *err)
{
    struct process p = {.conf = c,
                        .look = *look,
                        .headless = options_has(o, OPTION_HEADLESS),
                        .lock_fd = -1,
                        .signal_fd = -1,
                        .log_fd = -1,
                        .terminal_stderr = -1};
    umask(077); /* whatever we make is ours alone */
    bool ok = signals_take(&p.signal_fd, err) && start(&p, o, err);
    if (ok && p.headless)
        run_headless(&p);
    else if (ok)
        ok = run_console(&p, err);
    finish(&p);
    return ok;
}
