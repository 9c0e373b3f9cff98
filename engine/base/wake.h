/* A wake-up: a descriptor that becomes readable when another thread signals it. Signals coalesce.
 * wake_signal may be called from any thread and from a signal handler. */
#ifndef BUNNY_WAKE_H
#define BUNNY_WAKE_H

/* A new descriptor (non-blocking, close-on-exec). -1 when the process has no more of them: all
 * calls here and poll(2) pass over that, and who waits looks up with his next tick. */
int wake_new(void);
void wake_signal(int fd);
/* Takes all signals that came so far. */
void wake_clear(int fd);
void wake_free(int fd);

#endif
