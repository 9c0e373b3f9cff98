/* THE table of actions; see actions.h. What they do stands in deeds.c. */
#include "ui/actions.h"

#include <curses.h>
#include <string.h>

#include "base/mem.h"
#include "ui/batch.h"
#include "ui/chooser.h"
#include "ui/commandline.h"
#include "ui/deeds.h"
#include "ui/mouse.h"
#include "ui/moves.h"
#include "ui/peer_deeds.h"
#include "ui/save.h"
#include "ui/settings.h"
#include "ui/sorting.h"
#include "ui/terminal.h"

#define FN(k) (TERMINAL_FUNCTION | (k))
#define CTRL(c) ((c)&0x1f)
#define GROUP_MIRROR "Mirrors"
#define GROUP_PEER "Peers"
#define GROUP_PICK "Tables of a mirror"
#define GROUP_VIEW "What is shown"
#define GROUP_LOG "Logs"
#define GROUP_MOVE "Moving"
#define GROUP_REST "The console"

enum {
    /* What 1 to 6 show. */
    ROOTS = ON(SCREEN_LIST) | ON(SCREEN_SLOTS) | ON(SCREEN_PEERS) | ON(SCREEN_LOG) |
            ON(SCREEN_RUNS) | ON(SCREEN_DOCTOR),
    EVERYWHERE = ROOTS | ON(SCREEN_DETAIL) | ON(SCREEN_MESSAGES) | ON(SCREEN_HELP) |
                 ON(SCREEN_REPORT) | ON(SCREEN_PICK) | ON(SCREEN_SUMMARY),
    OF_LINE = ON(SCREEN_SLOTS) | ON(SCREEN_RUNS) |
              ON(SCREEN_DOCTOR), /* of the mirror that the line belongs to */
    OF_MIRROR = ON(SCREEN_LIST) | ON(SCREEN_DETAIL) | ON(SCREEN_LOG) | OF_LINE,
    WITH_LOG = ON(SCREEN_LIST) | ON(SCREEN_DETAIL) | ON(SCREEN_LOG),
    LISTS = ON(SCREEN_LIST) | ON(SCREEN_DETAIL),
    TABLES = ON(SCREEN_SLOTS) | ON(SCREEN_PEERS) | ON(SCREEN_RUNS) | ON(SCREEN_DOCTOR),
    ASKED = TABLES | ON(SCREEN_DETAIL) | ON(SCREEN_REPORT) | ON(SCREEN_PICK),
};

/* Id, keys, name; help; screens, in the hint line, group, condition, deed. The hint line takes them
 * in this order, those of logs first in a log, and only there; help in the order of the groups. */
/* clang-format off */
const struct action actions[] = {
    {"open", {'\r'}, "open",
     "Opens the selected mirror: tables, slot, logs.",
     ON(SCREEN_LIST) | OF_LINE, EVERYWHERE, GROUP_MIRROR, has_target, do_enter},
    {"back", {033, 'q'}, "back",
     "One level out; on the main screen {quit} quits.",
     EVERYWHERE & ~ON(SCREEN_LIST), EVERYWHERE & ~TABLES, GROUP_MIRROR, NULL, app_back},
    {"pause", {'p'}, "pause",
     "Stops reading; the source keeps WAL meanwhile (asks y).",
     OF_MIRROR, EVERYWHERE, GROUP_MIRROR, can_pause, do_pause},
    {"resume", {'r'}, "resume",
     "Goes on where it was paused.",
     OF_MIRROR, EVERYWHERE, GROUP_MIRROR, can_resume, do_resume},
    {"retry", {'t'}, "retry",
     "Tries again now, without the back-off; asks before it copies anew.",
     OF_MIRROR, EVERYWHERE, GROUP_MIRROR, can_retry, do_retry},
    {"log", {'l'}, "log",
     "The log of the mirror on the whole screen.",
     LISTS | OF_LINE, EVERYWHERE, GROUP_MIRROR, has_target, do_log},
    {"resync", {'x'}, "resync",
     "Copies the selected table again, swapped or emptied; asks first.",
     ON(SCREEN_DETAIL), EVERYWHERE, GROUP_MIRROR, can_resync_table, do_resync_table},
    {"resync-all", {'X'}, "resync all",
     "Copies all tables of the mirror again; its name has to be typed.",
     OF_MIRROR, 0, GROUP_MIRROR, can_resync, do_resync},
    {"verify", {'v'}, "verify",
     "Compares all rows (asks y); where {found} shows differences: repair.",
     OF_MIRROR | ON(SCREEN_REPORT), ON(SCREEN_DETAIL) | ON(SCREEN_REPORT), GROUP_MIRROR,
     can_verify, do_verify},
    {"found", {'V'}, "found",
     "What the last comparison found, table by table, with keys.",
     OF_MIRROR | ON(SCREEN_REPORT), ON(SCREEN_REPORT), GROUP_MIRROR, has_target, do_found},
    {"cutover", {'C'}, "cutover",
     "What remains before the applications move to the destination.",
     OF_MIRROR | ON(SCREEN_REPORT), ON(SCREEN_REPORT), GROUP_MIRROR, has_target, do_cutover},
    {"definitions", {'d'}, "definitions",
     "How they differ, and what sync-schema would run.",
     OF_MIRROR, ON(SCREEN_DETAIL), GROUP_MIRROR, has_target, do_plan},
    {"apply", {'a'}, "apply",
     "Runs what {tab-schema} Schema shows at the destination; asks first.",
     ON(SCREEN_DETAIL), 0, GROUP_MIRROR, can_sync, do_sync},
    {"add", {'a'}, "add",
     "A new mirror: a form, its tables, a summary with all findings; then asks.",
     ON(SCREEN_LIST), EVERYWHERE, GROUP_MIRROR, can_create, do_create},
    {"edit", {'e'}, "edit",
     "Other settings for the mirror, by a form; it goes on with them by itself.",
     LISTS | ON(SCREEN_LOG), LISTS, GROUP_MIRROR, can_change, do_settings},
    {"edit-tables", {'E'}, "edit tables",
     "Other tables for the mirror: pause, change, resume as one step.",
     LISTS | ON(SCREEN_LOG), 0, GROUP_MIRROR, can_set_tables, do_set_tables},
    {"delete", {'K'}, "delete",
     "Deletes the mirror, its slot and publication; its name has to be typed.",
     OF_MIRROR, 0, GROUP_MIRROR, can_delete, do_delete},
    {"doctor", {'h'}, "doctor",
     "A checklist of what may be wrong with mirror and servers.",
     OF_MIRROR | ON(SCREEN_REPORT), 0, GROUP_MIRROR, has_target, do_doctor},
    {"bundle", {'b'}, "bundle",
     "Writes what a bug report needs into a file, without secrets, and says where.",
     OF_MIRROR | ON(SCREEN_REPORT), 0, GROUP_MIRROR, has_target, do_bundle},
    {"previous", {'-'}, "previous",
     "The mirror that was open before this one, and back.",
     LISTS | OF_LINE | ON(SCREEN_REPORT), 0, GROUP_MIRROR, has_previous, do_previous},
    {"copy", {'y'}, "copy",
     "Copies the error, or what is found and its remedy, to the clipboard (OSC 52).",
     OF_MIRROR, 0, GROUP_MIRROR, has_target, do_copy},

    {"pick", {' '}, "in or out",
     "Takes the selected table in, or out again.",
     ON(SCREEN_PICK), EVERYWHERE, GROUP_PICK, has_pick, do_pick},
    {"pick-all", {'*'}, "all",
     "Takes all tables in that are shown and can be mirrored, or all out.",
     ON(SCREEN_PICK), EVERYWHERE, GROUP_PICK, has_pick, do_pick_all},
    {"next", {'\r'}, "next",
     "To the summary: what will be done, and what the servers lack.",
     ON(SCREEN_PICK), EVERYWHERE, GROUP_PICK, has_pick, do_summary},
    {"finish", {'\r'}, "do it",
     "Asks y, then does what the summary says.",
     ON(SCREEN_SUMMARY), EVERYWHERE, GROUP_PICK, can_finish, do_finish},

    {"test", {'t', '\r'}, "test",
     "Logs in to the peer, and says what it lacks as a source and a destination.",
     ON(SCREEN_PEERS), EVERYWHERE, GROUP_PEER, can_change_peer, do_peer_test},
    {"add", {'a'}, "add",
     "A new peer, by a form; then the connection is tested.",
     ON(SCREEN_PEERS), EVERYWHERE, GROUP_PEER, can_add, do_peer_add},
    {"edit", {'e'}, "edit",
     "Changes the peer; its mirrors connect again with the new values.",
     ON(SCREEN_PEERS), EVERYWHERE, GROUP_PEER, can_change_peer, do_peer_change},
    {"delete", {'K'}, "delete",
     "Forgets a peer that no mirror uses; its name has to be typed.",
     ON(SCREEN_PEERS), EVERYWHERE, GROUP_PEER, can_change_peer, do_peer_delete},

    {"filter", {'/'}, "filter",
     "Only lines with this text; !text: those without it. In a log: search.",
     LISTS | TABLES | ON(SCREEN_PICK), EVERYWHERE, GROUP_VIEW, NULL, move_filter},
    {"problems", {'!'}, "problems",
     "Only mirrors that have a problem, or all again.",
     ON(SCREEN_LIST), EVERYWHERE, GROUP_VIEW, NULL, do_problems},
    {"mark", {' '}, "mark",
     "Marks the line: pause, resume, retry, resync are for all marked ones then.",
     LISTS, LISTS, GROUP_VIEW, has_markable, do_mark},
    {"mark-all", {'*'}, "mark all",
     "Marks all lines that are shown, or none of them.",
     LISTS, 0, GROUP_VIEW, has_markable, do_mark_all},
    {"sort", {'s'}, "sort",
     "Next order: the usual one, then by each column from left to right.",
     LISTS | TABLES | ON(SCREEN_PICK), ON(SCREEN_LIST), GROUP_VIEW, has_columns, do_sort},
    {"invert", {'I'}, "invert",
     "Turns the order round.",
     LISTS | TABLES | ON(SCREEN_PICK), 0, GROUP_VIEW, has_columns, do_invert},
    {"maximise", {'o'}, "maximise",
     "The pane with the keys takes the screen, or gives it back.",
     LISTS | TABLES | ON(SCREEN_PICK), 0, GROUP_VIEW, NULL, do_zoom},
    {"refresh", {'R', FN(KEY_F(5))}, "refresh",
     "Asks again what this screen has asked for.",
     ASKED, TABLES | ON(SCREEN_REPORT), GROUP_VIEW, NULL, do_refresh},
    {"rate", {'+', '='}, "rate",
     "How often it refreshes at most: every 0.25, 0.5, 1, 2 or 5 seconds.",
     LISTS | TABLES, 0, GROUP_VIEW, NULL, move_rate},
    {"freeze", {'z'}, "freeze",
     "Holds the picture still (not the engine), or lets it go on.",
     EVERYWHERE, 0, GROUP_VIEW, NULL, do_freeze},

    {"columns", {'c'}, "columns",
     "Which columns of the list are shown, and in which order.",
     LISTS | TABLES | ON(SCREEN_PICK), 0, GROUP_VIEW, has_columns, do_columns},
    {"save", {'S'}, "save",
     "Writes the text of this screen into a file, all of it, and says where.",
     EVERYWHERE, 0, GROUP_VIEW, NULL, do_save},

    {"filter", {'/'}, "search",
     "A text to look for in the log; {older} and {newer} go on from there.",
     ON(SCREEN_LOG), ON(SCREEN_LOG), GROUP_LOG, in_log, move_filter},
    {"follow", {'f'}, "follow",
     "Back to the newest line; new ones appear by themselves.",
     WITH_LOG, WITH_LOG, GROUP_LOG, in_log, do_follow},
    {"older", {'n'}, "older",
     "The next older line with the searched text.",
     WITH_LOG, WITH_LOG, GROUP_LOG, has_search, move_find_older},
    {"newer", {'N'}, "newer",
     "The next newer line with the searched text.",
     WITH_LOG, WITH_LOG, GROUP_LOG, has_search, move_find_newer},
    {"from", {'['}, "from here",
     "Leaves out the lines above the pane, or lets them come back.",
     WITH_LOG, 0, GROUP_LOG, in_log, move_from},
    {"until", {']'}, "until here",
     "Leaves out the lines below the pane, or lets them come back.",
     WITH_LOG, 0, GROUP_LOG, in_log, move_until},
    {"wrap", {'w'}, "wrap",
     "Wraps long lines and shows their details.",
     WITH_LOG, 0, GROUP_LOG, in_log, do_wrap},
    {"more", {'+', '='}, "more",
     "In a log: one level more.",
     WITH_LOG, 0, GROUP_LOG, in_log, move_more},
    {"less", {'-'}, "less",
     "In a log: one level less.",
     WITH_LOG, 0, GROUP_LOG, in_log, move_less},

    {"up", {FN(KEY_UP), 'k'}, "up",
     "One line up.",
     EVERYWHERE, 0, GROUP_MOVE, NULL, move_up},
    {"down", {FN(KEY_DOWN), 'j'}, "down",
     "One line down.",
     EVERYWHERE, 0, GROUP_MOVE, NULL, move_down},
    {"page-up", {FN(KEY_PPAGE)}, "page up",
     "One page up.",
     EVERYWHERE, 0, GROUP_MOVE, NULL, move_page_up},
    {"page-down", {FN(KEY_NPAGE)}, "page down",
     "One page down.",
     EVERYWHERE, 0, GROUP_MOVE, NULL, move_page_down},
    {"half-up", {CTRL('u')}, "half up",
     "Half a page up.",
     EVERYWHERE, 0, GROUP_MOVE, NULL, move_half_up},
    {"half-down", {CTRL('d')}, "half down",
     "Half a page down.",
     EVERYWHERE, 0, GROUP_MOVE, NULL, move_half_down},
    {"first", {FN(KEY_HOME), 'g'}, "first",
     "To the first line.",
     EVERYWHERE, 0, GROUP_MOVE, NULL, move_first},
    {"last", {FN(KEY_END), 'G'}, "last",
     "To the last line.",
     EVERYWHERE, 0, GROUP_MOVE, NULL, move_last},
    {"left", {FN(KEY_LEFT)}, "left",
     "Scrolls a log, or the columns of a list, to the left.",
     WITH_LOG | TABLES | ON(SCREEN_PICK), 0, GROUP_MOVE, can_scroll, move_left},
    {"right", {FN(KEY_RIGHT)}, "right",
     "Scrolls a log, or the columns of a list, to the right.",
     WITH_LOG | TABLES | ON(SCREEN_PICK), 0, GROUP_MOVE, can_scroll, move_right},
    {"pane", {'\t'}, "pane",
     "Moves between the list and the log below it.",
     LISTS, 0, GROUP_MOVE, NULL, do_tab},
    {"tab-tables", {'1'}, "tables",
     "The tables of this mirror.",
     ON(SCREEN_DETAIL), 0, GROUP_MOVE, NULL, do_tables},
    {"tab-slot", {'2'}, "slot",
     "Slot, publication and positions.",
     ON(SCREEN_DETAIL), 0, GROUP_MOVE, NULL, do_slot},
    {"tab-logs", {'3'}, "logs",
     "The log of this mirror.",
     ON(SCREEN_DETAIL), 0, GROUP_MOVE, NULL, do_logs},
    {"tab-runs", {'4'}, "runs",
     "What this mirror did, from when to when, and how it ended.",
     ON(SCREEN_DETAIL), 0, GROUP_MOVE, NULL, do_tab_runs},
    {"tab-schema", {'5'}, "schema",
     "How the definitions of both sides differ.",
     ON(SCREEN_DETAIL), 0, GROUP_MOVE, NULL, do_tab_schema},
    {"tab-config", {'6'}, "config",
     "What this mirror was made of: settings and tables.",
     ON(SCREEN_DETAIL), 0, GROUP_MOVE, NULL, do_tab_config},
    {"mirrors", {'1'}, "mirrors",
     "The list of mirrors.",
     ROOTS, 0, GROUP_MOVE, NULL, do_mirrors},
    {"slots", {'2'}, "slots",
     "All slots of all sources: what they keep, how much room is left.",
     ROOTS, ON(SCREEN_LIST), GROUP_MOVE, NULL, do_slots},
    {"peers", {'3'}, "peers",
     "All peers: test, add, change, delete them.",
     ROOTS, ON(SCREEN_LIST), GROUP_MOVE, NULL, do_peers},
    {"logs", {'4'}, "all logs",
     "The log of all mirrors and of the process.",
     ROOTS, 0, GROUP_MOVE, NULL, do_log_all},
    {"runs", {'5'}, "runs",
     "What all mirrors did, newest first.",
     ROOTS, ON(SCREEN_LIST), GROUP_MOVE, NULL, do_runs},
    {"doctors", {'6'}, "doctor",
     "The doctor's checks of all mirrors, what is wrong first.",
     ROOTS, ON(SCREEN_LIST), GROUP_MOVE, NULL, do_checkups},

    {"messages", {'m'}, "messages",
     "The last 200 messages with their times.",
     EVERYWHERE & ~ON(SCREEN_MESSAGES), 0, GROUP_REST, NULL, do_messages},
    {"theme", {'T'}, "theme",
     "Next theme: default, light, mono.",
     EVERYWHERE, 0, GROUP_REST, NULL, do_theme},
    {"glyphs", {'~'}, "glyphs",
     "UTF-8 or ASCII glyphs.",
     EVERYWHERE, 0, GROUP_REST, NULL, do_glyphs},
    {"mouse", {'%'}, "mouse",
     "Takes the mouse (click selects, on a title sorts; wheel), or gives it back.",
     EVERYWHERE, 0, GROUP_REST, NULL, do_mouse},
    {"command", {':'}, "command",
     "An action by its name, as [keys] has it; a mirror's name may follow. Tab completes.",
     EVERYWHERE, 0, GROUP_REST, NULL, do_command},
    {"repaint", {CTRL('l')}, "repaint",
     "Draws the whole screen again.",
     EVERYWHERE, 0, GROUP_REST, NULL, do_repaint},
    {"detach", {'D'}, "detach",
     "Leaves the screen; the engine goes on (asks y). bunnydb attach shows it again.",
     EVERYWHERE, 0, GROUP_REST, NULL, do_detach},
    {"quit", {'q', 033}, "quit",
     "Asks: detach, stop cleanly, or cancel.",
     ON(SCREEN_LIST), EVERYWHERE, GROUP_REST, NULL, app_back},
    {"cancel", {CTRL('c')}, "cancel",
     "Cancels a dialog or an input; stops nothing.",
     EVERYWHERE, 0, GROUP_REST, NULL, do_ctrl_c},
    {"suspend", {CTRL('z')}, "suspend",
     "An attached console stops as other programs do; the engine never does.",
     EVERYWHERE, 0, GROUP_REST, NULL, do_ctrl_z},
    {"help", {'?', FN(KEY_F(1))}, "help",
     "This help; {help} again shows the keys of all screens.",
     EVERYWHERE, 0, GROUP_REST, NULL, do_help},
};
/* clang-format on */
const size_t n_actions = COUNT_OF(actions);

bool action_is_of_logs(const struct action *k)
{
    return !strcmp(k->group, GROUP_LOG);
}

const struct action *action_find(struct app *a, int key)
{
    bool in_a_log = moves_log(a) != NULL;
    const struct action *other = NULL;
    for (size_t i = 0; i < n_actions; i++) {
        if (!(actions[i].screens & ON(app_screen(a))) || !keymap_has(&a->keymap, i, key))
            continue;
        if (action_is_of_logs(&actions[i]) == in_a_log)
            return &actions[i];
        other = &actions[i];
    }
    return other;
}

bool action_is_apart(const struct action *k, const struct action *l)
{
    return !(k->screens & l->screens) || action_is_of_logs(k) != action_is_of_logs(l);
}

bool action_changes(const struct action *k)
{
    bool of_them = !strcmp(k->group, GROUP_MIRROR) || !strcmp(k->group, GROUP_PEER) ||
                   !strcmp(k->group, GROUP_PICK);
    return of_them && k->enabled && k->enabled != has_target;
}

const struct action *action_named(const struct app *a, const char *id)
{
    const struct action *begins = NULL;
    size_t n = strlen(id);
    int found = 0;
    for (size_t i = 0; i < n_actions; i++) {
        if (!(actions[i].screens & ON(app_screen(a))) || strncmp(actions[i].id, id, n) != 0)
            continue;
        if (!actions[i].id[n])
            return &actions[i];
        begins = &actions[i];
        found++;
    }
    return found == 1 ? begins : NULL;
}

const struct action *action_of(const char *id)
{
    size_t i = 0;
    while (strcmp(actions[i].id, id) != 0)
        i++;
    return &actions[i];
}

void action_key(const struct app *a, const struct action *k, bool all, char *out, size_t size)
{
    keymap_shown(&a->keymap, (size_t)(k - actions), all, out, size);
}

const char *action_text_of(const struct keymap *keys, const char *text, char *out, size_t size)
{
    size_t n = 0;
    char id[40], key[32];
    while (*text && n + 1 < size) {
        size_t len = strcspn(text, "{");
        str_copy_n(out + n, size - n, text, len);
        n += strlen(out + n);
        text += len;
        len = strcspn(text, "}");
        if (*text != '{' || text[len] != '}')
            continue;
        str_copy_n(id, sizeof id, text + 1, len - 1);
        keymap_shown(keys, (size_t)(action_of(id) - actions), false, key, sizeof key);
        str_copy(out + n, size - n, key);
        n += strlen(out + n);
        text += len + 1;
    }
    out[n < size ? n : size - 1] = '\0';
    return out;
}

const char *action_text(const struct app *a, const char *text, char *out, size_t size)
{
    return action_text_of(&a->keymap, text, out, size);
}

const char *action_remedy(const struct app *a, const struct finding *f, char *out, size_t size)
{
    static const struct {
        const char *operation, *keys;
    } all[] = {{"retry", "{retry} retry"},
               {"resume", "{resume} resume"},
               {"verify", "{verify} verify"},
               {"resync", "{resync} on the table resyncs it"},
               {"sync-schema", "{definitions} shows what sync-schema would run"}};
    char keys[80];
    str_copy(out, size, f->remedy);
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        size_t n = strlen(out);
        if (!strcmp(f->action, all[i].operation))
            str_printf(out + n, size - n, "%s%s", n ? "  |  " : "",
                       action_text(a, all[i].keys, keys, sizeof keys));
    }
    return out;
}
