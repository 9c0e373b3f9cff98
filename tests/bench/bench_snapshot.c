/* Measures one snapshot: bench_snapshot SOURCE_HOST PORT DB DEST_HOST PORT DB WORKERS copies all
 * tables of public, indexes and foreign keys included, and prints the seconds it took. */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/copy_pair.h"
#include "base/clock.h"

int main(int argc, char **argv)
{
    struct copy_pair p;
    struct err e = {0};
    if (argc != 8) {
        fputs("usage: bench_snapshot SOURCE_HOST PORT DB DEST_HOST PORT DB WORKERS\n", stderr);
        return 2;
    }
    pair_open(&p, argv[1], (int)strtol(argv[2], NULL, 10), argv[3], argv[4],
              (int)strtol(argv[5], NULL, 10), argv[6]);
    p.workers = (int)strtol(argv[7], NULL, 10);
    int64_t before = clock_mono_ms();
    pair_prepare(&p);
    pair_start(&p);
    bool ok = pair_wait(&p, 3600000) && pair_finish(&p, &e);
    if (ok)
        printf("%.2f\n", (double)(clock_mono_ms() - before) / 1000.0);
    else
        fprintf(stderr, "%s [%s] %s\n", e.text, e.sqlstate, e.hint);
    pair_close(&p);
    return ok ? 0 : 1;
}
