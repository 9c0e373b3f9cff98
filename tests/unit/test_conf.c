/* The configuration file: what is read, and that each mistake is told with file and line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "src/conf.h"

static char path[] = "/tmp/bunnydb-conf-XXXXXX";

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* Reads text; the error without the path, or "" when all is well. */
static const char *load(struct conf *c, const char *text)
{
    static struct err err;
    err = (struct err){0};
    write_file(text);
    conf_init(c);
    if (conf_load(c, path, &err))
        return "";
    assert_int_equal(strncmp(err.text, path, strlen(path)), 0);
    return err.text + strlen(path);
}

static void defaults(void **state)
{
    struct conf c;
    (void)state;
    assert_string_equal(load(&c, "\n# nothing\n; at all\n[http]\n"), "");
    assert_int_equal(c.http_token_ttl_s, 86400);
    assert_int_equal(c.log_keep_days, 14);
    assert_int_equal(c.memory, 256 << 20);
    assert_int_equal(c.log_level, LOG_LEVEL_INFO);
    assert_false(c.http_insecure);
    assert_false(c.http_open_metrics);
    assert_null(c.http_listen);
    assert_int_equal(c.wal_action, 0); /* the alarm alone */
    conf_free(&c);
}

static void settings(void **state)
{
    struct conf c;
    (void)state;
    assert_string_equal(load(&c,
                             "\xEF\xBB\xBF[server]\nstate_dir = /a b/c\n"
                             "[http]\nlisten=[::1]:8112 ; note\ntoken_ttl = 90m\ninsecure = Yes\n"
                             "max_connections = 7\n[log]\nlevel = WARN\n[limits]\nmemory=1GB\n"),
                        "");
    assert_string_equal(c.state_dir, "/a b/c");
    assert_string_equal(c.http_listen, "[::1]:8112");
    assert_int_equal(c.http_token_ttl_s, 5400);
    assert_true(c.http_insecure);
    assert_int_equal(c.http_max_connections, 7);
    assert_int_equal(c.log_level, LOG_LEVEL_WARN);
    assert_int_equal(c.memory, 1 << 30);
    conf_free(&c);
}

static void a_choice_is_one_of_those_that_there_are(void **state)
{
    static const char *const names[] = {"alarm", "pause", "Drop_Slot"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct conf c;
        char text[64];
        str_printf(text, sizeof text, "[alarm]\nwal_action = %s\n", names[i]);
        assert_string_equal(load(&c, text), "");
        assert_int_equal(c.wal_action, i);
        json_t *o = conf_to_json(&c);
        json_t *shown = json_object_get(json_object_get(o, "alarm"), "wal_action");
        assert_int_equal(strcasecmp(json_string_value(shown), names[i]), 0);
        json_decref(o);
        conf_free(&c);
    }
}

static void peers_and_mirrors(void **state)
{
    struct conf c;
    (void)state;
    const char *e =
        load(&c, "[peer a]\nhost = h\nuser = u\npassword = p = q\ndatabase = d\nport = 6000\n"
                 "connect_timeout = 5\n[peer b]\nhost = h\nuser = u\ndatabase = d\n"
                 "[mirror a_name_that_is_one_byte_longer_than_a_name_may_be_5]\nsource_peer = a\n"
                 "destination_peer = b\ntables = public.users,\n  public.orders -> x.y\n  sales.*\n"
                 "cdc_batch_size = 5\nreplicate_indexes = no\n");
    assert_string_equal(e, ":12: [mirror a_name_that_is_one_byte_longer_than_a_name_may_be_5]: "
                           "field \"name\" must have at most 50 bytes");
    conf_free(&c);
    e = load(&c, "[peer a]\nhost = h\nuser = u\npassword = p = q\ndatabase = d\nport = 6000\n"
                 "connect_timeout = 5\n"
                 "[mirror this_name_is_longer_than_what_inih_would_keep_0]\nsource_peer = a\n"
                 "destination_peer = b\ntables = public.users,\n  public.orders -> x.y\n  sales.*\n"
                 "cdc_batch_size = 5\nreplicate_indexes = no\n");
    assert_string_equal(e, "");
    assert_int_equal(c.peers.n, 1);
    assert_true(c.has_secrets);
    assert_false(c.shows_secrets); /* mkstemp made it 0600 */
    json_t *peer = c.peers.items[0].object, *mirror = c.mirrors.items[0].object;
    assert_string_equal(json_string_value(json_object_get(peer, "password")), "p = q");
    assert_int_equal(json_integer_value(json_object_get(peer, "port")), 6000);
    assert_non_null(json_object_get(json_object_get(peer, "options"), "connect_timeout"));
    assert_string_equal(c.mirrors.items[0].name, "this_name_is_longer_than_what_inih_would_keep_0");
    assert_int_equal(c.mirrors.items[0].line, 8);
    assert_int_equal(json_array_size(json_object_get(mirror, "table_mappings")), 3);
    assert_true(json_is_false(json_object_get(mirror, "replicate_indexes")));
    conf_free(&c);
}

static void open_secrets_are_noticed(void **state)
{
    struct conf c;
    (void)state;
    assert_int_equal(chmod(path, 0644), 0);
    assert_string_equal(load(&c, "[peer a]\nhost=h\nuser=u\ndatabase=d\n"), "");
    assert_false(c.shows_secrets);
    conf_free(&c);
    assert_string_equal(load(&c, "[peer a]\nhost=h\nuser=u\ndatabase=d\npassword=x\n"), "");
    assert_true(c.shows_secrets);
    conf_free(&c);
    assert_int_equal(chmod(path, 0600), 0);
}

static void mistakes_have_file_and_line(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"[http]\nfoo = 1\n", ":2: unknown key \"foo\" in [http]"},
        {"[nothing]\n", ":1: unknown section [nothing]"},
        {"\nlisten = x\n", ":2: key \"listen\" stands before the first section"},
        {"[http]\nlisten\n", ":2: neither a [section] nor a key = value"},
        {"[http\nlisten = x\n", ":1: a section looks like [http]"},
        {"[http]\ninsecure = maybe\n", ":2: \"insecure\" of [http] must be yes or no"},
        {"[http]\n\ntoken_ttl = 5 weeks\n",
         ":3: \"token_ttl\" of [http] is not a time (such as 90s, 15m, 24h, 7d): \"5 weeks\""},
        {"[http]\nmax_connections = 0\n",
         ":2: \"max_connections\" of [http] must be from 1 to 4096"},
        {"[log]\nlevel = loud\n", ":2: \"level\" of [log] must be debug, info, warn or error"},
        {"[alarm]\nwal_action = alarm|pause\n",
         ":2: \"wal_action\" of [alarm] must be alarm, pause or drop_slot"},
        {"[alarm]\nwal_action = drop\n",
         ":2: \"wal_action\" of [alarm] must be alarm, pause or drop_slot"},
        {"[log]\nkeep_days = 1\nkeep_days = 2\n", ":3: key \"keep_days\" in [log] is given twice"},
        {"[log]\nlevel = info\n  warn\n", ":3: \"level\" takes one line"},
        {"[limits]\nmemory = 99999999999GB\n",
         ":2: \"memory\" of [limits] is not a size (such as 256MB, 1GB): \"99999999999GB\""},
        {"[server]\nstate_dir =\n", ":2: \"state_dir\" of [server] has no value"},
        {"[peer a]\nhost = h\n", ":1: [peer a]: field \"user\" is missing"},
        {"[peer a]\nport = x\n", ":2: field \"port\" must be an integer"},
        {"[peer a]\nhost = h\nhost = i\n", ":3: key \"host\" in [peer a] is given twice"},
        {"[peer a]\npassword_file = /nothing/here\n",
         ":2: password_file /nothing/here: No such file or directory"},
        {"[mirror m]\nsource = x\n", ":2: unknown key \"source\" in [mirror m]"},
        {"[mirror m]\nsource_peer = a\ndestination_peer = b\n",
         ":1: [mirror m]: field \"table_mappings\" must not be empty"},
        {"[mirror m]\ntables = a.b\ntables = c.d\n",
         ":3: key \"tables\" in [mirror m] is given twice"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct conf c;
        assert_string_equal(load(&c, rows[i].text), rows[i].error);
        conf_free(&c);
    }
}

static void long_lines(void **state)
{
    struct conf c;
    char text[20000] = "[mirror m]\nsource_peer = a\ndestination_peer = b\ntables = a.t0";
    (void)state;
    for (int i = 1; i < 500; i++) {
        size_t at = strlen(text);
        str_printf(text + at, sizeof text - at, ", a.t%d", i);
    }
    assert_string_equal(load(&c, text), "");
    assert_int_equal(json_array_size(json_object_get(c.mirrors.items[0].object, "table_mappings")),
                     500);
    conf_free(&c);
    size_t at = strlen(text);
    memset(text + at, 'x', 9000);
    assert_non_null(strstr(load(&c, text), "the line has more than"));
    conf_free(&c);
}

static void a_named_file_must_be_there(void **state)
{
    struct conf c;
    struct err err;
    (void)state;
    conf_init(&c);
    assert_false(conf_load(&c, "/nothing/here.conf", &err));
    conf_free(&c);
    setenv("BUNNYDB_CONF", "/nothing/here.conf", 1);
    conf_init(&c);
    assert_false(conf_load(&c, NULL, &err));
    conf_free(&c);
    unsetenv("BUNNYDB_CONF");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(settings),
        cmocka_unit_test(a_choice_is_one_of_those_that_there_are),
        cmocka_unit_test(peers_and_mirrors),
        cmocka_unit_test(open_secrets_are_noticed),
        cmocka_unit_test(mistakes_have_file_and_line),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(a_named_file_must_be_there),
    };
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    log_to_fd(-1, LOG_LEVEL_ERROR);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
