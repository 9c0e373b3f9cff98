/* Log sequence numbers: positions in a server's WAL, in bytes; 0 is "none". */
#ifndef BUNNY_LSN_H
#define BUNNY_LSN_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

typedef uint64_t lsn_t;

#define LSN_TEXT_SIZE 18 /* "FFFFFFFF/FFFFFFFF" and the end */
#define LSN_FMT "%X/%X"
#define LSN_ARGS(l) (unsigned)((l) >> 32), (unsigned)(l)

/* Writes "X/X" into out and returns it. */
const char *lsn_format(lsn_t lsn, char out[LSN_TEXT_SIZE]);
/* Reads "X/X"; false (and *out untouched) when text is anything else. */
bool lsn_parse(const char *text, lsn_t *out);

#endif
