/* The values of a mirror's sequences follow while it streams: an errand that looks at both sides
 * now and then, with connections that it shares with other mirrors, so that the stream never waits
 * for it. The rule is in schema/sequences.h.
 *
 * It looks at the start, then every interval (up to three times as long when nothing changes), soon
 * after rows were applied and the stream has caught up, and a last time at the end. Every third
 * interval it also looks for triggers that fire there by now (schema/acting.h). Belongs to the
 * mirror's thread. */
#ifndef BUNNY_FOLLOW_H
#define BUNNY_FOLLOW_H

#include "schema/sequences.h"

struct follow;

struct follow_plan {
    struct sequences_owner owner; /* borrowed until follow_finish, as the targets */
    const struct pg_target *source, *dest;
    struct sessions *sessions;         /* borrowed, as the keys: it has no sessions of its own */
    const char *source_key, *dest_key; /* of those peers, as they are now */
    int interval_ms;
    int wake_fd;     /* the mirror's: signalled at news */
    bool is_fresh;   /* see sequences_new */
    bool is_replica; /* the mirror's sessions may be: no trigger fires */
};
struct follow_status {
    size_t followed;
    int64_t synced_at;       /* wall clock, us; 0: not yet */
    struct findings trouble; /* caller frees */
    bool has_acting;         /* it has looked for what fires at the destination */
    struct findings acting;  /* caller frees */
};

/* s is only read here. */
bool follow_start(const struct follow_plan *plan, const struct schema *s, struct follow **out,
                  struct err *err) MUST_CHECK;
/* Where the stream stands: safe as in sequences_follow, rows applied so far. Cheap. */
void follow_note(struct follow *f, lsn_t safe, int64_t rows, bool is_caught_up);
/* Look soon: something else has written to the destination's sequences. */
void follow_poke(struct follow *f);
/* True once after each look that found something out. */
bool follow_has_news(struct follow *f);
void follow_status(struct follow *f, struct follow_status *out);
/* A last look, of at most limit_ms; then it is over and freed. False when that look could not be
 * finished: the destination's sequences may be behind. */
bool follow_finish(struct follow *f, int limit_ms);
/* It was cancelled since it did not move, and has ended: the sequences follow no more. */
bool follow_was_late(struct follow *f);

#endif
