/* The first step of a comparison: each side's rows are added up by buckets, range by range. Sums do
 * not depend on any order, so that ranges are read in whatever order, by whichever worker, and need
 * not hold the same rows on both sides. */
#include "copy/verify_job.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Answers of a side, in this order. */
enum answer {
    ANSWER_LOCK,
    ANSWER_STALE,
    ANSWER_SUMS,
};

enum sums_column {
    SUMS_BUCKET,
    SUMS_ROWS,
    SUMS_H1,
    SUMS_H2,
};

/* A decimal number of any length modulo 2^64: the server's sums do not wrap. */
static uint64_t read_wrapped(const char *text)
{
    uint64_t v = 0;
    bool is_negative = *text == '-';
    for (const char *p = text + is_negative; *p >= '0' && *p <= '9'; p++)
        v = v * 10 + (uint64_t)(*p - '0');
    return is_negative ? 0 - v : v;
}

static bool send_range(struct verifier *v, const struct verify_run *t, enum which_side side,
                       size_t range, struct err *err)
{
    if (range >= t->sides[side].n_ranges)
        return true;
    char *lock = verify_lock_sql(t, side), *stale = verify_stale_sql(t, side);
    char *sums = verify_sums_sql(t, side, range);
    bool ok = side_send(v, side, lock, err) && side_send(v, side, stale, err) &&
              side_send(v, side, sums, err);
    free(lock);
    free(stale);
    free(sums);
    return ok;
}

static bool check_stale(const struct verifier *v, enum which_side side, struct err *err)
{
    if (pg_int(v->sides[side].answers[ANSWER_STALE], 0, 0) == 0)
        return true;
    return err_set(err, ERR_SNAPSHOT_STALE,
                   "the %s's table was emptied or rewritten after the snapshot",
                   verify_side_name(side));
}

/* Adds a range's sums to the side's; returns its rows, -1 for an answer that cannot be. */
static int64_t add_sums(struct bucket_sum *sums, size_t n_buckets, const struct pg_result *r)
{
    int64_t rows = 0;
    for (size_t i = 0; i < pg_rows(r); i++) {
        int64_t bucket = pg_int(r, i, SUMS_BUCKET);
        if (bucket < 0 || (uint64_t)bucket >= n_buckets)
            return -1;
        struct bucket_sum *s = &sums[bucket];
        s->rows += pg_int(r, i, SUMS_ROWS);
        s->h1 += read_wrapped(pg_text(r, i, SUMS_H1));
        s->h2 += read_wrapped(pg_text(r, i, SUMS_H2));
        rows += pg_int(r, i, SUMS_ROWS);
    }
    return rows;
}

bool verify_range(struct verifier *v, struct verify_run *t, size_t range, struct err *err)
{
    if (!send_range(v, t, SOURCE, range, err) || !send_range(v, t, DEST, range, err) ||
        !sides_wait(v, err))
        return false;
    int64_t rows[N_SIDES] = {0};
    for (int s = 0; s < N_SIDES; s++)
        if (range < t->sides[s].n_ranges && !check_stale(v, (enum which_side)s, err))
            return false;
    pthread_mutex_lock(&v->job->lock);
    for (int s = 0; s < N_SIDES; s++)
        if (range < t->sides[s].n_ranges)
            rows[s] = add_sums(t->sides[s].sums, t->n_buckets, v->sides[s].answers[ANSWER_SUMS]);
    t->out.source_rows += rows[SOURCE];
    t->out.dest_rows += rows[DEST];
    pthread_mutex_unlock(&v->job->lock);
    if (rows[SOURCE] < 0 || rows[DEST] < 0)
        return err_set(err, ERR_INTERNAL, "a bucket that was not asked for");
    return true;
}

void verify_judge(struct verify_run *t)
{
    for (size_t i = 0; i < t->n_buckets; i++) {
        const struct bucket_sum *a = &t->sides[SOURCE].sums[i], *b = &t->sides[DEST].sums[i];
        t->differs[i] = a->rows != b->rows || a->h1 != b->h1 || a->h2 != b->h2;
        if (t->differs[i])
            t->n_differs++;
        else
            t->out.equal += a->rows;
    }
}
