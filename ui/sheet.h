/* What has to be asked for beside the picture: reports of a mirror (what a cutover waits for, what
 * the last comparison found), the slots of all sources, runs, peers, definitions. Servers or the
 * disk are asked: one thread, one question at a time; a newer one takes the place of the one that
 * is under way. */
#ifndef BUNNY_UI_SHEET_H
#define BUNNY_UI_SHEET_H

#include "ui/model.h"

enum sheet_kind {
    SHEET_CUTOVER,
    SHEET_VERIFY,
    SHEET_DOCTOR,
    SHEET_PEER_TEST, /* the last one that SCREEN_REPORT shows */
    SHEET_SLOTS,
    SHEET_RUNS, /* of all mirrors when none is named */
    SHEET_PEERS,
    SHEET_CONFIG,
    SHEET_PLAN,
    SHEET_SURVEY,    /* of a source and, as the other name, a destination */
    SHEET_CHECKUP,   /* the doctor's checks of one mirror, for the screen of all */
    SHEET_AVAILABLE, /* a mirror's configuration, and the tables that it does not have */
    SHEET_COUNT
};
struct sheet {
    enum sheet_kind kind;
    char mirror[NAME_SIZE]; /* or peer, or empty: of all */
    char other[NAME_SIZE];
    bool is_there;  /* false: it is on its way */
    int64_t at;     /* us; when the answer came */
    struct err err; /* code ERR_NONE: none */
    struct cutover cutover;
    struct verify_report verify;
    struct findings checks;
    struct peer_report test;
    struct slot_list slots;
    struct run_page runs;
    struct peer_list peers;
    struct mirror_config config;
    struct schema_plan plan;
    struct survey survey;
    struct peer_table_list available;
};
void sheet_free(struct sheet *r); /* the contents */
/* Rows that the comparison found to differ. */
int64_t sheet_differences(const struct sheet *r);

struct sheets;

/* wake_fd is signalled when a report can be taken. */
struct sheets *sheets_start(const struct model *m, int wake_fd);
/* Console thread, as the next one. */
void sheets_ask(struct sheets *s, enum sheet_kind kind, const char *mirror, const char *other);
/* The answer to the last question, moved to *out; false when it is not there. */
bool sheets_take(struct sheets *s, struct sheet *out);
/* Gives up what is under way (about 100 ms), frees. */
void sheets_stop(struct sheets *s);

#endif
