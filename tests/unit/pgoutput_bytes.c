/* pgoutput's messages by hand (PostgreSQL docs, "Logical Replication Message Formats"). */
#include "tests/unit/pgoutput_bytes.h"

#include <string.h>

void bytes_string(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text) + 1);
}

void bytes_text(struct buf *b, const char *text)
{
    buf_putc(b, 't');
    buf_be32(b, (uint32_t)strlen(text));
    buf_add(b, text, strlen(text));
}

void bytes_begin(struct buf *b)
{
    buf_putc(b, 'B');
    buf_be64(b, 0x1000000FF);
    buf_be64(b, 1000000); /* one second after 2000-01-01 */
    buf_be32(b, 777);
}

void bytes_commit(struct buf *b)
{
    buf_putc(b, 'C');
    buf_putc(b, 0);
    buf_be64(b, 0x1000000FF);
    buf_be64(b, 0x100000123);
    buf_be64(b, (uint64_t)-1000000);
}

static void column(struct buf *b, int flags, const char *name, uint32_t oid, uint32_t typmod)
{
    buf_putc(b, (char)flags);
    bytes_string(b, name);
    buf_be32(b, oid);
    buf_be32(b, typmod);
}

void bytes_relation(struct buf *b)
{
    buf_putc(b, 'R');
    buf_be32(b, 16384);
    bytes_string(b, "pub \"lic");
    bytes_string(b, "t");
    buf_putc(b, 'd');
    buf_be16(b, 2);
    column(b, 1, "id", 23, (uint32_t)-1);
    column(b, 0, "naïve", 1043, 14);
}

static void head(struct buf *b, char type)
{
    buf_putc(b, type);
    buf_be32(b, 16384);
}

static void new_row(struct buf *b)
{
    buf_putc(b, 'N');
    buf_be16(b, 4);
    bytes_text(b, "12");
    buf_putc(b, 'n');
    bytes_text(b, "");
    bytes_text(b, "last");
}

static void old_row(struct buf *b, char kind)
{
    buf_putc(b, kind);
    buf_be16(b, 2);
    bytes_text(b, "11");
    buf_putc(b, 'n');
}

void bytes_insert(struct buf *b)
{
    head(b, 'I');
    new_row(b);
}

void bytes_update_key(struct buf *b)
{
    head(b, 'U');
    old_row(b, 'K');
    new_row(b);
}

void bytes_update_old(struct buf *b)
{
    head(b, 'U');
    old_row(b, 'O');
    buf_putc(b, 'N');
    buf_be16(b, 2);
    buf_putc(b, 'u');
    bytes_text(b, "x");
}

void bytes_update_plain(struct buf *b)
{
    head(b, 'U');
    new_row(b);
}

void bytes_delete_key(struct buf *b)
{
    head(b, 'D');
    old_row(b, 'K');
}

void bytes_delete_old(struct buf *b)
{
    head(b, 'D');
    old_row(b, 'O');
}

void bytes_truncate(struct buf *b)
{
    buf_putc(b, 'T');
    buf_be32(b, 3);
    buf_putc(b, 3);
    buf_be32(b, 1);
    buf_be32(b, 0xFFFFFFFF);
    buf_be32(b, 16384);
}

const struct bytes_sample bytes_samples[] = {
    {"begin", bytes_begin},
    {"commit", bytes_commit},
    {"relation", bytes_relation},
    {"insert", bytes_insert},
    {"update with key", bytes_update_key},
    {"update with old row", bytes_update_old},
    {"update", bytes_update_plain},
    {"delete by key", bytes_delete_key},
    {"delete of old row", bytes_delete_old},
    {"truncate", bytes_truncate},
    {0},
};
