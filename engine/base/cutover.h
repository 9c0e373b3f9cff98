/* What stands between a mirror and the moment at which the applications move to the destination:
 * checks, each with a sentence, and what it is about. Plain data that belongs to whoever declared
 * it; zero-initialised it is empty. No locks. */
#ifndef BUNNY_CUTOVER_H
#define BUNNY_CUTOVER_H

#include "base/findings.h"
#include "base/lsn.h"

#include <stdint.h>

enum cutover_state {
    CUTOVER_OK,
    CUTOVER_REMARK,  /* worth knowing; nothing that remains */
    CUTOVER_NOT_YET, /* comes by itself */
    CUTOVER_CANNOT,  /* somebody has to do something */
};
const char *cutover_state_name(enum cutover_state s); /* "ok" "remark" "not_yet" "cannot" */

struct cutover_check {
    char name[24]; /* stable snake_case */
    enum cutover_state state;
    char *text; /* a sentence */
    struct finding_item *items;
    size_t n_items, cap_items;
};

struct cutover {
    int64_t taken_at;  /* us */
    lsn_t lsn;         /* where the source's WAL ended when it was asked; 0: it was not */
    bool is_read_only; /* new sessions at the source only read */
    char *undo;        /* the statement that ends that; NULL: nothing to undo */
    struct cutover_check *checks;
    size_t n, cap;
};
/* Adds one; borrowed until the next. */
struct cutover_check *cutover_add(struct cutover *c, const char *name, enum cutover_state state,
                                  const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* What it is about, as findings_item. The texts are copied. */
void cutover_item(struct cutover_check *k, const char *name, const char *note,
                  const char *statement);
/* Nothing remains. */
bool cutover_is_ready(const struct cutover *c);
void cutover_free(struct cutover *c); /* the contents */

#endif
