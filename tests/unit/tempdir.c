/* Folders for tests; see tempdir.h. */
#include "tests/unit/tempdir.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

char *tempdir_new(void)
{
    const char *top = getenv("TMPDIR");
    char *dir = mem_printf("%s/bunny-unit-XXXXXX", top && *top ? top : "/tmp");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st, (void)kind, (void)where;
    return remove(path);
}

void tempdir_free(char *dir)
{
    assert_int_equal(nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(dir);
}

const char *tempdir_path(const char *dir, const char *name)
{
    static char path[512];
    str_printf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

char *tempdir_read(const char *dir, const char *name, size_t *len)
{
    FILE *f = fopen(tempdir_path(dir, name), "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    *len = (size_t)ftell(f);
    rewind(f);
    char *data = mem_calloc(*len + 1, 1);
    assert_int_equal(fread(data, 1, *len, f), *len);
    fclose(f);
    return data;
}

void tempdir_write(const char *dir, const char *name, const char *data, size_t len)
{
    FILE *f = fopen(tempdir_path(dir, name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}
