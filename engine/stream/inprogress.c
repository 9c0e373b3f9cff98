/* Transactions that are sent before they end; see inprogress.h. */
#include "stream/inprogress.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/mem.h"
#include "stream/spill.h"

#define MEMORY (1 << 20) /* of each; the rest of it goes to its file */
#define XID_BYTES 4      /* in front of what is sent in a block */
#define NUMBER_BYTES 8   /* in front of a relation that waits: its number, see struct version */
#define IS_RELATION ((uint64_t)1 << 32) /* beside the transaction's number in the queue */
#define LOOK_BYTES (4 << 20)            /* how often it is asked what room the disk has left */
#define LEAVE_BYTES (1LL << 30) /* so much of it is the catalog's, or a tenth of a small one */
#define BEGIN_BYTES 21
#define COMMIT_BYTES 26

struct transaction {
    struct transaction *next;
    uint32_t xid;
    struct spill *waits;
    uint32_t *undone; /* subtransactions that were rolled back; in order once it comes out */
    size_t n_undone, cap_undone;
};

/* What was told of a relation. Messages have numbers in the order in which they came. */
struct version {
    uint64_t number; /* 0: none */
    char *data;
    size_t len;
};

struct told {
    uint32_t oid;
    struct version general; /* counts for every transaction that is not in progress */
    struct version own;     /* for the one that comes out */
    uint64_t given;         /* the number of what was applied last */
};

struct inprogress {
    char *dir;
    struct transaction *first;
    struct transaction *block;  /* whose messages come; NULL: ordinary ones */
    struct transaction *coming; /* has committed; not in the list */
    bool has_begun;             /* its BEGIN came out */
    char begin[BEGIN_BYTES + 1], commit[COMMIT_BYTES + 1];
    size_t unlooked; /* bytes since the last look at the disk */
    uint64_t number;
    struct told *told; /* by OID */
    size_t n_told, cap_told;
    bool is_any_behind; /* of some relation another message than the last one counts now */
};

static bool malformed(struct err *err, const char *what)
{
    return err_set(err, ERR_PROTOCOL, "pgoutput sent %s", what);
}

static uint32_t number_at(const char *data)
{
    const unsigned char *p = (const unsigned char *)data;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

struct inprogress *inprogress_new(const char *dir)
{
    struct inprogress *p = mem_calloc(1, sizeof *p);
    p->dir = mem_strdup(dir);
    return p;
}

static void transaction_free(struct transaction *t)
{
    if (!t)
        return;
    spill_free(t->waits);
    free(t->undone);
    free(t);
}

void inprogress_free(struct inprogress *p)
{
    if (!p)
        return;
    while (p->first) {
        struct transaction *t = p->first;
        p->first = t->next;
        transaction_free(t);
    }
    transaction_free(p->coming);
    for (size_t i = 0; i < p->n_told; i++) {
        free(p->told[i].general.data);
        free(p->told[i].own.data);
    }
    free(p->told);
    free(p->dir);
    free(p);
}

int64_t inprogress_bytes(const struct inprogress *p)
{
    int64_t bytes = p->coming ? spill_bytes(p->coming->waits) : 0;
    for (const struct transaction *t = p->first; t; t = t->next)
        bytes += spill_bytes(t->waits);
    return bytes;
}

/* --- relations ---------------------------------------------------------------------------------
 */

/* Where it is, or belongs. */
static size_t place_of(const struct inprogress *p, uint32_t oid)
{
    size_t low = 0, high = p->n_told;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->told[middle].oid < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct told *find_told(const struct inprogress *p, uint32_t oid)
{
    size_t at = place_of(p, oid);
    return at < p->n_told && p->told[at].oid == oid ? &p->told[at] : NULL;
}

static struct told *told_of(struct inprogress *p, uint32_t oid)
{
    struct told *t = find_told(p, oid);
    if (t)
        return t;
    size_t at = place_of(p, oid);
    struct told new = {.oid = oid};
    MEM_PUSH(p->told, p->n_told, p->cap_told, new);
    memmove(&p->told[at + 1], &p->told[at], (p->n_told - 1 - at) * sizeof *p->told);
    p->told[at] = new;
    return &p->told[at];
}

static void set_version(struct version *v, uint64_t number, const char *data, size_t len)
{
    v->number = number;
    v->data = mem_realloc(v->data, len + 1);
    memcpy(v->data, data, len);
    v->len = len;
}

static struct version *version_of(struct told *t)
{
    return t->own.number ? &t->own : &t->general;
}

static bool is_equal(const struct version *a, const struct version *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static void look_who_is_behind(struct inprogress *p)
{
    p->is_any_behind = false;
    for (size_t i = 0; i < p->n_told; i++)
        p->is_any_behind |= p->told[i].given != version_of(&p->told[i])->number;
}

/* The transaction has committed: of what it was told and what all others were, the later counts.
 * What says the same need not be applied again. */
static void own_counts_for_all(struct inprogress *p)
{
    for (size_t i = 0; i < p->n_told; i++) {
        struct told *t = &p->told[i];
        struct version *later = &t->own, *other = &t->general;
        if (t->own.number < t->general.number) {
            later = &t->general;
            other = &t->own;
        }
        if (other->data && t->given == other->number && is_equal(later, other))
            t->given = later->number;
        free(other->data);
        t->general = *later;
        t->own = (struct version){0};
    }
    look_who_is_behind(p);
}

static bool owes_for(struct inprogress *p, uint32_t oid, struct inprogress_message *out)
{
    struct told *t = find_told(p, oid);
    struct version *v = t ? version_of(t) : NULL;
    if (!v || t->given == v->number)
        return false;
    t->given = v->number;
    look_who_is_behind(p);
    *out = (struct inprogress_message){.data = v->data, .len = v->len};
    return true;
}

bool inprogress_owes(struct inprogress *p, const char *data, size_t len,
                     struct inprogress_message *out)
{
    if (!p->is_any_behind || len < 5)
        return false;
    if (data[0] == 'I' || data[0] == 'U' || data[0] == 'D')
        return owes_for(p, number_at(data + 1), out);
    if (data[0] != 'T' || len < 6)
        return false;
    size_t n = number_at(data + 1);
    for (size_t i = 0; i < n && 6 + 4 * (i + 1) <= len; i++)
        if (owes_for(p, number_at(data + 6 + 4 * i), out))
            return true;
    return false;
}

/* --- what comes --------------------------------------------------------------------------------
 */

static struct transaction **find(struct inprogress *p, uint32_t xid)
{
    struct transaction **t = &p->first;
    while (*t && (*t)->xid != xid)
        t = &(*t)->next;
    return t;
}

static struct transaction *take_out(struct transaction **at)
{
    struct transaction *t = *at;
    *at = t->next;
    t->next = NULL;
    return t;
}

static bool begin_block(struct inprogress *p, const char *data, size_t len, struct err *err)
{
    if (len != 6 || p->block)
        return malformed(err, "a malformed beginning of a block");
    struct transaction **at = find(p, number_at(data + 1));
    bool is_first = data[5] != 0;
    if (is_first == (*at != NULL))
        return malformed(err, "a block of a transaction out of its order");
    if (is_first) {
        struct transaction *t = mem_calloc(1, sizeof *t);
        t->xid = number_at(data + 1);
        t->waits = spill_new(p->dir, MEMORY);
        *at = t;
    }
    p->block = *at;
    return true;
}

static bool end_block(struct inprogress *p, size_t len, struct err *err)
{
    if (len != 1 || !p->block)
        return malformed(err, "a malformed end of a block");
    p->block = NULL;
    return true;
}

/* The source has a disk for them, too: ours must not be full before the catalog needs it. */
static bool has_room(struct inprogress *p, size_t len, struct err *err)
{
    struct statvfs disk;
    p->unlooked += len;
    if (p->unlooked < LOOK_BYTES || statvfs(p->dir, &disk) != 0)
        return true;
    p->unlooked = 0;
    int64_t unit = (int64_t)disk.f_frsize, leave = (int64_t)disk.f_blocks * unit / 10;
    int64_t left = (int64_t)disk.f_bavail * unit;
    if (left >= (leave < LEAVE_BYTES ? leave : LEAVE_BYTES))
        return true;
    return err_set(err, ERR_IO, "the disk of the state directory has only %lld MB left",
                   (long long)(left >> 20));
}

/* The message without the transaction's number. */
static bool keep(struct inprogress *p, char *data, size_t len, struct err *err)
{
    if (len < 1 + XID_BYTES + 4)
        return malformed(err, "a message of a block that is cut short");
    if (!has_room(p, len, err))
        return false;
    uint32_t xid = number_at(data + 1);
    char *plain = data + XID_BYTES;
    plain[0] = data[0];
    if (data[0] != 'R')
        return spill_add(p->block->waits, xid, plain, len - XID_BYTES, err);
    size_t bytes = NUMBER_BYTES + len - XID_BYTES;
    char *numbered = mem_calloc(1, bytes);
    uint64_t number = ++p->number;
    memcpy(numbered, &number, NUMBER_BYTES);
    memcpy(numbered + NUMBER_BYTES, plain, len - XID_BYTES);
    bool ok = spill_add(p->block->waits, IS_RELATION | xid, numbered, bytes, err);
    free(numbered);
    return ok;
}

static bool take_of_block(struct inprogress *p, char *data, size_t len, struct err *err)
{
    switch (data[0]) {
    case 'I':
    case 'U':
    case 'D':
    case 'T':
    case 'R':
        return keep(p, data, len, err);
    case 'O':
    case 'Y':
    case 'M':
        return true; /* of no consequence here */
    default:
        return malformed(err, "a message in a block that does not belong there");
    }
}

static bool abort_seen(struct inprogress *p, const char *data, size_t len, struct err *err)
{
    if (len != 9 || p->block)
        return malformed(err, "a malformed message of a rollback");
    uint32_t xid = number_at(data + 1), sub = number_at(data + 5);
    struct transaction **at = find(p, xid), *t = *at;
    if (t && xid == sub)
        transaction_free(take_out(at));
    else if (t)
        MEM_PUSH(t->undone, t->n_undone, t->cap_undone, sub);
    return true; /* of one that it has not sent there is nothing to forget */
}

static int by_xid(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* An ordinary COMMIT is the same without the transaction's number; a BEGIN has the commit's LSN,
 * its time, and the number. */
static void write_ends(struct inprogress *p, const char *data)
{
    const char *rest = data + 1 + XID_BYTES; /* flags, LSN, its end, time */
    p->commit[0] = 'C';
    memcpy(p->commit + 1, rest, COMMIT_BYTES - 1);
    p->begin[0] = 'B';
    memcpy(p->begin + 1, rest + 1, 8);
    memcpy(p->begin + 9, rest + 17, 8);
    memcpy(p->begin + 17, data + 1, XID_BYTES);
}

static bool commit_seen(struct inprogress *p, const char *data, size_t len, struct err *err)
{
    if (len != COMMIT_BYTES + XID_BYTES || p->block)
        return malformed(err, "a malformed message of a commit");
    struct transaction **at = find(p, number_at(data + 1));
    if (!*at)
        return malformed(err, "the commit of a transaction that it has not sent");
    p->coming = take_out(at);
    if (p->coming->n_undone)
        qsort(p->coming->undone, p->coming->n_undone, sizeof *p->coming->undone, by_xid);
    p->has_begun = false;
    write_ends(p, data);
    return true;
}

static void relation_seen(struct inprogress *p, const char *data, size_t len)
{
    struct told *t = told_of(p, number_at(data + 1));
    set_version(&t->general, ++p->number, data, len);
    t->given = t->general.number; /* it is applied now */
}

bool inprogress_take(struct inprogress *p, char *data, size_t len, bool *is_kept, struct err *err)
{
    char type = len ? data[0] : '\0';
    *is_kept = true;
    if (type == 'S')
        return begin_block(p, data, len, err);
    if (type == 'E')
        return end_block(p, len, err);
    if (type == 'c')
        return commit_seen(p, data, len, err);
    if (type == 'A')
        return abort_seen(p, data, len, err);
    if (p->block)
        return take_of_block(p, data, len, err);
    *is_kept = false;
    if (type == 'R' && len >= 5)
        relation_seen(p, data, len);
    return true;
}

/* --- what comes out ----------------------------------------------------------------------------
 */

bool inprogress_comes(const struct inprogress *p)
{
    return p->coming != NULL;
}

static bool is_undone(const struct transaction *t, uint32_t xid)
{
    return t->n_undone && bsearch(&xid, t->undone, t->n_undone, sizeof xid, by_xid) != NULL;
}

/* What was told in a part that was rolled back still counts for what follows, unless it is told
 * again; by itself it is nothing to be applied: the relation need never have been like that.
 * True: it is to be applied now. */
static bool own_seen(struct inprogress *p, const struct spill_record *r, bool undone)
{
    uint64_t number;
    const char *data = r->data + NUMBER_BYTES;
    memcpy(&number, r->data, NUMBER_BYTES);
    struct told *t = told_of(p, number_at(data + 1));
    set_version(&t->own, number, data, r->len - NUMBER_BYTES);
    if (!undone)
        t->given = number;
    else
        p->is_any_behind = true;
    return !undone;
}

static int next_change(struct inprogress *p, struct inprogress_message *out, struct err *err)
{
    struct spill_record r;
    int got;
    while ((got = spill_next(p->coming->waits, &r, err)) == 1) {
        bool undone = is_undone(p->coming, (uint32_t)r.lsn), is_relation = r.lsn & IS_RELATION;
        if (is_relation ? !own_seen(p, &r, undone) : undone)
            continue;
        size_t skip = is_relation ? NUMBER_BYTES : 0;
        *out = (struct inprogress_message){.data = r.data + skip, .len = r.len - skip};
        return 1;
    }
    return got;
}

int inprogress_next(struct inprogress *p, struct inprogress_message *out, struct err *err)
{
    if (!p->coming)
        return 0;
    if (!p->has_begun) {
        p->has_begun = true;
        *out = (struct inprogress_message){.data = p->begin, .len = BEGIN_BYTES};
        return 1;
    }
    int got = next_change(p, out, err);
    if (got != 0)
        return got;
    transaction_free(p->coming);
    p->coming = NULL;
    own_counts_for_all(p);
    *out = (struct inprogress_message){.data = p->commit, .len = COMMIT_BYTES};
    return 1;
}
