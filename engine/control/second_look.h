/* Whether definitions differ after tables were copied beside the stream, whose rows some steps may
 * have waited for: asked by an errand with connections of its own, as a comparison that may change
 * something ends the run, and all other tables would wait for that. Mostly there is nothing to be
 * done. It belongs to the mirror's thread, which never waits for it but in second_look_finish. */
#ifndef BUNNY_SECOND_LOOK_H
#define BUNNY_SECOND_LOOK_H

#include "base/model.h"
#include "pg/pg.h"

struct second_look;

/* config, mirror_id and the targets are borrowed until second_look_finish; wake_fd: of the owner.
 * NULL: it cannot be asked. */
struct second_look *second_look_start(const struct mirror_config *config, const char *mirror_id,
                                      const struct pg_target *source, const struct pg_target *dest,
                                      int wake_fd);
bool second_look_is_over(const struct second_look *l);
void second_look_cancel(struct second_look *l);
/* Calls it off if it is not over. True unless it has found both sides' definitions to be the same:
 * whether they are is then to be found out by the comparison between two runs. */
bool second_look_finish(struct second_look *l) MUST_CHECK;

#endif
