/* Memory for small things; see mem.h. */
#include "base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENAS 4

void mem_set_up(void)
{
    (void)mallopt(M_ARENA_MAX, ARENAS);
}

void mem_give_back(void)
{
    (void)malloc_trim(0);
}

static void out_of_memory(void)
{
    fputs("bunnydb: out of memory\n", stderr);
    abort();
}

void *mem_calloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p)
        out_of_memory();
    return p;
}

void *mem_realloc(void *p, size_t size)
{
    void *q = realloc(p, size ? size : 1);
    if (!q)
        out_of_memory();
    return q;
}

char *mem_strdup(const char *s)
{
    if (!s)
        return NULL;
    size_t n = strlen(s) + 1;
    char *p = mem_calloc(n, 1);
    memcpy(p, s, n);
    return p;
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap;
    char *p = NULL;
    va_start(ap, fmt);
    int n = vasprintf(&p, fmt, ap);
    va_end(ap);
    if (n < 0)
        out_of_memory();
    return p;
}

bool str_copy(char *dst, size_t size, const char *s)
{
    return str_copy_n(dst, size, s ? s : "", s ? strlen(s) : 0);
}

bool str_copy_n(char *dst, size_t size, const char *s, size_t n)
{
    bool fits = n < size;
    if (!fits)
        n = size - 1;
    memcpy(dst, s, n);
    dst[n] = '\0';
    return fits;
}

void str_printf(char *dst, size_t size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(dst, size, fmt, ap);
    va_end(ap);
}

void mem_grow(void **items, size_t *cap, size_t n, size_t elem)
{
    if (n < *cap)
        return;
    *cap = *cap ? *cap * 2 : 8;
    *items = mem_realloc(*items, *cap * elem);
}
