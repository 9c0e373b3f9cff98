/* The queue of waiting messages; see spill.h.
 *
 * Three places, oldest first: front (being read), the file, back (not written yet). Back goes to
 * the file as a whole when it is full; front takes the file's bytes block by block, or back as it
 * is when the file holds none. So a queue that stays small never touches the disk. */
#include "stream/spill.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define FILE_PREFIX "spill."
#define BLOCK_BYTES (256 * 1024)
#define LEAST_BYTES (16 * 1024)
#define GIVE_BACK_BYTES (16 << 20) /* read so much: its room goes back to the disk */

struct head {
    uint64_t lsn;
    uint64_t len;
};

/* Bytes from at to len are in use. Row data: running out of memory is an error, not the end. */
struct piece {
    char *data;
    size_t at, len, cap;
};

struct spill {
    char *dir;
    size_t limit; /* of back */
    struct piece front, back;
    char kept; /* the byte behind the record that was handed out, which its reader may overwrite */
    char *kept_at;
    int fd; /* -1: none */
    int64_t read_at, write_at, given_back;
    int64_t records, bytes;
};

static bool reserve(struct piece *p, size_t more, struct err *err)
{
    size_t wanted = p->len + more + 1;
    if (wanted <= p->cap)
        return true;
    size_t cap = p->cap ? p->cap : 4096;
    while (cap < wanted)
        cap *= 2;
    char *data = realloc(p->data, cap);
    if (!data)
        return err_set(err, ERR_MEMORY, "no memory for a message of %zu bytes", more);
    p->data = data;
    p->cap = cap;
    return true;
}

static void compact(struct piece *p)
{
    if (p->at == 0)
        return;
    memmove(p->data, p->data + p->at, p->len - p->at);
    p->len -= p->at;
    p->at = 0;
}

/* A record that was far larger than the rest does not keep its memory. */
static void empty(struct piece *p, size_t limit)
{
    p->at = p->len = 0;
    if (p->cap <= 2 * limit + BLOCK_BYTES)
        return;
    free(p->data);
    *p = (struct piece){0};
}

struct spill *spill_new(const char *dir, size_t memory)
{
    struct spill *s = mem_calloc(1, sizeof *s);
    s->dir = mem_strdup(dir);
    /* Two pieces, each of which grows by doubling. */
    s->limit = memory / 4 < LEAST_BYTES ? LEAST_BYTES : memory / 4;
    s->fd = -1;
    return s;
}

void spill_clear(struct spill *s)
{
    free(s->front.data);
    free(s->back.data);
    s->front = s->back = (struct piece){0};
    s->kept_at = NULL;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    s->read_at = s->write_at = s->given_back = 0;
    s->records = s->bytes = 0;
}

void spill_free(struct spill *s)
{
    if (!s)
        return;
    spill_clear(s);
    free(s->dir);
    free(s);
}

bool spill_is_empty(const struct spill *s)
{
    return s->records == 0;
}

int64_t spill_bytes(const struct spill *s)
{
    return s->bytes;
}

int64_t spill_records(const struct spill *s)
{
    return s->records;
}

/* --- the file -------------------------------------------------------------------------------- */

static bool io_error(struct err *err, const char *what)
{
    int why = errno;
    err_set(err, ERR_IO, "%s the file of changes that wait for a copy: %s", what, strerror(why));
    if (why == ENOSPC || why == EDQUOT || why == EFBIG)
        err_hint(err, "Make room on the disk of the state directory; the copy is tried again by "
                      "itself.");
    return false;
}

static bool open_file(struct spill *s, struct err *err)
{
    s->fd = open(s->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd >= 0)
        return true;
    char *path = mem_printf("%s/" FILE_PREFIX "XXXXXX", s->dir);
    s->fd = mkostemp(path, O_CLOEXEC);
    bool ok = s->fd >= 0 || io_error(err, "make");
    if (ok)
        unlink(path);
    free(path);
    return ok;
}

static bool write_back(struct spill *s, struct err *err)
{
    if (s->fd < 0 && !open_file(s, err))
        return false;
    for (size_t at = 0; at < s->back.len;) {
        ssize_t n = pwrite(s->fd, s->back.data + at, s->back.len - at, s->write_at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return io_error(err, "write");
        at += (size_t)n;
        s->write_at += n;
    }
    empty(&s->back, s->limit);
    return true;
}

static bool read_block(struct spill *s, size_t bytes, struct err *err)
{
    if ((int64_t)bytes > s->write_at - s->read_at)
        bytes = (size_t)(s->write_at - s->read_at);
    if (!reserve(&s->front, bytes, err))
        return false;
    while (bytes > 0) {
        ssize_t n = pread(s->fd, s->front.data + s->front.len, bytes, s->read_at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? EIO : errno;
            return io_error(err, "read");
        }
        s->front.len += (size_t)n;
        s->read_at += n;
        bytes -= (size_t)n;
    }
    return true;
}

/* What cannot be given back in the middle (not every file system can) goes at the end. */
static void give_back(struct spill *s)
{
    if (s->read_at == s->write_at) {
        if (s->write_at > 0 && ftruncate(s->fd, 0) == 0)
            s->read_at = s->write_at = s->given_back = 0;
        return;
    }
    if (s->read_at - s->given_back < GIVE_BACK_BYTES)
        return;
#ifdef FALLOC_FL_PUNCH_HOLE
    (void)!fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, s->given_back,
                     s->read_at - s->given_back);
#endif
    s->given_back = s->read_at;
}

void spill_remove_stale(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    while (d && (e = readdir(d)) != NULL) {
        if (strncmp(e->d_name, FILE_PREFIX, strlen(FILE_PREFIX)) != 0)
            continue;
        (void)unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        closedir(d);
}

/* --- the queue ------------------------------------------------------------------------------- */

bool spill_add(struct spill *s, lsn_t lsn, const char *data, size_t len, struct err *err)
{
    struct head h = {.lsn = lsn, .len = len};
    if (!reserve(&s->back, sizeof h + len, err))
        return false;
    memcpy(s->back.data + s->back.len, &h, sizeof h);
    memcpy(s->back.data + s->back.len + sizeof h, data, len);
    s->back.len += sizeof h + len;
    s->records++;
    s->bytes += (int64_t)(sizeof h + len);
    return s->back.len < s->limit || write_back(s, err);
}

/* Makes front hold at least so many bytes from its place on. */
static bool fill(struct spill *s, size_t bytes, struct err *err)
{
    struct piece *f = &s->front;
    if (f->len - f->at >= bytes)
        return true;
    if (f->at == f->len)
        empty(f, s->limit);
    compact(f);
    if (s->read_at < s->write_at) {
        size_t missing = bytes - f->len;
        return read_block(s, missing > BLOCK_BYTES ? missing : BLOCK_BYTES, err);
    }
    if (f->len > 0)
        return err_set(err, ERR_INTERNAL, "the queue of waiting changes lost its place");
    struct piece swap = s->back; /* the file is read to its end, and so is front */
    s->back = *f;
    *f = swap;
    return true;
}

static int next_head(struct spill *s, struct head *h, struct err *err)
{
    if (s->kept_at)
        *s->kept_at = s->kept;
    s->kept_at = NULL;
    if (s->records == 0)
        return 0;
    if (!fill(s, sizeof *h, err))
        return -1;
    memcpy(h, s->front.data + s->front.at, sizeof *h);
    return 1;
}

int spill_peek(struct spill *s, lsn_t *lsn, struct err *err)
{
    struct head h;
    int got = next_head(s, &h, err);
    if (got == 1)
        *lsn = h.lsn;
    return got;
}

int spill_next(struct spill *s, struct spill_record *out, struct err *err)
{
    struct head h;
    int got = next_head(s, &h, err);
    if (got != 1)
        return got;
    if (!fill(s, sizeof h + h.len, err))
        return -1;
    *out = (struct spill_record){
        .lsn = h.lsn, .data = s->front.data + s->front.at + sizeof h, .len = h.len};
    s->front.at += sizeof h + h.len;
    s->records--;
    s->bytes -= (int64_t)(sizeof h + h.len);
    s->kept_at = out->data + out->len; /* reserve left room for one byte behind the last record */
    s->kept = *s->kept_at;
    if (s->fd >= 0)
        give_back(s);
    return 1;
}
