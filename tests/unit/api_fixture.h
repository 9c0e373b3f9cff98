/* The API in front of an engine in memory, with an admin and a viewer who have logged in. */
#ifndef BUNNY_API_FIXTURE_H
#define BUNNY_API_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine_double.h"
#include "src/http/router.h"

struct fixture {
    struct api api;
    char admin[64], viewer[64]; /* Authorization headers */
    json_t *last;               /* the last answer's body */
    struct response response;   /* its head; the body is gone */
};

/* cmocka's set-up and tear-down; *state is the fixture. */
int api_set_up(void **state);
int api_tear_down(void **state);
#define API_CASE(name) cmocka_unit_test_setup_teardown(name, api_set_up, api_tear_down)

/* Sends a request, with a body of JSON or (NULL) without one; the answer's status. */
int ask(struct fixture *f, const char *who, const char *method, const char *target,
        const char *body);
/* A text of the last answer; "" when it has none. */
const char *text(const struct fixture *f, const char *key);

#define EXPECT(f, status, code, ...)                     \
    do {                                                 \
        assert_int_equal(ask((f), __VA_ARGS__), status); \
        assert_string_equal(text((f), "code"), code);    \
    } while (0)

#define PEER(name)                                                                       \
    "{\"name\":\"" name "\",\"host\":\"h\",\"user\":\"u\",\"password\":\"hidden-word\"," \
    "\"database\":\"d\",\"options\":{\"connect_timeout\":5,\"sslpassword\":\"hidden-word\"}}"
#define MIRROR                                                          \
    "{\"name\":\"m\",\"source_peer\":\"a\",\"destination_peer\":\"b\"," \
    "\"table_mappings\":[{\"source_table\":\"public.users\"}]}"
/* Peers a and b, and mirror m between them. */
void make_mirror(struct fixture *f);

#endif
