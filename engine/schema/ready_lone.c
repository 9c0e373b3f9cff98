/* Sequences that no table uses, before a cutover: no mirror carries them, and each value that the
 * destination gives out a second time is a duplicate. So each has the statement that sets it there.
 * See ready.h. */
#include "schema/ready.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "schema/preflight_private.h"
#include "schema/sequences_private.h"

#define LONE_MS 15000 /* one question */
#define QUESTION "sequences_not_mirrored"

/* A sequence as one side has it. */
struct place {
    bool exists, is_readable, is_descending;
    struct sequence_value value;
};

/* Their names, quoted and qualified, and the statements that create them. */
static bool list(const struct ready *r, struct findings *out, struct err *err)
{
    struct preflight k = {.source = r->source,
                          .source_task = r->source_task,
                          .c = r->config,
                          .f = out,
                          .is_report = true};
    bool ok = true;
    findings_begin(&k.refused, "no_answer", SEVERITY_INFO);
    for (size_t i = 0; ok && i < object_question_count; i++)
        if (!strcmp(object_questions[i].code, QUESTION))
            ok = preflight_ask(&k, r->source, r->source_task, &object_questions[i], 1, err);
    if (ok && k.refused.n && k.refused.items[0].n_items)
        ok = err_set(err, ERR_SQL, "the source does not say which there are");
    preflight_free(&k);
    findings_free(&k.refused);
    return ok;
}

static const char places_sql[] =
    "SELECT x.i - 1, pg_catalog.has_sequence_privilege(s.seqrelid, 'SELECT'), s.seqincrement < 0"
    " FROM unnest($1::pg_catalog.text[]) WITH ORDINALITY AS x(name, i)"
    " JOIN pg_catalog.pg_sequence s ON s.seqrelid = pg_catalog.to_regclass(x.name)";

static bool find_places(struct pg_conn *c, struct task *task, const struct finding *names,
                        struct place *out, struct err *err)
{
    const char **items = mem_calloc(names->n_items + 1, sizeof *items);
    struct pg_result *res = NULL;
    struct buf array = {0};
    for (size_t i = 0; i < names->n_items; i++)
        items[i] = names->items[i].name;
    pg_quote_array(&array, names->n_items, items);
    const char *values[] = {buf_text(&array)};
    bool ok = pg_exec_params(c, task, LONE_MS, places_sql, 1, values, &res, err);
    for (size_t row = 0; ok && row < pg_rows(res); row++)
        out[pg_int(res, row, 0)] = (struct place){.exists = true,
                                                  .is_readable = pg_bool(res, row, 1),
                                                  .is_descending = pg_bool(res, row, 2)};
    pg_free(res);
    buf_free(&array);
    free(items);
    return ok;
}

static bool read_values(struct pg_conn *c, struct task *task, const struct finding *names,
                        struct place *out, struct err *err)
{
    struct pg_result *res = NULL;
    struct buf sql = {0};
    for (size_t i = 0; i < names->n_items; i++)
        if (out[i].is_readable)
            buf_printf(&sql, "%sSELECT %zu, last_value, is_called FROM %s",
                       sql.len ? " UNION ALL " : "", i, names->items[i].name);
    bool ok = !sql.len || pg_exec(c, task, LONE_MS, buf_text(&sql), &res, err);
    for (size_t row = 0; ok && sql.len && row < pg_rows(res); row++)
        out[pg_int(res, row, 0)].value =
            (struct sequence_value){true, pg_int(res, row, 1), pg_bool(res, row, 2)};
    pg_free(res);
    buf_free(&sql);
    return ok;
}

static bool look(struct pg_conn *c, struct task *task, const struct finding *names,
                 struct place *out, struct err *err)
{
    struct read_tries tries = {0};
    for (;;) {
        for (size_t i = 0; i < names->n_items; i++)
            out[i] = (struct place){0};
        if (find_places(c, task, names, out, err) && read_values(c, task, names, out, err))
            return true;
        (void)read_note_gone(err);
        if (!read_again(c, task, &tries, err))
            return read_failed(err);
    }
}

static char *set_sql(const struct finding_item *s, const struct place *here,
                     const struct place *there)
{
    struct buf b = {0};
    if (!here->exists && s->statement)
        buf_printf(&b, "%s ", s->statement);
    buf_puts(&b, "SELECT pg_catalog.setval(");
    pg_quote_literal(&b, s->name);
    buf_printf(&b, ", %lld, %s);", (long long)there->value.last,
               there->value.is_called ? "true" : "false");
    return buf_take(&b);
}

/* True where it has no more to be done. */
static bool judge(const struct finding_item *s, const struct place *there, const struct place *here,
                  struct cutover_check *k)
{
    static const struct sequence_value none = {0};
    char note[160];
    if (!there->is_readable || (here->exists && !here->is_readable)) {
        cutover_item(k, s->name,
                     there->is_readable ? "it may not be read at the destination"
                                        : "it may not be read at the source",
                     NULL);
        return false;
    }
    enum sequence_step step =
        here->exists ? sequence_decide(there->is_descending, &there->value, &here->value, &none)
                     : SEQUENCE_FORWARD;
    if (step == SEQUENCE_SAME)
        return true;
    if (here->exists)
        str_printf(note, sizeof note, "%lld at the source, %lld at the destination%s",
                   (long long)there->value.last, (long long)here->value.last,
                   step == SEQUENCE_LEAVE ? ", which is further on" : "");
    else
        str_printf(note, sizeof note, "%lld at the source, missing at the destination",
                   (long long)there->value.last);
    char *sql = step == SEQUENCE_LEAVE ? NULL : set_sql(s, here, there);
    cutover_item(k, s->name, note, sql);
    free(sql);
    return false;
}

static void report(const struct ready *r, const struct finding *names, const struct place *there,
                   const struct place *here)
{
    size_t open = 0;
    struct cutover_check *k = cutover_add(r->out, "lone_sequences", CUTOVER_OK, "%s", "");
    for (size_t i = 0; i < names->n_items; i++)
        open += !judge(&names->items[i], &there[i], &here[i], k);
    free(k->text);
    k->state = open ? CUTOVER_REMARK : CUTOVER_OK;
    k->text = open ? mem_printf("Sequences that no table uses are not mirrored: %zu of %zu have "
                                "another value at the destination. Once nobody writes at the "
                                "source any more, run there:",
                                open, names->n_items)
                   : mem_printf("Those that no table uses have the source's values: %zu.",
                                names->n_items);
}

bool ready_lone_sequences(const struct ready *r, struct err *err)
{
    struct findings f = {0};
    bool ok = list(r, &f, err);
    if (ok && f.n && f.items[0].n_items) {
        const struct finding *names = &f.items[0];
        struct place *there = mem_calloc(names->n_items, sizeof *there);
        struct place *here = mem_calloc(names->n_items, sizeof *here);
        ok = look(r->source, r->source_task, names, there, err) &&
             look(r->dest, r->dest_task, names, here, err);
        if (ok)
            report(r, names, there, here);
        free(there);
        free(here);
    } else if (ok) {
        cutover_add(r->out, "lone_sequences", CUTOVER_OK, "Tables use all of the source's.");
    }
    findings_free(&f);
    return ok || err_context(err, "compare sequences that no table uses");
}
