/* A report on the whole screen: what a cutover waits for, what the last comparison found, or what
 * may be wrong with a mirror. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ui/actions.h"
#include "ui/format.h"

static void put_items(struct facts *f, const struct cutover_check *k)
{
    for (size_t i = 0; i < k->n_items; i++) {
        const struct finding_item *x = &k->items[i];
        const char *note = x->note ? x->note : "", *sql = x->statement ? x->statement : "";
        bool named = x->name && *x->name;
        facts_add(f, ROLE_TEXT, 0, " ", "  %s%s%s", named ? x->name : "",
                  named && *note ? ": " : "", note);
        if (*sql)
            facts_add(f, ROLE_STRONG, 0, " ", "  %s", sql);
    }
}

/* What remains comes first. */
static void put_cutover(struct facts *f, const struct cutover *c)
{
    static const enum role roles[] = {ROLE_OK, ROLE_TEXT, ROLE_BUSY, ROLE_FAIL};
    static const char *const words[] = {"ok", "remark", "not yet", "cannot"};
    bool ready = cutover_is_ready(c);
    facts_add(f, ready ? ROLE_OK : ROLE_FAIL, 0, " ", "%s",
              ready ? "ready: pause the mirror, then point the applications at the destination"
                    : "not ready: what remains comes first");
    for (int state = CUTOVER_CANNOT; state >= CUTOVER_OK; state--)
        for (size_t i = 0; i < c->n; i++) {
            if ((int)c->checks[i].state != state)
                continue;
            facts_add(f, roles[state], 0, words[state], "%s: %s", c->checks[i].name,
                      c->checks[i].text);
            put_items(f, &c->checks[i]);
        }
}

static void put_row(struct facts *f, const struct verify_table *t, const struct verify_row *row)
{
    static const char *const kinds[] = {
        [VERIFY_DIFFERING] = "differs", [VERIFY_MISSING] = "missing", [VERIFY_EXTRA] = "extra"};
    char text[600] = "";
    for (size_t i = 0; i < row->n_values; i++) {
        size_t n = strlen(text);
        bool named = i < t->n_key;
        str_printf(text + n, sizeof text - n, "%s%s%s%s", i ? ", " : "", named ? t->key[i] : "",
                   named ? "=" : "", row->values[i]);
    }
    facts_add(f, row->is_repaired ? ROLE_OK : ROLE_WARN, 0, " ", "  %s%s %s", kinds[row->kind],
              row->is_repaired ? ", repaired:" : ":", text);
}

static void put_table(struct facts *f, const struct verify_table *t)
{
    bool equal = t->state == VERIFY_EQUAL, different = t->state == VERIFY_DIFFERENT;
    char fixed[48] = "";
    if (t->repaired)
        str_printf(fixed, sizeof fixed, ", repaired %lld", (long long)t->repaired);
    if (equal || different)
        facts_add(f, equal ? ROLE_OK : ROLE_FAIL, 0, equal ? "equal" : "different",
                  "%s.%s: equal %lld, differing %lld, missing %lld, extra %lld%s", t->source_schema,
                  t->source_table, (long long)t->equal, (long long)t->differing,
                  (long long)t->missing, (long long)t->extra, fixed);
    else
        facts_add(f, ROLE_WARN, 0, "left out", "%s.%s: %s", t->source_schema, t->source_table,
                  t->reason ? t->reason : "not compared");
    for (size_t i = 0; i < t->n_rows; i++)
        put_row(f, t, &t->rows[i]);
}

static void put_verify(struct app *a, struct facts *f, const struct sheet *r)
{
    char does[80];
    const struct verify_report *v = &r->verify;
    char ended[FORMAT_SIZE];
    int64_t n = sheet_differences(r);
    facts_add(f, n ? ROLE_FAIL : ROLE_TEXT, 0, " ", "%s at %s, both sides as of " LSN_FMT "%s%s",
              v->ending, format_date_time(v->ended_at, ended), LSN_ARGS(v->lsn),
              v->error ? ": " : "", v->error ? v->error : "");
    if (n)
        facts_add(
            f, ROLE_STRONG, 0, "do", "rows that differ: %lld; %s", (long long)n,
            action_text(a, "{verify} makes them what they are at the source", does, sizeof does));
    for (size_t i = 0; i < v->n_tables; i++)
        if (v->tables[i].state != VERIFY_EQUAL)
            put_table(f, &v->tables[i]);
    for (size_t i = 0; i < v->n_tables; i++)
        if (v->tables[i].state == VERIFY_EQUAL)
            put_table(f, &v->tables[i]);
}

/* In the order in which one looks, as nothing of it is long. */
static void put_doctor(struct app *a, struct facts *f, const struct findings *checks)
{
    char remedy[sizeof checks->items->remedy + 80];
    static const enum role roles[] = {ROLE_OK, ROLE_TEXT, ROLE_WARN, ROLE_FAIL};
    for (size_t i = 0; i < checks->n; i++) {
        const struct finding *x = &checks->items[i];
        facts_add(f, roles[x->severity], 0, severity_name(x->severity), "%s: %s", x->code,
                  x->cause);
        if (x->severity >= SEVERITY_WARNING && *action_remedy(a, x, remedy, sizeof remedy))
            facts_add(f, ROLE_STRONG, 0, " ", "  %s", remedy);
    }
}

static void put_role(struct facts *f, const struct findings *x, const char *role)
{
    static const enum role roles[] = {ROLE_OK, ROLE_TEXT, ROLE_WARN, ROLE_FAIL};
    facts_add(f, ROLE_TEXT, 0, "", "%s", "");
    facts_add(f, findings_have_errors(x) ? ROLE_FAIL : ROLE_STRONG, 0, role, "%s",
              findings_have_errors(x) ? "not yet:"
              : x->n                  ? "yes, with remarks:"
                                      : "yes");
    for (size_t i = 0; i < x->n; i++) {
        const struct finding *k = &x->items[i];
        facts_add(f, roles[k->severity], 0, severity_name(k->severity), "%s", k->title);
        facts_add(f, ROLE_TEXT, 0, " ", "  %s", k->cause);
        if (k->severity >= SEVERITY_WARNING)
            facts_add(f, ROLE_STRONG, 0, " ", "  %s", k->remedy);
    }
}

/* What a source needs and what a destination needs: a peer can be both. */
static void put_test(struct facts *f, const struct sheet *x)
{
    facts_add(f, ROLE_OK, 0, "connected", "PostgreSQL %s", x->test.version);
    put_role(f, &x->test.as_source, "as a source");
    put_role(f, &x->test.as_destination, "as a destination");
}

static const char *title_of(enum sheet_kind kind)
{
    return kind == SHEET_CUTOVER     ? "what remains before a cutover"
           : kind == SHEET_DOCTOR    ? "doctor, what may be wrong"
           : kind == SHEET_PEER_TEST ? "test of the connection"
                                     : "the last comparison";
}

static void report_draw(struct app *a)
{
    const struct rect *r = &a->layout.list;
    const struct sheet *x = &a->sheet;
    bool asks = x->kind != SHEET_VERIFY;
    char title[NAME_SIZE + 64], again[40];
    facts_clear(&a->page);
    str_printf(title, sizeof title, "%s: %s", x->mirror, title_of(x->kind));
    draw_rule(&a->paint, r->y, r->x, r->w, ROLE_STRONG, title,
              action_text(a, "{refresh} asks again", again, sizeof again));
    if (!x->is_there)
        facts_add(&a->page, ROLE_BUSY, 0, " ", "%s",
                  !asks                        ? "reading"
                  : x->kind == SHEET_PEER_TEST ? "logging in, and looking"
                                               : "asking both servers");
    else if (x->err.code)
        facts_add(&a->page, x->err.code == ERR_NOT_FOUND ? ROLE_TEXT : ROLE_FAIL, 0, " ", "%s%s%s",
                  x->err.text, *x->err.hint ? "; " : "", x->err.hint);
    else if (x->kind == SHEET_PEER_TEST)
        put_test(&a->page, x);
    else if (x->kind == SHEET_DOCTOR)
        put_doctor(a, &a->page, &x->checks);
    else if (asks)
        put_cutover(&a->page, &x->cutover);
    else
        put_verify(a, &a->page, x);
    struct rect body = {r->y + 1, r->x, r->h - 1, r->w};
    facts_draw_page(&a->paint, &a->page, &body, &a->page_top);
    a->cursor_y = body.y;
}

const struct screen screen_report = {"Report", LAYOUT_PAGE, report_draw};
