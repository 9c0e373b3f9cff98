/* Many small statements in one message: a server that is far away takes a round trip for each, and
 * outside of a transaction one flush to its disk. */
#include "schema/schema_private.h"

#define BATCH_MS 300000

bool batch_run(struct pg_conn *dest, struct task *task, const char *const *sql, size_t n,
               bool in_transaction, bool *worked, struct err *err)
{
    struct buf all = {0};
    struct err why = {0};
    *worked = true;
    if (n == 0)
        return true;
    buf_puts(&all, in_transaction ? "SAVEPOINT bunny_batch" : "BEGIN");
    for (size_t k = 0; k < n; k++)
        buf_printf(&all, ";\n%s", sql[k]);
    buf_puts(&all, in_transaction ? ";\nRELEASE SAVEPOINT bunny_batch" : ";\nCOMMIT");
    *worked = pg_exec(dest, task, BATCH_MS, buf_text(&all), NULL, &why);
    buf_free(&all);
    if (*worked)
        return true;
    if (!why.sqlstate[0] || why.code != ERR_SQL) {
        *err = why;
        return false;
    }
    return pg_exec(dest, task, BATCH_MS,
                   in_transaction ? "ROLLBACK TO SAVEPOINT bunny_batch" : "ROLLBACK", NULL, err);
}
