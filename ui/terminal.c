/* The terminal; see terminal.h. */
#include "ui/terminal.h"

#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/wake.h"

enum {
    COPY_MAX = 74994, /* what terminals take at most as one OSC 52 */
    GAP = 4,          /* unchanged cells that curses writes again rather than moving */
    MOVE_BYTES = 7,
    COLOUR_BYTES = 8,
    USUAL_CPS = 3840,
};

static struct {
    SCREEN *screen;
    int wake;
    volatile sig_atomic_t hung_up, resized;
    sigset_t old_mask;
    cchar_t *shown; /* the last frame, by line */
    int shown_lines, shown_cols;
} term = {.wake = -1};

/* The signals that the console takes over, and what stood there before. */
static struct {
    int signal;
    bool ours; /* handled here while the console runs; else ignored, or (after) left alone */
    bool keep; /* only guarded against curses, which would catch it */
    struct sigaction old;
} taken[] = {
    {.signal = SIGWINCH, .ours = true},
    {.signal = SIGHUP, .ours = true},
    {.signal = SIGTSTP},
    {.signal = SIGTTIN},
    {.signal = SIGTTOU},
    {.signal = SIGINT, .keep = true},
    {.signal = SIGTERM, .keep = true},
};

static void terminal_on_signal(int sig)
{
    if (sig == SIGHUP)
        term.hung_up = 1;
    else
        term.resized = 1;
    wake_signal(term.wake);
}

static void signals_take(void)
{
    sigset_t open;
    sigemptyset(&open);
    for (size_t i = 0; i < COUNT_OF(taken); i++) {
        struct sigaction sa = {.sa_flags = SA_RESTART};
        sigemptyset(&sa.sa_mask);
        if (taken[i].ours)
            sa.sa_handler = terminal_on_signal;
        else
            sa.sa_handler = SIG_IGN;
        sigaction(taken[i].signal, taken[i].keep ? NULL : &sa, &taken[i].old);
        if (taken[i].ours)
            sigaddset(&open, taken[i].signal);
    }
    pthread_sigmask(SIG_UNBLOCK, &open, &term.old_mask);
}

/* newterm caught what was at its default; the process decides about those, not curses. */
static void signals_keep(void)
{
    for (size_t i = 0; i < COUNT_OF(taken); i++)
        if (taken[i].keep)
            sigaction(taken[i].signal, &taken[i].old, NULL);
}

static void signals_give_back(bool lost)
{
    pthread_sigmask(SIG_SETMASK, &term.old_mask, NULL);
    for (size_t i = 0; i < COUNT_OF(taken); i++) {
        bool hup = lost && taken[i].signal == SIGHUP;
        if (hup && taken[i].old.sa_handler == SIG_DFL && !sigismember(&term.old_mask, SIGHUP))
            signal(SIGHUP, SIG_IGN); /* blocked, it goes to the process' own reader instead */
        else if (!(lost && (taken[i].signal == SIGTTIN || taken[i].signal == SIGTTOU)))
            sigaction(taken[i].signal, &taken[i].old, NULL);
    }
}

static bool terminal_usable(struct err *err)
{
    if (!isatty(0) || !isatty(1)) {
        err_set(err, ERR_IO, "standard input and output are not a terminal");
        return err_hint(err, "start with --headless, or from a terminal");
    }
    const char *name = getenv("TERM");
    if (!name || !*name) {
        err_set(err, ERR_IO, "TERM is not set");
        return err_hint(err, "export TERM=xterm, or start with --headless");
    }
    int found = 0;
    bool usable = setupterm(name, 1, &found) == OK && cursor_address;
    if (cur_term)
        del_curterm(cur_term); /* newterm reads it again */
    if (!usable) {
        err_set(err, ERR_IO, "terminal type %s is unknown or cannot place the cursor", name);
        return err_hint(err, "export TERM=xterm, or start with --headless");
    }
    return true;
}

bool terminal_open(struct err *err)
{
    if (!terminal_usable(err))
        return false;
    term.wake = wake_new();
    term.hung_up = term.resized = 0;
    signals_take();
    term.screen = newterm(NULL, stdout, stdin);
    signals_keep();
    if (!term.screen) {
        signals_give_back(false);
        wake_free(term.wake);
        return err_set(err, ERR_IO, "the terminal cannot be used for the console");
    }
    set_escdelay(25);
    raw(); /* Ctrl-C, Ctrl-Z and Ctrl-\ are keys here; XOFF cannot hold us up */
    noecho();
    nonl();
    intrflush(stdscr, FALSE);
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    leaveok(stdscr, FALSE);
    return true;
}

void terminal_close(bool lost)
{
    if (!lost) {
        mousemask(0, NULL);
        erase();
        endwin();
        delscreen(term.screen);
    } /* else curses keeps its memory: freeing it could write */
    term.screen = NULL;
    free(term.shown);
    term.shown = NULL;
    term.shown_lines = term.shown_cols = 0;
    signals_give_back(lost);
    wake_free(term.wake);
    term.wake = -1;
}

int terminal_signal_fd(void)
{
    return term.wake;
}

void terminal_take_signals(bool *hung_up, bool *resized)
{
    wake_clear(term.wake);
    *hung_up = term.hung_up;
    *resized = term.resized;
    term.resized = 0;
    struct winsize ws;
    if (*resized && !*hung_up && ioctl(1, TIOCGWINSZ, &ws) == 0 && ws.ws_row && ws.ws_col)
        resizeterm(ws.ws_row, ws.ws_col);
}

int terminal_key(int revents)
{
    wint_t c;
    if (term.hung_up || revents & (POLLHUP | POLLERR | POLLNVAL))
        return TERMINAL_GONE;
    int rc = get_wch(&c);
    if (rc == KEY_CODE_YES)
        return TERMINAL_FUNCTION | (int)c;
    if (rc == OK)
        return (int)c;
    /* Readable and yet nothing to read: the other side has closed. */
    struct pollfd p = {.fd = 0, .events = POLLIN};
    int waiting = 0;
    if (poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR | POLLNVAL) ||
                                ioctl(0, FIONREAD, &waiting) != 0 || waiting == 0))
        return TERMINAL_GONE;
    return TERMINAL_NONE;
}

bool terminal_can_write(void)
{
    struct pollfd p = {.fd = 1, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && p.revents & POLLOUT;
}

/* --- What a frame costs ---------------------------------------------------------------------- */
static long cell_bytes(const cchar_t *c)
{
    return c->chars[0] < 0x80 ? 1 : c->chars[0] < 0x800 ? 2 : 3;
}

/* A line's changed cells, and what leads to them: moves and colours, about as curses writes them.
 */
static long line_bytes(const cchar_t *was, const cchar_t *is, int cols)
{
    long bytes = 0;
    int gap = GAP;
    for (int x = 0; x < cols; x++) {
        if (!memcmp(&was[x], &is[x], sizeof *is)) {
            gap++;
            continue;
        }
        bool moves = gap >= GAP;
        bool colours = moves ? is[x].attr != 0 : is[x].attr != is[x - 1].attr;
        bytes += cell_bytes(&is[x]) + (moves ? MOVE_BYTES : gap) + (colours ? COLOUR_BYTES : 0);
        gap = 0;
    }
    return bytes;
}

/* Bytes from the last frame to what is drawn now, which becomes the last one. */
static long frame_bytes(void)
{
    long bytes = 0;
    size_t n = (size_t)LINES * (size_t)COLS;
    if (term.shown_lines != LINES || term.shown_cols != COLS) {
        free(term.shown);
        term.shown = mem_calloc(n + 1, sizeof *term.shown);
        term.shown_lines = LINES;
        term.shown_cols = COLS;
    }
    cchar_t *line = mem_calloc((size_t)COLS + 1, sizeof *line);
    for (int y = 0; y < LINES; y++) {
        cchar_t *was = term.shown + (size_t)y * (size_t)COLS;
        if (mvin_wchnstr(y, 0, line, COLS) == ERR)
            continue;
        bytes += line_bytes(was, line, COLS);
        memcpy(was, line, (size_t)COLS * sizeof *line);
    }
    free(line);
    return bytes;
}

/* Characters a second; pseudo-terminals say 3,840 unless somebody knows better (stty, ssh). */
static long line_speed(void)
{
    static const struct {
        speed_t code;
        long cps;
    } speeds[] = {{B1200, 120},   {B2400, 240},   {B4800, 480},    {B9600, 960},
                  {B19200, 1920}, {B57600, 5760}, {B115200, 11520}};
    struct termios t;
    if (tcgetattr(1, &t) != 0)
        return USUAL_CPS;
    for (size_t i = 0; i < COUNT_OF(speeds); i++)
        if (cfgetospeed(&t) == speeds[i].code)
            return speeds[i].cps;
    return USUAL_CPS;
}

long terminal_line_ms(long bytes, bool asked_for)
{
    long cps = line_speed(), slow = cps * 6 / 10;
    slow = slow < USUAL_CPS / 4 ? slow : USUAL_CPS / 4;
    return bytes * 1000 / (asked_for ? cps : cps / 4 > slow ? cps / 4 : slow);
}

long terminal_show(int y, int x, bool all)
{
    long bytes = frame_bytes();
    if (all)
        clearok(curscr, TRUE); /* Ctrl-L: someone else wrote on the screen */
    move(y, x);
    wnoutrefresh(stdscr);
    doupdate();
    return bytes;
}

void terminal_suspend(void)
{
    endwin();
    (void)raise(SIGSTOP); /* the others are blocked or ours */
    doupdate();           /* curses takes the terminal again */
}

/* All that the terminal may tell: for what is left out curses would wait, in a read, until there is
 * something else. */
void terminal_mouse(bool on)
{
    const mmask_t all = BUTTON1_PRESSED | BUTTON1_RELEASED | BUTTON2_PRESSED | BUTTON2_RELEASED |
                        BUTTON3_PRESSED | BUTTON3_RELEASED | BUTTON4_PRESSED | BUTTON4_RELEASED |
                        BUTTON5_PRESSED | BUTTON5_RELEASED;
    mouseinterval(0); /* a press is answered at once, not held for a second click */
    mousemask(on ? all : 0, NULL);
}

enum mouse_kind terminal_take_mouse(int *y, int *x)
{
    MEVENT e;
    enum mouse_kind kind = MOUSE_NONE;
    while (kind == MOUSE_NONE && getmouse(&e) == OK) { /* a release that came with its press */
        *y = e.y;
        *x = e.x;
        kind = e.bstate & BUTTON1_PRESSED   ? MOUSE_CLICK
               : e.bstate & BUTTON4_PRESSED ? MOUSE_UP
               : e.bstate & BUTTON5_PRESSED ? MOUSE_DOWN
                                            : MOUSE_NONE;
    }
    return kind;
}

void terminal_size(int *rows, int *cols)
{
    *rows = LINES;
    *cols = COLS;
}

static void base64(struct buf *out, const unsigned char *s, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)s[i] << 16 | (i + 1 < n ? (unsigned)s[i + 1] << 8 : 0) |
                     (i + 2 < n ? s[i + 2] : 0);
        buf_putc(out, digits[v >> 18 & 63]);
        buf_putc(out, digits[v >> 12 & 63]);
        buf_putc(out, i + 1 < n ? digits[v >> 6 & 63] : '=');
        buf_putc(out, i + 2 < n ? digits[v & 63] : '=');
    }
}

bool terminal_copy(const char *text, size_t n)
{
    if (n > COPY_MAX * 3 / 4)
        return false;
    const char *name = getenv("TERM");
    bool tmux = getenv("TMUX") != NULL;
    bool screen = !tmux && name && !strncmp(name, "screen", 6);
    struct buf b = {0};
    /* tmux and screen pass on what is wrapped for them. */
    buf_puts(&b, tmux ? "\033Ptmux;\033" : screen ? "\033P" : "");
    buf_puts(&b, "\033]52;c;");
    base64(&b, (const unsigned char *)text, n);
    buf_puts(&b, tmux || screen ? "\a\033\\" : "\a");
    size_t sent = 0;
    while (sent < b.len) {
        ssize_t w = write(1, b.data + sent, b.len - sent);
        if (w < 0 && errno != EINTR)
            break;
        sent += w > 0 ? (size_t)w : 0;
    }
    bool ok = sent == b.len;
    buf_free(&b);
    return ok;
}
