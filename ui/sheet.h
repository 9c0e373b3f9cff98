/* Reports of a mirror that have to be asked for: what a cutover still waits for (both servers are
 * asked), and what the last comparison found (the disk is). One thread, one question at a time; a
 * newer one takes the place of the one that is under way. */
#ifndef BUNNY_UI_SHEET_H
#define BUNNY_UI_SHEET_H

#include "ui/model.h"

enum sheet_kind {
    SHEET_CUTOVER,
    SHEET_VERIFY,
    SHEET_DOCTOR,
};
struct sheet {
    enum sheet_kind kind;
    char mirror[NAME_SIZE];
    bool is_there;  /* false: it is on its way */
    struct err err; /* code ERR_NONE: none */
    struct cutover cutover;
    struct verify_report verify;
    struct findings checks;
};
void sheet_free(struct sheet *r); /* the contents */
/* Rows that the comparison found to differ. */
int64_t sheet_differences(const struct sheet *r);

struct sheets;

/* wake_fd is signalled when a report can be taken. */
struct sheets *sheets_start(const struct model *m, int wake_fd);
/* Console thread, as the next one. */
void sheets_ask(struct sheets *s, enum sheet_kind kind, const char *mirror);
/* The answer to the last question, moved to *out; false when it is not there. */
bool sheets_take(struct sheets *s, struct sheet *out);
/* Gives up what is under way (about 100 ms), frees. */
void sheets_stop(struct sheets *s);

#endif
