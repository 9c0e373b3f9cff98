/* The board: what one mirror publishes. Its thread and the sampler write, everybody reads copies.
 * One leaf lock, held for a copy only. Counts a version up for each visible change. */
#ifndef BUNNY_BOARD_H
#define BUNNY_BOARD_H

#include "control/lag.h"
#include "control/sight.h"
#include "engine.h"

struct board;

/* changed(arg) is called without the lock after a visible change; it must not block. */
struct board *board_new(void (*changed)(void *arg), void *arg);
void board_free(struct board *b);

/* The mirror's thread: publishes a copy of s (with its tables and findings). Slot, lag and source
 * position are the sampler's and are ignored here. safe: everything before it is at the destination
 * or holds nothing for it; 0 leaves it. */
void board_publish(struct board *b, const struct mirror_status *s, lsn_t safe);
/* The mirror's thread, often: everything before safe is done. Cheap. */
void board_reach(struct board *b, lsn_t safe);
void board_heartbeat(struct board *b);
/* The sampler: the slot's row, and the source's WAL end. */
void board_sample(struct board *b, const struct slot_status *slot, lsn_t source_lsn);
/* The sampler: what was found beside the mirror's thread; stands with the mirror's own findings
 * until it is replaced. f is borrowed. */
void board_observe(struct board *b, const struct findings *f);
/* What a server said of the mirror's sessions there, for the sampler's other thread. */
void board_see(struct board *b, bool of_dest, const struct sight *s);
struct sight board_sight(struct board *b, bool of_dest);
/* The sampler, every 5 s: adds a point to the lag's history. */
void board_history(struct board *b);
/* A copy for a picture. Its tables and findings are those that the mirror has published last,
 * shared with all who hold them and never changed; the caller releases them. */
struct board_lists;
void board_copy(struct board *b, struct mirror_status *out, struct board_lists **lists);
void board_lists_release(struct board_lists *l); /* NULL is fine */

/* What board_publish and board_reach have told last; 0: nothing. */
lsn_t board_safe(struct board *b);
/* restart_lsn of the slot as it was sampled last while that session held it; 0: it was not. */
lsn_t board_restart(struct board *b, int pid);
/* As last published. */
enum mirror_state board_state(struct board *b);

#endif
