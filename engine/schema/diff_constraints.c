/* Check constraints and foreign keys. They are added without looking at the rows, which keeps locks
 * short, and validated afterwards. */
#include "schema/diff_private.h"

#include <stdlib.h>
#include <string.h>

static bool is_known(const struct diff *d, int i)
{
    return book_find(&d->book, d->src.s->tables[i].oid, BOOK_TABLE, -1, NULL) != NULL;
}

static char *constraint_sql(const struct diff *d, int i, const char *verb, const char *name)
{
    struct buf b = alter_table(d, i, false);
    buf_printf(&b, "%s CONSTRAINT ", verb);
    pg_quote_ident(&b, name);
    return buf_take(&b);
}

static char *constraint_what(const struct diff *d, int i, const char *verb, const char *name)
{
    const struct schema_table *t = &d->src.s->tables[i];
    return mem_printf("%s constraint %s of %s.%s", verb, name, t->dest_schema, t->dest_name);
}

static void drop_constraint(struct diff *d, int i, const char *name)
{
    diff_run(d, STAGE_RELEASE, i, constraint_sql(d, i, "DROP", name),
             constraint_what(d, i, "drop", name));
}

/* Rows that the mirror has not got yet may stand against it for a moment longer. add_sql: what
 * makes it before; NULL: it is there. */
static void validate(struct diff *d, int i, const char *name, const char *add_sql)
{
    struct schema_step *s = diff_run(d, STAGE_VALIDATE, i, constraint_sql(d, i, "VALIDATE", name),
                                     constraint_what(d, i, "validate", name));
    s->is_late = true;
    s->is_optional = true;
    s->needs = mem_strdup(add_sql);
}

static void tell_extra(struct diff *d, int i, const char *name)
{
    diff_manual(d, STAGE_RELEASE, i, constraint_sql(d, i, "DROP", name),
                constraint_what(d, i, "drop", name),
                mem_strdup("only the destination has it: run this if it was dropped at the "
                           "source"));
}

/* --- checks ------------------------------------------------------------------------------------
 */

static struct read_check *check_named(const struct read_table *rt, const char *name)
{
    for (size_t k = 0; k < rt->n_checks; k++)
        if (strcmp(rt->checks[k].name, name) == 0)
            return &rt->checks[k];
    return NULL;
}

static void picture_add_check(struct diff *d, int j, void *arg)
{
    const struct read_check *from = arg;
    struct read_table *ru = &d->dst.tables[j];
    if (check_named(ru, from->name))
        return;
    struct read_check copy = *from;
    copy.name = mem_strdup(from->name);
    copy.definition = mem_strdup(from->definition);
    copy.is_local = false;
    MEM_PUSH(ru->checks, ru->n_checks, ru->checks_cap, copy);
}

/* Of a child only what it has from its parent. */
static void picture_drop_check(struct diff *d, int j, void *arg)
{
    struct read_table *ru = &d->dst.tables[j];
    const struct read_check *c = check_named(ru, arg);
    if (c && !c->is_local)
        read_drop_check(ru, (size_t)(c - ru->checks));
}

static void drop_check(struct diff *d, int i, const char *name)
{
    int j = d->pairs[i].dest;
    struct read_table *ru = &d->dst.tables[j];
    char *copy = mem_strdup(name);
    drop_constraint(d, i, copy);
    read_drop_check(ru, (size_t)(check_named(ru, copy) - ru->checks));
    for_descendants(d, j, picture_drop_check, copy);
    free(copy);
}

static bool is_inheritable(const struct read_check *c)
{
    return !strstr(c->definition, " NO INHERIT");
}

static bool ask_same(struct diff *d, int i, const struct read_check *from,
                     const struct read_check *to, enum shadow_verdict *out, struct err *why,
                     struct err *err)
{
    const struct shadow_question q = {
        .kind = SHADOW_CONSTRAINT, .from = from ? from->definition : NULL, .to = to->definition};
    if (from && !d->old[d->pairs[i].dest].is_renamed &&
        strcmp(from->definition, to->definition) == 0) {
        *out = SHADOW_SAME;
        return true;
    }
    return shadow_compare(d, i, &q, out, why, err);
}

static void note_refused(struct diff *d, int i, const struct read_check *c, const struct err *why)
{
    struct buf b = alter_table(d, i, false);
    buf_puts(&b, "ADD ");
    check_put(&b, c, c->is_valid);
    diff_note(d, STAGE_CHECK, i, buf_take(&b), constraint_what(d, i, "add", c->name),
              mem_printf("the destination lacks what it needs: %s", why->text));
}

static bool add_check(struct diff *d, int i, const struct read_check *c, struct err *err)
{
    bool is_new = d->pairs[i].is_new;
    if (c->needs_objects && !is_new && !diff_makes_objects(d)) {
        enum shadow_verdict verdict;
        struct err why = {0};
        if (!ask_same(d, i, NULL, c, &verdict, &why, err))
            return false;
        if (verdict == SHADOW_REFUSED) {
            note_refused(d, i, c, &why);
            return true;
        }
    }
    struct buf b = alter_table(d, i, false);
    buf_puts(&b, "ADD ");
    check_put(&b, c, is_new && c->is_valid);
    struct schema_step *s =
        diff_run(d, STAGE_CHECK, i, buf_take(&b), constraint_what(d, i, "add", c->name));
    s->is_late = !is_new;
    s->is_optional = c->needs_objects;
    diff_remade(d, i, c->name);
    if (c->is_valid && !is_new)
        validate(d, i, c->name, s->sql);
    if (!is_new && is_inheritable(c))
        for_descendants(d, d->pairs[i].dest, picture_add_check, (void *)c);
    return true;
}

static bool judge_check(struct diff *d, int i, const struct read_check *to, struct err *err)
{
    const struct read_table *ru = &d->dst.tables[d->pairs[i].dest];
    const struct read_check *from = check_named(ru, to->name);
    enum shadow_verdict verdict;
    struct err why = {0};
    if (!from) /* what is inherited came, or did not come, with the parent */
        return (!to->is_local && (ru->parent || ru->n_parents)) || add_check(d, i, to, err);
    if (!ask_same(d, i, from, to, &verdict, &why, err))
        return false;
    if (verdict == SHADOW_SAME) {
        if (to->is_valid && !from->is_valid)
            validate(d, i, to->name, NULL);
        return true;
    }
    if (verdict == SHADOW_NONE || (verdict == SHADOW_REFUSED && to->needs_objects)) {
        note_refused(d, i, to, &why);
        return true;
    }
    if (!from->is_local) /* changed with the parent */
        return true;
    drop_check(d, i, to->name);
    return add_check(d, i, to, err);
}

bool diff_checks(struct diff *d, int i, struct err *err)
{
    const struct read_table *rt = &d->src.tables[i];
    bool ok = true;
    if (d->pairs[i].is_new) {
        for (size_t k = 0; ok && k < rt->n_checks; k++)
            if ((!rt->checks[k].is_valid || rt->checks[k].needs_objects) &&
                !check_comes_from_parent(&d->src, (size_t)i, &rt->checks[k]))
                /* not in CREATE TABLE */
                ok = add_check(d, i, &rt->checks[k], err);
        return ok;
    }
    struct read_table *ru = &d->dst.tables[d->pairs[i].dest];
    for (size_t k = ru->n_checks; k-- > 0;) {
        const struct read_check *c = &ru->checks[k];
        if (!c->is_local || check_named(rt, c->name))
            continue;
        if (book_find(&d->book, d->src.s->tables[i].oid, BOOK_CHECK, -1, c->name))
            drop_check(d, i, c->name);
        else if (!is_known(d, i))
            tell_extra(d, i, c->name);
    }
    for (size_t k = 0; ok && k < rt->n_checks; k++)
        ok = judge_check(d, i, &rt->checks[k], err);
    return ok;
}

/* --- foreign keys ------------------------------------------------------------------------------
 */

void diff_drop_fkey(struct diff *d, int i, const char *name)
{
    drop_constraint(d, i, name);
}

static void put_names(struct buf *b, const struct schema_table *t, const char *nums)
{
    while (*nums) {
        char *end;
        const struct schema_column *c = read_find_column(t, (int)strtol(nums, &end, 10));
        pg_quote_ident(b, c ? c->name : "");
        buf_putc(b, ',');
        nums = *end ? end + 1 : end;
    }
}

/* What a foreign key says, with the names that columns will have. */
static char *fkey_text(const struct reader *r, const struct schema_table *t,
                       const struct read_fkey *f, int to)
{
    struct buf b = {0};
    put_names(&b, t, f->columns);
    buf_printf(&b, " %d ", to);
    put_names(&b, &r->s->tables[f->to], f->key);
    buf_printf(&b, " %s", f->actions);
    return buf_take(&b);
}

static bool is_same_fkey(struct diff *d, int i, size_t from, size_t to)
{
    int j = d->pairs[i].dest;
    const struct read_fkey *a = &d->dst.tables[j].fkeys[from], *b = &d->src.tables[i].fkeys[to];
    char *x = fkey_text(&d->dst, &d->dst.s->tables[j], a, d->dst.s->tables[a->to].mapping);
    char *y = fkey_text(&d->src, &d->src.s->tables[i], b, b->to);
    bool is_same = strcmp(x, y) == 0;
    free(x);
    free(y);
    return is_same;
}

static void add_fkey(struct diff *d, int i, const struct schema_fkey *f)
{
    const struct schema_table *t = &d->src.s->tables[i];
    struct schema_step *s =
        diff_run(d, STAGE_FKEY, i, mem_strdup(f->add_sql),
                 mem_printf("add foreign key %s of %s.%s", f->name, t->dest_schema, t->dest_name));
    s->is_late = true;
    s->is_refusable = true;
    diff_remade(d, i, f->name);
    if (f->validate_sql)
        validate(d, i, f->name, f->add_sql);
}

static size_t fkey_named(const struct schema_table *t, const char *name)
{
    size_t k = 0;
    while (k < t->n_fkeys && strcmp(t->fkeys[k].name, name) != 0)
        k++;
    return k;
}

bool diff_fkeys(struct diff *d, int i, struct err *err)
{
    (void)err;
    const struct schema_table *t = &d->src.s->tables[i];
    struct schema_table *u = dest_of(d, i);
    for (size_t k = u && d->config->replicate_foreign_keys ? u->n_fkeys : 0; k-- > 0;) {
        if (fkey_named(t, u->fkeys[k].name) < t->n_fkeys)
            continue;
        if (book_find(&d->book, t->oid, BOOK_FKEY, -1, u->fkeys[k].name))
            diff_drop_fkey(d, i, u->fkeys[k].name);
        else if (!is_known(d, i))
            tell_extra(d, i, u->fkeys[k].name);
    }
    for (size_t k = 0; k < t->n_fkeys; k++) {
        size_t at = u ? fkey_named(u, t->fkeys[k].name) : 0;
        const struct pair *to = &d->pairs[t->fkeys[k].to];
        if (to->is_unfit && to->dest < 0)
            continue;
        if (!u || at == u->n_fkeys) {
            add_fkey(d, i, &t->fkeys[k]);
        } else if (!is_same_fkey(d, i, at, k)) {
            diff_drop_fkey(d, i, t->fkeys[k].name);
            add_fkey(d, i, &t->fkeys[k]);
        } else if (t->fkeys[k].validate_sql && !u->fkeys[at].validate_sql) {
            validate(d, i, t->fkeys[k].name, NULL);
        }
    }
    return true;
}
