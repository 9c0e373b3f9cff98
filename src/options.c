/* The tables of the command line; see options.h. */
#include "src/options.h"

#include <string.h>

#include "base/mem.h"
#include "src/cli/commands.h"
#include "src/spec.h"

const struct exit_row exit_rows[] = {
    {EXIT_OK, "Done; for bunnydb itself: ended as asked."},
    {EXIT_FAILED, "Failed, or refused; the last message says why. check, cutover, doctor: "
                  "something remains."},
    {EXIT_USAGE, "The command line or the configuration is wrong."},
    {EXIT_NO_PROCESS, "No bunnydb runs on that state directory."},
    {EXIT_WAITED, "The time of --wait is over; what was asked goes on."},
    {EXIT_UNHEALTHY, "status: a mirror that was asked for is in error."},
};
const size_t exit_count = COUNT_OF(exit_rows);

const struct environment_row environment_rows[] = {
    {"BUNNYDB_CONF", "Configuration file to read when there is no -c."},
    {"BUNNYDB_LOG",
     "Level of the log (debug, info, warn, error), before that of the configuration."},
    {"BUNNY_ADMIN_USER", "With BUNNY_ADMIN_PASSWORD: the first admin, made while no user exists."},
    {"BUNNY_ADMIN_PASSWORD", "See BUNNY_ADMIN_USER."},
    {"XDG_CONFIG_HOME", "Where bunnydb/bunnydb.conf is looked for; ~/.config by default."},
    {"XDG_STATE_HOME", "Where the state directory bunnydb is; ~/.local/state by default."},
};
const size_t environment_count = COUNT_OF(environment_rows);

/* words, arguments, function, fields, meaning, what else to know */
const struct command_row command_rows[COMMAND_COUNT] = {
    [COMMAND_RUN] = {"", "", NULL, NULL, "Run the engine with its console.", NULL},
    [COMMAND_USER_ADD] = {"user add", "NAME", NULL, NULL,
                          "Make a user of the HTTP API; asks for the password.", NULL},
    [COMMAND_ATTACH] = {"attach", "", cli_attach, NULL,
                        "The console of a running process, also of one that runs --headless.",
                        "Over the Unix socket in the state directory, whose owner may do "
                        "everything; several at the same time are possible. When the process "
                        "ends, the console says so and waits for it."},
    [COMMAND_TOP] = {"top", "", cli_top, NULL, "What the console shows; with --once as plain text.",
                     "--once prints all mirrors, problems first, and what is wrong with them, "
                     "without control codes: for scripts and screen readers. Without it the "
                     "console is opened, as by attach."},
    [COMMAND_STATUS] = {"status", "[MIRROR]", cli_status, NULL,
                        "How all mirrors are, or one in detail.",
                        "Ends with 5 when a mirror that was asked for is in error."},
    [COMMAND_PEER_ADD] = {"peer add", "NAME", cli_peer_add, &peer_fields,
                          "Make a peer: a database, and how to log in to it.",
                          "The password comes from --password-stdin or --password; without one "
                          "libpq's own ways apply (pgpass, certificate, peer)."},
    [COMMAND_PEER_LIST] = {"peer list", "", cli_peer_list, NULL, "All peers.", NULL},
    [COMMAND_PEER_SHOW] = {"peer show", "PEER", cli_peer_show, NULL, "One peer.", NULL},
    [COMMAND_PEER_TEST] = {"peer test", "PEER", cli_peer_test, NULL,
                           "Log in, and check what a source and a destination need.",
                           "Ends with 1 when the login fails. What is missing for one of the two "
                           "roles is only printed."},
    [COMMAND_PEER_TABLES] = {"peer tables", "PEER", cli_peer_tables, NULL,
                             "The tables of a peer, and whether they can be mirrored.", NULL},
    [COMMAND_PEER_CHANGE] = {"peer change", "PEER", cli_peer_change, &peer_fields,
                             "Change what is given; the peer's mirrors connect again.",
                             "--option replaces all of the peer's libpq keywords."},
    [COMMAND_PEER_REMOVE] = {"peer remove", "PEER", cli_peer_remove, NULL, "Delete a peer.", NULL},
    [COMMAND_CHECK] = {"check", "SOURCE [DESTINATION]", cli_check, NULL,
                       "What a mirror of all tables of a peer would meet, before one is made.",
                       "Says which tables can be mirrored as they are, with a remark or not at "
                       "all, what else of the database is not mirrored, and the statements that "
                       "help; with DESTINATION also what is missing there. Changes nothing. Ends "
                       "with 1 unless everything can be mirrored."},
    [COMMAND_MIRROR_CREATE] = {"mirror create", "NAME", cli_mirror_create, &mirror_fields,
                               "Check both servers and make a mirror.",
                               "When a server is not ready, all that is wrong is printed, and "
                               "nothing is made. --wait waits until the copy is complete and the "
                               "mirror runs."},
    [COMMAND_MIRROR_LIST] = {"mirror list", "", cli_mirror_list, NULL, "All mirrors.", NULL},
    [COMMAND_MIRROR_SHOW] = {"mirror show", "MIRROR", cli_mirror_show, NULL,
                             "One mirror in detail, with its tables.", NULL},
    [COMMAND_MIRROR_TABLES] = {"mirror tables", "MIRROR", cli_mirror_tables, NULL,
                               "The tables of a mirror; with --set: replace them.",
                               "--set takes the whole list, from --table or --file, and needs a "
                               "paused mirror; tables that are new are copied after resume."},
    [COMMAND_MIRROR_CHANGE] = {"mirror change", "MIRROR", cli_mirror_change, &mirror_fields,
                               "Change settings of a mirror, without another copy.",
                               "In effect with the mirror's next run, which it begins by itself, "
                               "once what is being copied or compared is done. Its tables are "
                               "changed by mirror tables --set."},
    [COMMAND_MIRROR_DELETE] = {"mirror delete", "MIRROR", cli_mirror_delete, NULL,
                               "Delete a mirror, its slot and its publication.",
                               "The destination's tables stay."},
    [COMMAND_PAUSE] = {"pause", "MIRROR", cli_pause, NULL, "Stop applying; the slot stays.", NULL},
    [COMMAND_RESUME] = {"resume", "MIRROR", cli_resume, NULL, "Go on after a pause.",
                        "--wait waits until the mirror runs."},
    [COMMAND_RETRY] = {"retry", "MIRROR", cli_retry, NULL, "Try again now after an error.",
                       "--wait waits until the mirror runs."},
    [COMMAND_RESYNC] = {"resync", "MIRROR [TABLE]", cli_resync, NULL,
                        "Copy all tables of a mirror anew, or one.",
                        "TABLE is the source's schema.table."},
    [COMMAND_SYNC_SCHEMA] = {"sync-schema", "MIRROR", cli_sync_schema, NULL,
                             "Bring the destination's definitions up to the source's.",
                             "--dry-run prints the statements for people, each in one line, and as "
                             "comments what is left to the operator; with --json exactly."},
    [COMMAND_VERIFY] = {"verify", "MIRROR", cli_verify, NULL,
                        "Compare the rows of source and destination.",
                        "With --wait or --last the report is printed, and the command ends with 1 "
                        "unless every table was compared and is equal."},
    [COMMAND_CUTOVER] = {"cutover", "MIRROR", cli_cutover, NULL,
                         "What remains before applications move to the destination.",
                         "Each check is ok, a remark, not yet (comes by itself) or cannot "
                         "(somebody has to act). Ends with 1 when something remains; --wait waits "
                         "until nothing does. Changes nothing unless --read-only is given."},
    [COMMAND_LOGS] = {"logs", "MIRROR", cli_logs, NULL, "The log of a mirror, oldest line first.",
                      "-f ends only with the mirror; it goes on after a restart of the process."},
    [COMMAND_RUNS] = {"runs", "MIRROR", cli_runs, NULL,
                      "The history: each run of a mirror and how it ended.", NULL},
    [COMMAND_DOCTOR] = {"doctor", "MIRROR", cli_doctor, NULL,
                        "What may be wrong with a mirror, as a checklist.",
                        "Status, findings, history, the process's log, the source, the "
                        "destination; each ok, info, warning or error, with what helps. Ends with "
                        "1 unless all is well. Changes nothing."},
    [COMMAND_DIAGNOSE] = {"diagnose", "MIRROR", cli_diagnose, NULL,
                          "All that a report of a problem needs, as JSON, without secrets.", NULL},
};

#define C(name) (UINT64_C(1) << COMMAND_##name)
#define EVERY ((UINT64_C(1) << COMMAND_COUNT) - 1)
#define CLIENTS (EVERY & ~(C(RUN) | C(USER_ADD) | C(ATTACH)))
#define PEERS (C(PEER_ADD) | C(PEER_CHANGE))
#define MAPPINGS (C(MIRROR_CREATE) | C(MIRROR_TABLES))
#define WAITING                                                                          \
    (C(MIRROR_CREATE) | C(MIRROR_DELETE) | C(PAUSE) | C(RESUME) | C(RETRY) | C(RESYNC) | \
     C(SYNC_SCHEMA) | C(VERIFY) | C(CUTOVER))

static const struct option_row own_rows[] = {
    [OPTION_CONFIG] = {"config", 'c', .argument = "FILE", .commands = EVERY,
                       .text = "Read this configuration file."},
    [OPTION_HEADLESS] = {"headless", .commands = C(RUN),
                         .text = "Run without the console; log to stderr."},
    [OPTION_HTTP] = {"http", .argument = "ADDR:PORT", .commands = C(RUN),
                     .text = "Serve the HTTP API there, too."},
    [OPTION_STATE_DIR] = {"state-dir", .argument = "DIR", .commands = EVERY,
                          .text = "Where catalog, key, socket and lock of the process are."},
    [OPTION_ROLE] = {"role", .argument = "admin|viewer", .commands = C(USER_ADD),
                     .text = "viewer by default."},
    [OPTION_SOURCE] = {"source", .argument = "PEER", .commands = C(MIRROR_CREATE),
                       .text = "Peer to copy from.", .field_name = "source_peer"},
    [OPTION_DESTINATION] = {"destination", .argument = "PEER", .commands = C(MIRROR_CREATE),
                            .text = "Peer to copy to.", .field_name = "destination_peer"},
    [OPTION_TABLE] = {"table", .argument = "SOURCE[=DEST]", .commands = MAPPINGS,
                      .text = "A table, schema.table, or all of a schema, \"schema.*\". Several "
                              "are possible."},
    [OPTION_EXCLUDE] = {"exclude", .argument = "TABLE:COLUMN", .commands = MAPPINGS,
                        .text = "Leave out this column of a --table. Several are possible."},
    [OPTION_PARTITION_KEY] = {"partition-key", .argument = "TABLE:COLUMN", .commands = MAPPINGS,
                              .text = "Split the copy of a --table by this column."},
    [OPTION_SET] = {"set", .commands = C(MIRROR_TABLES),
                    .text = "Replace the mirror's tables by those of --table or --file."},
    [OPTION_AVAILABLE] = {"available", .commands = C(MIRROR_TABLES),
                          .text = "The source's tables that the mirror does not have."},
    [OPTION_OPTION] = {"option", .argument = "KEY=VALUE", .commands = PEERS,
                       .text = "A further libpq keyword, such as sslrootcert. Several are "
                               "possible."},
    [OPTION_PASSWORD] = {"password", .commands = PEERS, .text = "Ask for the password."},
    [OPTION_PASSWORD_STDIN] = {"password-stdin", .commands = PEERS | C(USER_ADD),
                               .text = "Read the password from the first line of standard input."},
    [OPTION_FILE] = {"file", .argument = "FILE", .commands = PEERS | MAPPINGS | C(MIRROR_CHANGE),
                     .text = "Take the API's JSON body from this file, \"-\": standard input. "
                             "Options go before what it says."},
    [OPTION_FORCE] = {"force", .commands = C(MIRROR_DELETE),
                      .text = "Forget the mirror even when a server cannot be reached, and say "
                              "what is left there."},
    [OPTION_RECREATE_SLOT] = {"recreate-slot", .commands = C(RETRY),
                              .text = "With a new slot, and so with a new copy of all tables."},
    [OPTION_TAKE_SLOT] = {"take-slot", .commands = C(RETRY),
                          .text = "End whoever holds the slot at the source, if need be."},
    [OPTION_STRATEGY] = {"strategy", .argument = "truncate|swap", .commands = C(RESYNC),
                         .text = "How; else as the mirror was made."},
    [OPTION_DRY_RUN] = {"dry-run", .commands = C(SYNC_SCHEMA),
                        .text = "Only print the statements."},
    [OPTION_LAST] = {"last", .commands = C(VERIFY),
                     .text = "Print the last report; compare nothing now."},
    [OPTION_REPAIR] = {"repair", .commands = C(VERIFY),
                       .text = "Make rows that differ what they are at the source, at most 10,000 "
                               "a table, and compare again."},
    [OPTION_VERIFY] = {"verify", .commands = C(CUTOVER), .text = "Compare all rows first."},
    [OPTION_READ_ONLY] = {"read-only", .commands = C(CUTOVER) | C(ATTACH) | C(TOP),
                          .text =
                              "attach, top: no key changes anything. cutover: let new sessions of "
                              "the source's database only read, and wait "
                              "until the destination has everything, a minute without --wait. "
                              "The report names the sessions that exist, which may go on "
                              "writing, and the statement that undoes it."},
    [OPTION_ONCE] = {"once", .commands = C(TOP), .text = "Print it once, as plain text."},
    [OPTION_FOLLOW] = {"follow", 'f', .commands = C(LOGS), .text = "Print new lines as they come."},
    [OPTION_LINES] = {"lines", 'n', .argument = "N", .commands = C(LOGS) | C(RUNS),
                      .text = "The newest N; 50 by default."},
    [OPTION_LEVEL] = {"level", .argument = "debug|info|warn|error", .commands = C(LOGS),
                      .text = "Only lines of this level."},
    [OPTION_SEARCH] = {"search", .argument = "TEXT", .commands = C(LOGS),
                       .text = "Only lines that contain this text."},
    [OPTION_WAIT] = {"wait", .is_value_optional = true, .argument = "SECONDS", .commands = WAITING,
                     .text = "Wait until it is done, at most that long; ends with 1 when the "
                             "mirror gets into an error. A number that follows is SECONDS."},
    [OPTION_JSON] = {"json", .commands = CLIENTS, .text = "Print the API's JSON as it came."},
    [OPTION_TIMEOUT] = {"timeout", .argument = "SECONDS", .commands = CLIENTS,
                        .text = "Longest wait for an answer of the process; 60 by default."},
    [OPTION_VERSION] = {"version", 'V', .commands = EVERY, .text = "Print the version and end."},
    [OPTION_HELP] = {"help", 'h', .commands = EVERY, .text = "Print this help and end."},
};

/* --- Fields as options ------------------------------------------------------------------------ */
/* What stands for the value: "N", "yes|no", "truncate|swap", "TEXT"; NULL: no option can give it,
 * or (secrets) must. */
static const char *argument_of(const struct field *f)
{
    switch (f->type) {
    case FIELD_INT:
    case FIELD_INT64:
        return "N";
    case FIELD_BOOL:
        return "yes|no";
    case FIELD_CHOICE:
        return f->choices;
    case FIELD_TEXT:
    case FIELD_NAME:
    case FIELD_STRING:
        return "TEXT";
    case FIELD_SECRET:
    case FIELD_ARRAY:
    case FIELD_OBJECT:
        break;
    }
    return NULL;
}

/* Whether the table names the same thing under another name before this row. */
static bool is_older_name(const struct field_table *t, const struct field *f)
{
    for (const struct field *g = t->rows; g < f; g++)
        if (g->offset == f->offset)
            return true;
    return false;
}

/* The option of the list that sets this field of this table. */
static struct option_row *find_field(struct option_row *rows, size_t n, const struct field *f)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].field == f)
            return &rows[i];
    return NULL;
}

static struct option_row row_of_field(const struct field *f)
{
    struct option_row row = {.argument = argument_of(f),
                             .text = f->text,
                             .field_name = f->name,
                             .id = OPTION_FIELD,
                             .field = f};
    str_copy(row.name, sizeof row.name, f->name);
    for (char *s = row.name; *s; s++)
        if (*s == '_')
            *s = '-';
    return row;
}

bool option_fits(const struct option_row *row, enum command c)
{
    return row->commands >> c & 1;
}

bool option_is_common(const struct option_row *row)
{
    return (row->commands & CLIENTS) == CLIENTS;
}

size_t options_all(struct option_row rows[OPTIONS_MAX])
{
    size_t n = COUNT_OF(own_rows);
    memcpy(rows, own_rows, sizeof own_rows);
    for (size_t i = 0; i < n; i++)
        rows[i].id = (enum option_id)i;
    for (int c = 0; c < COMMAND_COUNT; c++) {
        const struct field_table *t = command_rows[c].fields;
        for (size_t i = 0; t && i < n; i++)
            if (rows[i].field_name && option_fits(&rows[i], (enum command)c))
                rows[i].field = fields_find(t, rows[i].field_name);
        for (size_t k = 0; t && k < t->n; k++) {
            const struct field *f = &t->rows[k];
            if (!argument_of(f) || !strcmp(f->name, "name") || is_older_name(t, f) ||
                (c == COMMAND_MIRROR_CHANGE && !f->bit))
                continue;
            struct option_row *row = find_field(rows, n, f);
            if (!row && n < OPTIONS_MAX) {
                rows[n] = row_of_field(f);
                row = &rows[n++];
            }
            if (row)
                row->commands |= UINT64_C(1) << c;
        }
    }
    return n;
}
