/* The steps to a new mirror (form, tables, summary) and to other tables of one (tables, summary).
 * Console thread; servers are asked by the helper threads. */
#ifndef BUNNY_UI_WIZARD_H
#define BUNNY_UI_WIZARD_H

#include "ui/model.h"

struct app;
struct job_result;

/* A table that may be in the mirror. */
struct pick {
    char name[2 * NAME_SIZE + 2]; /* first: "schema.table" */
    struct table_map map;         /* how it is, or would be mapped */
    int64_t rows, bytes;          /* -1: not known */
    enum severity worst;          /* SEVERITY_ERROR: it cannot be mirrored */
    char why[200];
    bool is_in, was_in;
};
struct wizard {
    bool is_new;       /* else the tables of config.name are changed */
    bool waits;        /* for the peers, before the form can be opened */
    bool is_filled;    /* the picks are those of the answer at */
    int64_t filled_at; /* us */
    bool is_busy;      /* the job is under way */
    struct mirror_config config;
    struct pick *picks; /* by name */
    size_t n;
    const char **peers; /* choices of the form; NULL ends */
    char **peer_names;
    char error[700]; /* of a refusal */
    struct findings findings;
};
void wizard_free(struct wizard *w); /* the contents */

bool can_create(struct app *a, char *reason, size_t size);
bool can_set_tables(struct app *a, char *reason, size_t size);
bool has_pick(struct app *a, char *reason, size_t size);
bool can_finish(struct app *a, char *reason, size_t size);

void do_create(struct app *a);     /* a: the form of a new mirror */
void do_set_tables(struct app *a); /* E: the tables of a mirror */
void do_pick(struct app *a);       /* blank: the selected table is in, or not any more */
void do_pick_all(struct app *a);   /* all that are shown, or none */
void do_summary(struct app *a);    /* enter */
void do_finish(struct app *a);     /* enter on the summary: asks y */

/* The lines of the picker. */
void wizard_build(struct app *a);
/* What is chosen: how many tables, their bytes and rows; added and removed of a mirror that is. */
struct wizard_sum {
    size_t tables, added, removed;
    int64_t bytes, rows; /* of what will be copied */
};
struct wizard_sum wizard_sum(const struct wizard *w);
/* The peers have come: the form that waited for them opens. */
void wizard_peers_come(struct app *a);
/* A screen was left by esc. */
void wizard_left(struct app *a, int screen);
/* A job has ended. True: all is said. */
bool wizard_job_done(struct app *a, struct job_result *r);

#endif
