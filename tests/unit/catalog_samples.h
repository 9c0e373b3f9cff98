/* Catalogs and things to put into them, for the tests of the catalog and of what uses it. */
#ifndef BUNNY_TEST_CATALOG_SAMPLES_H
#define BUNNY_TEST_CATALOG_SAMPLES_H

#include "catalog/catalog.h"

/* Opens, and fails the test with the error's text when that does not work. */
struct catalog *sample_open(const char *dir);
/* Fails the test with err's text unless ok. */
void sample_ok(bool ok, const struct err *err);
#define OK(call) sample_ok((call), &err)

#define SAMPLE_PASSWORD "s3cret pässword"
#define SAMPLE_KEY_PASSWORD "tls key phrase"
/* A peer with all fields and three options, one of them secret; free with peer_free. */
struct peer sample_peer(const char *name);
void sample_add_peer(struct catalog *c, const char *name);
/* A mirror from peer "src" to peer "Dst" with two tables; free with mirror_row_free. */
struct mirror_row sample_mirror(const char *name, const char *slot);
struct user sample_user(const char *name, const char *role);

#endif
