/* Moving: what the same keys do in a list, a log and a page of text. */
#ifndef BUNNY_UI_MOVES_H
#define BUNNY_UI_MOVES_H

#include "ui/app.h"

/* The log that the keys act on; NULL: they act on a list or a page. */
struct logview *moves_log(struct app *a);

/* Whether there is something to the left or to the right. */
bool can_scroll(struct app *a, char *reason, size_t size);

void move_up(struct app *a);
void move_down(struct app *a);
void move_page_up(struct app *a);
void move_page_down(struct app *a);
void move_half_up(struct app *a);
void move_half_down(struct app *a);
void move_first(struct app *a);
void move_last(struct app *a);
void move_left(struct app *a);
void move_right(struct app *a);
void move_find_older(struct app *a);
void move_find_newer(struct app *a);
void move_filter(struct app *a);
void move_from(struct app *a);
void move_until(struct app *a);
void move_more(struct app *a);
void move_less(struct app *a);
void move_rate(struct app *a);

#endif
