/* Checks of what users give us. Each fills *err with ERR_INVALID and a sentence that begins with
 * the field's name as the API calls it; values are never repeated there, since they may be secret.
 */
#ifndef BUNNY_CHECK_H
#define BUNNY_CHECK_H

#include "engine.h"

/* The name of a peer or mirror: [A-Za-z0-9][A-Za-z0-9_-]*, at most 50 bytes. */
bool check_name(const char *field, const char *value, struct err *err) MUST_CHECK;
/* Text that is there and not empty (when required), at most max bytes of UTF-8, without control
 * characters. NULL passes when it is not required. */
bool check_text(const char *field, const char *value, size_t max, bool required,
                struct err *err) MUST_CHECK;
bool check_range(const char *field, int64_t value, int64_t least, int64_t most,
                 struct err *err) MUST_CHECK;
/* value is one of the n words; the error lists them. */
bool check_word(const char *field, const char *value, const char *const *words, size_t n,
                struct err *err) MUST_CHECK;

/* An SQL identifier, as the server stores it. */
bool check_identifier(const char *field, const char *value, bool required,
                      struct err *err) MUST_CHECK;
/* Table mappings as they are asked for: there are some, not too many, with names that can be. */
bool check_maps(const struct table_map *tables, size_t n_tables, struct err *err) MUST_CHECK;

#endif
