/* What is asked for beside commands to mirrors, and may wait for servers: peers that are made,
 * changed or deleted. One thread, one at a time. */
#ifndef BUNNY_UI_JOB_H
#define BUNNY_UI_JOB_H

#include "ui/model.h"

enum job_kind {
    JOB_PEER_SAVE,
    JOB_PEER_DELETE,
    JOB_CREATE,
    JOB_BUNDLE,     /* of config.name */
    JOB_CHANGE,     /* the settings of config.name whose bits are in fields */
    JOB_SET_TABLES, /* pauses the mirror if it runs, and lets it go on afterwards */
};
struct job {
    enum job_kind kind;
    struct peer peer; /* with its name */
    unsigned fields;  /* JOB_PEER_SAVE: 0 makes it, else what changes (enum peer_field) */
    struct mirror_config config; /* of the others: JOB_SET_TABLES by its name and tables alone */
    bool is_running;             /* JOB_SET_TABLES: it is to run afterwards, too */
};
struct job_result {
    enum job_kind kind;
    char name[NAME_SIZE];
    char text[400]; /* what it was: "peer eu-prod made" */
    bool ok;
    struct err err;           /* when not ok */
    struct findings findings; /* of a refusal; the taker frees them */
};
struct jobs;

/* wake_fd is signalled when a result can be taken. */
struct jobs *jobs_start(const struct model *m, int wake_fd);
/* Takes the job's contents over in every case; false: another one is under way. Console thread, as
 * the next one. */
bool jobs_submit(struct jobs *s, struct job *j);
bool jobs_take(struct jobs *s, struct job_result *out);
/* Waits for what is under way, frees. */
void jobs_stop(struct jobs *s);

#endif
