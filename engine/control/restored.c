/* A source that was set back: its files were replaced by an older copy, with the same identifier
 * and timeline. Once it has written past our progress again, its WAL says nothing of that: the
 * server would send what follows the progress, and leave out, without a word, what it wrote before.
 *
 * What tells is the slot. The position from which it needs WAL (restart_lsn) is on the source's
 * disk before it counts, and never goes back while the source is what it was: a slot that needs
 * older WAL than before has come out of a copy. Here is remembered how far it was. A copy that is
 * younger than the last of these positions, some seconds of a source that is in use, is not told by
 * this. */
#include "control/mirror_private.h"

#include "base/clock.h"
#include "base/log.h"

#define NOTE_MS 5000

static bool note(struct mirror *m, lsn_t restart, struct err *err)
{
    if (!catalog_mirror_set_restart(m->engine->catalog, m->row.config.name, restart, err))
        return false;
    m->row.slot_restart = restart;
    return true;
}

bool restored_forget(struct mirror *m, struct err *err)
{
    return !m->row.slot_restart || note(m, 0, err);
}

bool restored_check(struct run *r, struct err *err)
{
    struct mirror *m = r->m;
    struct slot_status s;
    m->restart_seen = 0;
    m->restart_at = clock_mono_ms() + NOTE_MS;
    if (!source_slot(r->source, &m->task, m->row.config.slot, &s, err))
        return false;
    if (!s.exists || !s.restart || s.restart >= m->row.slot_restart)
        return true; /* a slot that is gone or lost is found out next */
    err_set(err, ERR_SOURCE_CHANGED,
            "slot %s needs WAL from " LSN_FMT " on, and has been at " LSN_FMT
            " before: the source was restored to an earlier state",
            m->row.config.slot, LSN_ARGS(s.restart), LSN_ARGS(m->row.slot_restart));
    return err_hint(err,
                    "Retry with {\"recreate_slot\": true} (bunnydb retry NAME --recreate-slot) "
                    "copies the tables again; the destination's rows are replaced.");
}

/* What was seen at the last look is on the source's disk by now. */
void restored_note(struct run *r)
{
    struct mirror *m = r->m;
    struct err err = {0};
    int64_t now = clock_mono_ms();
    if (now < m->restart_at)
        return;
    lsn_t restart = m->restart_seen;
    m->restart_at = now + NOTE_MS;
    m->restart_seen = board_restart(m->board, pg_backend_pid(r->repl));
    if (restart > m->row.slot_restart && !note(m, restart, &err))
        log_warn("super", m->row.config.name, "cannot note how far the slot is: %s", err.text);
}
