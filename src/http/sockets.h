/* Listening sockets, made here so that what goes wrong has a sentence. */
#ifndef BUNNY_SOCKETS_H
#define BUNNY_SOCKETS_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/err.h"

#define ADDRESS_TEXT_SIZE 64

/* "127.0.0.1:8112", "[::1]:8112", "localhost:8112"; port 0: any free one. *loopback: only this
 * machine can reach it. bound gets the address in use. */
bool sockets_listen_tcp(const char *where, int *fd, bool *loopback, char bound[ADDRESS_TEXT_SIZE],
                        struct err *err) MUST_CHECK;
/* Mode 0600; replaces what a process that is gone has left at path. */
bool sockets_listen_unix(const char *path, int *fd, struct err *err) MUST_CHECK;
/* Whether the other end of a Unix socket is our own user or root, and which of them. */
bool sockets_is_owner(int fd, uid_t *who);
/* "127.0.0.1:41234"; "unix" for a Unix socket. with_port false: the address alone. */
void sockets_format(const struct sockaddr *a, bool with_port, char out[ADDRESS_TEXT_SIZE]);

#endif
