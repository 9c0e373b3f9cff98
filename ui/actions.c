/* THE table of actions; see actions.h. What they do stands in deeds.c. */
#include "ui/actions.h"

#include <curses.h>

#include "base/mem.h"
#include "ui/deeds.h"
#include "ui/moves.h"
#include "ui/terminal.h"

#define FN(k) (TERMINAL_FUNCTION | (k))
#define CTRL(c) ((c)&0x1f)
#define GROUP_MIRROR "Mirrors"
#define GROUP_VIEW "What is shown"
#define GROUP_LOG "Logs"
#define GROUP_MOVE "Moving"
#define GROUP_REST "The console"

enum {
    EVERYWHERE = ON(SCREEN_LIST) | ON(SCREEN_DETAIL) | ON(SCREEN_LOG) | ON(SCREEN_MESSAGES) |
                 ON(SCREEN_HELP) | ON(SCREEN_REPORT),
    OF_MIRROR = ON(SCREEN_LIST) | ON(SCREEN_DETAIL) | ON(SCREEN_LOG),
    LISTS = ON(SCREEN_LIST) | ON(SCREEN_DETAIL),
};

/* Keys, as shown, name; help; screens, in the hint line, group, condition, deed. The hint line
 * takes them in this order; help in the order of the groups. */
/* clang-format off */
const struct action actions[] = {
    {{'\r', '\n', FN(KEY_ENTER)}, "enter", "open",
     "Opens the selected mirror: tables, slot, logs.",
     ON(SCREEN_LIST), EVERYWHERE, GROUP_MIRROR, has_target, do_enter},
    {{033, 'q'}, "esc", "back",
     "One level out (q as well); on the main screen q quits.",
     EVERYWHERE & ~ON(SCREEN_LIST), EVERYWHERE, GROUP_MIRROR, NULL, app_back},
    {{'p'}, "p", "pause",
     "Stops reading; the source keeps WAL meanwhile (asks y).",
     OF_MIRROR, EVERYWHERE, GROUP_MIRROR, can_pause, do_pause},
    {{'r'}, "r", "resume",
     "Goes on where it was paused.",
     OF_MIRROR, EVERYWHERE, GROUP_MIRROR, can_resume, do_resume},
    {{'t'}, "t", "retry",
     "Tries again now, without the back-off; loses nothing.",
     OF_MIRROR, EVERYWHERE, GROUP_MIRROR, can_retry, do_retry},
    {{'l'}, "l", "log",
     "The log of the mirror on the whole screen.",
     LISTS, EVERYWHERE, GROUP_MIRROR, has_target, do_log},
    {{'x'}, "x", "resync",
     "Copies the selected table again, swapped or emptied; asks first.",
     ON(SCREEN_DETAIL), EVERYWHERE, GROUP_MIRROR, can_resync_table, do_resync_table},
    {{'X'}, "X", "resync all",
     "Copies all tables of the mirror again; its name has to be typed.",
     OF_MIRROR, 0, GROUP_MIRROR, can_resync, do_resync},
    {{'v'}, "v", "verify",
     "Compares all rows (asks y); where V shows differences: repair.",
     OF_MIRROR | ON(SCREEN_REPORT), ON(SCREEN_DETAIL) | ON(SCREEN_REPORT), GROUP_MIRROR,
     can_verify, do_verify},
    {{'V'}, "V", "found",
     "What the last comparison found, table by table, with keys.",
     OF_MIRROR | ON(SCREEN_REPORT), ON(SCREEN_REPORT), GROUP_MIRROR, has_target, do_found},
    {{'C'}, "C", "cutover",
     "What remains before the applications move to the destination.",
     OF_MIRROR | ON(SCREEN_REPORT), ON(SCREEN_REPORT), GROUP_MIRROR, has_target, do_cutover},
    {{'h', '6'}, "h 6", "doctor",
     "A checklist of what may be wrong with mirror and servers.",
     OF_MIRROR | ON(SCREEN_REPORT), false, GROUP_MIRROR, has_target, do_doctor},
    {{'y'}, "y", "copy",
     "Copies the error, or the position, to the clipboard (OSC 52).",
     OF_MIRROR, 0, GROUP_MIRROR, has_target, do_copy},

    {{'/'}, "/", "filter",
     "Lists: only lines with this text, !text without it. Logs: search.",
     OF_MIRROR, EVERYWHERE, GROUP_VIEW, NULL, move_filter},
    {{'!'}, "!", "problems",
     "Only mirrors that have a problem, or all again.",
     ON(SCREEN_LIST), EVERYWHERE, GROUP_VIEW, NULL, do_problems},
    {{'s'}, "s", "sort",
     "Next order: severity, name, lag, rows/s, kept WAL.",
     ON(SCREEN_LIST), EVERYWHERE, GROUP_VIEW, NULL, do_sort},
    {{'I'}, "I", "invert",
     "Turns the order round.",
     ON(SCREEN_LIST), 0, GROUP_VIEW, NULL, do_invert},
    {{'o'}, "o", "maximise",
     "The pane with the keys takes the screen, or gives it back.",
     LISTS, 0, GROUP_VIEW, NULL, do_zoom},
    {{'z'}, "z", "freeze",
     "Holds the picture still (not the engine), or lets it go on.",
     EVERYWHERE, 0, GROUP_VIEW, NULL, do_freeze},

    {{'f'}, "f", "follow",
     "Back to the newest line; new ones appear by themselves.",
     OF_MIRROR, 0, GROUP_LOG, in_log, do_follow},
    {{'n'}, "n", "older",
     "The next older line with the searched text.",
     OF_MIRROR, 0, GROUP_LOG, has_search, move_find_older},
    {{'N'}, "N", "newer",
     "The next newer line with the searched text.",
     OF_MIRROR, 0, GROUP_LOG, has_search, move_find_newer},
    {{'w'}, "w", "wrap",
     "Wraps long lines and shows their details.",
     OF_MIRROR, 0, GROUP_LOG, in_log, do_wrap},
    {{'+', '='}, "+", "more",
     "Logs: more detail. Elsewhere: refreshes more often.",
     OF_MIRROR, 0, GROUP_LOG, NULL, move_more},
    {{'-'}, "-", "less",
     "Logs: less detail. Elsewhere: refreshes less often.",
     OF_MIRROR, 0, GROUP_LOG, NULL, move_less},

    {{FN(KEY_UP), 'k'}, "up k", "up",
     "One line up.",
     EVERYWHERE, 0, GROUP_MOVE, NULL, move_up},
    {{FN(KEY_DOWN), 'j'}, "down j", "down",
     "One line down.",
     EVERYWHERE, 0, GROUP_MOVE, NULL, move_down},
    {{FN(KEY_PPAGE)}, "pgup", "page up",
     "One page up.",
     EVERYWHERE, 0, GROUP_MOVE, NULL, move_page_up},
    {{FN(KEY_NPAGE)}, "pgdn", "page down",
     "One page down.",
     EVERYWHERE, 0, GROUP_MOVE, NULL, move_page_down},
    {{CTRL('u')}, "^U", "half up",
     "Half a page up.",
     EVERYWHERE, 0, GROUP_MOVE, NULL, move_half_up},
    {{CTRL('d')}, "^D", "half down",
     "Half a page down.",
     EVERYWHERE, 0, GROUP_MOVE, NULL, move_half_down},
    {{FN(KEY_HOME), 'g'}, "home g", "first",
     "To the first line.",
     EVERYWHERE, 0, GROUP_MOVE, NULL, move_first},
    {{FN(KEY_END), 'G'}, "end G", "last",
     "To the last line.",
     EVERYWHERE, 0, GROUP_MOVE, NULL, move_last},
    {{FN(KEY_LEFT)}, "left", "left",
     "Scrolls a log to the left.",
     OF_MIRROR, 0, GROUP_MOVE, in_log, move_left},
    {{FN(KEY_RIGHT)}, "right", "right",
     "Scrolls a log to the right.",
     OF_MIRROR, 0, GROUP_MOVE, in_log, move_right},
    {{'\t'}, "tab", "pane",
     "Moves between the list and the log below it.",
     LISTS, 0, GROUP_MOVE, NULL, do_tab},
    {{'1'}, "1", "tables",
     "The tables of this mirror.",
     ON(SCREEN_DETAIL), 0, GROUP_MOVE, NULL, do_tables},
    {{'2'}, "2", "slot",
     "Slot, publication and positions.",
     ON(SCREEN_DETAIL), 0, GROUP_MOVE, NULL, do_slot},
    {{'3'}, "3", "logs",
     "The log of this mirror.",
     ON(SCREEN_DETAIL), 0, GROUP_MOVE, NULL, do_logs},
    {{'1'}, "1", "mirrors",
     "The list of mirrors.",
     ON(SCREEN_LOG) | ON(SCREEN_LIST), 0, GROUP_MOVE, NULL, do_mirrors},
    {{'4'}, "4", "all logs",
     "The log of all mirrors and of the process.",
     ON(SCREEN_LIST) | ON(SCREEN_LOG), 0, GROUP_MOVE, NULL, do_log_all},

    {{'m'}, "m", "messages",
     "The last 200 messages with their times.",
     EVERYWHERE & ~ON(SCREEN_MESSAGES), 0, GROUP_REST, NULL, do_messages},
    {{'T'}, "T", "theme",
     "Next theme: default, light, mono.",
     EVERYWHERE, 0, GROUP_REST, NULL, do_theme},
    {{'~'}, "~", "glyphs",
     "UTF-8 or ASCII glyphs.",
     EVERYWHERE, 0, GROUP_REST, NULL, do_glyphs},
    {{CTRL('l')}, "^L", "repaint",
     "Draws the whole screen again.",
     EVERYWHERE, 0, GROUP_REST, NULL, do_repaint},
    {{'D'}, "D", "detach",
     "Leaves the screen; the engine goes on (asks y). bunnydb attach shows it again.",
     EVERYWHERE, 0, GROUP_REST, NULL, do_detach},
    {{'q', 033}, "q", "quit",
     "Asks: detach, stop cleanly, or cancel.",
     ON(SCREEN_LIST), EVERYWHERE, GROUP_REST, NULL, app_back},
    {{CTRL('c')}, "^C", "cancel",
     "Cancels a dialog or an input; stops nothing.",
     EVERYWHERE, 0, GROUP_REST, NULL, do_ctrl_c},
    {{CTRL('z')}, "^Z", "suspend",
     "An attached console stops as other programs do; the engine never does.",
     EVERYWHERE, 0, GROUP_REST, NULL, do_ctrl_z},
    {{'?', FN(KEY_F(1))}, "? f1", "help",
     "This help; ? again shows the keys of all screens.",
     EVERYWHERE, 0, GROUP_REST, NULL, do_help},
};
/* clang-format on */
const size_t n_actions = COUNT_OF(actions);

const struct action *action_find(const struct app *a, int key)
{
    for (size_t i = 0; i < n_actions; i++)
        for (int k = 0; k < ACTION_KEYS && actions[i].keys[k]; k++)
            if (actions[i].keys[k] == key && actions[i].screens & ON(app_screen(a)))
                return &actions[i];
    return NULL;
}
