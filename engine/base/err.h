/* Errors as values. A function that can fail returns false and fills the struct err its caller
 * owns; on the way up context is put in front ("copy public.t: …"); who handles it logs it once. */
#ifndef BUNNY_ERR_H
#define BUNNY_ERR_H

#include <stdbool.h>

#define MUST_CHECK __attribute__((warn_unused_result))

/* What may be done about an error: try again by itself, wait for the operator, or it is a defect
 * or an input error and trying again is pointless. */
enum err_class {
    CLASS_RETRY,
    CLASS_ASK,
    CLASS_FINAL,
};

/* Every error code there is: symbol, stable name (API, logs), class, meaning (manual page). */
#define ERR_TABLE(X)                                                                               \
    X(ERR_NONE, "none", CLASS_FINAL, "no error")                                                   \
    X(ERR_INVALID, "invalid_request", CLASS_FINAL, "the input is wrong; the text names the field") \
    X(ERR_UNKNOWN_FIELD, "unknown_field", CLASS_FINAL, "the input has a field that is not known")  \
    X(ERR_NOT_FOUND, "not_found", CLASS_FINAL, "no such address or object")                        \
    X(ERR_PEER_NOT_FOUND, "peer_not_found", CLASS_FINAL, "no peer of that name")                   \
    X(ERR_PEER_EXISTS, "peer_exists", CLASS_FINAL, "a peer of that name exists already")           \
    X(ERR_PEER_IN_USE, "peer_in_use", CLASS_FINAL, "mirrors use the peer")                         \
    X(ERR_PEER_UNREACHABLE, "peer_unreachable", CLASS_FINAL, "a server could not be reached")      \
    X(ERR_MIRROR_NOT_FOUND, "mirror_not_found", CLASS_FINAL, "no mirror of that name")             \
    X(ERR_MIRROR_EXISTS, "mirror_exists", CLASS_FINAL, "a mirror of that name exists already")     \
    X(ERR_SLOT_IN_USE, "slot_in_use", CLASS_FINAL, "another mirror uses that slot on that source") \
    X(ERR_USER_NOT_FOUND, "user_not_found", CLASS_FINAL, "no user of that name")                   \
    X(ERR_USER_EXISTS, "user_exists", CLASS_FINAL, "a user of that name exists already")           \
    X(ERR_LAST_ADMIN, "last_admin", CLASS_FINAL, "the last admin cannot be deleted")               \
    X(ERR_PREFLIGHT, "preflight_failed", CLASS_FINAL, "the servers are not ready; see findings")   \
    X(ERR_BUSY, "operation_in_progress", CLASS_FINAL, "the mirror is busy with another operation") \
    X(ERR_ALREADY_PAUSED, "already_paused", CLASS_FINAL, "the mirror is paused already")           \
    X(ERR_NOT_PAUSED, "not_paused", CLASS_FINAL, "the mirror is not paused")                       \
    X(ERR_PAUSED, "mirror_paused", CLASS_FINAL, "the mirror is paused; resume it first")           \
    X(ERR_NOT_RUNNING, "not_running", CLASS_FINAL, "the mirror does not stream at the moment")     \
    X(ERR_TABLE_NOT_FOUND, "table_not_found", CLASS_FINAL, "the mirror has no such table")         \
    X(ERR_NOT_SUPPORTED, "not_supported", CLASS_FINAL, "bunnydb cannot do this yet")               \
    X(ERR_CLEANUP, "cleanup_failed", CLASS_FINAL, "something on a server could not be removed")    \
    X(ERR_CREDENTIALS, "invalid_credentials", CLASS_FINAL, "wrong user name or password")          \
    X(ERR_UNAUTHORIZED, "unauthorized", CLASS_FINAL, "a valid token is needed")                    \
    X(ERR_FORBIDDEN, "forbidden", CLASS_FINAL, "the user's role does not allow this")              \
    X(ERR_METHOD, "method_not_allowed", CLASS_FINAL, "the address exists, the method does not")    \
    X(ERR_TOO_LARGE, "body_too_large", CLASS_FINAL, "the body is larger than 1 MiB")               \
    X(ERR_NOT_JSON, "not_json", CLASS_FINAL, "the body is not JSON")                               \
    X(ERR_THROTTLED, "too_many_logins", CLASS_FINAL, "too many failed logins")                     \
    X(ERR_SHUTTING_DOWN, "shutting_down", CLASS_FINAL, "the process is stopping")                  \
    X(ERR_INTERNAL, "internal", CLASS_FINAL, "a defect of bunnydb")                                \
    X(ERR_CATALOG, "catalog", CLASS_RETRY, "the catalog file cannot be read or written")           \
    X(ERR_IO, "io", CLASS_RETRY, "a file or a descriptor failed")                                  \
    X(ERR_MEMORY, "out_of_memory", CLASS_RETRY, "a row does not fit into memory")                  \
    X(ERR_CANCELLED, "cancelled", CLASS_RETRY, "given up on command")                              \
    X(ERR_TIMEOUT, "timeout", CLASS_RETRY, "a server did not answer in time")                      \
    X(ERR_CONNECT, "connection_failed", CLASS_RETRY, "no connection, or it was lost")              \
    X(ERR_LOGIN, "login_failed", CLASS_ASK, "a server refused the login")                          \
    X(ERR_DATABASE, "database_missing", CLASS_ASK, "the database is gone from the server")         \
    X(ERR_RIGHTS, "permission_denied", CLASS_ASK, "a right is missing at a server")                \
    X(ERR_READ_ONLY, "read_only", CLASS_RETRY, "a server takes no writes at the moment")           \
    X(ERR_DISK, "disk_full", CLASS_RETRY, "a server's disk is full")                               \
    X(ERR_SESSIONS, "too_many_connections", CLASS_RETRY, "a server has no free connection")        \
    X(ERR_LIMIT, "server_limit", CLASS_RETRY, "a limit in a server's settings is reached")         \
    X(ERR_LOCKED, "locked", CLASS_RETRY, "a lock at a server was not to be had in time")           \
    X(ERR_SQL, "server_error", CLASS_ASK, "a server refused a statement; see the SQLSTATE")        \
    X(ERR_PROTOCOL, "protocol", CLASS_FINAL, "a message that bunnydb does not know")               \
    X(ERR_FENCED, "fenced", CLASS_ASK, "another process applies to this mirror")                   \
    X(ERR_SLOT_EXISTS, "slot_exists", CLASS_ASK, "a slot of that name exists and is not ours")     \
    X(ERR_SLOT_ACTIVE, "slot_active", CLASS_RETRY, "the slot is in use by another connection")     \
    X(ERR_SLOT_MISSING, "slot_missing", CLASS_ASK, "the slot is gone from the source")             \
    X(ERR_SLOT_LOST, "slot_lost", CLASS_ASK, "the source has removed WAL that the slot needs")     \
    X(ERR_SLOT_AHEAD, "slot_ahead", CLASS_ASK, "the slot stands after our progress: a gap")        \
    X(ERR_SOURCE_CHANGED, "source_changed", CLASS_ASK, "the source is another server now")         \
    X(ERR_PROGRESS_MISSING, "progress_missing", CLASS_ASK, "the destination lost our progress")    \
    X(ERR_PUBLICATION, "publication_missing", CLASS_ASK, "the publication is gone or incomplete")  \
    X(ERR_DECODING, "source_decoding", CLASS_ASK, "the source cannot decode its own log")          \
    X(ERR_TABLE_MISSING, "destination_table_missing", CLASS_ASK, "a destination table is missing") \
    X(ERR_SOURCE_TABLE, "source_table_missing", CLASS_ASK, "a source table is missing")            \
    X(ERR_SNAPSHOT_STALE, "snapshot_stale", CLASS_RETRY, "a table was rewritten since then")       \
    X(ERR_SCHEMA, "schema_mismatch", CLASS_ASK, "source and destination definitions differ")       \
    X(ERR_CONFLICT, "row_conflict", CLASS_ASK, "the destination has a row in a change's way")      \
    X(ERR_REFUSED, "row_refused", CLASS_ASK, "the destination does not allow a row of the source") \
    X(ERR_FKEY, "foreign_key_violation", CLASS_ASK, "a foreign key refuses a row of the source")   \
    X(ERR_IDENTITY, "replica_identity", CLASS_ASK, "a change came without a usable key")

enum err_code {
#define X(symbol, name, class, meaning) symbol,
    ERR_TABLE(X)
#undef X
    ERR_CODE_COUNT
};

struct err {
    enum err_code code;
    char sqlstate[6];           /* empty unless a server said it */
    char schema[64], table[64]; /* what it is about there, if the server said that, too */
    char constraint[64];        /* the same */
    char text[768];             /* a sentence for a person */
    char hint[512];             /* what to do next; may be empty */
};

/* Fill *e and return false, so that "return err_set(…)" reads well. e may be NULL. */
bool err_set(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool err_hint(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Put context in front of the text: "context: text". Returns false. */
bool err_context(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_clear(struct err *e);

const char *err_name(enum err_code code);
const char *err_meaning(enum err_code code);
/* Decided by SQLSTATE where there is one (classes 08 40 53 55 57 58 retry, 22 23 28 42 … ask). */
enum err_class err_class_of(const struct err *e);

#endif
