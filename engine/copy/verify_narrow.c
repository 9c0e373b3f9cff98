/* The second step: rows of buckets that differ. Both sides send them in the same order (number of
 * the key, key, numbers of the image), a thousand at a time, and they are merged as they come, so
 * that a table of which every row differs needs no more memory here than any other. */
#include "copy/verify_job.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define ROUND_ROWS 5000000 /* a side's: what a server sorts at once */
#define FETCH_SQL "FETCH 1000 FROM bunny_rows"

/* Answers of a side, in this order. */
enum answer {
    ANSWER_LOCK,
    ANSWER_STALE,
    ANSWER_CURSOR,
    ANSWER_FETCH,
};

enum rows_column {
    ROWS_KEY, /* number of the key, or of the image where there is no key */
    ROWS_H1,
    ROWS_H2,
    ROWS_VALUES,
};

/* One side's rows as they come: a batch is read while the next one is under way. */
struct row_stream {
    struct pg_result *batch; /* owned; NULL before the first */
    size_t at, n_values;
    bool is_over;
    int64_t rows;
};

/* Rows of one key. They have the same image on both sides, or not: of those that have no equal,
 * pairs are differing rows. */
struct group {
    int64_t key;
    bool is_open;
    int64_t h1, h2;        /* without a key they are a part of it */
    char **values;         /* owned */
    int64_t only[N_SIDES]; /* rows without an equal one at the other side */
};

struct narrowing {
    struct verifier *v;
    struct verify_run *t;
    bool *buckets; /* of this round */
    int64_t expected[N_SIDES];
    struct row_stream streams[N_SIDES];
    struct group group;
    int64_t equal, differing, missing, extra; /* since the last look at the lock */
};

/* --- naming rows ---------------------------------------------------------------------------------
 */

static void name_row(struct verify_job *j, struct verify_run *t, enum verify_kind kind,
                     char *const *values, size_t n)
{
    struct verify_table *out = &t->out;
    size_t most = (size_t)j->plan.max_rows;
    if (out->n_rows == most)
        return;
    struct verify_row row = {.kind = kind, .n_values = n, .values = mem_calloc(n, sizeof(char *))};
    for (size_t i = 0; i < n; i++)
        row.values[i] = mem_strdup(values[i]);
    pthread_mutex_lock(&j->lock);
    if (!out->rows)
        out->rows = mem_calloc(most, sizeof *out->rows);
    out->rows[out->n_rows++] = row;
    pthread_mutex_unlock(&j->lock);
}

static void name_rows(struct narrowing *n, enum verify_kind kind, int64_t rows)
{
    for (int64_t i = 0; i < rows && n->t->out.n_rows < (size_t)n->v->job->plan.max_rows; i++)
        name_row(n->v->job, n->t, kind, n->group.values, n->streams[SOURCE].n_values);
}

static void publish(struct narrowing *n)
{
    struct verify_table *out = &n->t->out;
    pthread_mutex_lock(&n->v->job->lock);
    out->equal += n->equal;
    out->differing += n->differing;
    out->missing += n->missing;
    out->extra += n->extra;
    pthread_mutex_unlock(&n->v->job->lock);
    n->equal = n->differing = n->missing = n->extra = 0;
}

/* --- groups --------------------------------------------------------------------------------------
 */

static void close_group(struct narrowing *n)
{
    struct group *g = &n->group;
    if (!g->is_open)
        return;
    int64_t pairs = g->only[SOURCE] < g->only[DEST] ? g->only[SOURCE] : g->only[DEST];
    n->differing += pairs;
    n->missing += g->only[SOURCE] - pairs;
    n->extra += g->only[DEST] - pairs;
    name_rows(n, VERIFY_DIFFERING, pairs);
    name_rows(n, VERIFY_MISSING, g->only[SOURCE] - pairs);
    name_rows(n, VERIFY_EXTRA, g->only[DEST] - pairs);
    for (size_t i = 0; i < n->streams[SOURCE].n_values; i++)
        free(g->values[i]);
    free(g->values);
    *g = (struct group){0};
}

static int64_t number(const struct row_stream *s, enum rows_column column)
{
    return pg_int(s->batch, s->at, column);
}

static const char *value(const struct row_stream *s, size_t i)
{
    return pg_text(s->batch, s->at, ROWS_VALUES + i);
}

static void open_group(struct narrowing *n, const struct row_stream *s)
{
    struct group *g = &n->group;
    close_group(n);
    *g = (struct group){.key = number(s, ROWS_KEY),
                        .is_open = true,
                        .h1 = number(s, ROWS_H1),
                        .h2 = number(s, ROWS_H2),
                        .values = mem_calloc(s->n_values, sizeof(char *))};
    for (size_t i = 0; i < s->n_values; i++)
        g->values[i] = mem_strdup(value(s, i));
}

static int compare(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_images(const struct row_stream *a, const struct row_stream *b)
{
    int c = compare(number(a, ROWS_H1), number(b, ROWS_H1));
    return c ? c : compare(number(a, ROWS_H2), number(b, ROWS_H2));
}

/* In the order in which the servers send. */
static int compare_keys(const struct narrowing *n)
{
    const struct row_stream *a = &n->streams[SOURCE], *b = &n->streams[DEST];
    if (a->is_over || b->is_over)
        return a->is_over - b->is_over;
    int c = compare(number(a, ROWS_KEY), number(b, ROWS_KEY));
    if (!n->t->n_key)
        return c ? c : compare_images(a, b);
    for (size_t i = 0; !c && i < n->t->n_key; i++)
        c = strcmp(value(a, i), value(b, i));
    return c;
}

static bool is_in_group(const struct narrowing *n, const struct row_stream *s)
{
    const struct group *g = &n->group;
    if (!g->is_open || g->key != number(s, ROWS_KEY))
        return false;
    if (!n->t->n_key)
        return g->h1 == number(s, ROWS_H1) && g->h2 == number(s, ROWS_H2);
    for (size_t i = 0; i < n->t->n_key; i++)
        if (strcmp(g->values[i], value(s, i)) != 0)
            return false;
    return true;
}

/* --- reading -------------------------------------------------------------------------------------
 */

/* Takes the batch that has come, and asks for the next one while this one is read. */
static bool next_batch(struct narrowing *n, enum which_side side, struct err *err)
{
    struct verifier *v = n->v;
    struct side *s = &v->sides[side];
    struct row_stream *stream = &n->streams[side];
    pg_free(stream->batch);
    stream->batch = NULL;
    if (!side_wait(v, side, err) || !sides_check(v, err))
        return false;
    stream->batch = s->answers[--s->n_answers];
    stream->at = 0;
    stream->rows += (int64_t)pg_rows(stream->batch);
    stream->is_over = pg_rows(stream->batch) == 0;
    publish(n);
    if (stream->is_over)
        return true;
    return side_send(v, side, FETCH_SQL, err) && side_end(v, side, err);
}

static bool advance(struct narrowing *n, enum which_side side, struct err *err)
{
    struct row_stream *s = &n->streams[side];
    return ++s->at < pg_rows(s->batch) || next_batch(n, side, err);
}

/* The row that comes first on its own, or a pair of equal ones. */
static bool step(struct narrowing *n, struct err *err)
{
    struct row_stream *a = &n->streams[SOURCE], *b = &n->streams[DEST];
    int c = compare_keys(n);
    if (c == 0)
        c = compare_images(a, b);
    const struct row_stream *first = c <= 0 ? a : b;
    if (!is_in_group(n, first))
        open_group(n, first);
    if (c == 0) {
        n->equal++;
        return advance(n, SOURCE, err) && advance(n, DEST, err);
    }
    enum which_side side = c < 0 ? SOURCE : DEST;
    n->group.only[side]++;
    return advance(n, side, err);
}

static bool merge(struct narrowing *n, struct err *err)
{
    for (int s = 0; s < N_SIDES; s++) {
        n->streams[s].n_values = n->t->n_key ? n->t->n_key : 1;
        if (!next_batch(n, (enum which_side)s, err))
            return false;
    }
    while (!n->streams[SOURCE].is_over || !n->streams[DEST].is_over)
        if (!step(n, err))
            return false;
    close_group(n);
    publish(n);
    return true;
}

/* --- a round -------------------------------------------------------------------------------------
 */

/* So many of the buckets that differ as a server shall sort at once. */
static void choose_buckets(struct narrowing *n)
{
    struct verify_run *t = n->t;
    for (size_t i = 0; i < t->n_buckets; i++) {
        if (!t->differs[i])
            continue;
        int64_t a = t->sides[SOURCE].sums[i].rows, b = t->sides[DEST].sums[i].rows;
        bool is_first = n->expected[SOURCE] + n->expected[DEST] == 0;
        if (!is_first &&
            (n->expected[SOURCE] + a > ROUND_ROWS || n->expected[DEST] + b > ROUND_ROWS))
            continue;
        n->expected[SOURCE] += a;
        n->expected[DEST] += b;
        n->buckets[i] = true;
        t->differs[i] = false;
        t->n_differs--;
    }
}

static bool begin(struct narrowing *n, enum which_side side, struct err *err)
{
    struct verifier *v = n->v;
    char *lock = verify_lock_sql(n->t, side), *stale = verify_stale_sql(n->t, side);
    char *rows = verify_rows_sql(n->t, side, n->buckets);
    bool ok = side_send(v, side, lock, err) && side_send(v, side, stale, err) &&
              side_send(v, side, rows, err) && side_send(v, side, FETCH_SQL, err) &&
              side_end(v, side, err);
    free(lock);
    free(stale);
    free(rows);
    return ok;
}

/* In the same snapshot the same rows come again; if not, the counts mean nothing. */
static bool check_rows(const struct narrowing *n, struct err *err)
{
    for (int s = 0; s < N_SIDES; s++) {
        const struct pg_result *stale = n->v->sides[s].answers[ANSWER_STALE];
        if (pg_int(stale, 0, 0) > 0)
            return err_set(err, ERR_SNAPSHOT_STALE,
                           "the %s's table was emptied or rewritten after the snapshot",
                           verify_side_name((enum which_side)s));
        if (n->streams[s].rows != n->expected[s])
            return err_set(err, ERR_INTERNAL, "the %s gave %lld rows, and %lld before",
                           verify_side_name((enum which_side)s), (long long)n->streams[s].rows,
                           (long long)n->expected[s]);
    }
    return true;
}

/* The other side has no row at all: there is nothing to merge. */
static bool name_all(struct verifier *v, struct verify_run *t, struct err *err)
{
    enum which_side side = t->out.source_rows ? SOURCE : DEST;
    char *sql = verify_sample_sql(t, side, v->job->plan.max_rows);
    char *lock = verify_lock_sql(t, side), *stale = verify_stale_sql(t, side);
    bool ok = side_send(v, side, lock, err) && side_send(v, side, stale, err) &&
              side_send(v, side, sql, err) && sides_wait(v, err);
    free(sql);
    free(lock);
    free(stale);
    if (!ok)
        return false;
    size_t n = t->n_key ? t->n_key : 1;
    char **values = mem_calloc(n, sizeof *values);
    const struct pg_result *r = v->sides[side].answers[ANSWER_CURSOR];
    for (size_t row = 0; row < pg_rows(r); row++) {
        for (size_t i = 0; i < n; i++)
            values[i] = (char *)pg_text(r, row, ROWS_VALUES + i);
        name_row(v->job, t, side == SOURCE ? VERIFY_MISSING : VERIFY_EXTRA, values, n);
    }
    free(values);
    pthread_mutex_lock(&v->job->lock);
    t->out.missing = t->out.source_rows;
    t->out.extra = t->out.dest_rows;
    t->n_differs = 0;
    pthread_mutex_unlock(&v->job->lock);
    return true;
}

bool verify_narrow(struct verifier *v, struct verify_run *t, struct err *err)
{
    if (!t->out.source_rows || !t->out.dest_rows)
        return name_all(v, t, err);
    struct narrowing n = {.v = v, .t = t};
    n.buckets = mem_calloc(t->n_buckets, sizeof *n.buckets);
    choose_buckets(&n);
    bool ok = begin(&n, SOURCE, err) && begin(&n, DEST, err) && merge(&n, err);
    ok = ok && check_rows(&n, err);
    for (int s = 0; s < N_SIDES; s++)
        pg_free(n.streams[s].batch);
    for (size_t i = 0; n.group.values && i < n.streams[SOURCE].n_values; i++)
        free(n.group.values[i]);
    free(n.group.values);
    free(n.buckets);
    return ok;
}
