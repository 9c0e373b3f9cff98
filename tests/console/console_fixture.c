/* console-fixture SCENARIO [RECORD [CONTROL [SLOW_MS]]]: the console on a stand-in for the engine.
 * RECORD gets a line for every command and for the end; CONTROL is a FIFO whose lines change the
 * picture; SLOW_MS is how long pause and resume take (-1: until the line "go on"). */
#include "fixture.h"

#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/wake.h"
#include "ui/actions.h"
#include "ui/console.h"

enum {
    LOG_RING = 2000,
};

struct shot {
    struct picture picture; /* first: the handle is the picture */
    int references;
    struct fixture_mirror *mirrors;
    struct mirror_status *statuses;
};
/* lock guards everything below; the pictures handed out are immutable but for their count. */
struct engine {
    pthread_mutex_t lock;
    struct fixture_mirror *mirrors;
    size_t n;
    struct shot *now;
    uint64_t version;
    int wake_fd;
    int record_fd;
    int slow_ms;
    struct log_row log[LOG_RING];
    size_t n_log;
    bool busy, is_repaired;
};
static int stop_fd;

void fixture_record(struct engine *e, const char *what, const char *of)
{
    if (e->record_fd >= 0)
        dprintf(e->record_fd, "%s %s\n", what, of);
}

static void shot_unref(struct shot *s)
{
    if (!s || __atomic_sub_fetch(&s->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    free(s->mirrors);
    free(s->statuses);
    free(s);
}

static int by_name(const void *x, const void *y)
{
    return strcmp(((const struct mirror_status *)x)->name, ((const struct mirror_status *)y)->name);
}

/* Publishes what the mirrors are now. With the lock held. */
static void publish(struct engine *e)
{
    struct shot *s = mem_calloc(1, sizeof *s);
    s->references = 1;
    s->mirrors = mem_calloc(e->n + 1, sizeof *s->mirrors);
    s->statuses = mem_calloc(e->n + 1, sizeof *s->statuses);
    memcpy(s->mirrors, e->mirrors, e->n * sizeof *s->mirrors);
    for (size_t i = 0; i < e->n; i++) {
        s->statuses[i] = s->mirrors[i].status;
        s->statuses[i].tables = s->mirrors[i].tables;
        s->statuses[i].findings = &s->mirrors[i].finding;
        s->statuses[i].n_findings = s->mirrors[i].has_finding;
    }
    qsort(s->statuses, e->n, sizeof *s->statuses, by_name);
    s->picture = (struct picture){++e->version, clock_wall_us(), e->n, s->statuses};
    shot_unref(e->now);
    e->now = s;
    if (e->wake_fd >= 0)
        wake_signal(e->wake_fd);
}

const struct picture *engine_picture(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    struct shot *s = e->now;
    __atomic_add_fetch(&s->references, 1, __ATOMIC_ACQ_REL);
    pthread_mutex_unlock(&e->lock);
    return &s->picture;
}

void picture_release(const struct picture *p)
{
    shot_unref((struct shot *)(uintptr_t)p);
}

const struct mirror_status *picture_find(const struct picture *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (!strcmp(p->mirrors[i].name, name))
            return &p->mirrors[i];
    return NULL;
}

void engine_subscribe(struct engine *e, int fd)
{
    pthread_mutex_lock(&e->lock);
    e->wake_fd = fd;
    pthread_mutex_unlock(&e->lock);
}

void engine_unsubscribe(struct engine *e, int fd)
{
    (void)fd;
    engine_subscribe(e, -1);
}

static struct fixture_mirror *find(struct engine *e, const char *name)
{
    for (size_t i = 0; i < e->n; i++)
        if (!strcmp(e->mirrors[i].status.name, name))
            return &e->mirrors[i];
    return NULL;
}

static void add_log(struct engine *e, enum log_level level, const char *component,
                    const char *mirror, const char *text)
{
    static int64_t id;
    struct log_row r = {.id = ++id};
    r.line.at = clock_wall_us();
    r.line.level = level;
    str_copy(r.line.component, sizeof r.line.component, component);
    str_copy(r.line.mirror, sizeof r.line.mirror, mirror);
    str_copy(r.line.text, sizeof r.line.text, text);
    if (level == LOG_LEVEL_ERROR)
        str_copy(r.line.details, sizeof r.line.details, "Key (id)=(88121) already exists.");
    if (e->n_log == LOG_RING)
        memmove(e->log, e->log + 1, --e->n_log * sizeof *e->log);
    e->log[e->n_log++] = r;
}

size_t engine_log_tail(struct engine *e, const char *mirror, enum log_level least,
                       struct log_row *out, size_t max)
{
    pthread_mutex_lock(&e->lock);
    size_t n = 0;
    for (size_t i = e->n_log; i-- > 0 && n < max;)
        if (e->log[i].line.level >= least && (!mirror || !strcmp(mirror, e->log[i].line.mirror)))
            out[n++] = e->log[i];
    pthread_mutex_unlock(&e->lock);
    for (size_t i = 0; i < n / 2; i++) {
        struct log_row swap = out[i];
        out[i] = out[n - 1 - i];
        out[n - 1 - i] = swap;
    }
    return n;
}

void fixture_sleep(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

/* A command that takes slow_ms, waited for at most limit_ms; then a state. */
static bool command(struct engine *e, const char *what, const char *name, int limit_ms,
                    enum mirror_state to, struct err *err)
{
    fixture_record(e, what, name);
    e->is_repaired |= !strcmp(what, command_name(MIRROR_REPAIR));
    while (__atomic_load_n(&e->slow_ms, __ATOMIC_RELAXED) < 0)
        fixture_sleep(5);
    bool late = e->slow_ms > limit_ms;
    fixture_sleep(late ? limit_ms : e->slow_ms);
    if (late)
        return err_set(err, ERR_TIMEOUT, "not done within %d ms", limit_ms);
    pthread_mutex_lock(&e->lock);
    struct fixture_mirror *m = find(e, name);
    if (m)
        fixture_set_state(m, to);
    publish(e);
    pthread_mutex_unlock(&e->lock);
    return m ? true : err_set(err, ERR_MIRROR_NOT_FOUND, "there is no mirror %s", name);
}

bool engine_mirror_command(struct engine *e, const char *name, const struct mirror_request *r,
                           int limit_ms, char **note, struct err *err)
{
    char what[200];
    (void)note;
    if (r->command == MIRROR_CHANGE)
        return fixture_change(e, name, r, err);
    str_printf(what, sizeof what, "%s%s%s%s%s", command_name(r->command), r->table ? " " : "",
               r->table ? r->table : "", r->strategy ? " " : "", r->strategy ? r->strategy : "");
    return command(e, what, name, limit_ms,
                   r->command == MIRROR_PAUSE ? MIRROR_PAUSED : MIRROR_RUNNING, err);
}

/* Two tables were compared, and rows of one differ unless it was repaired. */
bool engine_mirror_report(struct engine *e, const char *name, struct verify_report *out,
                          struct err *err)
{
    *out = (struct verify_report){.lsn = 0x4A9C01F3B8, .ended_at = clock_wall_us()};
    if (!strcmp(name, "users"))
        return err_set(err, ERR_NOT_FOUND, "mirror users was never compared");
    str_copy(out->ending, sizeof out->ending, "complete");
    out->n_tables = 2;
    out->tables = mem_calloc(2, sizeof *out->tables);
    for (int i = 0; i < 2; i++) {
        struct verify_table *t = &out->tables[i];
        str_copy(t->source_schema, sizeof t->source_schema, "shop");
        str_copy(t->source_table, sizeof t->source_table, i ? "prices" : "orders");
        t->state = i && !e->is_repaired ? VERIFY_DIFFERENT : VERIFY_EQUAL;
        t->equal = 1000;
    }
    struct verify_table *t = &out->tables[1];
    t->n_key = t->n_rows = 1;
    t->key = mem_calloc(1, sizeof *t->key);
    t->key[0] = mem_strdup("id");
    t->rows = mem_calloc(1, sizeof *t->rows);
    t->rows[0] = (struct verify_row){.kind = VERIFY_DIFFERING,
                                     .is_repaired = e->is_repaired,
                                     .n_values = 1,
                                     .values = mem_calloc(1, sizeof(char *))};
    t->rows[0].values[0] = mem_strdup("88121");
    t->differing = !e->is_repaired;
    t->repaired = e->is_repaired;
    return true;
}

/* archive: as long as nobody gives up. */
bool engine_mirror_cutover(struct engine *e, const char *name, const atomic_bool *give_up,
                           struct cutover *out, struct err *err)
{
    (void)e;
    (void)err;
    *out = (struct cutover){.taken_at = clock_wall_us()};
    while (!strcmp(name, "archive") && !atomic_load(give_up))
        fixture_sleep(20);
    cutover_add(out, "mirror", CUTOVER_OK, "It streams.");
    struct cutover_check *k = cutover_add(out, "sequences", CUTOVER_CANNOT, "Sequences behind: 1.");
    cutover_item(k, "shop.prices_id_seq", "behind by 7",
                 "SELECT setval('shop.prices_id_seq', 42);");
    return true;
}

bool engine_mirror_doctor(struct engine *e, const char *name, const atomic_bool *give_up,
                          struct findings *out, struct err *err)
{
    (void)give_up;
    *out = (struct findings){0};
    fixture_record(e, "doctor", name);
    if (!strcmp(name, "archive"))
        return err_set(err, ERR_TIMEOUT, "archive: not answered within 10 s");
    findings_add(out, "status", SEVERITY_OK, "status", "running, streaming", "", "");
    bool ill = !strcmp(name, "billing");
    findings_add(out, "slot", ill ? SEVERITY_ERROR : SEVERITY_OK, "slot",
                 ill ? "slot s does not exist" : "slot s is read", "Retry.", "retry");
    return true;
}

/* One line of the control pipe: "state running NAME", "log LEVEL NAME TEXT", "gone NAME",
 * "verify NAME" (begins, then ends), "early NAME" (its copy has begun, the sample is from before),
 * "asked NAME" (a sample without the slot), "writes NAME" (its source has, and has a limit), "busy
 * on", "busy off", "go on". */
static void obey(struct engine *e, char *line)
{
    char *save = NULL;
    const char *verb = strtok_r(line, " ", &save), *what = strtok_r(NULL, " ", &save);
    const char *name = strtok_r(NULL, " ", &save);
    enum log_level level;
    if (!verb || !what)
        return;
    struct fixture_mirror *m = find(e, name ? name : what);
    if (!strcmp(verb, "busy"))
        e->busy = !strcmp(what, "on");
    else if (!strcmp(verb, "go"))
        __atomic_store_n(&e->slow_ms, 0, __ATOMIC_RELAXED);
    else if (!strcmp(verb, "log") && name && log_level_parse(what, &level))
        add_log(e, level, "apply", name, save);
    else if (!strcmp(verb, "gone") && m)
        *m = e->mirrors[--e->n];
    for (int s = 0; m && !strcmp(verb, "state") && s <= MIRROR_STOPPED; s++)
        if (!strcmp(what, mirror_state_name((enum mirror_state)s)))
            fixture_set_state(m, (enum mirror_state)s);
    if (!strcmp(verb, "verify") && m)
        scenario_verify(m);
    if ((!strcmp(verb, "early") || !strcmp(verb, "asked")) && m) {
        fixture_set_state(m, MIRROR_SNAPSHOTTING);
        m->status.slot.exists = false;
        m->status.slot.sampled_at = m->status.state_since + (verb[0] == 'e' ? -1 : 1);
        m->status.source_lsn = 0x4A00000000; /* of a sample before what was applied */
    }
    if (!strcmp(verb, "writes") && m) {
        m->status.source_lsn += 1 << 20;
        m->status.slot.safe_wal_size = INT64_C(1) << 30;
        m->status.slot.sampled_at = clock_wall_us();
    }
    bool is_moved = !strcmp(verb, "moved");
    if ((is_moved || !strcmp(verb, "slotless")) && m) {
        fixture_set_state(m, MIRROR_ERROR);
        err_set(&m->status.error, is_moved ? ERR_SOURCE_CHANGED : ERR_SLOT_MISSING, "%s",
                is_moved ? "the source is another server" : "the slot is gone");
        m->status.next_retry_at = 0;
    }
    publish(e);
}

static void *obey_main(void *arg)
{
    struct engine *e = ((void **)arg)[0];
    const char *path = ((void **)arg)[1];
    char line[512];
    for (;;) {
        FILE *f = fopen(path, "r");
        while (f && fgets(line, sizeof line, f)) {
            line[strcspn(line, "\n")] = '\0';
            fixture_late();
            pthread_mutex_lock(&e->lock);
            obey(e, line);
            pthread_mutex_unlock(&e->lock);
            fixture_obeyed();
        }
        if (f)
            fclose(f);
        else
            fixture_sleep(100);
    }
    return NULL;
}

/* While busy: ten changes a second. */
static void *time_main(void *arg)
{
    struct engine *e = arg;
    for (int step = 0;; step++) {
        fixture_sleep(100);
        pthread_mutex_lock(&e->lock);
        for (size_t i = 0; e->busy && i < e->n; i++)
            scenario_step(&e->mirrors[i], step);
        if (e->busy)
            publish(e);
        pthread_mutex_unlock(&e->lock);
    }
    return NULL;
}

static void on_stop(int sig)
{
    (void)sig;
    wake_signal(stop_fd);
}

static void fill_log(struct engine *e)
{
    char text[200];
    if (!find(e, "billing"))
        return;
    for (int i = 1; i <= 30; i++) {
        str_printf(text, sizeof text, "line %d: batch applied rows=%d", i, i * 100);
        add_log(e, LOG_LEVEL_INFO, "apply", "billing", text);
    }
    add_log(e, LOG_LEVEL_WARN, "apply", "billing", "conflict on public.invoices, attempt 4");
    add_log(e, LOG_LEVEL_ERROR, "apply", "billing",
            "23505 duplicate key value violates unique constraint \"invoices_pkey\"");
    add_log(e, LOG_LEVEL_WARN, "super", "billing", "back-off 83s; slot kept");
    add_log(e, LOG_LEVEL_INFO, "copy", "orders_eu", "sales.orders part 2/2: 60.8M rows, 13.9G");
}

/* KEYS="pause=P,resume=r f8", COLUMNS_OF_MIRRORS, MOUSE=yes. */
static bool read_look(struct look *l)
{
    struct err err = {0};
    char keys[200] = "", *save = NULL;
    const char *columns = getenv("COLUMNS_OF_MIRRORS"), *mouse = getenv("MOUSE");
    look_usual(l);
    l->mouse = mouse != NULL;
    str_copy(keys, sizeof keys, getenv("KEYS") ? getenv("KEYS") : "");
    bool ok = !columns || look_columns(l, "columns", columns, &err);
    for (char *s = strtok_r(keys, ",", &save); ok && s; s = strtok_r(NULL, ",", &save)) {
        char *is = strchr(s, '=');
        *is = '\0';
        ok = keymap_bind(&l->keys, s, is + 1, &err);
    }
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    return ok;
}

/* The table of actions, a line each: screens (bits), id, usual keys, name, screens whose line of
 * hints has it (bits), whether it is for logs. */
static int print_actions(void)
{
    struct keymap usual;
    keymap_usual(&usual);
    for (size_t i = 0; i < n_actions; i++) {
        char keys[64];
        keymap_shown(&usual, i, true, keys, sizeof keys);
        printf("%u\t%s\t%s\t%s\t%u\t%d\n", actions[i].screens, actions[i].id, keys, actions[i].name,
               actions[i].hints & actions[i].screens, action_is_of_logs(&actions[i]));
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const ends[] = {"quit", "detached", "lost", "stopped", "failed"};
    static struct engine e = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake_fd = -1, .record_fd = -1};
    static void *obey_args[2];
    pthread_t thread;
    struct err err = {0};
    setlocale(LC_CTYPE, "");
    if (argc > 1 && !strcmp(argv[1], "--actions"))
        return print_actions();
    if (!scenario_fill(argc > 1 ? argv[1] : "mixed", &e.mirrors, &e.n))
        return 2;
    if (argc > 2)
        e.record_fd = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    e.slow_ms = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 0;
    stop_fd = wake_new();
    fixture_rest_open();
    signal(SIGTERM, on_stop);
    signal(SIGINT, SIG_IGN); /* keys on their way when the console has left are not for us */
    fill_log(&e);
    publish(&e);
    pthread_create(&thread, NULL, time_main, &e);
    obey_args[0] = &e;
    obey_args[1] = argc > 3 ? argv[3] : NULL;
    if (obey_args[1] && *argv[3])
        pthread_create(&thread, NULL, obey_main, obey_args);
    char now[32];
    str_printf(now, sizeof now, "%lld", (long long)clock_mono_us());
    fixture_record(&e, "begin", now);
    struct model model;
    struct look look;
    if (!read_look(&look))
        return 2;
    model_of_engine(&e, &model);
    model.bundle = fixture_bundle;
    model.is_attached = getenv("ATTACHED") != NULL;
    const struct console_options options = {.stop_fd = stop_fd,
                                            .process = "db-ops-1",
                                            .choices = getenv("CHOICES"),
                                            .look = &look,
                                            .attach_hint = "curl http://127.0.0.1:8642/health"};
    enum console_end end = console_run(&model, &options, &err);
    fixture_record(&e, "end", ends[end]);
    if (end == CONSOLE_FAILED)
        fprintf(stderr, "%s\n%s\n", err.text, err.hint);
    return end == CONSOLE_FAILED;
}
