/* A folder of a test's own, made under TMPDIR and removed with all that is in it. */
#ifndef BUNNY_TEST_TEMPDIR_H
#define BUNNY_TEST_TEMPDIR_H

#include <stddef.h>

char *tempdir_new(void); /* path; free with tempdir_free */
void tempdir_free(char *dir);
/* "DIR/NAME" in a buffer that lives until the next call. */
const char *tempdir_path(const char *dir, const char *name);
/* The whole file; caller frees. Fails the test when it cannot be read. */
char *tempdir_read(const char *dir, const char *name, size_t *len);
void tempdir_write(const char *dir, const char *name, const char *data, size_t len);

#endif
