/* What stands behind an error; see causes.h. PostgreSQL docs, appendix A, "Error Codes". */
#include "control/causes.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define LOGIN_HINT                                                                            \
    "Correct the peer (bunnydb peer change PEER --password-stdin); its mirrors try again at " \
    "once. Or let the role in at the server and retry."
#define ROOM_HINT "Make room there, or add some; the mirror goes on by itself and loses nothing."

/* A SQLSTATE, or the class that it begins with; the first that fits counts. */
static const struct {
    const char *sqlstate;
    enum err_code code;
    const char *hint;
} causes[] = {
    {"28P01", ERR_LOGIN, LOGIN_HINT},
    {"28", ERR_LOGIN,
     "Its pg_hba.conf must let the peer's role in from here, also for replication "
     "at a source; reload the server, then retry."},
    {"3D000", ERR_DATABASE, "Correct the peer's database, or make the database again; then retry."},
    {"42501", ERR_RIGHTS,
     "Grant the peer's role what is named (bunnydb peer test PEER lists what "
     "a source and a destination need), then retry."},
    {"42P01", ERR_TABLE_MISSING, NULL},
    {"42703", ERR_SCHEMA, "sync-schema shows how the definitions differ, and makes them equal."},
    {"25006", ERR_READ_ONLY,
     "It is a standby, or default_transaction_read_only is on: point the "
     "peer at the primary, or switch that off."},
    {"53100", ERR_DISK, ROOM_HINT},
    {"53300", ERR_SESSIONS,
     "Raise max_connections there, or end sessions that are idle; the "
     "mirror goes on by itself."},
    {"53400", ERR_LIMIT,
     "Raise max_replication_slots and max_wal_senders at the source, or drop "
     "slots that nobody uses; the mirror goes on by itself."},
    {"55P03", ERR_LOCKED,
     "Somebody holds a lock there (bunnydb doctor names who); the mirror "
     "tries again by itself."},
};

static bool may_be_named(const struct err *e)
{
    return e->sqlstate[0] && (e->code == ERR_SQL || e->code == ERR_CONNECT);
}

static void name_foreign_key(struct err *e)
{
    e->code = ERR_FKEY;
    if (e->constraint[0] && e->table[0])
        err_hint(e,
                 "If it is checked before the COMMIT, let it wait: ALTER TABLE \"%s\".\"%s\" ALTER "
                 "CONSTRAINT \"%s\" DEFERRABLE INITIALLY DEFERRED; else add the row that it refers "
                 "to. Then retry: nothing is lost.",
                 e->schema, e->table, e->constraint);
}

/* Who writes a hint below knows no mirror: its name is put in for NAME. */
static void name_mirror(const char *mirror, struct err *e)
{
    static const char command[] = "bunnydb retry NAME";
    char *at = strstr(e->hint, command);
    if (!at)
        return;
    char rest[sizeof e->hint];
    str_copy(rest, sizeof rest, at + sizeof command - 1);
    size_t room = sizeof e->hint - (size_t)(at - e->hint);
    str_printf(at, room, "bunnydb retry %s%s", mirror, rest);
}

void cause_name(const char *mirror, const struct err *from, struct err *out)
{
    *out = *from;
    if (!strcmp(from->sqlstate, "23503") && (from->code == ERR_REFUSED || from->code == ERR_SQL)) {
        name_foreign_key(out);
        return;
    }
    for (size_t i = 0; may_be_named(from) && i < COUNT_OF(causes); i++) {
        if (strncmp(from->sqlstate, causes[i].sqlstate, strlen(causes[i].sqlstate)) != 0)
            continue;
        out->code = causes[i].code;
        if (causes[i].hint || err_class_of(out) == CLASS_ASK) /* the server does not know us */
            err_hint(out, "%s", causes[i].hint ? causes[i].hint : "");
        break;
    }
    if (out->code == ERR_TABLE_MISSING)
        err_hint(
            out,
            "bunnydb sync-schema %s makes what is missing with all its rows; the other tables go "
            "on at once.",
            mirror);
    if (cause_is_a_type(from))
        err_hint(
            out,
            "bunnydb sync-schema %s lets the destination's types follow; if the value is one "
            "of before, which they do not take any more, it copies the table again. Nothing is "
            "lost. If the destination's column is your own: change it, then retry.",
            mirror);
    if (!out->hint[0])
        err_hint(out, err_class_of(out) == CLASS_RETRY
                          ? "It is tried again by itself; retry tries at once. Nothing is lost."
                          : "Correct it, then retry: nothing is lost.");
    name_mirror(mirror, out);
}

/* The table's own constraint names the table, a domain's does not. */
bool cause_is_a_type(const struct err *e)
{
    static const char *const states[] = {"22P02", "22P03", "22001", "22003", "22007", "22008"};
    if (e->code != ERR_REFUSED)
        return false;
    if (!strcmp(e->sqlstate, "23514"))
        return !e->table[0] && e->constraint[0];
    for (size_t i = 0; i < COUNT_OF(states); i++)
        if (!strcmp(e->sqlstate, states[i]))
            return true;
    return false;
}

bool cause_needs_new_slot(enum err_code code)
{
    return code == ERR_SLOT_MISSING || code == ERR_SLOT_LOST || code == ERR_SLOT_AHEAD ||
           code == ERR_PROGRESS_MISSING || code == ERR_PUBLICATION;
}

bool cause_is_final(enum err_code code)
{
    return cause_needs_new_slot(code) || code == ERR_SOURCE_CHANGED || code == ERR_SLOT_EXISTS ||
           code == ERR_PROTOCOL || code == ERR_INTERNAL;
}

const char *cause_action(const struct err *e)
{
    if (e->code == ERR_SCHEMA || e->code == ERR_TABLE_MISSING || cause_is_a_type(e))
        return "sync-schema";
    if (e->code == ERR_SLOT_ACTIVE)
        return "retry";
    switch (err_class_of(e)) {
    case CLASS_RETRY:
        return "";
    case CLASS_ASK:
    case CLASS_FINAL:
        return "retry";
    }
    return "";
}
