/* The picture and the log for a console in another process; see console.h. A mirror of which the
 * reader has everything is only named, with its revision: so an answer is small when little has
 * changed, and the reader sees by itself whether it lacks something. */
#include "src/http/console.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/wake.h"
#include "src/http/to_json.h"

enum {
    LINES_MOST = 2000,    /* what the engine keeps in memory */
    WAIT_MOST_MS = 20000, /* a connection is in use meanwhile */
    WAITERS_MOST = 16,    /* further ones are answered at once */
};

struct position {
    char instance[INSTANCE_SIZE];
    int64_t version, revision, line;
    int wait_ms;
};
#define AT(member) offsetof(struct position, member)
static const struct field rows[] = {
    {.name = "instance",
     .type = FIELD_TEXT,
     .offset = AT(instance),
     .max = INSTANCE_SIZE - 1,
     .text = "That of the last answer."},
    {.name = "version", .type = FIELD_INT64, .offset = AT(version), .max = INT64_MAX},
    {.name = "revision", .type = FIELD_INT64, .offset = AT(revision), .max = INT64_MAX},
    {.name = "line", .type = FIELD_INT64, .offset = AT(line), .max = INT64_MAX},
    {.name = "wait_ms", .type = FIELD_INT, .offset = AT(wait_ms), .max = WAIT_MOST_MS},
};
const struct field_table console_query = FIELD_TABLE(rows);

/* Lines of no mirror tell of users and addresses: they are for admins. */
static bool is_admin(const struct call *c)
{
    return !strcmp(c->user.role, "admin");
}

static int64_t newest_line(struct engine *e)
{
    struct log_row row;
    return engine_log_tail(e, NULL, LOG_LEVEL_DEBUG, &row, 1) ? row.id : 0;
}

static bool has_news(struct engine *e, const struct position *q)
{
    const struct picture *p = engine_picture(e);
    bool is_new = (int64_t)p->version != q->version;
    picture_release(p);
    return is_new || newest_line(e) > q->line;
}

/* Until something has changed, the time is over, or the process stops. */
static void wait_for_news(struct call *c, const struct position *q)
{
    int64_t until = clock_mono_ms() + q->wait_ms;
    int fd = wake_new();
    engine_subscribe(c->engine, fd);
    while (!has_news(c->engine, q)) {
        struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
                               {.fd = c->api->stop_fd, .events = POLLIN}};
        int64_t left = until - clock_mono_ms();
        if (left <= 0 || poll(fds, COUNT_OF(fds), (int)left) == 0 || fds[1].revents)
            break;
        wake_clear(fd);
    }
    engine_unsubscribe(c->engine, fd);
    wake_free(fd);
}

static json_t *lines_to_json(const struct call *c, int64_t after)
{
    json_t *array = json_array();
    int64_t fresh = newest_line(c->engine) - after;
    if (fresh <= 0)
        return array;
    size_t most = fresh < LINES_MOST ? (size_t)fresh : LINES_MOST;
    struct log_row *lines = mem_calloc(most, sizeof *lines);
    size_t n = engine_log_tail(c->engine, NULL, LOG_LEVEL_DEBUG, lines, most);
    for (size_t i = 0; i < n; i++) {
        if (lines[i].id <= after || (!lines[i].line.mirror[0] && !is_admin(c)))
            continue;
        json_t *o = log_row_to_json(&lines[i]);
        json_put_text(o, "mirror", lines[i].line.mirror);
        json_array_append_new(array, o);
    }
    free(lines);
    return array;
}

static json_t *mirror_to_json(const struct mirror_status *m, int64_t revision)
{
    bool is_known = m->revision && (int64_t)m->revision <= revision;
    json_t *o = is_known ? json_pack("{s:s}", "name", m->name) : mirror_status_to_json(m);
    json_object_set_new(o, "revision", json_integer((json_int_t)m->revision));
    return o;
}

static json_t *news_to_json(struct call *c, const struct position *q)
{
    char host[65] = "", at[CLOCK_TEXT_SIZE];
    json_t *o = json_object(), *mirrors = json_array();
    int64_t newest = newest_line(c->engine);
    const struct picture *p = engine_picture(c->engine);
    for (size_t i = 0; i < p->n; i++)
        json_array_append_new(mirrors, mirror_to_json(&p->mirrors[i], q->revision));
    (void)gethostname(host, sizeof host - 1);
    json_put_text(o, "instance", c->api->instance);
    json_put_text(o, "program", engine_version());
    json_put_text(o, "host", host);
    json_object_set_new(o, "version", json_integer((json_int_t)p->version));
    json_put_text(o, "taken_at", clock_format(p->taken_at, at));
    json_object_set_new(o, "mirrors", mirrors);
    json_object_set_new(o, "line", json_integer(newest));
    json_object_set_new(o, "log", lines_to_json(c, q->line));
    picture_release(p);
    return o;
}

bool console_show(struct call *c, struct err *err)
{
    struct position q = {.version = -1};
    if (!fields_read(&console_query, c->query, true, &q, NULL, err))
        return false;
    c->is_quiet = true; /* a line of the log would be news for who waits for news */
    if (strcmp(q.instance, c->api->instance) != 0)
        q = (struct position){.version = -1}; /* of another process: nothing of it holds here */
    if (atomic_fetch_add(&c->api->waiting, 1) < WAITERS_MOST && q.wait_ms > 0)
        wait_for_news(c, &q);
    atomic_fetch_sub(&c->api->waiting, 1);
    c->reply = news_to_json(c, &q);
    return true;
}
