/* Keys of changes under way; see keys.h. Each value is its length (4 bytes, the highest bit when it
 * was cut; all bits for NULL) and its bytes. */
#include "stream/keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MAX_VALUE 100
#define IS_CUT 0x80000000u
#define IS_NULL 0xffffffffu

void keys_free(struct keys *k)
{
    free(k->data);
    *k = (struct keys){0};
}

static void reserve(struct keys *k, size_t more)
{
    if (k->tail + more <= k->cap)
        return;
    if (k->head > k->cap / 2) {
        memmove(k->data, k->data + k->head, k->tail - k->head);
        k->tail -= k->head;
        k->head = 0;
    }
    while (k->tail + more > k->cap)
        k->cap = k->cap ? 2 * k->cap : 4096;
    k->data = mem_realloc(k->data, k->cap);
}

/* Never in the middle of a character. */
static uint32_t cut(const char *text, uint32_t len)
{
    if (len <= MAX_VALUE)
        return len;
    len = MAX_VALUE;
    while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    return len;
}

static void push(struct keys *k, const struct pgo_value *v)
{
    uint32_t mark = IS_NULL, len = 0;
    if (v->kind == 't') {
        len = cut(v->data, v->len);
        mark = len | (len < v->len ? IS_CUT : 0);
    }
    memcpy(k->data + k->tail, &mark, sizeof mark);
    if (len)
        memcpy(k->data + k->tail + sizeof mark, v->data, len);
    k->tail += sizeof mark + len;
}

uint32_t keys_push(struct keys *k, const struct target *t, const struct pgo_message *m)
{
    const struct pgo_tuple *from = m->old_kind ? &m->old : &m->next;
    if (k->head == k->tail)
        k->head = k->tail = 0;
    reserve(k, t->n_named * (sizeof(uint32_t) + MAX_VALUE));
    size_t before = k->tail;
    for (size_t i = 0; i < t->n_named; i++)
        push(k, &from->values[t->named[i]]);
    return (uint32_t)(k->tail - before);
}

void keys_drop(struct keys *k, uint32_t len)
{
    k->head += len;
}

/* A value is one line of text. */
static void put_value(struct buf *b, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf_putc(b, (unsigned char)text[i] < ' ' || text[i] == 127 ? ' ' : text[i]);
}

void keys_text(const struct keys *k, uint32_t len, const struct target *t, char out[KEY_TEXT_SIZE])
{
    struct buf names = {0}, values = {0};
    const char *at = k->data + k->head - len;
    out[0] = '\0';
    for (size_t i = 0; i < t->n_named && len; i++) {
        uint32_t mark;
        memcpy(&mark, at, sizeof mark);
        at += sizeof mark;
        buf_printf(&names, "%s%s", i ? ", " : "", t->columns[t->named[i]].name);
        buf_puts(&values, i ? ", " : "");
        if (mark == IS_NULL) {
            buf_puts(&values, "NULL");
            continue;
        }
        put_value(&values, at, mark & ~IS_CUT);
        buf_puts(&values, mark & IS_CUT ? "..." : "");
        at += mark & ~IS_CUT;
    }
    if (names.len)
        str_printf(out, KEY_TEXT_SIZE, "(%s)=(%s)", buf_text(&names), buf_text(&values));
    buf_free(&names);
    buf_free(&values);
}
