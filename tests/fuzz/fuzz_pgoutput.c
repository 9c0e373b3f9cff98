/* Fuzz target of the replication frames and of pgoutput's decoder: any bytes are decoded or
 * refused, nothing outside them is touched, and every value that is handed out is inside and
 * terminated. Built with -DWITH_LIBFUZZER and clang's -fsanitize=fuzzer it is libFuzzer's (make
 * fuzz); else it has a main that mutates hand-made messages: fuzz_pgoutput [SECONDS [SEED]]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "stream/pgoutput.h"
#include "tests/unit/pgoutput_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz_pgoutput: %s\n", what);
    abort();
}

static void check_tuple(const struct pgo_tuple *t, const char *from, size_t size)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct pgo_value *v = &t->values[i];
        if (v->kind != 't') {
            check(!v->data && (v->kind == 'n' || v->kind == 'u'), "a value of no kind");
            continue;
        }
        check(v->data >= from && v->data + v->len <= from + size, "a value outside the message");
        check(v->data[v->len] == '\0', "a value without an end");
    }
}

static void check_message(const struct pgo_message *m, const char *from, size_t size)
{
    size_t length = 0;
    check_tuple(&m->next, from, size);
    check_tuple(&m->old, from, size);
    for (size_t i = 0; i < m->n_columns; i++)
        length += strlen(m->columns[i].name);
    check(length <= size, "names longer than the message");
    check(m->n_relations <= size / 4, "more relations than fit");
}

static void decode(struct pgo_decoder *d, const uint8_t *bytes, size_t size)
{
    struct pgo_message m;
    struct err e = {0};
    char *copy = mem_calloc(size + 1, 1); /* exactly as large, for the sanitizer */
    if (size)
        memcpy(copy, bytes, size);
    if (pgo_decode(d, copy, size, &m, &e))
        check_message(&m, copy, size);
    else
        check(e.code == ERR_PROTOCOL, "a refusal of another kind");
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct pgo_decoder *kept; /* arrays that earlier messages have filled */
    struct repl_frame f;
    struct err e = {0};
    if (!kept)
        kept = pgo_new();
    struct pgo_decoder *fresh = pgo_new();
    decode(kept, bytes, size);
    decode(fresh, bytes, size);
    pgo_free(fresh);
    char *frame = mem_calloc(size + 1, 1);
    if (size)
        memcpy(frame, bytes, size);
    if (repl_frame_read(frame, size, &f, &e) && f.kind == 'w')
        check(f.data >= frame && f.data + f.len == frame + size, "a frame's data outside of it");
    free(frame);
    return 0;
}

#ifdef WITH_LIBFUZZER
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* FUZZ_SAMPLES=DIR: writes the hand-made messages there, one a file, and ends. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *dir = getenv("FUZZ_SAMPLES");
    (void)argc;
    (void)argv;
    for (size_t i = 0; dir && bytes_samples[i].name; i++) {
        struct buf b = {0};
        char *path = mem_printf("%s/sample-%zu", dir, i);
        FILE *f = fopen(path, "we");
        bytes_samples[i].build(&b);
        check(f && fwrite(b.data, 1, b.len, f) == b.len && fclose(f) == 0, path);
        buf_free(&b);
        free(path);
    }
    if (dir)
        exit(0);
    return 0;
}
#else
#define MAX_SIZE 512

static uint64_t state;

static uint32_t next_random(uint32_t below)
{
    state ^= state << 13; /* xorshift */
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % below;
}

static size_t mutate(uint8_t *bytes, size_t size)
{
    static const uint8_t telling[] = {0, 1, 2, 0x7F, 0x80, 0xFF, 'n', 'u', 't', 'b', 'N', 'K', 'O'};
    size_t at = size ? next_random((uint32_t)size) : 0;
    switch (next_random(6)) {
    case 0:
        return at;
    case 1:
        bytes[at] ^= (uint8_t)(1u << next_random(8));
        return size;
    case 2:
        bytes[at] = telling[next_random(sizeof telling)];
        return size;
    case 3:
        bytes[at] = (uint8_t)next_random(256);
        return size;
    case 4: /* a byte more */
        if (size == MAX_SIZE)
            return size;
        memmove(bytes + at + 1, bytes + at, size - at);
        return size + 1;
    default: /* a stretch once more */
        if (at + at > MAX_SIZE)
            return size;
        memcpy(bytes + at, bytes, at);
        return at + at > size ? at + at : size;
    }
}

static void run_one(size_t n_samples)
{
    uint8_t bytes[MAX_SIZE + 1] = {0};
    struct buf b = {0};
    bytes_samples[next_random((uint32_t)n_samples)].build(&b);
    size_t size = b.len < MAX_SIZE ? b.len : MAX_SIZE;
    memcpy(bytes, b.data, size);
    buf_free(&b);
    for (uint32_t n = next_random(8); n > 0; n--)
        size = mutate(bytes, size);
    LLVMFuzzerTestOneInput(bytes, size);
}

int main(int argc, char **argv)
{
    int64_t seconds = argc > 1 ? strtol(argv[1], NULL, 10) : 2;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)clock_wall_us();
    size_t n_samples = 0;
    uint64_t runs = 0;
    state = seed ? seed : 1;
    while (bytes_samples[n_samples].name)
        n_samples++;
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout); /* it is wanted after a crash */
    for (int64_t until = clock_mono_ms() + seconds * 1000; clock_mono_ms() < until;)
        for (int i = 0; i < 1000; i++, runs++)
            run_one(n_samples);
    printf("%llu messages\n", (unsigned long long)runs);
    return 0;
}
#endif
