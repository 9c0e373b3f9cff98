/* The log; see log.h. One leaf lock orders lines and guards the sink. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = 2;
static atomic_int log_least = LOG_LEVEL_INFO;
static log_sink_fn *log_sink;
static void *log_sink_arg;

static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR"};

void log_to_fd(int fd, enum log_level least)
{
    pthread_mutex_lock(&lock);
    log_fd = fd;
    atomic_store(&log_least, (int)least);
    pthread_mutex_unlock(&lock);
}

void log_set_sink(log_sink_fn *sink, void *arg)
{
    pthread_mutex_lock(&lock);
    log_sink = sink;
    log_sink_arg = arg;
    pthread_mutex_unlock(&lock);
}

static void write_fd(const struct log_line *l)
{
    char at[CLOCK_TEXT_SIZE];
    char out[sizeof(struct log_line) + 64];
    clock_format(l->at, at);
    str_printf(out, sizeof out, "%s %-5s %-7s %s%s%s%s%s\n", at, names[l->level], l->component,
               l->mirror[0] ? "mirror=" : "", l->mirror, l->mirror[0] ? " " : "", l->text,
               l->details[0] ? " [details in the catalog]" : "");
    ssize_t n = write(log_fd, out, strlen(out)); /* a full disk must not stop replication */
    (void)n;
}

static void one_line(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            *s = ' ';
}

void log_write(enum log_level level, const char *component, const char *mirror, const char *details,
               const char *fmt, ...)
{
    if ((int)level < atomic_load(&log_least)) /* most lines: nothing is formatted */
        return;
    struct log_line l = {.at = clock_wall_us(), .level = level};
    str_copy(l.component, sizeof l.component, component);
    str_copy(l.mirror, sizeof l.mirror, mirror);
    str_copy(l.details, sizeof l.details, details);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(l.text, sizeof l.text, fmt, ap);
    va_end(ap);
    one_line(l.text);

    pthread_mutex_lock(&lock);
    if (log_fd >= 0)
        write_fd(&l);
    if (log_sink)
        log_sink(log_sink_arg, &l);
    pthread_mutex_unlock(&lock);
}

const char *log_level_name(enum log_level level)
{
    return names[level];
}

bool log_level_parse(const char *name, enum log_level *out)
{
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (!strcasecmp(name, names[i])) {
            *out = (enum log_level)i;
            return true;
        }
    return false;
}
