/* Fuzz target of the HTTP API: bytes become requests, the real router answers them in front of an
 * engine in memory, and each answer must keep the contract: a status that it names (never 500),
 * JSON with "error" and "code", nothing changed by what was refused, nobody's rights exceeded, no
 * secret shown. Built with -DWITH_LIBFUZZER and clang's -fsanitize=fuzzer it is libFuzzer's; else
 * it has a main that replays files, and every beginning of them: fuzz_http [FILE…].
 *
 * An input is a text: requests with "\n--\n" between them. A request is four letters (method, who,
 * content type, how the engine fails), the target up to the end of its line, one more line for each
 * letter that is '?' (method, Authorization, content type), and the body. */
#include <ctype.h>
#include <dirent.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "src/http/router.h"
#include "src/http/url.h"
#include "src/password.h"
#include "tests/unit/engine_double.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define REQUESTS_MAX 12 /* of one input: fewer than the double has room for */
#define LINE_SIZE (URL_MAX + 64)

/* --- Instead of src/password.c, which is slow on purpose -------------------------------------- */
#define HASH_BEGIN "$secret-hash-of$"

bool password_check_rule(const char *password, struct err *err)
{
    size_t n = strlen(password);
    return (n >= PASSWORD_MIN && n <= PASSWORD_MAX) || err_set(err, ERR_INVALID, "length");
}

bool password_hash(const char *password, char out[PASSWORD_HASH_SIZE], struct err *err)
{
    (void)err;
    str_printf(out, PASSWORD_HASH_SIZE, HASH_BEGIN "%.64s", password);
    return true;
}

bool password_verify(const char *hash, const char *password, struct err *err)
{
    char own[PASSWORD_HASH_SIZE];
    if (hash && password_hash(password, own, err) && !strcmp(own, hash))
        return true;
    return err_set(err, ERR_CREDENTIALS, "wrong user name or password");
}

bool password_begin(struct err *err)
{
    (void)err;
    return true;
}

void password_end(void)
{
}

void password_interrupt(void)
{
}

/* --- A world that every input begins with ----------------------------------------------------- */
#define PEER_SECRET "peers-own-secret"

struct world {
    struct api api;
    char admin[64], viewer[64]; /* Authorization headers */
};

/* One random number after the other, the same in every run: a crash can be repeated. */
static uint64_t counter;
static const char *counter_name(void)
{
    return "counter";
}
static void counter_bytes(void *const at, const size_t size)
{
    unsigned char seed[randombytes_SEEDBYTES] = {0};
    counter++;
    memcpy(seed, &counter, sizeof counter);
    randombytes_buf_deterministic(at, size, seed);
}
static uint32_t counter_random(void)
{
    return (uint32_t)++counter;
}
static struct randombytes_implementation counting = {
    .implementation_name = counter_name,
    .random = counter_random,
    .buf = counter_bytes,
};

static void fail(const struct request *q, const struct response *r, const char *what)
{
    fprintf(stderr, "fuzz_http: %s\n%s %s\n%.*s\n-> %d %s\n", what, q->method, q->target,
            (int)q->body_len, q->body ? q->body : "", r->status, r->body ? r->body : "(none)");
    abort();
}

static void must(struct world *w, const char *who, const char *target, const char *body)
{
    struct response r;
    struct request q = {.method = "POST",
                        .target = target,
                        .authorization = who,
                        .content_type = "application/json",
                        .body = body,
                        .body_len = strlen(body),
                        .is_local = !who,
                        .address = "192.0.2.1"};
    api_handle(&w->api, &q, &r);
    if (r.status / 100 != 2)
        fail(&q, &r, "the world cannot be made");
    if (!strcmp(target, "/v1/auth/login")) {
        json_t *o = json_loads(r.body, 0, NULL);
        const char *token = json_string_value(json_object_get(o, "token"));
        str_printf(strstr(body, "ana") ? w->admin : w->viewer, 64, "Bearer %s", token);
        json_decref(o);
    }
    response_free(&r);
}

#define PEER(name)                                          \
    "{\"name\":\"" name "\",\"host\":\"h\",\"user\":\"u\"," \
    "\"database\":\"d\",\"password\":\"" PEER_SECRET "\","  \
    "\"options\":{\"sslpassword\":\"" PEER_SECRET "\"}}"

static void make_world(struct world *w)
{
    counter = 0;
    *w = (struct world){0};
    api_init(&w->api, double_open(), 3600);
    must(w, NULL, "/v1/users",
         "{\"username\":\"ana\",\"password\":\"password\",\"role\":\"admin\"}");
    must(w, NULL, "/v1/users",
         "{\"username\":\"vic\",\"password\":\"password\",\"role\":\"viewer\"}");
    must(w, NULL, "/v1/auth/login", "{\"username\":\"ana\",\"password\":\"password\"}");
    must(w, NULL, "/v1/auth/login", "{\"username\":\"vic\",\"password\":\"password\"}");
    must(w, NULL, "/v1/peers", PEER("a"));
    must(w, NULL, "/v1/peers", PEER("b"));
    must(w, NULL, "/v1/mirrors",
         "{\"name\":\"m\",\"source_peer\":\"a\",\"destination_peer\":\"b\","
         "\"table_mappings\":[{\"source_table\":\"public.users\"}]}");
}

static void end_world(struct world *w)
{
    api_destroy(&w->api);
    double_close(w->api.engine);
}

/* --- What every answer must keep -------------------------------------------------------------- */
#ifdef __clang__
#define UNSEEN __attribute__((no_sanitize("coverage")))
#else
#define UNSEEN
#endif
/* Unseen, so that the fuzzer does not learn the secrets from how they are looked for. */
UNSEEN static bool holds(const char *s, size_t size, const char *wanted, size_t n)
{
    for (size_t at = 0; n > 0 && at + n <= size; at++) {
        size_t i = 0;
        while (i < n && s[at + i] == wanted[i])
            i++;
        if (i == n)
            return true;
    }
    return false;
}

static bool shows(const struct response *r, const char *secret)
{
    return r->body && holds(r->body, r->body_len, secret, strlen(secret));
}

static bool is_status_of_contract(int status)
{
    static const int all[] = {200, 201, 202, 204, 400, 401, 403, 404,
                              405, 409, 413, 415, 429, 501, 503};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (all[i] == status)
            return true;
    return false;
}

static bool is_known_code(const char *code)
{
    for (int i = ERR_NONE + 1; code && i < ERR_CODE_COUNT; i++)
        if (!strcmp(err_name((enum err_code)i), code))
            return true;
    return false;
}

static void check_error(const struct request *q, const struct response *r, const json_t *o)
{
    const json_t *hint = json_object_get(o, "hint");
    if (!json_string_length(json_object_get(o, "error")))
        fail(q, r, "an error without a sentence");
    if (!is_known_code(json_string_value(json_object_get(o, "code"))))
        fail(q, r, "an error without a code of the table");
    if (hint && !json_string_length(hint))
        fail(q, r, "an empty hint");
    if (r->status == 405 && !r->allow[0])
        fail(q, r, "405 without Allow");
    if ((r->status == 429) != (r->retry_after > 0))
        fail(q, r, "429 and Retry-After go together");
    if ((r->status == 401) != r->challenge)
        fail(q, r, "401 and WWW-Authenticate go together");
}

static void check_form(const struct request *q, const struct response *r)
{
    if (!is_status_of_contract(r->status))
        fail(q, r, "a status that the contract does not have");
    if ((r->status == 204) != !r->body)
        fail(q, r, "204 and an empty body go together");
    if (!r->body || (r->status == 200 && !strncmp(q->target, "/metrics", 8)))
        return;
    json_t *o = json_loadb(r->body, r->body_len, JSON_DECODE_ANY, NULL);
    if (!o)
        fail(q, r, "the answer is not JSON");
    if (r->status >= 400)
        check_error(q, r, o);
    json_decref(o);
}

/* As an answer has of its own, whatever was sent: "database", "application". */
static bool is_word(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!islower((unsigned char)text[i]) && !strchr(" _-./", text[i]))
            return false;
    return true;
}

/* A password that was sent comes back only where the client wrote it a second time. */
static void check_sent_secret(const struct request *q, const struct response *r, const char *key)
{
    json_t *o = q->body ? json_loadb(q->body, q->body_len, 0, NULL) : NULL;
    const json_t *v = json_object_get(o, key);
    size_t n = json_string_length(v);
    if (n >= 8 && r->body && !is_word(json_string_value(v), n)) {
        const char *secret = json_string_value(v);
        json_t *rest = json_deep_copy(o);
        json_object_del(rest, key);
        char *text = json_dumps(rest, JSON_COMPACT);
        if (holds(r->body, r->body_len, secret, n) && !holds(text, strlen(text), secret, n) &&
            !holds(q->target, strlen(q->target), secret, n))
            fail(q, r, "a password comes back");
        free(text);
        json_decref(rest);
    }
    json_decref(o);
}

/* The same in a body that is not JSON: what stands behind the first "password", in letters. */
static void check_broken_secret(const struct request *q, const struct response *r)
{
    const char *end = q->body + q->body_len;
    const char *at = memmem(q->body, q->body_len, "password\"", 9);
    size_t n = 0;
    if (!at)
        return;
    for (at += 9; at < end && strchr("\": ", *at); at++)
        ;
    while (at + n < end && isalnum((unsigned char)at[n]))
        n++;
    if (n >= 8 && r->body && holds(r->body, r->body_len, at, n) && !is_word(at, n) &&
        !holds(q->body, (size_t)(at - q->body), at, n) &&
        !holds(at + n, (size_t)(end - at) - n, at, n) &&
        !holds(q->target, strlen(q->target), at, n))
        fail(q, r, "a password comes back from a broken body");
}

static void check_secrets(const struct request *q, const struct response *r)
{
    if (shows(r, PEER_SECRET) && !holds(q->body, q->body_len, "peers-", 6) &&
        !strstr(q->target, "peers-"))
        fail(q, r, "a peer's password is shown");
    if (shows(r, HASH_BEGIN) && !holds(q->body, q->body_len, "$secret", 7) &&
        !strstr(q->target, "secret"))
        fail(q, r, "a password's hash is shown");
    check_sent_secret(q, r, "password");
    check_sent_secret(q, r, "new_password");
    check_sent_secret(q, r, "current_password");
    check_broken_secret(q, r);
}

static bool is_own_account(const char *target)
{
    return strstr(target, "/auth/") != NULL;
}

static void check_rights(const struct world *w, const struct request *q, const struct response *r,
                         int changes)
{
    bool reads = !strcmp(q->method, "GET") || !strcmp(q->method, "HEAD");
    bool is_options = !strcmp(q->method, "OPTIONS"), is_good = r->status < 300;
    if (changes && (reads || is_options || r->status >= 400))
        fail(q, r, "a request that must not change anything did");
    if (q->is_local || !q->authorization || is_options) {
        if (is_good && !q->is_local && !is_options && !strstr(q->target, "health") &&
            !strstr(q->target, "login") && !strchr(q->target, '%'))
            fail(q, r, "answered without a token");
    } else if (!strcmp(q->authorization, w->viewer) && changes && !is_own_account(q->target)) {
        fail(q, r, "a viewer changed something");
    }
}

/* --- From bytes to requests ------------------------------------------------------------------- */
struct input {
    const char *at, *end;
};

struct texts {
    char method[LINE_SIZE], target[LINE_SIZE], authorization[LINE_SIZE], type[LINE_SIZE];
};

/* The line up to the next '\n', cut to its place and without NULs, as libmicrohttpd hands it on. */
static const char *take_line(struct input *in, char out[LINE_SIZE])
{
    const char *stop = memchr(in->at, '\n', (size_t)(in->end - in->at));
    size_t n = (size_t)((stop ? stop : in->end) - in->at);
    str_copy_n(out, LINE_SIZE, in->at, n < LINE_SIZE ? n : LINE_SIZE - 1);
    in->at = stop ? stop + 1 : in->end;
    return out;
}

static char take_letter(struct input *in)
{
    return in->at < in->end ? *in->at++ : '-';
}

static const char *method_of(char letter)
{
    static const char *const methods[] = {"GET",  "POST",    "DELETE", "PUT",
                                          "HEAD", "OPTIONS", "TRACE",  "PATCH"};
    static const char letters[] = "GPDUHOTA";
    const char *at = strchr(letters, letter);
    return methods[at && *at ? at - letters : 0];
}

static const char *who_is(const struct world *w, char letter)
{
    switch (letter) {
    case 'a':
        return w->admin;
    case 'v':
        return w->viewer;
    case 'x':
        return "Bearer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    default:
        return NULL;
    }
}

/* How the engine's next call that asks a server fails: '.' not, else with an error of the table
 * that an engine can have. */
static enum err_code failure_of(char letter)
{
    int n = ERR_CODE_COUNT - 1;
    enum err_code code = (enum err_code)(1 + ((unsigned char)letter + 2 * n - 'A') % n);
    return letter == '.' || code == ERR_INTERNAL || code == ERR_METHOD ? ERR_NONE : code;
}

static void read_request(const struct world *w, struct input *in, struct texts *t,
                         struct request *q)
{
    char method = take_letter(in), who = take_letter(in), type = take_letter(in);
    double_fail_next(w->api.engine, failure_of(take_letter(in)), "a server's text",
                     who == 'a' ? "some_finding" : NULL);
    *q = (struct request){.target = take_line(in, t->target), .address = "198.51.100.7"};
    q->method = method == '?' ? take_line(in, t->method) : method_of(method);
    q->authorization = who == '?' ? take_line(in, t->authorization) : who_is(w, who);
    q->is_local = who == 'l';
    if (type == '?')
        q->content_type = take_line(in, t->type);
    else if (type != '-')
        q->content_type = "application/json; charset=utf-8";
    q->is_too_large = type == 'L';
    q->body = in->at;
    q->body_len = (size_t)(in->end - in->at);
}

static void ask(struct world *w, const char *bytes, size_t size)
{
    struct texts t;
    struct request q;
    struct response r;
    char *copy = mem_calloc(size + 1, 1); /* exactly as large, for the sanitizer */
    memcpy(copy, bytes, size);
    struct input in = {copy, copy + size};
    read_request(w, &in, &t, &q);
    char *body = realloc(NULL, q.body_len ? q.body_len : 1);
    memcpy(body, q.body, q.body_len);
    q.body = body;
    int before = double_changes(w->api.engine);
    api_handle(&w->api, &q, &r);
    check_form(&q, &r);
    check_secrets(&q, &r);
    check_rights(w, &q, &r, double_changes(w->api.engine) - before);
    response_free(&r);
    free(body);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char between[] = "\n--\n";
    static bool is_ready;
    struct world w;
    const char *at = (const char *)bytes, *end = at + size;
    if (!is_ready) {
        randombytes_set_implementation(&counting);
        if (sodium_init() < 0)
            abort();
        log_to_fd(-1, LOG_LEVEL_DEBUG);
        is_ready = true;
    }
    make_world(&w);
    for (int i = 0; i < REQUESTS_MAX && at && at < end; i++) {
        const char *stop = memmem(at, (size_t)(end - at), between, sizeof between - 1);
        ask(&w, at, (size_t)((stop ? stop : end) - at));
        at = stop ? stop + sizeof between - 1 : NULL;
    }
    end_world(&w);
    return 0;
}

#ifndef WITH_LIBFUZZER
static int replay(const char *path)
{
    struct buf b = {0};
    char piece[4096];
    FILE *f = fopen(path, "re");
    if (!f) {
        perror(path);
        return 1;
    }
    for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;)
        buf_add(&b, piece, n);
    fclose(f);
    for (size_t n = b.len; n > 0; n--)
        LLVMFuzzerTestOneInput((const uint8_t *)b.data, n);
    buf_free(&b);
    return 0;
}

static int replay_all(const char *dir)
{
    int failed = 0, n = 0;
    DIR *d = opendir(dir);
    if (!d) {
        perror(dir);
        return 1;
    }
    for (const struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        char *path = mem_printf("%s/%s", dir, e->d_name);
        failed |= replay(path);
        n++;
        free(path);
    }
    closedir(d);
    printf("%d files\n", n);
    return failed || n == 0;
}

int main(int argc, char **argv)
{
    int failed = 0;
    const char *srcdir = getenv("srcdir");
    char *dir = mem_printf("%s/tests/fuzz/http", srcdir ? srcdir : ".");
    for (int i = 1; i < argc; i++)
        failed |= replay(argv[i]);
    if (argc == 1)
        failed = replay_all(dir);
    free(dir);
    return failed;
}
#endif
