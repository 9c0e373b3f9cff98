/* What the sampler saw of one mirror over the last half minute: rates and shares come from it.
 * Belongs to the sampler's thread of the source. */
#ifndef BUNNY_TALLY_H
#define BUNNY_TALLY_H

#include "control/reasons.h"

struct tally {
    char mirror[NAME_SIZE];
    struct {
        int64_t at_ms, kept, busy_us;
        lsn_t reached;
    } ring[EVIDENCE_SAMPLES]; /* oldest first */
    size_t n;
    int64_t copying_since; /* monotonic ms; 0: it does not copy */
    bool is_guarded;       /* the WAL guard has done its part, and there is no room yet */
    int64_t guard_at;      /* monotonic ms: not before, as it has failed */
};
void tally_note(struct tally *t, const struct mirror_status *s, lsn_t reached, int64_t now_ms);
/* Rates, shares and the time of the copy. */
void tally_fill(const struct tally *t, struct evidence *e);
/* Whether the WAL guard is to do its part now. Once: who resumes a mirror that was paused wants it
 * to catch up, which takes its time. */
bool tally_guards(struct tally *t, const struct evidence *e);

#endif
