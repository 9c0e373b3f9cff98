/* Decoder of pgoutput's messages; see pgoutput.h. One cursor walks over the bytes; once it has run
 * past the end it stays bad, and the message is refused as a whole. */
#include "stream/pgoutput.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define EPOCH_2000_US 946684800000000LL /* PostgreSQL's epoch, in us since 1970 */

struct pgo_decoder {
    struct pgo_value *values[2]; /* next, old */
    size_t cap_values[2];
    struct pgo_column *columns;
    size_t cap_columns;
    uint32_t *relations;
    size_t cap_relations;
};

struct cursor {
    char *p, *end;
    bool bad;
};

struct pgo_decoder *pgo_new(void)
{
    return mem_calloc(1, sizeof(struct pgo_decoder));
}

void pgo_free(struct pgo_decoder *d)
{
    if (!d)
        return;
    free(d->values[0]);
    free(d->values[1]);
    free(d->columns);
    free(d->relations);
    free(d);
}

static uint64_t take_int(struct cursor *c, size_t bytes)
{
    uint64_t v = 0;
    if (c->bad || (size_t)(c->end - c->p) < bytes) {
        c->bad = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | (unsigned char)*c->p++;
    return v;
}

static const char *take_string(struct cursor *c)
{
    char *nul = c->bad ? NULL : memchr(c->p, '\0', (size_t)(c->end - c->p));
    if (!nul) {
        c->bad = true;
        return "";
    }
    const char *s = c->p;
    c->p = nul + 1;
    return s;
}

static int64_t take_time(struct cursor *c)
{
    return (int64_t)(take_int(c, 8) + (uint64_t)EPOCH_2000_US); /* wraps: any bytes may come */
}

/* Makes room for n elements of an array that the decoder keeps. */
static void *need(void *array, size_t *cap, size_t n, size_t elem)
{
    if (n > *cap) {
        *cap = n;
        return mem_realloc(array, n * elem);
    }
    return array;
}

/* Values are terminated in place only after the whole message was read: the byte behind a value is
 * the kind of the next one, or a tuple's tag. */
static void take_tuple(struct pgo_decoder *d, struct cursor *c, int which, struct pgo_tuple *t)
{
    t->n = take_int(c, 2);
    d->values[which] =
        need(d->values[which], &d->cap_values[which], t->n, sizeof *d->values[which]);
    t->values = d->values[which];
    for (size_t i = 0; i < t->n && !c->bad; i++) {
        struct pgo_value *v = &t->values[i];
        *v = (struct pgo_value){.kind = (char)take_int(c, 1)};
        if (v->kind == 't') {
            v->len = (uint32_t)take_int(c, 4);
            if (c->bad || (size_t)(c->end - c->p) < v->len) {
                c->bad = true;
                return;
            }
            v->data = c->p;
            c->p += v->len;
        } else if (v->kind != 'n' && v->kind != 'u') {
            c->bad = true;
        }
    }
}

static void terminate_values(const struct pgo_tuple *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->values[i].kind == 't')
            ((char *)(uintptr_t)t->values[i].data)[t->values[i].len] = '\0';
}

static void take_relation(struct pgo_decoder *d, struct cursor *c, struct pgo_message *m)
{
    m->kind = PGO_RELATION;
    m->relation = (uint32_t)take_int(c, 4);
    m->schema = take_string(c);
    if (!m->schema[0])
        m->schema = "pg_catalog"; /* the protocol sends that one as an empty string */
    m->table = take_string(c);
    m->replica_identity = (char)take_int(c, 1);
    m->n_columns = take_int(c, 2);
    d->columns = need(d->columns, &d->cap_columns, m->n_columns, sizeof *d->columns);
    m->columns = d->columns;
    for (size_t i = 0; i < m->n_columns && !c->bad; i++) {
        struct pgo_column *col = &d->columns[i];
        col->is_key = take_int(c, 1) & 1;
        col->name = take_string(c);
        col->type_oid = (uint32_t)take_int(c, 4);
        col->typmod = (int32_t)take_int(c, 4);
    }
}

static void take_change(struct pgo_decoder *d, struct cursor *c, struct pgo_message *m)
{
    m->relation = (uint32_t)take_int(c, 4);
    char tag = (char)take_int(c, 1);
    if (m->kind != PGO_INSERT && (tag == 'K' || tag == 'O')) {
        m->old_kind = tag;
        take_tuple(d, c, 1, &m->old);
        if (m->kind == PGO_DELETE)
            return;
        tag = (char)take_int(c, 1);
    }
    if (tag != 'N' || m->kind == PGO_DELETE)
        c->bad = true;
    else
        take_tuple(d, c, 0, &m->next);
}

static void take_truncate(struct pgo_decoder *d, struct cursor *c, struct pgo_message *m)
{
    m->kind = PGO_TRUNCATE;
    size_t n = take_int(c, 4);
    uint64_t flags = take_int(c, 1);
    m->cascade = flags & 1;
    m->restart_identity = flags & 2;
    if (c->bad || n > (size_t)(c->end - c->p) / 4) {
        c->bad = true;
        return;
    }
    m->n_relations = n;
    d->relations = need(d->relations, &d->cap_relations, n, sizeof *d->relations);
    m->relations = d->relations;
    for (size_t i = 0; i < n; i++)
        d->relations[i] = (uint32_t)take_int(c, 4);
}

static void take_commit(struct cursor *c, struct pgo_message *m)
{
    m->kind = PGO_COMMIT;
    take_int(c, 1); /* flags, unused by the protocol */
    m->commit_lsn = take_int(c, 8);
    m->end_lsn = take_int(c, 8);
    m->commit_time = take_time(c);
}

static void take_begin(struct cursor *c, struct pgo_message *m)
{
    m->kind = PGO_BEGIN;
    m->commit_lsn = take_int(c, 8);
    m->commit_time = take_time(c);
    take_int(c, 4); /* xid */
}

bool pgo_decode(struct pgo_decoder *d, char *data, size_t len, struct pgo_message *out,
                struct err *err)
{
    struct cursor c = {.p = data, .end = data + len};
    *out = (struct pgo_message){0};
    char type = (char)take_int(&c, 1);
    switch (type) {
    case 'B':
        take_begin(&c, out);
        break;
    case 'C':
        take_commit(&c, out);
        break;
    case 'R':
        take_relation(d, &c, out);
        break;
    case 'I':
        out->kind = PGO_INSERT;
        take_change(d, &c, out);
        break;
    case 'U':
        out->kind = PGO_UPDATE;
        take_change(d, &c, out);
        break;
    case 'D':
        out->kind = PGO_DELETE;
        take_change(d, &c, out);
        break;
    case 'T':
        take_truncate(d, &c, out);
        break;
    case 'O':
    case 'Y':
    case 'M':
        out->kind = PGO_OTHER;
        return true;
    default:
        return err_set(err, ERR_PROTOCOL, "pgoutput sent a message of unknown type 0x%02X",
                       (unsigned)(unsigned char)type);
    }
    if (c.bad || c.p != c.end)
        return err_set(err, ERR_PROTOCOL, "pgoutput sent a malformed message of type %c", type);
    data[len] = '\0';
    terminate_values(&out->next);
    terminate_values(&out->old);
    return true;
}

bool pgo_peek_change(const char *data, size_t len, uint32_t *relation)
{
    const unsigned char *p = (const unsigned char *)data;
    if (len < 5 || (data[0] != 'I' && data[0] != 'U' && data[0] != 'D'))
        return false;
    *relation = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    return true;
}

bool pgo_peek_begin(const char *data, size_t len, lsn_t *commit_lsn)
{
    if (len < 9 || data[0] != 'B')
        return false;
    *commit_lsn = 0;
    for (int i = 1; i <= 8; i++)
        *commit_lsn = *commit_lsn << 8 | (unsigned char)data[i];
    return true;
}

bool repl_frame_read(char *data, size_t len, struct repl_frame *out, struct err *err)
{
    struct cursor c = {.p = data, .end = data + len};
    *out = (struct repl_frame){.kind = (char)take_int(&c, 1)};
    if (out->kind == 'w') {
        take_int(&c, 8); /* where the data starts: no position to count on for logical decoding */
        out->wal_end = take_int(&c, 8);
        take_int(&c, 8); /* the server's clock */
        out->data = c.p;
        out->len = (size_t)(c.end - c.p);
    } else if (out->kind == 'k') {
        out->wal_end = take_int(&c, 8);
        take_int(&c, 8);
        out->reply = take_int(&c, 1) != 0;
    } else {
        return err_set(err, ERR_PROTOCOL, "the WAL sender sent a frame of unknown type 0x%02X",
                       (unsigned)(unsigned char)out->kind);
    }
    if (c.bad)
        return err_set(err, ERR_PROTOCOL, "the WAL sender sent a malformed frame");
    return true;
}
