"""What an operator can change about the console: keys, columns, the mouse; the command line, and saving
what a screen shows."""
import re
import termios
import time

import pytest

from driver import CTRL_C, DOWN, ENTER, ESC, LEFT, RIGHT, SIZES, TAB, resize

COLUMN_LINE = 2


def titles(console):
    return console.line(COLUMN_LINE).split()


# --- Keys -------------------------------------------------------------------------------------
def test_other_keys_are_shown_and_taken(start):
    c = start(KEYS="pause=P,resume=r f8,freeze=none,help=H")
    c.wait("billing", "P pause", "H help")
    c.press("p", "p: no such key here")
    c.press("?", "?: no such key here")
    c.keys("G")
    c.press("P", "pause users", "y/N")
    c.press("P", "not done")  # the key that asked does not confirm
    c.keys("P", "y")
    c.wait_record("pause users")
    c.wait("= users")
    c.keys("\x1b[19~")  # F8
    c.wait_record("resume users")
    text = c.press("H", "keys of this screen", re.compile(r"^ *P +│? *pause", re.M))
    assert re.search(r"r f8 +│? *resume", text)
    c.keys("H")
    seen = ""
    for _ in range(12):
        seen += c.settle()
        c.keys("\x1b[6~")
    assert re.search(r" - +│? *freeze", seen)


def test_texts_and_tabs_name_the_keys_that_there_are(start):
    c = start(KEYS="test=Y,slots=f2,tab-slot=f3,filter=F")
    c.wait("billing", "F filter")
    c.keys("F", "nothing", ENTER)
    c.wait("no mirror matches the filter; F changes it")
    c.keys("F", ENTER)
    c.press("3", "Y test  |  e edit", "f2 Slots", "[3 Peers]")
    c.press("\x1bOQ", "[f2 Slots]")
    c.press("1", "Mirrors   filter")
    c.press(ENTER, "[1 Tables] f3 Slot")


def test_remedies_and_texts_name_the_keys_that_there_are(start):
    """The engine names operations; which key that is, only the console knows."""
    c = start(KEYS="retry=ö,doctor=H,help=^H,quit=Q,freeze=Z,pane=f4,log=L,found=W,messages=M,refresh=f6", LC_ALL="C.UTF-8")
    c.wait("billing")
    c.press("H", "slot s does not exist", "Retry.  |  ö retry", "f6 asks again")
    c.press(ESC, "Mirrors   filter")
    c.press("6", "[6 Doctor]", "not answered")
    c.press("j", "billing: what is not well", "Retry.  |  ö retry")
    c.press("1", "Mirrors   filter")
    c.press("Z", "Z goes on")
    c.press("Z", gone=["goes on"])
    c.press(CTRL_C, "Q at the main screen quits", re.compile(r"\d messages?: M"))
    c.press("f", "works in a log: f4 or L first")
    c.press("X", "Copy billing")
    c.press(ESC, gone=["Copy billing"])
    c.press("X", "Copy billing")
    c.keys(ESC)
    c.press("_", "_: no such key here, ^H shows all keys")


def test_help_names_the_keys_that_there_are(start):
    c = start(KEYS="help=H,found=W", rows=90, cols=120)
    c.wait("billing")
    c.press("H", "This help; H again", "where W shows differences", "H all screens")


# --- The mirror before this one ---------------------------------------------------------------
def test_the_previous_mirror_and_back(console):
    console.press("-", "previous: no other mirror was open before")
    console.keys(ENTER)
    console.wait("Mirrors > billing")
    console.press(ESC, "Mirrors   filter")
    console.press("-", "Mirrors > billing")
    console.press("-", "previous: no other mirror was open before")
    console.press(ESC, "Mirrors   filter")
    console.keys("j", ENTER, "2")
    console.wait("Mirrors > catalog", "[2 Slot]")
    console.press("-", "Mirrors > billing", "[2 Slot]")
    console.press("-", "Mirrors > catalog", "[2 Slot]")
    console.press("h", "catalog: doctor")
    console.press("-", "billing: doctor")
    console.press(ESC, "Mirrors > billing")
    console.tell("gone catalog")
    console.wait("6 mirrors")
    console.press("-", "previous: no other mirror was open before")
    console.press("3", "[3 Logs]")
    console.press("-", "warn and up")  # in a log it is the level
    assert console.commands() == ["doctor catalog", "doctor billing"]


def test_a_dialog_is_not_answered_by_the_key_that_opened_it(start):
    c = start(KEYS="resync=s")
    c.wait("billing")
    c.keys("j", ENTER)
    c.wait("Mirrors > catalog")
    c.press("s", "Copy shop")
    c.press("s", "Copy shop")
    c.keys("s", "s")
    c.settle()
    assert c.commands() == []
    c.press(ESC, gone=["Copy shop"])


# --- Columns ----------------------------------------------------------------------------------
def test_columns_of_the_configuration(start):
    c = start(COLUMNS_OF_MIRRORS="kept,lag,slot")
    c.wait("billing")
    assert titles(c) == ["MIRROR", "KEPT", "LAG", "SLOT"]
    assert re.match(r">! billing +2\.9G +1m48s inactive", c.line(3))


def test_columns_are_chosen_moved_and_kept(start, tmp_path):
    choices = str(tmp_path / "choices")
    c = start(CHOICES=choices)
    c.wait("billing", "ROWS/S")
    c.press("c", "columns of mirrors", "[x] STATE", "[ ] SLOT", "space shows")
    c.keys(" ")  # STATE is not shown any more
    c.wait(re.compile(r"^ +MIRROR +TABLES", re.M))
    c.keys("G", " ")  # the last of those that are not shown
    c.wait(re.compile(r"^ +MIRROR +TABLES.* STATE *$|STATE", re.M))
    for _ in range(12):
        c.keys("<")
    c.press(ENTER, gone=["columns of mirrors"])
    assert titles(c)[:2] != ["MIRROR", "TABLES"]
    chosen = titles(c)
    c.keys("D", "y")
    c.wait_record("end detached")
    again = start(CHOICES=choices)
    again.wait("billing")
    assert titles(again) == chosen
    again.press("c", "columns of mirrors")
    again.keys("*", ESC)  # the usual ones
    again.wait("ROWS/S", gone=["columns of mirrors"])
    assert titles(again)[:3] == ["MIRROR", "STATE", "TABLES"]


@pytest.mark.parametrize("rows,cols", SIZES + [(10, 44)])
def test_more_columns_than_there_is_room_for(start, rows, cols):
    c = start(rows=rows, cols=cols, COLUMNS_OF_MIRRORS=(
        "next,from_to,lag,5_min,slot,b_s,kept,state,tables,behind,rows_s"))
    c.wait("billing")
    c.press("c", "columns of")
    c.settle()
    assert c.screen.cursor.y < rows
    c.press(ESC, gone=["columns of"])
    assert "MIRROR" in c.settle()


def test_every_list_has_its_columns(console):
    for keys, name in (("2", "slots"), ("3", "peers"), ("5", "runs"), ("6", "checks")):
        console.keys(keys)
        console.press("c", f"columns of {name}")
        console.press("c", gone=["columns of"])
    console.press("4", "log: all mirrors")
    console.press("c", "c: no such key here")


# --- The command line -------------------------------------------------------------------------
def test_actions_by_name(console):
    console.press(":", "action:")
    console.keys("pause users", ENTER)
    console.wait("pause users: us-prod will keep WAL", "y/N")
    console.keys("y")
    console.wait_record("pause users")
    assert console.selected() == "users"
    console.press(":", "action:")
    console.keys("slots", ENTER)
    console.wait("[2 Slots]")
    console.press(":", "action:")
    console.keys("mir", ENTER)  # enough to be the only one
    console.wait("Mirrors   filter")
    console.keys(":", "fly", ENTER)
    console.wait("fly: there is no such action here")
    console.keys(":", "pause nobody", ENTER)
    console.wait("there is no mirror nobody")
    console.keys(":", "pause", ESC)
    console.wait(gone=["action:"])
    assert console.commands() == ["pause users"]


def test_names_are_completed(console):
    console.keys(":", "resy", TAB)
    console.wait("resync-all")
    console.keys("bil", TAB)
    console.wait("action: resync-all billing")
    console.press(ESC, gone=["action:"])
    console.keys(":", "re", TAB)
    console.wait("resume retry resync-all repaint  action: re")
    console.keys("t", TAB)
    console.wait("action: retry ")
    console.keys("b", TAB)
    console.wait("action: retry billing")
    console.keys(ENTER)
    console.wait_record("retry billing")


# --- Saving -----------------------------------------------------------------------------------
def test_a_screen_is_saved_whole(start, tmp_path):
    c = start("many", TMPDIR=str(tmp_path))
    c.wait("200 mirrors")
    text = c.press("S", "saved: ")
    saved = next(tmp_path.glob("bunnydb-screen-*.txt"))
    assert saved.name in text.replace("\n", "") or "…" in text
    lines = saved.read_text()
    assert "mirror_199" in lines and "? help" in lines
    assert saved.stat().st_mode & 0o777 == 0o600
    saved.unlink()
    c.press("?", "keys of this screen", gone=["saved: "])
    c.press("S", "saved: ")
    assert "Ctrl-Z" in (t := next(tmp_path.glob("bunnydb-screen-*.txt")).read_text()) or "suspend" in t


def test_a_log_is_saved_whole(start, tmp_path):
    c = start(TMPDIR=str(tmp_path))
    c.wait("billing")
    c.press("l", "line 30")
    c.press("S", "saved: ")
    text = next(tmp_path.glob("bunnydb-screen-*.txt")).read_text()
    assert "line 1: batch applied" in text and "already exists." in text


def test_a_directory_that_is_not_there_is_said(start):
    c = start(TMPDIR="/nothing/here")
    c.wait("billing")
    c.press("S", "No such file or directory")


# --- The mouse --------------------------------------------------------------------------------
def mouse(console, button, row, col):
    """SGR or X10, as the console asked for."""
    if b"\x1b[?1006" in console.raw or b"1006" in console.raw:
        console.keys(f"\x1b[<{button};{col + 1};{row + 1}M", f"\x1b[<{button};{col + 1};{row + 1}m")
    else:
        console.keys(*("\x1b[M" + chr(32 + b) + chr(33 + col) + chr(33 + row) for b in (button, 3)))


def test_the_mouse_is_off_unless_it_is_wanted(console):
    assert b"\x1b[?1000h" not in console.raw
    console.press("%", "mouse on")
    assert b"1000" in console.raw
    console.press("%", "mouse off")


def test_clicks_and_the_wheel(start):
    c = start(MOUSE="yes")
    c.wait("billing", "? help")
    assert b"1000" in c.raw
    mouse(c, 0, 5, 10)
    c.wait(re.compile(r"^>~ orders_eu", re.M))
    mouse(c, 0, COLUMN_LINE, c.line(COLUMN_LINE).index("ROWS/S"))
    c.wait("sort rows/s")
    mouse(c, 0, COLUMN_LINE, c.line(COLUMN_LINE).index("ROWS/S"))
    c.wait("inverted")
    mouse(c, 0, COLUMN_LINE, 4)
    c.wait("sort mirror")
    c.keys("g")
    c.wait(re.compile(r"^>. archive", re.M))
    mouse(c, 65, 5, 10)
    c.wait(re.compile(r"^>. orders_eu", re.M))
    mouse(c, 64, 5, 10)
    c.wait(re.compile(r"^>. archive", re.M))
    mouse(c, 2, 5, 10)  # other buttons do nothing, and hold nothing up
    mouse(c, 1, 5, 10)
    c.child.send("\x1b[<0;11;6M\x1b[<0;11;6m")  # a press and its release may come together
    c.sync()
    c.wait(re.compile(r"^>. catalog", re.M))
    mouse(c, 0, 19, 10)  # into the log below
    c.wait("tab back")
    assert c.commands() == []
    c.keys("D", "y")
    c.wait_record("end detached")
    raw = c.end()
    assert raw.rindex(b"1000l") > raw.rindex(b"1000h")


def test_tab_and_right_keys_do_not_fall_into_a_form(console):
    console.press("3", "db1.example.com")
    console.press("a", "a new peer")
    console.keys(":", "%", "S", "c", RIGHT, DOWN)
    console.wait(":%Sc")
    console.press(ESC, "not done")


# --- Orders, and columns that have no room ----------------------------------------------------
def names(console, n=3):
    """Of the first rows, as they stand there."""
    return [x[3:].split()[0] for x in console.settle().splitlines()[COLUMN_LINE + 1:COLUMN_LINE + 1 + n]]


def test_every_list_is_sorted_by_its_columns(start):
    c = start(MOUSE="yes")
    c.wait("billing")
    c.press("2", "old_consumer", re.compile(r"\d+s ago"))
    usual = names(c)
    c.press("s", "sorted by slot", "sort slot")
    assert names(c) == sorted(names(c)) != usual
    c.press("I", "sorted by slot, inverted")
    assert names(c) == sorted(names(c), reverse=True)
    mouse(c, 0, COLUMN_LINE, c.line(COLUMN_LINE).index("KEPT"))
    c.wait("sorted by kept", "sort kept")
    assert names(c)[0] == "old_consumer"  # 40G
    mouse(c, 0, COLUMN_LINE, c.line(COLUMN_LINE).index("HEALTH"))
    c.wait("sorted by health", gone=["sort kept"])
    assert names(c) == usual
    c.press("1", "sort severity")
    c.press("2", "old_consumer")
    c.press("3", "[3 Peers]", "db1.example.com")
    c.press("s", "sorted by address")
    c.press("5", "[5 Runs]", "goes on")
    for _ in range(3):
        c.keys("s")
    c.wait("sort took")
    c.press("6", "[6 Doctor]", "billing")
    c.press("s", "sorted by mirror")
    assert names(c) == ["archive", "billing", "catalog"]


def test_tables_are_sorted_and_the_order_is_kept(start, tmp_path):
    choices = str(tmp_path / "choices")
    c = start(CHOICES=choices)
    c.wait("billing")
    c.keys("j", ENTER)
    c.wait("[1 Tables]", "shop.prices")
    line = next(i for i in range(24) if "TABLE " in c.line(i))

    def tables():
        return [x[3:].split()[0] for x in c.settle().splitlines()[line + 1:line + 3]]
    c.press("s", "sorted by table")
    up = tables()
    c.press("I", "inverted")
    assert up == sorted(up) and tables() != up
    c.keys("D", "y")
    c.wait_record("end detached")
    c = start(CHOICES=choices)
    c.wait("billing")
    c.keys("j", ENTER)
    c.wait("[1 Tables]", "shop.prices")
    assert tables() != up


def test_columns_without_room_are_scrolled_to(console):
    usual = titles(console)
    seen = set(usual)
    console.keys(RIGHT)
    console.wait(re.compile(r"^<> MIRROR +STATE +FROM -> TO", re.M))
    for _ in range(20):
        if (before := console.line(COLUMN_LINE)).startswith("<  MIRROR"):
            break  # the last column is shown
        seen |= set(titles(console))
        console.keys(RIGHT)
        console.wait("billing", gone=[before])  # names stay
        console.settle()
    assert {"B/S", "SLOT", "NEXT"} <= seen | set(titles(console))
    console.press(RIGHT, re.compile(r"^<  MIRROR", re.M))
    console.keys(*[LEFT] * 20)
    console.wait(re.compile(r"^   MIRROR" + ".*".join(map(re.escape, ["", *usual[1:]])), re.M))
    resize(console, 24, 200)
    console.wait("SLOT")
    console.press(RIGHT, "right: all columns are on the screen")


# --- The line's speed -------------------------------------------------------------------------
def set_speed(console, speed):
    attributes = termios.tcgetattr(console.child.child_fd)
    attributes[5] = speed
    termios.tcsetattr(console.child.child_fd, termios.TCSANOW, attributes)


def test_an_answer_is_not_held_back_on_a_slow_line(start):
    """A screen takes seconds of that line, but what it was opened for does not wait for them."""
    c = start()
    c.wait("billing", "? help")
    set_speed(c, termios.B1200)
    took = []
    for key, word in (("2", "old_consumer"), ("3", "db1.example.com"), ("5", "goes on")):
        began = time.monotonic()
        c.press(key, word)
        took.append(time.monotonic() - began)
    assert min(took) < 4, took  # else 5 s each: that is the longest that a frame is waited for


@pytest.mark.parametrize("speed,most", [(termios.B2400, 240), (termios.B38400, 1200)])
def test_frames_leave_room_on_the_line(start, speed, most):
    """200 mirrors change ten times a second: what nobody asked for takes a part of the line, and a key is
    answered at once all the same."""
    c = start("many", rows=40, cols=120)
    c.wait("200 mirrors")
    set_speed(c, speed)
    c.keys("/", "running", ENTER)
    c.wait("filter running")
    c.settle()
    c.tell("busy on")
    began, before, seen, frames = time.monotonic(), len(c.raw), set(), [0]
    while time.monotonic() < began + 8:
        seen.add(c.read())
        if len(c.raw) > before:
            frames[-1] += len(c.raw) - before
        elif frames[-1]:
            frames.append(0)
        before = len(c.raw)
        time.sleep(0.02)
    # the line is still at the last one when the time is over
    rate = (sum(frames) - max(frames)) / 8
    print(f"\n{rate:.0f} bytes/s, {frames}")
    assert rate < most
    assert len(seen) > 1  # and yet it follows
    c.keys("?")
    assert "keys of this screen" in c.read()
