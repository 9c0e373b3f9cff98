/* What the files share that copy tables beside a mirror's stream: table_sync.c (which tables, the
 * stream's loop, foreign keys that come back), table_sync_copy.c (one copy), table_leave.c (a table
 * leaves the stream). See table_sync.h; all of it in the mirror's thread. */
#ifndef BUNNY_TABLE_SYNC_PRIVATE_H
#define BUNNY_TABLE_SYNC_PRIVATE_H

#include "control/second_look.h"
#include "control/table_sync.h"
#include "copy/restore.h"
#include "copy/table_copy.h"

/* A mapped table that is set aside. */
struct sync_item {
    int mapping; /* index in the configuration */
    struct table_name name;
    bool by_swap;    /* readers keep the old rows until the new ones are there */
    bool keeps_rows; /* an operator has asked for that */
    bool is_aside;   /* false once it has been handed over */
    bool is_copying; /* part of the present copy */
    bool is_stopped; /* a change of it could not be applied: it waits for the operator */
    bool is_owing;   /* an earlier copy, that did not end, has left something to be restored */
    bool was_asked;  /* it left the stream of this run for an operator */
    size_t at_most;  /* of how many tables its next copy is: one of more has failed; 0: of any */
    int failures;
    int64_t retry_at;    /* monotonic ms */
    struct err *failure; /* of its last copy, when nobody but it could be meant; NULL: none */
};

struct table_sync {
    struct run *r;
    size_t n_items, cap_items;
    struct sync_item *items;
    bool *aside; /* of each table of the schema */
    struct table_name_list removed;
    bool is_idle;     /* nothing is or will be to be done in this run */
    bool is_snapshot; /* the first snapshot goes on: it ends with the last of these tables */
    int64_t look_at;

    struct {
        bool is_there, by_swap, is_all;
        struct table_name name;
        int64_t at; /* monotonic ms */
    } asked;        /* a table that is to leave the stream, or all of them */

    struct table_copy *copy; /* NULL: none */
    bool is_ending;          /* it failed, its thread is on its way out */
    bool is_point_told, is_handed_over;
    struct err err;
    bool *wanted, *kept; /* of each mapping / of each table: part of the present copy */
    int64_t began;

    struct restore *restore; /* NULL: none */
    bool wants_restore, has_tried_restore;
    int restore_failures; /* in a row */
    int64_t restore_at;

    struct second_look *second_look; /* NULL: none */
    bool wants_look;                 /* once nothing is copied */
};

static inline struct mirror *table_sync_mirror(const struct table_sync *s)
{
    return s->r->m;
}

static inline const struct mirror_config *table_sync_config(const struct table_sync *s)
{
    return &s->r->m->row.config;
}

static inline struct sync_owner table_sync_owner(const struct table_sync *s)
{
    return (struct sync_owner){.mirror_id = s->r->m->row.mirror_id, .epoch = s->r->progress->epoch};
}

static inline bool table_sync_is_due(const struct sync_item *item, int64_t now)
{
    return item->is_aside && !item->is_stopped && item->retry_at <= now;
}

/* table_sync.c */
/* The rows of _bunnydb.table_sync of all items that are to be copied. */
bool table_sync_set_aside(struct table_sync *s, struct err *err) MUST_CHECK;
/* s->aside follows the items. */
void table_sync_mark_aside(struct table_sync *s);
/* Shadows that an earlier swap could not remove; what stays is tried again by the next copy. */
void table_sync_remove_leftovers(struct table_sync *s);
/* What was asked for has been done, or is left to the next try. */
void table_sync_end_operation(struct table_sync *s);
void table_sync_show(const struct table_sync *s);
void table_sync_show_item(struct table_sync *s, const struct sync_item *item, const char *state,
                          const char *error);
void table_sync_show_stopped(struct table_sync *s, const struct sync_row_list *rows);

/* table_sync_copy.c: no copy is under way; one of the tables that are due begins. */
void table_sync_begin_copy(struct table_sync *s, struct apply *a);
/* How far it is, and what follows from that. */
bool table_sync_look_at_copy(struct table_sync *s, struct apply *a, struct err *err) MUST_CHECK;
/* It has failed: put off once its thread has ended. False: only another run can go on. */
bool table_sync_end_copy(struct table_sync *s, struct apply *a, struct err *err) MUST_CHECK;
/* Its tables are in the stream again. */
void table_sync_finish_copy(struct table_sync *s, int64_t replayed);

/* table_leave.c: what was asked for leaves the stream as soon as it can. */
bool table_sync_tend_asked(struct table_sync *s, struct apply *a, struct err *err) MUST_CHECK;

#endif
