/* Hand-made messages of a stream; see stream_samples.h. */
#include "tests/unit/stream_samples.h"

#include <stdlib.h>
#include <string.h>

const char sample_unchanged[] = "unchanged";

static void settle(struct sample *s)
{
    s->m.columns = s->columns;
    s->m.relations = s->relations;
    s->m.next.values = s->values[0];
    s->m.old.values = s->values[1];
}

const struct pgo_message *sample_relation(struct sample *s, uint32_t oid, const char *table,
                                          struct sample_row columns)
{
    *s = (struct sample){.m = {.kind = PGO_RELATION,
                               .relation = oid,
                               .schema = "public",
                               .table = table,
                               .replica_identity = 'd',
                               .n_columns = columns.n}};
    if (columns.n > SAMPLE_WIDTH)
        abort();
    for (size_t i = 0; i < columns.n; i++) {
        bool is_key = columns.values[i][0] == '*';
        s->columns[i] = (struct pgo_column){
            .is_key = is_key, .name = columns.values[i] + is_key, .type_oid = 25, .typmod = -1};
    }
    settle(s);
    return &s->m;
}

static size_t fill(struct pgo_value *to, struct sample_row from)
{
    if (from.n > SAMPLE_WIDTH)
        abort();
    for (size_t i = 0; i < from.n; i++) {
        const char *v = from.values[i];
        to[i] = (struct pgo_value){.kind = !v ? 'n' : v == sample_unchanged ? 'u' : 't'};
        if (to[i].kind == 't') {
            to[i].data = v;
            to[i].len = (uint32_t)strlen(v);
        }
    }
    return from.n;
}

const struct pgo_message *sample_begin(struct sample *s, lsn_t commit_lsn)
{
    *s = (struct sample){.m = {.kind = PGO_BEGIN, .commit_lsn = commit_lsn, .commit_time = 1}};
    return &s->m;
}

const struct pgo_message *sample_commit(struct sample *s, lsn_t commit_lsn, lsn_t end_lsn)
{
    *s = (struct sample){.m = {.kind = PGO_COMMIT,
                               .commit_lsn = commit_lsn,
                               .end_lsn = end_lsn,
                               .commit_time = (int64_t)commit_lsn}};
    return &s->m;
}

const struct pgo_message *sample_insert(struct sample *s, uint32_t oid, struct sample_row next)
{
    sample_update(s, oid, 0, NO_ROW, next);
    s->m.kind = PGO_INSERT;
    return &s->m;
}

const struct pgo_message *sample_update(struct sample *s, uint32_t oid, char old_kind,
                                        struct sample_row old, struct sample_row next)
{
    *s = (struct sample){.m = {.kind = PGO_UPDATE, .relation = oid, .old_kind = old_kind}};
    settle(s);
    s->m.next.n = fill(s->values[0], next);
    s->m.old.n = fill(s->values[1], old);
    return &s->m;
}

const struct pgo_message *sample_delete(struct sample *s, uint32_t oid, char old_kind,
                                        struct sample_row old)
{
    sample_update(s, oid, old_kind, old, NO_ROW);
    s->m.kind = PGO_DELETE;
    return &s->m;
}

const struct pgo_message *sample_truncate(struct sample *s, uint32_t first, uint32_t second)
{
    *s = (struct sample){.m = {.kind = PGO_TRUNCATE, .n_relations = second ? 2 : 1},
                         .relations = {first, second}};
    settle(s);
    return &s->m;
}

/* --- as bytes -------------------------------------------------------------------------------- */

#define EPOCH_2000_US 946684800000000LL

static void put_string(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text) + 1);
}

static void put_tuple(struct buf *b, char tag, const struct pgo_tuple *t)
{
    buf_putc(b, tag);
    buf_be16(b, (uint16_t)t->n);
    for (size_t i = 0; i < t->n; i++) {
        buf_putc(b, t->values[i].kind);
        if (t->values[i].kind != 't')
            continue;
        buf_be32(b, t->values[i].len);
        buf_add(b, t->values[i].data, t->values[i].len);
    }
}

static void put_relation(struct buf *b, const struct pgo_message *m)
{
    buf_putc(b, 'R');
    buf_be32(b, m->relation);
    put_string(b, m->schema);
    put_string(b, m->table);
    buf_putc(b, m->replica_identity);
    buf_be16(b, (uint16_t)m->n_columns);
    for (size_t i = 0; i < m->n_columns; i++) {
        buf_putc(b, m->columns[i].is_key);
        put_string(b, m->columns[i].name);
        buf_be32(b, m->columns[i].type_oid);
        buf_be32(b, (uint32_t)m->columns[i].typmod);
    }
}

static void put_change(struct buf *b, char type, const struct pgo_message *m)
{
    buf_putc(b, type);
    buf_be32(b, m->relation);
    if (m->old_kind)
        put_tuple(b, m->old_kind, &m->old);
    if (m->kind != PGO_DELETE)
        put_tuple(b, 'N', &m->next);
}

static void put_truncate(struct buf *b, const struct pgo_message *m)
{
    buf_putc(b, 'T');
    buf_be32(b, (uint32_t)m->n_relations);
    buf_putc(b, (char)(m->cascade | m->restart_identity << 1));
    for (size_t i = 0; i < m->n_relations; i++)
        buf_be32(b, m->relations[i]);
}

static void put_end(struct buf *b, const struct pgo_message *m)
{
    buf_putc(b, m->kind == PGO_BEGIN ? 'B' : 'C');
    if (m->kind == PGO_COMMIT)
        buf_putc(b, 0);
    buf_be64(b, m->commit_lsn);
    if (m->kind == PGO_COMMIT)
        buf_be64(b, m->end_lsn);
    buf_be64(b, (uint64_t)(m->commit_time - EPOCH_2000_US));
    if (m->kind == PGO_BEGIN)
        buf_be32(b, 7);
}

void sample_encode(const struct pgo_message *m, struct buf *b)
{
    switch (m->kind) {
    case PGO_BEGIN:
    case PGO_COMMIT:
        put_end(b, m);
        break;
    case PGO_RELATION:
        put_relation(b, m);
        break;
    case PGO_INSERT:
        put_change(b, 'I', m);
        break;
    case PGO_UPDATE:
        put_change(b, 'U', m);
        break;
    case PGO_DELETE:
        put_change(b, 'D', m);
        break;
    case PGO_TRUNCATE:
        put_truncate(b, m);
        break;
    case PGO_OTHER:
        abort();
    }
}
