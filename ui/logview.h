/* A view of the log: follows the newest line until the reader moves up; then the line at the bottom
 * stays, and newer ones are only counted. The place is a line's id, so new lines move nothing. */
#ifndef BUNNY_UI_LOGVIEW_H
#define BUNNY_UI_LOGVIEW_H

#include "ui/draw.h"
#include "ui/model.h"

enum {
    LOGVIEW_ROWS = 2000, /* what the engine keeps in memory */
};

struct logview {
    char mirror[NAME_SIZE]; /* empty: of all */
    enum log_level least;
    bool paused; /* the reader moved up */
    bool wrap;
    int left;          /* columns scrolled off */
    int64_t anchor;    /* id of the bottom line while paused */
    int64_t paused_at; /* us */
    char search[64];
    struct log_row_place { /* where the range of time begins, and where it ends; id 0: open */
        int64_t id, at;    /* of that line; us */
    } from, until;
};
/* The lines it shows now: rows of the engine's ring, filled by logview_fetch. */
struct log_window {
    struct log_row *rows; /* oldest first; borrowed */
    size_t n;
    size_t bottom; /* index of the bottom line; n when there is none */
    size_t newer;  /* how many stand below it */
};

/* Shows another mirror's log: follows again. */
void logview_set_mirror(struct logview *v, const char *mirror);
/* Reads the newest max lines into rows; those newer than newest_id are left out (0: none are). */
void logview_fetch(const struct logview *v, const struct model *m, struct log_row *rows, size_t max,
                   int64_t newest_id, struct log_window *w);
/* Moves the bottom line by delta lines; at the newest it follows again. */
void logview_move(struct logview *v, const struct log_window *w, long delta, int64_t now);
/* Moves to the next line with the searched text: older (-1) or newer (1). False: none. */
bool logview_find(struct logview *v, const struct log_window *w, int direction, int64_t now);
/* What stands above the first whole line of the pane r is left out from now on, or what stands
 * below the last one; if that is so already, it comes back. */
void logview_from(struct logview *v, const struct painter *p, const struct log_window *w,
                  const struct rect *r);
void logview_until(struct logview *v, const struct log_window *w);
/* The newest line again, also when it is behind the range's end. */
void logview_follow(struct logview *v);
/* "log: billing, warn and up, following" */
/* follow: the key that leads back to the newest line. */
void logview_title(const struct logview *v, const struct log_window *w, const char *follow,
                   char *out, size_t size);
/* none: what stands there while there is no line. */
void logview_draw(const struct painter *p, const struct logview *v, const struct log_window *w,
                  const char *none, const struct rect *r);

#endif
