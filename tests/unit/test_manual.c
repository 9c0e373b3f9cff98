/* The manual pages, the completion of the shell and the sample configuration say what the program's
 * tables say. With the argument "write" (make manual) they are written instead of compared. */
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
#include "src/conf.h"
#include "src/man/manual.h"

static bool writing;

static char *path_of(const char *name)
{
    const char *top = getenv("srcdir");
    return mem_printf("%s/%s", top ? top : ".", name);
}

static FILE *open_file(const char *name, const char *mode)
{
    char *path = path_of(name);
    FILE *f = fopen(path, mode);
    if (!f)
        fail_msg("cannot open %s (srcdir is the top folder of the sources)", path);
    free(path);
    return f;
}

static void compare(const char *name, const char *made, size_t n)
{
    char *kept = mem_calloc(n + 2, 1);
    if (writing) {
        FILE *f = open_file(name, "w");
        assert_int_equal(fwrite(made, 1, n, f), n);
        assert_int_equal(fclose(f), 0);
        free(kept);
        return;
    }
    FILE *f = open_file(name, "r");
    size_t got = fread(kept, 1, n + 1, f);
    fclose(f);
    if (got != n || memcmp(kept, made, n) != 0)
        fail_msg("%s is not what the tables say: run make manual", name);
    free(kept);
}

static void check_page(const char *name)
{
    char *made = NULL, *from = mem_printf("%s.in", name);
    size_t n = 0;
    FILE *template = open_file(from, "r"), *out = open_memstream(&made, &n);
    assert_true(manual_expand(template, out));
    fclose(out);
    fclose(template);
    compare(name, made, n);
    free(made);
    free(from);
}

static void the_program_s_page(void **state)
{
    (void)state;
    check_page("src/man/bunnydb.1");
}

static void the_configuration_s_page(void **state)
{
    (void)state;
    check_page("src/man/bunnydb.conf.5");
}

static void the_completion(void **state)
{
    (void)state;
    check_page("contrib/bunnydb.bash");
}

static void the_sample(void **state)
{
    char *made = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&made, &n);
    (void)state;
    manual_print_sample(out);
    fclose(out);
    compare("contrib/bunnydb.conf.sample", made, n);
    free(made);
}

/* As shipped. */
static void the_sample_can_be_read(void **state)
{
    struct conf c;
    struct err err = {0};
    char *path = path_of("contrib/bunnydb.conf.sample");
    (void)state;
    conf_init(&c);
    if (!conf_load(&c, path, &err))
        fail_msg("%s", err.text);
    conf_free(&c);
    free(path);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_program_s_page),     cmocka_unit_test(the_configuration_s_page),
        cmocka_unit_test(the_completion),         cmocka_unit_test(the_sample),
        cmocka_unit_test(the_sample_can_be_read),
    };
    writing = argc > 1 && !strcmp(argv[1], "write");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
