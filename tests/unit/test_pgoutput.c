/* The decoder of pgoutput: every kind of message, every way to cut it, and nothing read or written
 * outside (each message lies in a block of exactly its size, for AddressSanitizer). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "stream/pgoutput.h"
#include "tests/unit/pgoutput_bytes.h"

static struct pgo_decoder *d;
static struct pgo_message m;
static struct err e;
static char *data; /* of the last message: its bytes and the one behind */

static int setup(void **state)
{
    (void)state;
    d = pgo_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pgo_free(d);
    free(data);
    data = NULL;
    return 0;
}

static bool decode_bytes(const char *bytes, size_t len)
{
    free(data);
    data = mem_calloc(len + 1, 1);
    if (len)
        memcpy(data, bytes, len);
    data[len] = '?';
    memset(&e, 0, sizeof e);
    return pgo_decode(d, data, len, &m, &e);
}

static bool decode(struct buf *b)
{
    bool worked = decode_bytes(buf_text(b), b->len);
    buf_free(b);
    return worked;
}

static void decode_sample(void (*build)(struct buf *b))
{
    struct buf b = {0};
    build(&b);
    if (!decode(&b))
        fail_msg("%s", e.text);
}

static void assert_refused(bool worked)
{
    assert_false(worked);
    assert_int_equal(e.code, ERR_PROTOCOL);
    assert_true(e.text[0]);
}

/* text NULL: of that kind instead */
static void assert_value(const struct pgo_value *v, char kind, const char *text)
{
    assert_int_equal(v->kind, kind);
    if (!text) {
        assert_null(v->data);
        return;
    }
    assert_int_equal(v->len, strlen(text));
    assert_string_equal(v->data, text);
}

/* --- each kind of message --------------------------------------------------------------------- */

static void begin_and_commit(void **state)
{
    (void)state;
    decode_sample(bytes_begin);
    assert_int_equal(m.kind, PGO_BEGIN);
    assert_int_equal(m.commit_lsn, 0x1000000FF);
    assert_int_equal(m.commit_time, 946684801000000);
    decode_sample(bytes_commit);
    assert_int_equal(m.kind, PGO_COMMIT);
    assert_int_equal(m.commit_lsn, 0x1000000FF);
    assert_int_equal(m.end_lsn, 0x100000123);
    assert_int_equal(m.commit_time, 946684799000000); /* before 2000 too */
}

static void relation(void **state)
{
    (void)state;
    decode_sample(bytes_relation);
    assert_int_equal(m.kind, PGO_RELATION);
    assert_int_equal(m.relation, 16384);
    assert_string_equal(m.schema, "pub \"lic");
    assert_string_equal(m.table, "t");
    assert_int_equal(m.replica_identity, 'd');
    assert_int_equal(m.n_columns, 2);
    assert_true(m.columns[0].is_key);
    assert_string_equal(m.columns[0].name, "id");
    assert_int_equal(m.columns[0].type_oid, 23);
    assert_int_equal(m.columns[0].typmod, -1);
    assert_false(m.columns[1].is_key);
    assert_string_equal(m.columns[1].name, "naïve");
    assert_int_equal(m.columns[1].typmod, 14);
}

static void relation_of_pg_catalog_and_without_columns(void **state)
{
    struct buf b = {0};
    (void)state;
    buf_putc(&b, 'R');
    buf_be32(&b, 0xFFFFFFFE);
    bytes_string(&b, "");
    bytes_string(&b, "t");
    buf_putc(&b, 'n');
    buf_be16(&b, 0);
    assert_true(decode(&b));
    assert_string_equal(m.schema, "pg_catalog");
    assert_int_equal(m.relation, 0xFFFFFFFE);
    assert_int_equal(m.n_columns, 0);
}

static void assert_new_row(void)
{
    assert_int_equal(m.relation, 16384);
    assert_int_equal(m.next.n, 4);
    assert_value(&m.next.values[0], 't', "12");
    assert_value(&m.next.values[1], 'n', NULL);
    assert_value(&m.next.values[2], 't', "");
    assert_value(&m.next.values[3], 't', "last");
}

static void assert_old_row(char kind)
{
    assert_int_equal(m.old_kind, kind);
    assert_int_equal(m.old.n, 2);
    assert_value(&m.old.values[0], 't', "11");
    assert_value(&m.old.values[1], 'n', NULL);
}

static void changes(void **state)
{
    (void)state;
    decode_sample(bytes_insert);
    assert_int_equal(m.kind, PGO_INSERT);
    assert_int_equal(m.old_kind, 0);
    assert_new_row();
    decode_sample(bytes_update_plain);
    assert_int_equal(m.kind, PGO_UPDATE);
    assert_int_equal(m.old_kind, 0);
    assert_new_row();
    decode_sample(bytes_update_key);
    assert_int_equal(m.kind, PGO_UPDATE);
    assert_new_row();
    assert_old_row('K');
    decode_sample(bytes_update_old);
    assert_old_row('O');
    assert_int_equal(m.next.n, 2);
    assert_value(&m.next.values[0], 'u', NULL);
    assert_value(&m.next.values[1], 't', "x");
    decode_sample(bytes_delete_key);
    assert_int_equal(m.kind, PGO_DELETE);
    assert_old_row('K');
    assert_int_equal(m.next.n, 0);
    decode_sample(bytes_delete_old);
    assert_old_row('O');
}

/* The decoder's arrays are kept: what an earlier message left there must not shine through. */
static void values_are_slices_of_the_message(void **state)
{
    (void)state;
    decode_sample(bytes_update_key);
    assert_true(m.next.values[0].data > data && m.next.values[0].data < data + 100);
    decode_sample(bytes_update_old);
    assert_null(m.next.values[0].data);
    assert_int_equal(m.next.values[0].len, 0);
    assert_int_equal(data[strlen("U....O..t....11n")], 'N'); /* only ends of text are written */
}

static void truncate(void **state)
{
    (void)state;
    decode_sample(bytes_truncate);
    assert_int_equal(m.kind, PGO_TRUNCATE);
    assert_true(m.cascade);
    assert_true(m.restart_identity);
    assert_int_equal(m.n_relations, 3);
    assert_int_equal(m.relations[0], 1);
    assert_int_equal(m.relations[1], 0xFFFFFFFF);
    assert_int_equal(m.relations[2], 16384);
    for (int flags = 0; flags < 4; flags++) {
        struct buf b = {0};
        buf_add(&b, "T\0\0\0\1", 5);
        buf_putc(&b, (char)flags);
        buf_be32(&b, 9);
        assert_true(decode(&b));
        assert_int_equal(m.cascade, flags & 1);
        assert_int_equal(m.restart_identity, flags >> 1);
    }
}

static void a_tuple_of_1600_columns(void **state)
{
    struct buf b = {0};
    (void)state;
    buf_add(&b, "I\0\0\0\1N", 6);
    buf_be16(&b, 1600);
    for (int i = 0; i < 1600; i++) {
        char text[8];
        str_printf(text, sizeof text, "%d", i);
        bytes_text(&b, text);
    }
    assert_true(decode(&b));
    assert_int_equal(m.next.n, 1600);
    assert_value(&m.next.values[0], 't', "0");
    assert_value(&m.next.values[999], 't', "999");
    assert_value(&m.next.values[1599], 't', "1599");
    decode_sample(bytes_insert); /* and a narrow one after it */
    assert_new_row();
}

static void a_tuple_without_columns(void **state)
{
    (void)state;
    assert_true(decode_bytes("I\0\0\0\1N\0\0", 8));
    assert_int_equal(m.next.n, 0);
    assert_true(decode_bytes("D\0\0\0\1O\0\0", 8));
    assert_int_equal(m.old_kind, 'O');
    assert_int_equal(m.old.n, 0);
}

static void messages_of_no_consequence(void **state)
{
    (void)state;
    assert_true(decode_bytes("O\0\0\0\0\0\0\0\1name", 14));
    assert_int_equal(m.kind, PGO_OTHER);
    assert_true(decode_bytes("Y\0\0\0\1s\0t", 9));
    assert_int_equal(m.kind, PGO_OTHER);
    assert_true(decode_bytes("M\0\0\0\0\0\0\0\0\1p\0\0\0\0\0", 16));
    assert_int_equal(m.kind, PGO_OTHER);
}

/* --- what is refused -------------------------------------------------------------------------- */

static void messages_cut_short_or_too_long(void **state)
{
    (void)state;
    for (const struct bytes_sample *s = bytes_samples; s->name; s++) {
        struct buf b = {0};
        s->build(&b);
        for (size_t len = 0; len < b.len; len++)
            if (decode_bytes(b.data, len) || e.code != ERR_PROTOCOL)
                fail_msg("%s cut to %zu bytes was taken", s->name, len);
        buf_putc(&b, 0);
        if (decode_bytes(b.data, b.len))
            fail_msg("%s with a byte more was taken", s->name);
        buf_free(&b);
    }
}

static void unknown_types(void **state)
{
    (void)state;
    for (int type = 0; type < 256; type++) {
        char bytes[] = {(char)type, 0, 0, 0};
        bool is_known = type && strchr("OYM", type);
        if (is_known)
            continue;
        assert_refused(decode_bytes(bytes, sizeof bytes));
        if (!type || !strchr("BCRIUDT", type))
            assert_non_null(strstr(e.text, "unknown type 0x"));
    }
}

static void wrong_tags_kinds_and_lengths(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"I\0\0\0\1K\0\1n", 9},           /* INSERT of an old row */
        {"I\0\0\0\1X\0\1n", 9},           /* no such tag */
        {"U\0\0\0\1K\0\1nK\0\1n", 13},    /* two old rows */
        {"U\0\0\0\1O\0\1n", 9},           /* no new row */
        {"D\0\0\0\1N\0\1n", 9},           /* DELETE of a new row */
        {"D\0\0\0\1K\0\1nN\0\1n", 13},    /* and one behind */
        {"I\0\0\0\1N\0\1b\0\0\0\1x", 14}, /* binary was not asked for */
        {"I\0\0\0\1N\0\1x", 9},           /* no such kind of value */
        {"I\0\0\0\1N\0\1t\0\0\0\2x", 14}, /* longer than the message */
        {"I\0\0\0\1N\0\1t\377\377\377\377x", 14},
        {"I\0\0\0\1N\377\377n", 9},  /* more columns than there are */
        {"T\0\0\0\2\0\0\0\0\1", 10}, /* more relations than there are */
        {"T\377\377\377\377\0\0\0\0\1", 10},
        {"R\0\0\0\1public\0t\0d\0\1\1id", 17},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (decode_bytes(bad[i].bytes, bad[i].len) || e.code != ERR_PROTOCOL)
            fail_msg("bad message %zu was taken", i);
    decode_sample(bytes_insert); /* the decoder is none the worse for it */
    assert_new_row();
}

/* --- frames ----------------------------------------------------------------------------------- */

static bool frame(const struct buf *b, size_t len, struct repl_frame *f)
{
    free(data);
    data = mem_calloc(len ? len : 1, 1);
    if (len)
        memcpy(data, b->data, len);
    memset(&e, 0, sizeof e);
    return repl_frame_read(data, len, f, &e);
}

static void frames(void **state)
{
    struct repl_frame f;
    struct buf w = {0}, k = {0};
    (void)state;
    buf_putc(&w, 'w');
    buf_be64(&w, 1);
    buf_be64(&w, 0x200000003);
    buf_be64(&w, 4);
    buf_puts(&w, "hello");
    assert_true(frame(&w, w.len, &f));
    assert_int_equal(f.kind, 'w');
    assert_int_equal(f.wal_end, 0x200000003);
    assert_ptr_equal(f.data, data + 25);
    assert_int_equal(f.len, 5);
    assert_true(frame(&w, 25, &f));
    assert_int_equal(f.len, 0);
    for (size_t len = 0; len < 25; len++)
        assert_refused(frame(&w, len, &f));
    buf_free(&w);
    buf_putc(&k, 'k');
    buf_be64(&k, 7);
    buf_be64(&k, 8);
    buf_putc(&k, 1);
    assert_true(frame(&k, k.len, &f));
    assert_int_equal(f.kind, 'k');
    assert_int_equal(f.wal_end, 7);
    assert_true(f.reply);
    k.data[17] = 0;
    assert_true(frame(&k, k.len, &f));
    assert_false(f.reply);
    for (size_t len = 0; len < k.len; len++)
        assert_refused(frame(&k, len, &f));
    k.data[0] = 'x';
    assert_refused(frame(&k, k.len, &f));
    buf_free(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begin_and_commit),
        cmocka_unit_test(relation),
        cmocka_unit_test(relation_of_pg_catalog_and_without_columns),
        cmocka_unit_test(changes),
        cmocka_unit_test(values_are_slices_of_the_message),
        cmocka_unit_test(truncate),
        cmocka_unit_test(a_tuple_of_1600_columns),
        cmocka_unit_test(a_tuple_without_columns),
        cmocka_unit_test(messages_of_no_consequence),
        cmocka_unit_test(messages_cut_short_or_too_long),
        cmocka_unit_test(unknown_types),
        cmocka_unit_test(wrong_tags_kinds_and_lengths),
        cmocka_unit_test(frames),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
