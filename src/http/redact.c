/* Values of rows taken out of messages; see redact.h. */
#include "src/http/redact.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "src/http/to_json.h"

/* What PostgreSQL says where it shows a value between quotes (errors of class 22). */
static const char *const value_phrases[] = {
    "invalid input",        "out of range",   "malformed",     "invalid value",
    "is not a valid",       "not recognized", "byte sequence", "invalid hexadecimal",
    "invalid end sequence", "invalid symbol", "date/time",     "invalid cidr",
};

static bool may_hold_value(const char *text)
{
    for (size_t i = 0; i < COUNT_OF(value_phrases); i++)
        if (strstr(text, value_phrases[i]))
            return true;
    return false;
}

/* What our own messages say behind a key, "(id)=(5)". */
static const char *const behind_keys[] = {"), transaction ", ") in transaction ", ") lsn="};

/* A value may hold what looks like the end: the last one counts. */
static void redact_key(char *text)
{
    char *first = strstr(text, ")=("), *end = NULL;
    if (!first)
        return;
    first += 3;
    for (size_t i = 0; i < COUNT_OF(behind_keys); i++)
        for (char *p = strstr(first, behind_keys[i]); p; p = strstr(p + 1, behind_keys[i]))
            end = !end || p > end ? p : end;
    if (!end)
        end = first + strlen(first) - (first[0] && text[strlen(text) - 1] == ')');
    size_t dots = (size_t)(end - first) < 3 ? (size_t)(end - first) : 3;
    memset(first, '.', dots);
    memmove(first + dots, end, strlen(end) + 1);
}

/* Everything from the first quote to the last: a value may hold quotes itself. */
void redact_text(char *text)
{
    redact_key(text);
    char *first = strchr(text, '"'), *last = strrchr(text, '"');
    if (!may_hold_value(text) || !first || first == last)
        return;
    for (char *p = first + 1; p < last; p++)
        *p = '.';
    if (last - first > 4)
        memmove(first + 4, last, strlen(last) + 1);
}

/* "23505 duplicate key …": a server's error, whose DETAIL is in the details. */
static bool begins_with_sqlstate(const char *text)
{
    size_t n = 0;
    while (n < 5 && (isdigit((unsigned char)text[n]) || isupper((unsigned char)text[n])))
        n++;
    return n == 5 && text[5] == ' ' && isdigit((unsigned char)text[1]);
}

void redact_log_line(struct log_line *l)
{
    if (begins_with_sqlstate(l->text))
        l->details[0] = '\0';
    redact_text(l->text);
    redact_text(l->details);
}

void redact_runs(struct run_page *p)
{
    for (size_t i = 0; i < p->n; i++) {
        struct run_row *r = &p->rows[i];
        if (r->error)
            redact_text(r->error);
        for (size_t j = 0; j < r->n_events; j++)
            if (r->events[j].text)
                redact_text(r->events[j].text);
    }
}

static void redact_member(json_t *o, const char *key)
{
    char *text = mem_strdup(json_string_value(json_object_get(o, key)));
    if (!text)
        return;
    redact_text(text);
    json_put_text(o, key, text);
    free(text);
}

/* Who holds a lock, without the statement: "… for 5 s: LOCK TABLE t)". */
static void redact_statement(json_t *finding)
{
    const char *code = json_string_value(json_object_get(finding, "code"));
    const char *cause = json_string_value(json_object_get(finding, "cause"));
    const char *end = cause ? strstr(cause, " s: ") : NULL;
    if (!code || strcmp(code, "lock_wait") != 0 || !end)
        return;
    char *text = mem_printf("%.*s)", (int)(end + 2 - cause), cause);
    json_put_text(finding, "cause", text);
    free(text);
}

void redact_status(json_t *status)
{
    size_t i;
    json_t *o, *code = json_object_get(status, "error_code");
    bool is_servers = json_is_string(json_object_get(status, "error_sqlstate"));
    redact_member(status, "error_message");
    if (is_servers)
        json_object_set_new(status, "error_hint", json_null());
    json_array_foreach(json_object_get(status, "findings"), i, o)
    {
        redact_member(o, "cause");
        redact_statement(o);
        if (is_servers && json_equal(json_object_get(o, "code"), code))
            json_object_set_new(o, "remedy", json_null()); /* the error's hint */
    }
    json_array_foreach(json_object_get(status, "tables"), i, o) redact_member(o, "error_message");
}
