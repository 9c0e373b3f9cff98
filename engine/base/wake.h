/* A wake-up: a descriptor that becomes readable when another thread signals it. Signals coalesce.
 * wake_signal may be called from any thread and from a signal handler. */
#ifndef BUNNY_WAKE_H
#define BUNNY_WAKE_H

/* A new descriptor (non-blocking, close-on-exec); aborts when the process has no more of them. */
int wake_new(void);
void wake_signal(int fd);
/* Takes all signals that came so far. */
void wake_clear(int fd);
void wake_free(int fd);

#endif
