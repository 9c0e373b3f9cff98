/* What the actions do, and when they can: the functions that the table in actions.c names. */
#ifndef BUNNY_UI_DEEDS_H
#define BUNNY_UI_DEEDS_H

#include "ui/app.h"

/* Conditions: false says why not, into reason. */
/* Whether this console can ask for anything that changes something. */
bool can_command(struct app *a, char *reason, size_t size);
/* Whether a retry of it is more than that: a new slot, or somebody else's session ended. */
bool retry_asks(const struct mirror_status *m);
bool has_target(struct app *a, char *reason, size_t size);
bool can_pause(struct app *a, char *reason, size_t size);
bool can_resume(struct app *a, char *reason, size_t size);
bool can_retry(struct app *a, char *reason, size_t size);
bool can_verify(struct app *a, char *reason, size_t size);
bool can_resync(struct app *a, char *reason, size_t size);
bool can_resync_table(struct app *a, char *reason, size_t size);
bool can_sync(struct app *a, char *reason, size_t size);
bool can_delete(struct app *a, char *reason, size_t size);
bool has_previous(struct app *a, char *reason, size_t size);
bool in_log(struct app *a, char *reason, size_t size);
bool has_search(struct app *a, char *reason, size_t size);

/* Deeds: only called when their condition holds. */
void do_pause(struct app *a);
void do_resume(struct app *a);
void do_retry(struct app *a);
void do_verify(struct app *a);
void do_found(struct app *a);
void do_cutover(struct app *a);
void do_doctor(struct app *a);
void do_resync_table(struct app *a);
void do_resync(struct app *a);
void do_log(struct app *a);
void do_log_all(struct app *a);
void do_slots(struct app *a);
void do_runs(struct app *a);
void do_refresh(struct app *a);
void do_tab_runs(struct app *a);
void do_tab_schema(struct app *a);
void do_tab_config(struct app *a);
void do_plan(struct app *a);
void do_sync(struct app *a);
void do_delete(struct app *a);
void do_bundle(struct app *a);
void do_checkups(struct app *a);
void do_copy(struct app *a);
void do_detach(struct app *a);
void do_problems(struct app *a);
void do_zoom(struct app *a);
void do_freeze(struct app *a);
void do_follow(struct app *a);
void do_wrap(struct app *a);
void do_messages(struct app *a);
void do_theme(struct app *a);
void do_glyphs(struct app *a);
void do_tab(struct app *a);
void do_enter(struct app *a);
void do_previous(struct app *a);
void do_tables(struct app *a);
void do_slot(struct app *a);
void do_logs(struct app *a);
void do_mirrors(struct app *a);
void do_help(struct app *a);
void do_repaint(struct app *a);
void do_ctrl_c(struct app *a);
void do_ctrl_z(struct app *a);

#endif
