/* The log. A line is a fixed phrase and key=value pairs, with level, component, mirror and table.
 * Never row values, never secrets. log_write may be called from any thread; it does not block on
 * a disk: the descriptor takes the line, and the sink (the engine) queues it. */
#ifndef BUNNY_LOG_H
#define BUNNY_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARN,
    LOG_LEVEL_ERROR,
};

struct log_line {
    int64_t at; /* wall clock, us */
    enum log_level level;
    char component[16]; /* "apply", "copy", "super", "http", … */
    char mirror[64];    /* empty for the process itself */
    char text[480];     /* one line */
    char details[512];  /* further lines (a server's DETAIL, a statement); may be empty */
};

typedef void log_sink_fn(void *arg, const struct log_line *line);

/* Where the process log goes: a descriptor (-1: nowhere) and the least level. Not thread-safe
 * against log_write; called by main before threads start, and when the console takes the screen. */
void log_to_fd(int fd, enum log_level least);
/* Engine's hook; NULL takes it away. Returns after no call into the old sink is running. */
void log_set_sink(log_sink_fn *sink, void *arg);

/* mirror and details may be NULL. */
void log_write(enum log_level level, const char *component, const char *mirror, const char *details,
               const char *fmt, ...) __attribute__((format(printf, 5, 6)));
#define log_debug(component, mirror, ...) \
    log_write(LOG_LEVEL_DEBUG, component, mirror, NULL, __VA_ARGS__)
#define log_info(component, mirror, ...) \
    log_write(LOG_LEVEL_INFO, component, mirror, NULL, __VA_ARGS__)
#define log_warn(component, mirror, ...) \
    log_write(LOG_LEVEL_WARN, component, mirror, NULL, __VA_ARGS__)
#define log_error(component, mirror, ...) \
    log_write(LOG_LEVEL_ERROR, component, mirror, NULL, __VA_ARGS__)

const char *log_level_name(enum log_level level); /* "DEBUG" … */
bool log_level_parse(const char *name, enum log_level *out);

#endif
