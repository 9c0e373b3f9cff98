/* How fast each table of the open mirror is copied, and so how long it takes still: measured from
 * one picture to the next, since the engine only publishes the mirror's rate. Console thread. */
#ifndef BUNNY_UI_METER_H
#define BUNNY_UI_METER_H

#include "engine.h"

struct meter {
    char table[2 * NAME_SIZE + 2];
    int64_t bytes, at;       /* of the last measurement; us */
    double bytes_per_second; /* -1: not known yet */
};
struct meters {
    char mirror[NAME_SIZE];
    struct meter *items; /* only of tables that are being copied */
    size_t n, cap;
};

void meters_free(struct meters *s);
/* Takes a picture's bytes; another mirror than before begins anew. */
void meters_update(struct meters *s, const struct mirror_status *m, int64_t at);
/* Seconds until the table is copied; -1 when not known. */
int64_t meters_left(const struct meters *s, const struct table_status *t);

#endif
