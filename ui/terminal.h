/* The terminal: opened once, always restored, and left untouched once it is gone. Signals of the
 * terminal (SIGWINCH, SIGHUP) become a readable descriptor; SIGTSTP, SIGTTIN and SIGTTOU cannot
 * stop the process while the console runs, since replication lives in it. Console thread only. */
#ifndef BUNNY_UI_TERMINAL_H
#define BUNNY_UI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum terminal_key {
    TERMINAL_NONE = -1, /* nothing more to read now */
    TERMINAL_GONE = -2, /* hang-up */
};

/* Starts curses on descriptors 0 and 1. One terminal a process. */
bool terminal_open(struct err *err) MUST_CHECK;
/* Restores the terminal and the signals; lost: without a single byte to the terminal, and with
 * SIGHUP ignored from now on unless it is blocked, for the shell sends one more. */
void terminal_close(bool lost);
/* Readable when a signal came; see terminal_take_signals. */
int terminal_signal_fd(void);
/* What came: a hang-up, a new size (already taken over by curses). */
void terminal_take_signals(bool *hung_up, bool *resized);
/* The next key without waiting: a character or KEY_… + TERMINAL_FUNCTION, or enum terminal_key.
 * revents are what poll said about the terminal; a hang-up is found by them. */
#define TERMINAL_FUNCTION 0x1000000
int terminal_key(int revents);
/* True when the terminal takes output without blocking now. */
bool terminal_can_write(void);
/* Sends what changed since the last call, and puts the cursor to y, x. all: repaints everything.
 * Returns about how many bytes that were. */
long terminal_show(int y, int x, bool all);
/* How long a frame of so many bytes keeps the line busy; one that nobody asked for counts more, as
 * such may take a quarter of the line only (more of a slow one): the answer to a key is never to
 * stand behind them for long. */
long terminal_line_ms(long bytes, bool asked_for);
/* Gives the terminal back and stops this process, as Ctrl-Z does; returns once it goes on. The
 * screen is to be painted as a whole then. */
void terminal_suspend(void);
/* Whether the terminal tells what the mouse does. Its own marking of text needs Shift then. */
void terminal_mouse(bool on);
enum mouse_kind {
    MOUSE_NONE, /* something that means nothing here */
    MOUSE_CLICK,
    MOUSE_UP, /* the wheel */
    MOUSE_DOWN,
};
/* What the mouse did, after terminal_key said TERMINAL_FUNCTION | KEY_MOUSE. */
enum mouse_kind terminal_take_mouse(int *y, int *x);
void terminal_size(int *rows, int *cols);
/* Puts text into the clipboard of the operator's terminal (OSC 52); false when it is too long. */
bool terminal_copy(const char *text, size_t n);

#endif
