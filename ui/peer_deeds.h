/* What is done with peers: tested, made, changed, deleted. Console thread. */
#ifndef BUNNY_UI_PEER_DEEDS_H
#define BUNNY_UI_PEER_DEEDS_H

#include "ui/app.h"
#include "ui/job.h"

bool has_peer(struct app *a, char *reason, size_t size);
bool can_add(struct app *a, char *reason, size_t size);
bool can_change_peer(struct app *a, char *reason, size_t size);

void do_peers(struct app *a);
void do_peer_test(struct app *a);
void do_peer_add(struct app *a);
void do_peer_change(struct app *a);
void do_peer_delete(struct app *a);
/* A job has ended: the form that waits for it closes, or says why not (true: all is said). */
bool peer_job_done(struct app *a, const struct job_result *r);

#endif
