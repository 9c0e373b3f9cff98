/* Names of the machine's users, for "who asked". No state, any thread; may wait for a directory
 * service. */
#ifndef BUNNY_OWNER_H
#define BUNNY_OWNER_H

#include <stddef.h>
#include <sys/types.h>

/* "ana (console)"; "uid 1000 (console)" for a user without a name. out is returned. */
const char *owner_name(uid_t uid, const char *where, char *out, size_t size);

#endif
