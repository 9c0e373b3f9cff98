/* Memory for small things: running out of it aborts, since all state that matters is durable.
 * Row data never comes from here. Nothing in this file keeps a pointer; the caller frees. */
#ifndef BUNNY_MEM_H
#define BUNNY_MEM_H

#include <stddef.h>
#include <stdbool.h>

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* Zeroed memory for n objects of size bytes; never NULL. Caller frees. */
void *mem_calloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
/* realloc that aborts instead of returning NULL. */
void *mem_realloc(void *p, size_t size) __attribute__((returns_nonnull));
/* A copy of s (NULL stays NULL). Caller frees. */
char *mem_strdup(const char *s);
/* A printed string. Caller frees. */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2), returns_nonnull));
/* Copies s into dst of size bytes, cut if need be, always terminated. Returns true if it fit. */
bool str_copy(char *dst, size_t size, const char *s);
/* As str_copy, for a piece of n bytes that need not be terminated. */
bool str_copy_n(char *dst, size_t size, const char *s, size_t n);
/* Like snprintf, without a result to ignore; the text is cut to fit. */
void str_printf(char *dst, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* How memory comes from the system and goes back to it (mallopt(3), malloc_trim(3)). A thread takes
 * what it needs from one of a few arenas, of which each keeps what was freed in it: many
 * short-lived threads would spread over as many, and the process would only ever grow. Once, before
 * there are threads. */
void mem_set_up(void);
/* After something large has ended (a copy, a comparison, a mirror): what is free goes back to the
 * system. Takes some milliseconds; any thread. */
void mem_give_back(void);

/* Grows the array *items (element size elem) so that one more fits; doubles *cap. */
void mem_grow(void **items, size_t *cap, size_t n, size_t elem);
#define MEM_PUSH(items, n, cap, value)                              \
    do {                                                            \
        mem_grow((void **)&(items), &(cap), (n), sizeof(*(items))); \
        (items)[(n)++] = (value);                                   \
    } while (0)

#endif
