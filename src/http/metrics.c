/* GET /metrics; see metrics.h. */
#include "src/http/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "src/http/stats.h"
#include "src/proc.h"

#define TABLES_MAX 10000 /* in one answer, whoever asks for them */

struct metric_page {
    struct buf text;
    const struct picture *picture;
    struct proc proc;
    struct stats_counts requests;
    bool has_tables; /* asked for */
};

/* --- The format ------------------------------------------------------------------------------- */
/* Between the quotes of a label. What is not UTF-8 becomes "?", as elsewhere in the API. */
static void put_label_text(struct buf *b, const char *s)
{
    bool is_valid = utf8_is_valid(s);
    for (; *s; s++) {
        if (*s == '\\' || *s == '"')
            buf_putc(b, '\\');
        if (*s == '\n')
            buf_puts(b, "\\n");
        else
            buf_putc(b, !is_valid && (unsigned char)*s >= 0x80 ? '?' : *s);
    }
}

static void put_label(struct buf *b, const char *name, const char *value)
{
    buf_puts(b, b->data[b->len - 1] == '{' ? "" : ",");
    buf_puts(b, name);
    buf_puts(b, "=\"");
    put_label_text(b, value);
    buf_putc(b, '"');
}

static void put_value(struct buf *b, double value)
{
    buf_printf(b, " %.15g\n", value);
}

static void begin(struct metric_page *p, const struct metric *m)
{
    buf_puts(&p->text, m->name);
    buf_putc(&p->text, '{');
}

static void end(struct metric_page *p, double value)
{
    buf_putc(&p->text, '}');
    put_value(&p->text, value);
}

/* False: not known. */
static bool read_value(const void *from, const struct metric *m, double *out)
{
    const char *at = (const char *)from + m->offset;
    const int64_t *i = (const int64_t *)(const void *)at;
    switch (m->value) {
    case VALUE_INT:
        *out = (double)*i;
        return *i >= 0;
    case VALUE_COUNT:
        *out = *(const int *)(const void *)at;
        return true;
    case VALUE_REAL:
        *out = *(const double *)(const void *)at;
        return *out >= 0;
    case VALUE_TIME_US:
        *out = (double)*i / 1e6;
        return *i > 0;
    case VALUE_US:
        *out = (double)*i / 1e6;
        return true;
    case VALUE_BOOL:
        *out = *(const bool *)(const void *)at;
        return true;
    }
    return false;
}

/* --- Mirrors ---------------------------------------------------------------------------------- */
static void put_mirror_value(struct metric_page *p, const struct metric *m,
                             const struct mirror_status *s)
{
    double value;
    if (!read_value(s, m, &value))
        return;
    begin(p, m);
    put_label(&p->text, "mirror", s->name);
    end(p, value);
}

static void each_mirror(struct metric_page *p, const struct metric *m)
{
    for (size_t i = 0; i < p->picture->n; i++)
        put_mirror_value(p, m, &p->picture->mirrors[i]);
}

/* Of slots that are known to exist. */
static void each_slot(struct metric_page *p, const struct metric *m)
{
    for (size_t i = 0; i < p->picture->n; i++) {
        const struct mirror_status *s = &p->picture->mirrors[i];
        if (s->slot.sampled_at && s->slot.exists)
            put_mirror_value(p, m, s);
    }
}

static void each_known_slot(struct metric_page *p, const struct metric *m)
{
    for (size_t i = 0; i < p->picture->n; i++)
        if (p->picture->mirrors[i].slot.sampled_at)
            put_mirror_value(p, m, &p->picture->mirrors[i]);
}

static void put_mirror_info(struct metric_page *p, const struct metric *m)
{
    for (size_t i = 0; i < p->picture->n; i++) {
        const struct mirror_status *s = &p->picture->mirrors[i];
        begin(p, m);
        put_label(&p->text, "mirror", s->name);
        put_label(&p->text, "source_peer", s->source_peer);
        put_label(&p->text, "destination_peer", s->dest_peer);
        end(p, 1);
    }
}

static void put_states(struct metric_page *p, const struct metric *m)
{
    for (size_t i = 0; i < p->picture->n; i++)
        for (int state = MIRROR_INITIALIZING; state <= MIRROR_STOPPED; state++) {
            begin(p, m);
            put_label(&p->text, "mirror", p->picture->mirrors[i].name);
            put_label(&p->text, "state", mirror_state_name((enum mirror_state)state));
            end(p, p->picture->mirrors[i].state == (enum mirror_state)state);
        }
}

static const struct {
    const char *name;
    size_t of_mirror, of_table;
} operations[] = {
    {"copy", offsetof(struct mirror_status, counters.rows_copied),
     offsetof(struct table_status, rows_synced)},
    {"insert", offsetof(struct mirror_status, counters.rows_inserted),
     offsetof(struct table_status, rows_inserted)},
    {"update", offsetof(struct mirror_status, counters.rows_updated),
     offsetof(struct table_status, rows_updated)},
    {"delete", offsetof(struct mirror_status, counters.rows_deleted),
     offsetof(struct table_status, rows_deleted)},
};

/* The value at an offset that stands in the table above. */
static double count_at(const void *from, size_t offset)
{
    return (double)*(const int64_t *)(const void *)((const char *)from + offset);
}

static void put_rows(struct metric_page *p, const struct metric *m)
{
    for (size_t i = 0; i < p->picture->n; i++)
        for (size_t j = 0; j < COUNT_OF(operations); j++) {
            const struct mirror_status *s = &p->picture->mirrors[i];
            begin(p, m);
            put_label(&p->text, "mirror", s->name);
            put_label(&p->text, "operation", operations[j].name);
            end(p, count_at(s, operations[j].of_mirror));
        }
}

static void put_findings(struct metric_page *p, const struct metric *m)
{
    for (size_t i = 0; i < p->picture->n; i++) {
        const struct mirror_status *s = &p->picture->mirrors[i];
        for (int severity = SEVERITY_INFO; severity <= SEVERITY_ERROR; severity++) {
            int n = 0;
            for (size_t j = 0; j < s->n_findings; j++)
                n += s->findings[j].severity == (enum severity)severity;
            begin(p, m);
            put_label(&p->text, "mirror", s->name);
            put_label(&p->text, "severity", severity_name((enum severity)severity));
            end(p, n);
        }
    }
}

/* --- Tables: when asked for, since a mirror may have thousands -------------------------------- */
static void begin_table(struct metric_page *p, const struct metric *m, const char *mirror,
                        const struct table_status *t)
{
    begin(p, m);
    put_label(&p->text, "mirror", mirror);
    put_label(&p->text, "table", t->source);
}

static void put_table_rows(struct metric_page *p, const struct metric *m, const char *mirror,
                           const struct table_status *t)
{
    for (size_t i = 0; i < COUNT_OF(operations); i++) {
        begin_table(p, m, mirror, t);
        put_label(&p->text, "operation", operations[i].name);
        end(p, count_at(t, operations[i].of_table));
    }
}

static void put_table_missing(struct metric_page *p, const struct metric *m, const char *mirror,
                              const struct table_status *t)
{
    begin_table(p, m, mirror, t);
    end(p, (double)t->rows_missing);
}

static void each_table(struct metric_page *p, const struct metric *m,
                       void (*put)(struct metric_page *p, const struct metric *m,
                                   const char *mirror, const struct table_status *t))
{
    size_t left = p->has_tables ? TABLES_MAX : 0;
    for (size_t i = 0; i < p->picture->n; i++) {
        const struct mirror_status *s = &p->picture->mirrors[i];
        for (size_t j = 0; j < s->n_tables && left; j++, left--)
            put(p, m, s->name, &s->tables[j]);
    }
}

static void put_tables(struct metric_page *p, const struct metric *m)
{
    each_table(p, m, put_table_rows);
}

static void put_tables_missing(struct metric_page *p, const struct metric *m)
{
    each_table(p, m, put_table_missing);
}

static void put_left_out(struct metric_page *p, const struct metric *m)
{
    size_t n = 0;
    for (size_t i = 0; i < p->picture->n; i++)
        n += p->picture->mirrors[i].n_tables;
    size_t shown = p->has_tables ? TABLES_MAX : 0;
    buf_puts(&p->text, m->name);
    put_value(&p->text, n > shown ? (double)(n - shown) : 0);
}

/* --- The process ------------------------------------------------------------------------------ */
static void put_process(struct metric_page *p, const struct metric *m)
{
    double value;
    if (!read_value(&p->proc, m, &value))
        return;
    buf_puts(&p->text, m->name);
    put_value(&p->text, value);
}

static void put_build(struct metric_page *p, const struct metric *m)
{
    begin(p, m);
    put_label(&p->text, "version", engine_version());
    end(p, 1);
}

static void put_statuses(struct metric_page *p, const struct metric *m)
{
    for (int status = 0; status < STATS_STATUSES; status++) {
        char code[8];
        if (!p->requests.by_status[status])
            continue;
        str_printf(code, sizeof code, "%d", status);
        begin(p, m);
        put_label(&p->text, "code", code);
        end(p, (double)p->requests.by_status[status]);
    }
}

static void put_durations(struct metric_page *p, const struct metric *m)
{
    const struct stats_counts *c = &p->requests;
    uint64_t sum = 0;
    for (int i = 0; i < STATS_BUCKETS; i++) {
        sum += c->by_duration[i];
        buf_printf(&p->text, "%s_bucket{le=\"%g\"} %llu\n", m->name, stats_bounds[i],
                   (unsigned long long)sum);
    }
    buf_printf(&p->text, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.15g\n%s_count %llu\n", m->name,
               (unsigned long long)c->requests, m->name, c->seconds, m->name,
               (unsigned long long)c->requests);
}

/* --- The table -------------------------------------------------------------------------------- */
#define GAUGE METRIC_GAUGE
#define COUNTER METRIC_COUNTER
#define STATUS(field) offsetof(struct mirror_status, field)
#define PROC(field) offsetof(struct proc, field)
#define M "mirror"
/* name, type, labels, function, where its value is, meaning */
const struct metric metric_rows[] = {
    {"bunnydb_build_info", GAUGE, "version", put_build, 0, VALUE_INT, "Always 1."},
    {"bunnydb_mirror_info", GAUGE, "mirror, source_peer, destination_peer", put_mirror_info, 0,
     VALUE_INT, "Always 1."},
    {"bunnydb_mirror_state", GAUGE, "mirror, state", put_states, 0, VALUE_INT,
     "1 for the state that the mirror is in, 0 for each other one."},
    {"bunnydb_mirror_state_since_timestamp_seconds", GAUGE, M, each_mirror, STATUS(state_since),
     VALUE_TIME_US, "When the mirror came into its state."},
    {"bunnydb_mirror_heartbeat_timestamp_seconds", GAUGE, M, each_mirror, STATUS(heartbeat_at),
     VALUE_TIME_US, "When the mirror's thread was last seen alive."},
    {"bunnydb_mirror_lag_bytes", GAUGE, M, each_mirror, STATUS(lag_bytes), VALUE_INT,
     "WAL of the source that is not at the destination yet. Absent while not known."},
    {"bunnydb_mirror_lag_seconds", GAUGE, M, each_mirror, STATUS(lag_seconds), VALUE_REAL,
     "How far the destination is behind the source. Absent while not known."},
    {"bunnydb_mirror_slot_exists", GAUGE, M, each_known_slot, STATUS(slot.exists), VALUE_BOOL,
     "1 when the source has the mirror's slot. Absent until the source was asked."},
    {"bunnydb_mirror_slot_active", GAUGE, M, each_slot, STATUS(slot.active), VALUE_BOOL,
     "1 when a connection reads from the slot."},
    {"bunnydb_mirror_slot_retained_bytes", GAUGE, M, each_slot, STATUS(slot.retained_bytes),
     VALUE_INT, "WAL that the slot keeps at the source."},
    {"bunnydb_mirror_slot_safe_bytes", GAUGE, M, each_slot, STATUS(slot.safe_wal_size), VALUE_INT,
     "WAL that may still be written before the slot is lost. Absent without a limit."},
    {"bunnydb_mirror_slot_xmin_age", GAUGE, M, each_slot, STATUS(slot.xmin_age), VALUE_INT,
     "Transactions whose dead rows the source's VACUUM keeps for the slot. Absent while not "
     "known."},
    {"bunnydb_mirror_rows_total", COUNTER, "mirror, operation", put_rows, 0, VALUE_INT,
     "Rows copied, inserted, updated and deleted at the destination."},
    {"bunnydb_mirror_missing_rows_total", COUNTER, M, each_mirror, STATUS(counters.rows_missing),
     VALUE_INT, "Updates and deletes that found no row at the destination."},
    {"bunnydb_mirror_conflicting_rows_total", COUNTER, M, each_mirror,
     STATUS(counters.rows_conflicting), VALUE_INT,
     "Changes that a row at the destination was in the way of."},
    {"bunnydb_mirror_batches_total", COUNTER, M, each_mirror, STATUS(counters.batches), VALUE_INT,
     "Transactions committed at the destination."},
    {"bunnydb_mirror_transactions_total", COUNTER, M, each_mirror, STATUS(counters.transactions),
     VALUE_INT, "Transactions of the source that were applied."},
    {"bunnydb_mirror_received_bytes_total", COUNTER, M, each_mirror, STATUS(counters.bytes),
     VALUE_INT, "Bytes of applied changes, as the source sent them."},
    {"bunnydb_mirror_apply_seconds_total", COUNTER, M, each_mirror, STATUS(counters.busy_us),
     VALUE_US, "Time in which changes were on their way into the destination."},
    {"bunnydb_mirror_errors_total", COUNTER, M, each_mirror, STATUS(counters.errors), VALUE_INT,
     "Runs of the mirror that failed."},
    {"bunnydb_mirror_consecutive_errors", GAUGE, M, each_mirror, STATUS(error_count), VALUE_COUNT,
     "Runs that failed one after the other, until rows flow again."},
    {"bunnydb_mirror_findings", GAUGE, "mirror, severity", put_findings, 0, VALUE_INT,
     "What the program has recognised as wrong with the mirror."},
    {"bunnydb_mirror_sequences", GAUGE, M, each_mirror, STATUS(sequences.followed), VALUE_INT,
     "Sequences whose values follow those of the source."},
    {"bunnydb_mirror_sequences_synced_timestamp_seconds", GAUGE, M, each_mirror,
     STATUS(sequences.last_synced_at), VALUE_TIME_US,
     "When they were last looked at. Absent before the first look."},
    {"bunnydb_mirror_snapshot_tables", GAUGE, M, each_mirror, STATUS(tables_total), VALUE_COUNT,
     "Tables of the mirror."},
    {"bunnydb_mirror_snapshot_done_tables", GAUGE, M, each_mirror, STATUS(tables_done), VALUE_COUNT,
     "Tables whose snapshot is complete."},
    {"bunnydb_mirror_snapshot_size_bytes", GAUGE, M, each_mirror, STATUS(bytes_total), VALUE_INT,
     "Estimated size of the snapshot at the source."},
    {"bunnydb_mirror_snapshot_done_bytes", GAUGE, M, each_mirror, STATUS(bytes_done), VALUE_INT,
     "How much of that is copied."},
    {"bunnydb_table_rows", GAUGE, "mirror, table, operation", put_tables, 0, VALUE_INT,
     "Rows by table since the mirror was made; a crash may set them back a little. Only with "
     "?tables=yes, and of at most 10,000 tables."},
    {"bunnydb_table_missing_rows", GAUGE, "mirror, table", put_tables_missing, 0, VALUE_INT,
     "The same for updates and deletes that found no row, since the table was last copied."},
    {"bunnydb_tables_left_out", GAUGE, "", put_left_out, 0, VALUE_INT,
     "Tables that these two do not show."},
    {"bunnydb_http_requests_total", COUNTER, "code", put_statuses, 0, VALUE_INT,
     "Requests answered, by status."},
    {"bunnydb_http_request_duration_seconds", METRIC_HISTOGRAM, "", put_durations, 0, VALUE_INT,
     "How long the answers took."},
    {"process_cpu_seconds_total", COUNTER, "", put_process, PROC(cpu_seconds), VALUE_REAL,
     "CPU time of the process, user and system."},
    {"process_resident_memory_bytes", GAUGE, "", put_process, PROC(resident_bytes), VALUE_INT,
     "Memory of the process that is in RAM."},
    {"process_virtual_memory_bytes", GAUGE, "", put_process, PROC(virtual_bytes), VALUE_INT,
     "Address space of the process."},
    {"process_threads", GAUGE, "", put_process, PROC(threads), VALUE_INT,
     "Threads of the process."},
    {"process_open_fds", GAUGE, "", put_process, PROC(open_fds), VALUE_INT,
     "Open file descriptors."},
    {"process_max_fds", GAUGE, "", put_process, PROC(max_fds), VALUE_INT,
     "Most file descriptors that the process may open."},
    {"process_start_time_seconds", GAUGE, "", put_process, PROC(started_at), VALUE_REAL,
     "When the process started, since 1970."},
};
const size_t metric_count = COUNT_OF(metric_rows);

const char *metric_type_name(enum metric_type t)
{
    switch (t) {
    case METRIC_GAUGE:
        return "gauge";
    case METRIC_COUNTER:
        return "counter";
    case METRIC_HISTOGRAM:
        return "histogram";
    }
    return "untyped";
}

/* --- The answer ------------------------------------------------------------------------------- */
struct query {
    bool tables;
};
static const struct field query_rows[] = {
    {.name = "tables", .type = FIELD_BOOL, .offset = offsetof(struct query, tables)},
};
const struct field_table metrics_query = FIELD_TABLE(query_rows);

bool metrics_show(struct call *c, struct err *err)
{
    struct query q = {0};
    struct metric_page p = {0};
    if (!fields_read(&metrics_query, c->query, true, &q, NULL, err))
        return false;
    p.has_tables = q.tables;
    p.picture = engine_picture(c->engine);
    proc_read(&p.proc);
    stats_read(&c->api->stats, &p.requests);
    for (size_t i = 0; i < metric_count; i++) {
        const struct metric *m = &metric_rows[i];
        buf_printf(&p.text, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->text, m->name,
                   metric_type_name(m->type));
        m->put(&p, m);
    }
    picture_release(p.picture);
    c->text_len = p.text.len;
    c->text = buf_take(&p.text);
    c->text_type = "text/plain; version=0.0.4; charset=utf-8";
    return true;
}
