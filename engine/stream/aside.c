/* Tables set aside: which changes are theirs, keeping them, and their relations; see aside.h. What
 * is done with what was kept is in replay.c. */
#include "stream/aside_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "stream/sync_rows.h"

struct aside *aside_new(const struct aside_options *o, size_t n_tables)
{
    struct aside *s = mem_calloc(1, sizeof *s);
    s->o = *o;
    s->n_tables = n_tables;
    s->place = mem_calloc(n_tables + 1, sizeof *s->place);
    for (size_t i = 0; o->tables && i < n_tables; i++)
        s->place[i] = o->tables[i] ? PLACE_DROPPED : PLACE_STREAM;
    s->spill = spill_new(o->spill_dir, o->spill_memory);
    s->decoder = pgo_new();
    return s;
}

static void relation_free(struct aside_relation *r)
{
    free(r->latest.data);
    free(r->base.data);
}

void aside_free(struct aside *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_relations; i++)
        relation_free(&s->relations[i]);
    for (size_t i = 0; i < s->n_told; i++)
        relation_free(&s->told[i]);
    free(s->told);
    free(s->relations);
    free(s->place);
    free(s->names.schemas);
    free(s->names.tables);
    spill_free(s->spill);
    pgo_free(s->decoder);
    free(s);
}

struct aside_relation *aside_find(struct aside *s, uint32_t oid)
{
    if (s->found < s->n_relations && s->relations[s->found].oid == oid)
        return &s->relations[s->found];
    for (size_t i = 0; i < s->n_relations; i++)
        if (s->relations[i].oid == oid) {
            s->found = i;
            return &s->relations[i];
        }
    return NULL;
}

lsn_t aside_replaying(const struct apply *a)
{
    return a->aside->replaying;
}

bool aside_has(const struct apply *a, uint32_t relation)
{
    return a->aside->n_relations && aside_find(a->aside, relation);
}

static bool is_kept(const struct aside *s, const struct aside_relation *r)
{
    return r->table >= 0 && s->place[r->table] == PLACE_KEPT;
}

/* --- keeping --------------------------------------------------------------------------------- */

void aside_fail(struct apply *a, const struct err *err)
{
    struct aside *s = a->aside;
    s->stage = ASIDE_FAILED;
    s->err = *err;
    s->replaying = 0;
    a->batches.is_in_replay = false;
    spill_clear(s->spill);
}

/* What belongs to the copy, or to nobody, goes no further. */
static void keep(struct apply *a, const char *data, size_t len)
{
    struct aside *s = a->aside;
    struct err err = {0};
    if (s->stage != ASIDE_KEEP && s->stage != ASIDE_REPLAY)
        return;
    if (data[0] != 'R' && s->point && a->reading < s->point)
        return;
    if (!spill_add(s->spill, a->reading, data, len, &err))
        aside_fail(a, &err);
    else if (s->stage == ASIDE_REPLAY)
        s->credit -= ASIDE_KEEP_COST;
}

void aside_change(struct apply *a, uint32_t relation, const char *data, size_t len)
{
    if (!a->is_skipping && is_kept(a->aside, aside_find(a->aside, relation)))
        keep(a, data, len);
}

/* The same message with none but the relations that are kept. */
static void keep_truncate(struct apply *a, const struct pgo_message *m)
{
    struct buf b = {0}, oids = {0};
    uint32_t n = 0;
    for (size_t i = 0; i < m->n_relations; i++) {
        const struct aside_relation *r = aside_find(a->aside, m->relations[i]);
        if (!r || !is_kept(a->aside, r))
            continue;
        buf_be32(&oids, m->relations[i]);
        n++;
    }
    if (n) {
        buf_putc(&b, 'T');
        buf_be32(&b, n);
        buf_putc(&b, (char)(m->cascade | m->restart_identity << 1));
        buf_add(&b, oids.data, oids.len);
        keep(a, b.data, b.len);
    }
    buf_free(&b);
    buf_free(&oids);
}

void aside_truncate(struct apply *a, struct pgo_message *m, bool *with_delete)
{
    struct aside *s = a->aside;
    size_t n = 0;
    *with_delete = false;
    if (!s->n_relations)
        return;
    keep_truncate(a, m);
    for (size_t i = 0; i < m->n_relations; i++) {
        const struct aside_relation *r = aside_find(s, m->relations[i]);
        if (!r)
            m->relations[n++] = m->relations[i];
        else if (r->table >= 0 && !(is_kept(s, r) && s->stage == ASIDE_REPLAY))
            *with_delete = true; /* its foreign keys may still be there */
    }
    m->n_relations = n;
    *with_delete = *with_delete && pg_is_replica_role(a->dest);
}

/* --- relations ------------------------------------------------------------------------------- */

void aside_set_definition(struct aside_definition *d, lsn_t lsn, const char *data, size_t len)
{
    d->data = mem_realloc(d->data, len + 1);
    memcpy(d->data, data, len);
    d->len = len;
    d->lsn = lsn;
}

static struct aside_relation *add_relation(struct aside *s, uint32_t oid, int table)
{
    struct aside_relation r = {.oid = oid, .table = table};
    MEM_PUSH(s->relations, s->n_relations, s->cap_relations, r);
    return &s->relations[s->n_relations - 1];
}

void aside_ignore(struct apply *a, uint32_t relation)
{
    (void)add_relation(a->aside, relation, -1);
}

/* Changes of a table that was taken out of the mirror come from before that. */
static bool is_removed(struct apply *a, const struct pgo_message *m)
{
    const struct table_name_list *removed = a->aside->o.removed;
    if (!removed || !table_name_list_has(removed, m->schema, m->table))
        return false;
    log_info("apply", a->o.mirror,
             "changes of a table that was taken out of the mirror are ignored table=%s.%s",
             m->schema, m->table);
    return true;
}

bool aside_relation(struct apply *a, const struct pgo_message *m, const char *data, size_t len)
{
    struct aside *s = a->aside;
    struct aside_relation *r = aside_find(s, m->relation);
    if (!r) {
        int table = apply_find_table(a, m);
        if (table < 0 ? !is_removed(a, m) : s->place[table] == PLACE_STREAM)
            return false;
        r = add_relation(s, m->relation, table);
    }
    if (r->table < 0)
        return true;
    aside_set_definition(&r->latest, a->reading, data, len);
    if (is_kept(s, r) && (s->stage == ASIDE_KEEP || s->stage == ASIDE_REPLAY))
        keep(a, data, len);
    else
        aside_set_definition(&r->base, 0, data, len);
    return true;
}

/* A definition is told once; a table that leaves the stream later needs it. */
static void keep_told(struct aside *s, uint32_t oid, int table, const char *data, size_t len)
{
    size_t i = 0;
    while (i < s->n_told && s->told[i].oid != oid)
        i++;
    if (i == s->n_told) {
        struct aside_relation r = {.oid = oid};
        MEM_PUSH(s->told, s->n_told, s->cap_told, r);
    }
    s->told[i].table = table;
    aside_set_definition(&s->told[i].latest, 0, data, len);
}

void aside_told(struct apply *a, const struct pgo_message *m, const char *data, size_t len)
{
    int table = apply_find_table(a, m);
    if (table >= 0)
        keep_told(a->aside, m->relation, table, data, len);
}

void aside_take(struct apply *a, const bool *tables)
{
    struct aside *s = a->aside;
    size_t n = 0;
    for (size_t i = 0; i < s->n_tables; i++)
        if (tables[i] && s->place[i] == PLACE_STREAM)
            s->place[i] = PLACE_DROPPED;
    for (size_t i = 0; i < s->n_told; i++) {
        struct aside_relation *told = &s->told[i];
        if (s->place[told->table] == PLACE_STREAM) {
            s->told[n++] = *told;
            continue;
        }
        struct aside_relation *r = add_relation(s, told->oid, told->table);
        aside_set_definition(&r->base, 0, told->latest.data, told->latest.len);
        r->latest = told->latest;
    }
    s->n_told = n;
}

/* --- the life of a copy ---------------------------------------------------------------------- */

void aside_keep(struct apply *a, const bool *tables)
{
    struct aside *s = a->aside;
    for (size_t i = 0; i < s->n_tables; i++)
        if (tables[i] && s->place[i] == PLACE_DROPPED)
            s->place[i] = PLACE_KEPT;
    s->stage = ASIDE_KEEP;
    s->replayed = 0;
    s->point = 0;
}

void aside_set_point(struct apply *a, lsn_t point)
{
    a->aside->point = point;
}

void aside_replay(struct apply *a, const struct schema *copied, const struct table_name *names,
                  size_t n)
{
    struct aside *s = a->aside;
    if (s->stage != ASIDE_KEEP)
        return; /* it has failed meanwhile */
    for (size_t i = 0; i < s->n_tables; i++)
        if (s->place[i] == PLACE_KEPT) /* the copy has written what is known of it */
            adapt_forget(a->adapt, a->o.schema->tables[i].oid);
    s->copied = copied;
    free(s->names.schemas);
    free(s->names.tables);
    s->names.schemas = table_names_array(names, n, true);
    s->names.tables = table_names_array(names, n, false);
    s->stage = ASIDE_REPLAY;
    s->credit = (int64_t)ASIDE_FIRST_CREDIT * ASIDE_KEEP_COST;
    s->pace = (struct aside_pace){.share = ASIDE_FIRST_SHARE};
}

static void forget_replay(struct aside *s, enum aside_place to)
{
    spill_clear(s->spill);
    s->replaying = 0;
    s->point = 0;
    s->copied = NULL;
    for (size_t i = 0; i < s->n_tables; i++)
        if (s->place[i] == PLACE_KEPT)
            s->place[i] = (unsigned char)to;
}

void aside_give_up(struct apply *a)
{
    struct aside *s = a->aside;
    if (s->stage != ASIDE_KEEP && s->stage != ASIDE_FAILED && s->stage != ASIDE_REPLAY)
        return;
    for (size_t i = 0; i < s->n_relations; i++) {
        struct aside_relation *r = &s->relations[i];
        if (!is_kept(s, r) || !r->latest.data)
            continue;
        aside_set_definition(&r->base, 0, r->latest.data, r->latest.len);
        r->is_bound = false;
    }
    forget_replay(s, PLACE_DROPPED);
    a->batches.is_in_replay = false;
    s->stage = ASIDE_DROP;
    err_clear(&s->err);
}

void aside_stream(struct aside *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_relations; i++) {
        struct aside_relation *r = &s->relations[i];
        if (!is_kept(s, r)) {
            s->relations[n++] = *r;
            continue;
        }
        if (r->latest.data)
            keep_told(s, r->oid, r->table, r->latest.data, r->latest.len);
        relation_free(r);
    }
    s->n_relations = n;
    forget_replay(s, PLACE_STREAM);
}

void aside_finish(struct apply *a)
{
    a->aside->stage = ASIDE_DROP;
}

void aside_batch_done(struct apply *a)
{
    struct aside *s = a->aside;
    if (s->stage != ASIDE_HANDING || a->batches_done < s->last_batch)
        return;
    s->stage = ASIDE_STREAM;
    if (s->o.handed_over)
        s->o.handed_over(s->o.arg);
}

bool aside_is_settled(const struct apply *a)
{
    return a->batches_done >= a->aside->last_batch;
}

void aside_names(const struct apply *a, struct table_name_list *out)
{
    const struct aside *s = a->aside;
    size_t cap = 0;
    *out = (struct table_name_list){0};
    for (size_t i = 0; i < s->n_tables; i++) {
        struct table_name t;
        if (s->place[i] == PLACE_STREAM)
            continue;
        str_copy(t.schema, sizeof t.schema, a->o.schema->tables[i].schema);
        str_copy(t.table, sizeof t.table, a->o.schema->tables[i].name);
        MEM_PUSH(out->items, out->n, cap, t);
    }
}

void aside_status(const struct apply *a, struct aside_status *out)
{
    const struct aside *s = a->aside;
    *out = (struct aside_status){.stage = s->stage,
                                 .kept_bytes = spill_bytes(s->spill),
                                 .kept = spill_records(s->spill),
                                 .replayed = s->replayed,
                                 .err = s->err};
}
