/* Definitions of a mirror that change at its source: may the destination follow by itself, tables
 * that have to be copied again, and when everything is compared once more. All of it in the
 * mirror's thread. */
#ifndef BUNNY_DEFINITIONS_H
#define BUNNY_DEFINITIONS_H

#include "control/mirror_private.h"
#include "schema/places.h"
#include "stream/apply.h"

/* Does this mirror follow without being asked? */
bool definitions_are_automatic(const struct mirror *m);
/* For an apply; arg of the callbacks is the run. */
struct adapt_options definitions_adapt(struct run *r);

/* Looks for what no relation message tells: tables that the source has rewritten, columns that were
 * dropped and added again under the same name, tables that were out of the publication for a while.
 * Their rows are copied again: the wish is recorded. may: it is allowed; else ERR_SCHEMA names
 * them. */
bool definitions_look(struct run *r, bool may, struct err *err) MUST_CHECK;

/* The mapped table at the source that a table of the schema (a partition of it, too) belongs to. */
struct table_name definitions_table(const struct run *r, int table);

/* Looks for tables and columns of the destination that are others than those that were copied or
 * streamed to, and for tables that somebody has emptied: the wish for a copy is recorded, and told.
 * Then keeps what is there now. After definitions_look. (replaced.c) */
bool definitions_mind_places(struct run *r, struct err *err) MUST_CHECK;
/* The same without a wish: what there is, on connections of the caller's, in its thread; and why
 * that table has to be copied again (caller frees). */
bool definitions_look_there(struct pg_conn *source, struct task *source_task, struct pg_conn *dest,
                            struct task *dest_task, const char *mirror_id, const struct schema *s,
                            struct place_changes *out, struct err *err) MUST_CHECK;
char *definitions_why_there(const struct schema_table *t, const struct place_change *c);

/* Tables with columns that hold rows of a table whose columns are others at the destination: the
 * wish for a copy is recorded, which takes them out of the stream. (layouts.c) */
bool definitions_mind_layouts(struct run *r, struct err *err) MUST_CHECK;
/* A run has failed at a value: whether its table leaves the stream for that. The run's session at
 * the destination is replaced. */
bool definitions_leave_misfit(struct run *r, const struct err *why) MUST_CHECK;

/* Why a table has to be copied again for that; NULL: it has not. is_rewritten: as the source's rows
 * said, where they had to be asked (known.h). Any thread. */
const char *definitions_reason(const struct known_table *was, const struct known_table *now,
                               bool is_rewritten);
/* What sync-schema will copy besides what steps of the plan say, as steps of it; asks on
 * connections of the caller's, in its thread. (preview.c) */
bool definitions_preview(struct engine *e, const struct mirror_row *row, struct pg_conn *source,
                         struct task *source_task, struct pg_conn *dest, struct task *dest_task,
                         struct schema_plan *plan, struct err *err) MUST_CHECK;

/* In the stream's loop: tables that were emptied or rewritten without a change of their definition
 * get their new files noted, so that a later change is not taken for a rewrite. */
bool definitions_tend(struct run *r, struct apply *a, struct err *err) MUST_CHECK;

/* To be called before definitions are read: changes from here on are noticed. */
bool definitions_note(struct run *r, struct err *err) MUST_CHECK;

/* A mapped table is missing at the source: mappings of tables that are called otherwise now follow.
 * (renamed.c) */
bool definitions_follow_names(struct run *r, struct err *err) MUST_CHECK;
/* Mapped tables that were dropped and created again at the source, and that the publication lacks
 * since: the wish for a copy is recorded, and the publication is to follow. ERR_SCHEMA where
 * definitions follow by hand and nobody has asked for it. Of tables that were taken out it is
 * source_check_publication that tells. After the definitions were read. (recreated.c) */
bool definitions_mind_recreated(struct run *r, struct err *err) MUST_CHECK;
/* For an apply, arg is the run: whether a relation that the stream has changes of is part of no
 * mapped table any more. What its rows are at the destination, sync-schema tells. */
bool definitions_has_left(void *arg, const struct pgo_message *relation, bool *has_left,
                          struct err *err) MUST_CHECK;

/* A run has failed, and the operator has to heal it: columns that rows were copied or streamed to,
 * and that the destination has no more, have lost their values. Their tables are to be copied
 * again, as soon as the columns are there: the wish is recorded. The run's session at the
 * destination is replaced. */
void definitions_note_lost(struct run *r, const struct err *err);

/* Definitions are to be compared (and, automatically, to be followed) between two runs. */
void definitions_want(struct mirror *m, int delay_ms);
bool definitions_are_due(const struct mirror *m);
/* Whether an error may come from definitions that differ. */
bool definitions_are_to_blame(const struct err *err);
/* A run has failed: true when changes of earlier transactions went back with the one that does not
 * fit, so that the next run, at once, is to apply those first: its batch ends before.
 * closed_before: where that of the failed run ended. Notes a table whose value fits no type.
 * (misfits.c) */
bool definitions_go_first(struct run *r, lsn_t closed_before, const struct err *why) MUST_CHECK;
/* Nothing of the plan was to be done, and the stream stands at such a value: one from before a
 * change of its type that the destination has already. The wish for a copy is recorded, which takes
 * the table out of the stream. */
bool definitions_copy_misfit(struct run *r, const struct schema_plan *plan, bool *is_copied,
                             struct err *err) MUST_CHECK;
/* A run has failed: when the destination's definitions may be the reason, and nobody has compared
 * them for it yet, that is wanted now and true is returned. */
bool definitions_may_heal(struct mirror *m, const struct err *err);

#endif
