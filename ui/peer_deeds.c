/* What is done with peers; see peer_deeds.h. */
#include "ui/peer_deeds.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "ui/deeds.h"
#include "ui/lists.h"

static const struct peer *selected(const struct app *a)
{
    return app_screen(a) == SCREEN_PEERS ? lists_selected(&a->peers) : NULL;
}

bool has_peer(struct app *a, char *reason, size_t size)
{
    if (!selected(a))
        str_copy(reason, size, "no peer is selected");
    return selected(a) != NULL;
}

bool can_add(struct app *a, char *reason, size_t size)
{
    return can_command(a, reason, size);
}

bool can_change_peer(struct app *a, char *reason, size_t size)
{
    return can_command(a, reason, size) && has_peer(a, reason, size);
}

void do_peers(struct app *a)
{
    app_switch(a, SCREEN_PEERS);
}

void do_peer_test(struct app *a)
{
    const struct peer *p = selected(a);
    sheet_free(&a->sheet);
    a->sheet.kind = SHEET_PEER_TEST;
    str_copy(a->sheet.mirror, sizeof a->sheet.mirror, p->name);
    *a->mirror = '\0';
    app_ask(a, SHEET_PEER_TEST, a->sheet.mirror);
    app_open(a, SCREEN_REPORT);
}

/* --- Options: libpq's own writing, keyword=value keyword='va lue' ------------------------------
 */
static bool put_options(const struct peer *p, char *out, size_t size)
{
    struct buf b = {0};
    for (size_t i = 0; i < p->n_options; i++) {
        const char *v = p->option_values[i];
        bool quoted = !*v || strpbrk(v, " '\\");
        buf_printf(&b, "%s%s=%s", i ? " " : "", p->option_names[i], quoted ? "'" : "");
        for (; *v; v++) {
            if (*v == '\'' || *v == '\\')
                buf_putc(&b, '\\');
            buf_putc(&b, *v);
        }
        buf_puts(&b, quoted ? "'" : "");
    }
    bool fits = str_copy(out, size, buf_text(&b));
    buf_free(&b);
    return fits;
}

static const char *take_value(const char *s, struct buf *out)
{
    bool quoted = *s == '\'';
    for (s += quoted; *s && (quoted ? *s != '\'' : *s != ' '); s++) {
        if (*s == '\\' && s[1])
            s++;
        buf_putc(out, *s);
    }
    return quoted && *s ? s + 1 : s;
}

static bool take_options(const char *s, struct peer *p, char *why, size_t size)
{
    size_t most = strlen(s) + 1;
    p->option_names = mem_calloc(most, sizeof *p->option_names);
    p->option_values = mem_calloc(most, sizeof *p->option_values);
    while (*(s += strspn(s, " "))) {
        struct buf value = {0};
        size_t n = strcspn(s, "= ");
        if (s[n] != '=') {
            str_printf(why, size, "options: write keyword=value, not \"%.60s\"", s);
            return false;
        }
        char *name = mem_calloc(n + 1, 1);
        str_copy_n(name, n + 1, s, n);
        s = take_value(s + n + 1, &value);
        p->option_names[p->n_options] = name;
        p->option_values[p->n_options++] = mem_strdup(buf_text(&value));
        buf_free(&value);
    }
    return true;
}

/* --- The form --------------------------------------------------------------------------------- */
static const char *const ssl_modes[] = {"prefer", "require", "verify-ca", "verify-full",
                                        "allow",  "disable", NULL};
static const struct form_field peer_form[] = {
    {.key = "name", .label = "name", .help = "Letters, digits, - and _; at most 50."},
    {.key = "host",
     .label = "host",
     .help = "Host name, address, or the directory of a Unix socket."},
    {.key = "port", .label = "port", .help = "1 to 65535."},
    {.key = "database", .label = "database", .help = "The database to copy from or to."},
    {.key = "user",
     .label = "user",
     .help = "Role to log in as. A source's needs REPLICATION, and SELECT on its tables."},
    {.key = "password",
     .label = "password",
     .kind = FORM_SECRET,
     .help = "Stored in the state directory. Empty: libpq's own ways (pgpass, certificate)."},
    {.key = "ssl_mode",
     .label = "ssl_mode",
     .kind = FORM_CHOICE,
     .choices = ssl_modes,
     .help = "Blank or arrows change it. verify-full also checks the server's name."},
    {.key = "options",
     .label = "options",
     .help = "Further libpq keywords: sslrootcert=/etc/ca.pem connect_timeout=5. ******** stays "
             "stored."},
};

static struct form_field *field(struct form *f, const char *key)
{
    for (int i = 0; i < f->n; i++)
        if (!strcmp(f->fields[i].key, key))
            return &f->fields[i];
    return NULL;
}

static void put(struct form *f, const char *key, const char *value)
{
    struct form_field *x = field(f, key);
    str_copy(x->value, sizeof x->value, value);
}

/* Which fields of the peer the form changes. */
static unsigned changed(const struct form *f)
{
    static const struct {
        const char *key;
        unsigned bit;
    } bits[] = {{"host", PEER_HOST},         {"port", PEER_PORT},
                {"user", PEER_USER},         {"password", PEER_PASSWORD},
                {"database", PEER_DATABASE}, {"ssl_mode", PEER_SSL_MODE},
                {"options", PEER_OPTIONS}};
    unsigned all = 0;
    for (size_t i = 0; i < COUNT_OF(bits); i++)
        all |= form_is_changed(f, bits[i].key) ? bits[i].bit : 0;
    return all;
}

static bool read_form(const struct form *f, struct peer *p, char *why, size_t size)
{
    char *end;
    long port = strtol(form_value(f, "port"), &end, 10);
    *p = (struct peer){.name = mem_strdup(form_value(f, "name")),
                       .host = mem_strdup(form_value(f, "host")),
                       .user = mem_strdup(form_value(f, "user")),
                       .password = mem_strdup(form_value(f, "password")),
                       .database = mem_strdup(form_value(f, "database")),
                       .ssl_mode = mem_strdup(form_value(f, "ssl_mode"))};
    if (*end || port < 1 || port > 65535) {
        str_copy(why, size, "port: must be a number from 1 to 65535");
        return false;
    }
    p->port = (int)port;
    bool options = !f->fields[0].is_locked || form_is_changed(f, "options");
    return !options || take_options(form_value(f, "options"), p, why, size);
}

static void save(struct app *a)
{
    struct job j = {.kind = JOB_PEER_SAVE};
    char why[200];
    bool is_new = !a->form.fields[0].is_locked;
    if (!read_form(&a->form, &j.peer, why, sizeof why)) {
        peer_free(&j.peer);
        form_refuse(a, why, "");
        return;
    }
    j.fields = is_new ? 0 : changed(&a->form);
    if (!is_new && !j.fields) {
        peer_free(&j.peer);
        form_refuse(a, "nothing is changed", "");
    } else if (!jobs_submit(a->jobs, &j)) {
        form_refuse(a, "another request is still under way", "");
    }
}

static void open_form(struct app *a)
{
    struct form *f = &a->form;
    *f = (struct form){.button = "Save and test the connection", .done = save};
    f->n = COUNT_OF(peer_form);
    for (int i = 0; i < f->n; i++)
        f->fields[i] = peer_form[i];
    put(f, "port", "5432");
    put(f, "ssl_mode", "prefer");
}

void do_peer_add(struct app *a)
{
    open_form(a);
    str_copy(a->form.title, sizeof a->form.title, "a new peer");
    form_open(a);
}

void do_peer_change(struct app *a)
{
    const struct peer *p = selected(a);
    struct form *f = &a->form;
    char port[16];
    open_form(a);
    str_printf(f->title, sizeof f->title, "peer %s: its mirrors connect again with what is saved",
               p->name);
    str_printf(port, sizeof port, "%d", p->port);
    put(f, "name", p->name);
    f->fields[0].is_locked = true;
    put(f, "host", p->host);
    put(f, "port", port);
    put(f, "database", p->database);
    put(f, "user", p->user);
    put(f, "ssl_mode", p->ssl_mode);
    if (!put_options(p, field(f, "options")->value, sizeof f->fields[0].value)) {
        field(f, "options")->is_locked = true; /* what is cut would be lost */
        field(f, "options")->help = "Too long for this form: bunnydb peer change, or the API.";
    }
    field(f, "password")->help =
        p->has_password ? "One is stored; empty keeps it." : "None is stored; empty leaves it so.";
    form_open(a);
}

bool peer_job_done(struct app *a, const struct job_result *r)
{
    bool waits = a->mode == MODE_FORM && app_screen(a) == SCREEN_FORM && a->form.is_busy &&
                 r->kind == JOB_PEER_SAVE;
    if (waits && !r->ok) {
        form_refuse(a, r->err.text, r->err.hint);
        return true;
    }
    if (!waits)
        return false;
    form_close(a);
    str_copy(a->wanted_peer, sizeof a->wanted_peer, r->name);
    sheet_free(&a->sheet);
    a->sheet.kind = SHEET_PEER_TEST;
    str_copy(a->sheet.mirror, sizeof a->sheet.mirror, r->name);
    *a->mirror = '\0';
    app_ask(a, SHEET_PEER_TEST, r->name);
    app_open(a, SCREEN_REPORT);
    return false;
}

/* --- Deleting --------------------------------------------------------------------------------- */
static void delete_typed(struct app *a)
{
    const char *name = a->confirm.order.mirror;
    struct job j = {.kind = JOB_PEER_DELETE};
    if (strcmp(a->typed, name) != 0) {
        app_say(a, SEVERITY_INFO, "not done: that is not %s", name);
        return;
    }
    j.peer.name = mem_strdup(name);
    if (!jobs_submit(a->jobs, &j))
        app_say(a, SEVERITY_ERROR, "another request is still under way");
}

void do_peer_delete(struct app *a)
{
    const struct peer *p = selected(a);
    struct prompt *x = &a->prompt;
    int n = peer_uses(a, p->name, true) + peer_uses(a, p->name, false);
    if (n) {
        app_say(a, SEVERITY_ERROR, "peer %s is used by %d mirror%s: they are deleted first",
                p->name, n, n == 1 ? "" : "s");
        return;
    }
    a->confirm = (struct confirm){0};
    str_copy(a->confirm.order.mirror, sizeof a->confirm.order.mirror, p->name);
    str_printf(x->label, sizeof x->label, "type %s to forget this peer and its password", p->name);
    *a->typed = *x->before = '\0';
    x->target = a->typed;
    x->size = sizeof a->typed;
    x->done = delete_typed;
    a->mode = MODE_PROMPT;
}
