/* Fuzz target of the client's reader of answers: any bytes are an answer, the beginning of one or
 * refused; nothing behind them is touched, and it makes no difference in which pieces they come.
 * With -DWITH_LIBFUZZER libFuzzer's, which begins with nothing; else a main that cuts the samples
 * everywhere and sets each of their bytes to those that tell. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "src/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz_answer: %s\n", what);
    abort();
}

/* Of the first n bytes, in memory that ends with them. */
static enum answer_state read_first(const uint8_t *bytes, size_t n, bool ended, struct answer *a)
{
    struct err e = {0};
    struct buf b = {.data = n ? malloc(n) : NULL, .len = n, .cap = n};
    if (n)
        memcpy(b.data, bytes, n);
    enum answer_state state = answer_read(&b, ended, a, &e);
    free(b.data);
    check((state == ANSWER_BROKEN) == (e.code == ERR_PROTOCOL), "an error of another kind");
    check((state == ANSWER_WHOLE) == (a->status != 0), "half an answer is handed out");
    check(!a->text || (a->len <= n && a->text[a->len] == '\0'), "a body of a wrong length");
    check(state != ANSWER_MORE || !ended, "more is expected after the end");
    return state;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct answer all, part;
    enum answer_state state = read_first(bytes, size, false, &all);
    size_t cut = size ? bytes[size - 1] % (size + 1) : 0; /* any, but the same each time */
    enum answer_state before = read_first(bytes, cut, false, &part);
    if (before == ANSWER_WHOLE)
        check(state == ANSWER_WHOLE && all.len == part.len &&
                  (!all.len || !memcmp(all.text, part.text, all.len)),
              "a whole answer is another one when more comes");
    if (before == ANSWER_BROKEN)
        check(state == ANSWER_BROKEN, "what was refused is taken when more comes");
    answer_free(&part);
    answer_free(&all);
    (void)read_first(bytes, size, true, &all);
    answer_free(&all);
    return 0;
}

#ifndef WITH_LIBFUZZER
static const char *const samples[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
    "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4;x=y\r\n\":1}\r\n0\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n",
    "HTTP/1.0 500 No\r\n\r\n[]",
};

int main(void)
{
    static const char telling[] = "\0\r\n0149fFxX-+:; \x7f\xff";
    size_t runs = 0;
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        size_t size = strlen(samples[i]);
        uint8_t *bytes = mem_calloc(size, 1);
        for (size_t n = 0; n <= size; n++, runs++)
            LLVMFuzzerTestOneInput((const uint8_t *)samples[i], n);
        for (size_t at = 0; at < size; at++)
            for (size_t t = 0; t < sizeof telling; t++)
                for (size_t n = at; n <= size; n++, runs++) {
                    memcpy(bytes, samples[i], size);
                    bytes[at] = (uint8_t)telling[t];
                    LLVMFuzzerTestOneInput(bytes, n);
                }
        free(bytes);
    }
    printf("%zu answers\n", runs);
    return 0;
}
#endif
