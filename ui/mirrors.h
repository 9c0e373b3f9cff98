/* How a mirror is shown: its word, its glyph, its place in the list, and what is wrong with it. */
#ifndef BUNNY_UI_MIRRORS_H
#define BUNNY_UI_MIRRORS_H

#include "ui/app.h"

const char *mirror_word(const struct mirror_status *m);
char mirror_glyph(const void *mirror, enum role *role);
/* 0: needs help now … 4: nothing to do. */
int mirror_urgency(const struct mirror_status *m);
/* The worst finding; NULL when there is none above "info". */
const struct finding *mirror_worst_finding(const struct mirror_status *m);
/* Fills a->mirrors from the picture: filtered, sorted, settled. */
void mirrors_build(struct app *a);
/* How many stand in which condition. */
struct mirror_counts {
    int ok, busy, held, failed;
};
void mirrors_count(const struct picture *p, struct mirror_counts *out);
/* What happens next, or what went wrong: "retry 0:42", "eta 14m", "held". */
void mirror_next(struct app *a, const struct mirror_status *m, char *out, size_t size,
                 enum role *role);
/* The finding of a mirror as labelled lines, and the pane's title. */
void mirror_facts(struct app *a, const struct mirror_status *m, struct facts *out, char *title,
                  size_t size);
/* The text that `y` copies: the error, or what is found and helps, or the LSN. Caller frees. */
char *mirror_copy_text(const struct mirror_status *m);

/* "4A/9C01F3B8", or "-" for one that is not known. */
const char *mirror_lsn(lsn_t lsn, char out[LSN_TEXT_SIZE]);
/* Where the source's WAL ends, as far as is known: the sample may be older than what was applied.
 */
lsn_t mirror_source_lsn(const struct mirror_status *m);
/* Whether a slot of the mirror that a sample did not find has to be there yet: not before it is
 * made, nor in a sample from before what the mirror does now. */
bool mirror_slot_is_due(const struct mirror_status *m, const struct slot_status *s);

#endif
