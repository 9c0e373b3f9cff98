/* Text for the screen: UTF-8 in, wide characters out, cut by columns. Names come from databases and
 * may hold anything: control characters, invalid bytes and direction overrides become '?'. Pure. */
#ifndef BUNNY_UI_TEXT_H
#define BUNNY_UI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <wchar.h>

/* One character of s (not at its end); *used is how many bytes it took. Invalid bytes give -1. */
long text_decode(const char *s, size_t *used);
/* Writes c as UTF-8 (at most 4 bytes and the end); returns the number of bytes. */
size_t text_encode(unsigned long c, char out[5]);
/* As much of s as fits into cols columns and max - 1 characters; ended with the cut mark ("…", or
 * "~" when unicode is false, which also turns what is not ASCII into '?') if s is longer. Returns
 * the columns used. */
int text_fit(const char *s, bool unicode, int cols, wchar_t *out, size_t max);
/* Columns of all of s. */
int text_columns(const char *s, bool unicode);
/* The bytes of s that fit into cols columns, broken after a space if there is one in the second
 * half; at least one character, 0 only for "". A line feed ends the line. */
size_t text_break(const char *s, bool unicode, int cols);
/* All of s in UTF-8, for who reads lines: a line feed or tab is a blank, what text_fit would show
 * as
 * '?' is that here too. Does not depend on the locale. Caller frees. */
char *text_clean(const char *s);
/* True when part is found in s, without regard to ASCII case; an empty part always is. */
bool text_contains(const char *s, const char *part);

#endif
