/* Can this server be a source, can it be a destination: all that is wrong, each with the statement
 * or setting that heals it. */
#include "schema/preflight_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "schema/acting.h"

#define OLDEST_VERSION 120000
#define UNKNOWN_VERSION 180000 /* the first that this program was not written for */
#define SPARE 5                /* beside what is in use */
#define NEEDED_CONNECTIONS 10  /* apply, and the workers of a snapshot */

/* One finding about one thing; statement is the pattern of what heals it. */
static void __attribute__((format(printf, 6, 7)))
add(struct findings *f, const char *code, enum severity severity, const char *title,
    const char *cause, const char *statement, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, statement);
    (void)vsnprintf(text, sizeof text, statement, ap);
    va_end(ap);
    findings_add(f, code, severity, title, cause, text, "");
    findings_item(&f->items[f->n - 1], "", NULL, text);
}

static void check_version(struct findings *f, const char *role, int version)
{
    char title[160];
    str_printf(title, sizeof title, "the %s runs PostgreSQL %d", role, version / 10000);
    if (version < OLDEST_VERSION)
        findings_add(f, "version_unsupported", SEVERITY_ERROR, title, "12 is the oldest supported",
                     "upgrade the server to PostgreSQL 12 or later", "");
    else if (version >= UNKNOWN_VERSION)
        findings_add(f, "version_untested", SEVERITY_WARNING, title, "17 is the newest known",
                     "try it with a copy of your data first", "");
}

static const char source_sql[] =
    "SELECT pg_is_in_recovery(), current_setting('wal_level'),"
    " current_setting('max_replication_slots')::int,"
    " (SELECT count(*) FROM pg_replication_slots),"
    " current_setting('max_wal_senders')::int, (SELECT count(*) FROM pg_stat_replication),"
    " r.rolsuper OR r.rolreplication OR coalesce((SELECT pg_has_role(g.oid, 'member')"
    "  FROM pg_roles g WHERE g.rolname = 'rds_replication'), false),"
    " has_database_privilege(current_database(), 'CREATE'),"
    " quote_ident(current_user), quote_ident(current_database()),"
    " coalesce(current_setting('max_slot_wal_keep_size', true), '-1')"
    " FROM pg_roles r WHERE r.rolname = current_user";

static void check_capacity(const struct pg_result *res, struct findings *f)
{
    int64_t slots = pg_int(res, 0, 2), used_slots = pg_int(res, 0, 3);
    int64_t senders = pg_int(res, 0, 4), used_senders = pg_int(res, 0, 5);
    char cause[200];
    if (strcmp(pg_text(res, 0, 1), "logical") != 0) {
        str_printf(cause, sizeof cause,
                   "wal_level is %s: its WAL lacks what decoding needs. The server has to be"
                   " restarted afterwards.",
                   pg_text(res, 0, 1));
        add(f, "wal_level", SEVERITY_ERROR, "the source's wal_level is not logical", cause,
            "ALTER SYSTEM SET wal_level = 'logical';");
    }
    if (slots <= used_slots) {
        str_printf(cause, sizeof cause,
                   "max_replication_slots = %lld, all in use. Drop slots that nobody uses, or raise"
                   " the setting and restart the server.",
                   (long long)slots);
        add(f, "no_free_slot", SEVERITY_ERROR, "the source has no free replication slot", cause,
            "ALTER SYSTEM SET max_replication_slots = %lld;", (long long)slots + SPARE);
    }
    if (senders <= used_senders) {
        str_printf(cause, sizeof cause,
                   "max_wal_senders = %lld, all in use. The server has to be restarted afterwards.",
                   (long long)senders);
        add(f, "no_free_wal_sender", SEVERITY_ERROR, "the source has no free WAL sender", cause,
            "ALTER SYSTEM SET max_wal_senders = %lld;", (long long)senders + SPARE);
    }
}

static void check_recovery(const struct pg_result *res, int version, struct findings *f)
{
    if (pg_bool(res, 0, 0) && version < 160000)
        findings_add(f, "source_in_recovery", SEVERITY_ERROR, "the source is a standby", "",
                     "use its primary, or a standby of PostgreSQL 16 or later", "");
    else if (pg_bool(res, 0, 0))
        findings_add(f, "source_in_recovery", SEVERITY_WARNING, "the source is a standby", "",
                     "the publication has to be made on its primary", "");
}

bool preflight_source(struct pg_conn *source, struct task *task, struct findings *f,
                      struct err *err)
{
    struct pg_result *res = NULL;
    check_version(f, "source", pg_version(source));
    if (!pg_exec(source, task, PREFLIGHT_MS, source_sql, &res, err))
        return err_context(err, "preflight of the source");
    const char *user = pg_text(res, 0, 8), *database = pg_text(res, 0, 9);
    check_recovery(res, pg_version(source), f);
    check_capacity(res, f);
    if (!pg_bool(res, 0, 6))
        add(f, "no_replication_right", SEVERITY_ERROR,
            "the source's user may not open replication connections", "",
            "ALTER ROLE %s REPLICATION;", user);
    if (!pg_bool(res, 0, 7))
        add(f, "no_create_right", SEVERITY_ERROR, "the source's user may not create a publication",
            "", "GRANT CREATE ON DATABASE %s TO %s;", database, user);
    if (strcmp(pg_text(res, 0, 10), "-1") != 0) {
        char remedy[300];
        str_printf(remedy, sizeof remedy,
                   "max_slot_wal_keep_size = %s: a mirror that is behind by more is lost; raise it"
                   " if pauses shall be longer",
                   pg_text(res, 0, 10));
        findings_add(f, "slot_wal_limit", SEVERITY_INFO,
                     "the source removes WAL that a slot needs beyond a limit", "", remedy, "");
    }
    pg_free(res);
    return true;
}

static const char dest_sql[] =
    "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::bool,"
    " has_database_privilege(current_database(), 'CREATE'), quote_ident(current_user),"
    " quote_ident(current_database()), current_setting('max_connections')::int"
    "  - current_setting('superuser_reserved_connections')::int"
    "  - (SELECT coalesce(sum(numbackends), 0) FROM pg_stat_database),"
    " current_setting('max_connections')::int";

static bool check_replica_role(struct pg_conn *dest, struct task *task, const char *user,
                               struct findings *f, struct err *err)
{
    bool may;
    if (!schema_may_be_replica(dest, task, &may, err))
        return err_context(err, "preflight of the destination");
    if (may)
        return true;
    static const char title[] = "triggers fire and foreign keys are checked at the destination";
    static const char cause[] = "the user may not set session_replication_role";
    if (pg_version(dest) >= 150000)
        add(f, "no_replica_role", SEVERITY_WARNING, title, cause,
            "GRANT SET ON PARAMETER session_replication_role TO %s;", user);
    else
        findings_add(f, "no_replica_role", SEVERITY_WARNING, title, cause,
                     "use a superuser, or disable the tables' triggers and drop their foreign keys",
                     "");
    return true;
}

bool preflight_dest(struct pg_conn *dest, struct task *task, struct findings *f, struct err *err)
{
    struct pg_result *res = NULL;
    check_version(f, "destination", pg_version(dest));
    if (!pg_exec(dest, task, PREFLIGHT_MS, dest_sql, &res, err))
        return err_context(err, "preflight of the destination");
    const char *user = pg_text(res, 0, 3), *database = pg_text(res, 0, 4);
    if (pg_bool(res, 0, 0))
        findings_add(f, "destination_in_recovery", SEVERITY_ERROR, "the destination is a standby",
                     "", "use its primary", "");
    else if (pg_bool(res, 0, 1))
        add(f, "destination_read_only", SEVERITY_ERROR, "the destination is read-only",
            "By its own setting, or by that of the user or of the whole server.",
            "ALTER DATABASE %s RESET default_transaction_read_only;", database);
    if (!pg_bool(res, 0, 2))
        add(f, "no_create_right", SEVERITY_ERROR,
            "the destination's user may not create schemas (bunnydb keeps its progress in one)", "",
            "GRANT CREATE ON DATABASE %s TO %s;", database, user);
    if (pg_int(res, 0, 5) < NEEDED_CONNECTIONS) {
        char cause[200];
        str_printf(cause, sizeof cause,
                   "%lld are free, a snapshot uses up to %d. The server has to be restarted"
                   " afterwards; or lower snapshot_max_parallel_workers.",
                   (long long)pg_int(res, 0, 5), NEEDED_CONNECTIONS);
        add(f, "few_connections", SEVERITY_WARNING, "the destination has few free connections",
            cause, "ALTER SYSTEM SET max_connections = %lld;", (long long)pg_int(res, 0, 6) + 20);
    }
    bool ok = check_replica_role(dest, task, user, f, err);
    pg_free(res);
    return ok;
}
