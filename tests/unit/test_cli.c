/* What the commands send and print: bodies from options and files, tables of what the API says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "src/cli/body.h"
#include "src/cli/cli.h"
#include "src/cli/print.h"

/* --- Bodies ----------------------------------------------------------------------------------- */
/* The body of a command line as JSON text; NULL with *err. Caller frees. */
static char *body_of(int argc, const char **argv, struct err *err)
{
    struct options o;
    *err = (struct err){0};
    assert_true(options_parse(argc, (char **)(void *)argv, &o, err));
    json_t *body = body_read(&o, err);
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(body);
    options_free(&o);
    return text;
}
#define BODY(e, ...)                                                   \
    body_of((int)COUNT_OF(((const char *[]){"bunnydb", __VA_ARGS__})), \
            (const char *[]){"bunnydb", __VA_ARGS__, NULL}, (e))
#define CREATE "mirror", "create", "m"

static void check_body(char *text, const char *wanted)
{
    assert_non_null(text);
    assert_string_equal(text, wanted);
    free(text);
}

static void options_become_fields_with_their_types(void **state)
{
    struct err e;
    (void)state;
    check_body(BODY(&e, "peer", "add", "p", "--host", "h", "--port", "5433", "--option",
                    "sslrootcert=/a=b", "--option", "connect_timeout=3"),
               "{\"host\":\"h\",\"options\":{\"connect_timeout\":\"3\",\"sslrootcert\":\"/a=b\"},"
               "\"port\":5433}");
    check_body(BODY(&e, CREATE, "--source", "a", "--destination", "b", "--replicate-indexes", "no",
                    "--cdc-batch-size=7", "--resync-strategy", "swap"),
               "{\"cdc_batch_size\":7,\"destination_peer\":\"b\",\"replicate_indexes\":false,"
               "\"resync_strategy\":\"swap\",\"source_peer\":\"a\"}");
}

static void tables_become_mappings(void **state)
{
    struct err e;
    (void)state;
    check_body(BODY(&e, CREATE, "--exclude", "public.users:ssn", "--table", "public.users",
                    "--table", "a.b=c.d", "--exclude", "public.users:\"odd:name\"",
                    "--partition-key", "a.b:id", "--table", "s.*"),
               "{\"table_mappings\":["
               "{\"exclude_columns\":[\"ssn\",\"odd:name\"],\"source_table\":\"public.users\"},"
               "{\"destination_table\":\"c.d\",\"partition_key\":\"id\",\"source_table\":\"a.b\"},"
               "{\"source_table\":\"s.*\"}]}");
    check_body(BODY(&e, CREATE, "--table", "s.\"a=b:c\"=s.t", "--exclude", "s.\"a=b:c\":x"),
               "{\"table_mappings\":[{\"destination_table\":\"s.t\",\"exclude_columns\":[\"x\"],"
               "\"source_table\":\"s.\\\"a=b:c\\\"\"}]}");
}

static void wrong_values_name_the_option(void **state)
{
    static const struct {
        const char *option, *value, *error;
    } wrong[] = {
        {"--cdc-batch-size", "many",
         "--cdc-batch-size: field \"cdc_batch_size\" must be an integer"},
        {"--replicate-indexes", "perhaps",
         "--replicate-indexes: field \"replicate_indexes\" must be yes or no"},
        {"--source", "\xff", "--source: field \"source_peer\" is not valid UTF-8"},
        {"--table", "\xff", "--table is not valid UTF-8"},
        {"--exclude", "public.t:c", "--exclude public.t:c: there is no --table public.t"},
        {"--exclude", "public.t", "--exclude must be TABLE:COLUMN"},
        {"--partition-key", "a.b:", "--partition-key must be TABLE:COLUMN"},
        {"--file", "/nonexistent", "--file /nonexistent: No such file or directory"},
    };
    struct err e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_null(BODY(&e, CREATE, wrong[i].option, wrong[i].value));
        assert_string_equal(e.text, wrong[i].error);
    }
    assert_null(BODY(&e, "peer", "add", "p", "--option", "alone"));
    assert_string_equal(e.text, "--option must be KEY=VALUE");
}

static void options_go_before_the_file(void **state)
{
    char path[] = "/tmp/bunnydb-test-XXXXXX";
    int fd = mkstemp(path);
    static const char text[] = "{\"cdc_batch_size\": 5, \"on_table_error\": \"stop\","
                               " \"table_mappings\": [{\"source_table\": \"a.b\"}]}";
    struct err e;
    (void)state;
    assert_true(fd >= 0 && dprintf(fd, "%s", text) > 0);
    check_body(BODY(&e, CREATE, "--file", path, "--cdc-batch-size", "6"),
               "{\"cdc_batch_size\":6,\"on_table_error\":\"stop\","
               "\"table_mappings\":[{\"source_table\":\"a.b\"}]}");
    check_body(BODY(&e, CREATE, "--file", path, "--table", "c.d"),
               "{\"cdc_batch_size\":5,\"on_table_error\":\"stop\","
               "\"table_mappings\":[{\"source_table\":\"c.d\"}]}");
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, "[{},\n]", 6, 0), 6);
    assert_null(BODY(&e, CREATE, "--file", path));
    assert_non_null(strstr(e.text, "is not valid JSON"));
    assert_non_null(strstr(e.text, "line 2"));
    assert_int_equal(pwrite(fd, "[   ]\n", 6, 0), 6);
    assert_null(BODY(&e, CREATE, "--file", path));
    assert_string_equal(e.text, "--file: the body must be a JSON object");
    check_body(BODY(&e, "mirror", "tables", "m", "--set", "--file", path),
               "{\"table_mappings\":[]}");
    close(fd);
    unlink(path);
}

static void names_are_encoded_in_addresses(void **state)
{
    (void)state;
    char *path = cli_path("/v1/mirrors/", "a b/\xc3\xa9?%\"", "/tables");
    assert_string_equal(path, "/v1/mirrors/a%20b%2F%C3%A9%3F%25%22/tables");
    free(path);
}

/* --- Output ----------------------------------------------------------------------------------- */
static const struct column columns[] = {
    {"NAME", "name", NULL, KIND_TEXT},
    {"LAG", "lag", NULL, KIND_SECONDS},
    {"KEPT", "slot.kept", NULL, KIND_BYTES},
    {"TABLE", "s", "t", KIND_TEXT},
    {"ON", "on", NULL, KIND_YES},
    {"LIST", "list", NULL, KIND_LIST},
};

static char *printed(const char *json, bool is_table)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    json_t *v = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(v);
    if (is_table)
        print_table(out, columns, COUNT_OF(columns), v);
    else
        print_facts(out, columns, COUNT_OF(columns), v);
    fclose(out);
    json_decref(v);
    return text;
}

static void check_printed(char *text, const char *wanted)
{
    assert_string_equal(text, wanted);
    free(text);
}

static void tables_are_aligned_and_keep_their_columns(void **state)
{
    (void)state;
    check_printed(printed("[{\"name\":\"a\",\"lag\":3700.2,\"slot\":{\"kept\":3221225472},"
                          "\"s\":\"public\",\"t\":\"users\",\"on\":true,\"list\":[\"x\",\"y\"]},"
                          "{\"name\":\"long \\u00e9\",\"lag\":null,\"s\":\"p\",\"t\":\"t\"}]",
                          true),
                  "NAME      LAG  KEPT  TABLE         ON   LIST\n"
                  "a       1h01m  3.0G  public.users  yes  x,y\n"
                  "long \xc3\xa9      -     -  p.t           -    -\n");
    check_printed(printed("[{\"name\":\"\",\"list\":{\"a\":\"b\",\"c\":1}}]", true),
                  "NAME  LAG  KEPT  TABLE  ON  LIST\n"
                  "-       -     -  .      -   a=b,c=1\n");
    check_printed(printed("[]", true), "NAME  LAG  KEPT  TABLE  ON  LIST\n");
}

/* Whatever a server may say: one line, nothing that moves a cursor or hides text. */
static void no_control_codes(void **state)
{
    static const struct column one = {"E", "e", NULL, KIND_TEXT};
    (void)state;
    json_t *o = json_loads("{\"e\":\"a\\nb\\tc\\u001b[2Jd\\u0085e\\u202ef\\u007f\"}", 0, NULL);
    char *text = print_cell(&one, o);
    assert_string_equal(text, "a b c?[2Jd?e?f?");
    free(text);
    json_decref(o);
}

static void facts_are_labelled_lines(void **state)
{
    (void)state;
    check_printed(printed("{\"name\":\"a\",\"on\":false,\"s\":\"p\",\"t\":\"t\"}", false),
                  "NAME:  a\nLAG:   -\nKEPT:  -\nTABLE: p.t\nON:    no\nLIST:  -\n");
}

static void findings_say_all_that_is_known(void **state)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    json_t *v = json_loads("[{\"severity\":\"error\",\"code\":\"c1\",\"title\":\"T\","
                           "\"cause\":\"why\",\"remedy\":\"ALTER\\nSYSTEM\"},"
                           "{\"severity\":\"ok\",\"code\":\"c2\",\"title\":\"fine\"}]",
                           0, NULL);
    (void)state;
    print_findings(out, v, SEVERITY_WARNING);
    fclose(out);
    check_printed(text, "error: T (c1)\n  cause: why\n  remedy: ALTER SYSTEM\n");
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_become_fields_with_their_types),
        cmocka_unit_test(tables_become_mappings),
        cmocka_unit_test(wrong_values_name_the_option),
        cmocka_unit_test(options_go_before_the_file),
        cmocka_unit_test(names_are_encoded_in_addresses),
        cmocka_unit_test(tables_are_aligned_and_keep_their_columns),
        cmocka_unit_test(no_control_codes),
        cmocka_unit_test(facts_are_labelled_lines),
        cmocka_unit_test(findings_say_all_that_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
