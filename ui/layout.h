/* Where everything stands: a pure function of the terminal's size and of what is shown. It knows
 * neither curses nor the engine, so that a unit test can walk it through every size. */
#ifndef BUNNY_UI_LAYOUT_H
#define BUNNY_UI_LAYOUT_H

#include <stdbool.h>

struct rect {
    int y, x, h, w; /* h == 0: not shown */
};

enum layout_kind {
    LAYOUT_LIST,   /* a list with the finding and the log of what is selected */
    LAYOUT_DETAIL, /* as the list, with two lines about the mirror above */
    LAYOUT_TABLE,  /* a list, and what there is to say of the selected line */
    LAYOUT_PAGE,   /* one body: a log, help, messages */
};
enum layout_zoom {
    ZOOM_NONE,
    ZOOM_MAIN, /* the list alone */
    ZOOM_LOG,  /* the log alone */
};
struct layout_request {
    int rows, cols;
    enum layout_kind kind;
    enum layout_zoom zoom;
    int items; /* of the list: what it does not need goes to the log */
};
struct layout {
    bool tiny;           /* below 40x6: one summary line in head, nothing else */
    bool side_by_side;   /* finding and log beside each other, a divider left of the log */
    struct rect head;    /* 1 line: the process, counts, the clock */
    struct rect crumbs;  /* 1 line: where we are, filter, sort */
    struct rect fleet;   /* what all mirrors do together, with its title line */
    struct rect info;    /* detail: tabs, and the flow in one line where it has no pane */
    struct rect stages;  /* detail: how far it is, with its title line */
    struct rect flow;    /* with its title line */
    struct rect columns; /* the list's column titles */
    struct rect list;    /* or the page's body */
    struct rect finding; /* with its title line */
    struct rect log;     /* with its title line */
    struct rect message; /* 1 line */
    struct rect hint;    /* 1 line */
};

void layout_compute(const struct layout_request *q, struct layout *out);

#endif
