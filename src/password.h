/* Passwords: hashing (argon2id) and reading from people. sodium_init has been called. Any thread;
 * at most two hashes are computed at a time (19 MiB and about 50 ms each), so that logins cannot
 * eat the machine. */
#ifndef BUNNY_PASSWORD_H
#define BUNNY_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define PASSWORD_HASH_SIZE 160
#define PASSWORD_MIN 8
#define PASSWORD_MAX 1024

/* 8 to 1024 bytes. */
bool password_check_rule(const char *password, struct err *err) MUST_CHECK;
/* (waits for a turn) */
bool password_hash(const char *password, char out[PASSWORD_HASH_SIZE], struct err *err) MUST_CHECK;
/* A turn to verify. ERR_THROTTLED when too many wait already. (waits, 5 s) */
bool password_begin(struct err *err) MUST_CHECK;
/* In a turn. hash NULL (no such user): takes as long, and says false. ERR_CREDENTIALS when it does
 * not match. */
bool password_verify(const char *hash, const char *password, struct err *err) MUST_CHECK;
void password_end(void);
/* The process stops: who waits for a turn, or will, gets ERR_SHUTTING_DOWN at once. */
void password_interrupt(void);

/* From the first line of standard input, or twice from the terminal without echo; any that is not
 * empty. out is to be cleared with sodium_memzero. */
bool password_read(bool from_stdin, char *out, size_t size, struct err *err) MUST_CHECK;

#endif
