/* Hand-made messages of a stream and hand-made definitions, for the tests of stream/. */
#ifndef BUNNY_TEST_STREAM_SAMPLES_H
#define BUNNY_TEST_STREAM_SAMPLES_H

#include "schema/schema.h"
#include "stream/pgoutput.h"

#define SAMPLE_WIDTH 8

/* A message with room for what it points to; strings are borrowed. */
struct sample {
    struct pgo_message m;
    struct pgo_value values[2][SAMPLE_WIDTH];
    struct pgo_column columns[SAMPLE_WIDTH];
    uint32_t relations[4];
};

struct sample_row {
    size_t n;
    const char *const *values; /* NULL: SQL NULL; sample_unchanged: TOAST that did not change */
};
extern const char sample_unchanged[];
#define ROW(...)                                                                 \
    ((struct sample_row){sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), \
                         (const char *const[]){__VA_ARGS__}})
#define NO_ROW ((struct sample_row){0, NULL})

/* Each fills *s and returns its message, valid as long as *s. */
/* Of schema public. Columns by name; "*id" is part of the replica identity. */
const struct pgo_message *sample_relation(struct sample *s, uint32_t oid, const char *table,
                                          struct sample_row columns);
const struct pgo_message *sample_begin(struct sample *s, lsn_t commit_lsn);
const struct pgo_message *sample_commit(struct sample *s, lsn_t commit_lsn, lsn_t end_lsn);
const struct pgo_message *sample_insert(struct sample *s, uint32_t oid, struct sample_row next);
/* old_kind 0: no old row. */
const struct pgo_message *sample_update(struct sample *s, uint32_t oid, char old_kind,
                                        struct sample_row old, struct sample_row next);
const struct pgo_message *sample_delete(struct sample *s, uint32_t oid, char old_kind,
                                        struct sample_row old);
/* second 0: only the first. */
const struct pgo_message *sample_truncate(struct sample *s, uint32_t first, uint32_t second);

/* The message as pgoutput's bytes. */
void sample_encode(const struct pgo_message *m, struct buf *b);

#endif
