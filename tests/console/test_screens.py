"""Every screen, box and form: at each size, on terminals with many, few and no colours, in ASCII, and while
the terminal changes its size."""
import os
import random
import re
import time

import pytest

from driver import (CTRL_C, CTRL_L, CTRL_Z, DOWN, END, ENTER, ESC, F1, HOME, LEFT, PGDN, PGUP, RIGHT,
                    TAB, UP, resize)


def on(title, text):
    """That text below the title of its screen; the main screen may show it, too."""
    return re.compile(re.escape(title) + ".*" + re.escape(text), re.DOTALL)


PEER = re.compile(r"\[3 Peers\].*^>  dwh", re.DOTALL | re.MULTILINE)  # is selected, as they have come

# Keys from the main screen, what stands there then, and the way back. A pattern between keys is awaited:
# the next key means something only once that is on the screen.
SCREENS = [
    ("list", "", "FAILED", ""),
    ("tables", ENTER, on("[1 Tables]", "public."), ESC),
    ("slot", ENTER + "2", on("[2 Slot]", "bunny_slot_billing"), ESC),
    ("own log", ENTER + "3", on("[3 Logs]", "log: billing"), ESC),
    ("own runs", ENTER + "4", on("[4 Runs]", "goes on"), ESC),
    ("schema", ENTER + "5", on("[5 Schema]", "public.orders"), ESC),
    ("config", ENTER + "6", on("[6 Config]", "eu-prod"), ESC),
    ("slots", "2", "old_consumer", "1"),
    ("peers", "3", PEER, "1"),
    ("test of a peer", ["3", PEER, "t"], "15.18", [ESC, PEER, "1"]),
    ("peer form", "3a", "a new peer", [ESC, PEER, "1"]),
    ("logs", "4", "log: all mirrors", "1"),
    ("runs", "5", "goes on", "1"),
    ("checks", "6", on("[6 Doctor]", "billing"), "1"),
    ("comparison", "V", "last comparison", ESC),
    ("cutover", "C", "cutover", ESC),
    ("doctor", "h", "slot s does not exist", ESC),
    ("messages", "mm", "messages", ESC),
    ("help", "?", "keys of this screen", ESC),
    ("all help", "??", "keys of all screens", ESC),
    ("new mirror", "a", "a new mirror", ESC),
    ("its tables", "E", on("> Tables", "public."), ESC),
    ("settings", "e", "settings of billing", ESC),
    ("quit", "q", "Quit bunnydb?", ESC),
    ("columns", "c", "columns of mirrors", ESC),
    ("prompt", "/", "filter:", ESC),
    ("command", ":", "action:", ESC),
    ("pause", "jp", "y/N", "nk"),
    ("resync of all", "jX", "Copy catalog", [ESC, re.compile("Mirrors   filter"), "k"]),
]
NAMES = [x[0] for x in SCREENS]


def press(console, way, shows=True):
    """shows: the screen is large enough to show what is awaited; else until nothing comes any more."""
    for step in way:
        if isinstance(step, str):
            console.keys(*step)
        elif shows:
            console.wait(step)
        else:
            console.settle()


def visit(console, screen, check):
    """Goes there, checks, and comes back to the main screen."""
    _, there, word, back = screen
    press(console, there)
    console.wait(word)
    check(console.settle())
    press(console, back)
    console.wait("Mirrors   filter", "billing")


def colours(console):
    return {cell.fg for line in console.screen.buffer.values() for cell in line.values()} - {"default"}


READS = {"doctor", "peer-test", "schema-plan", "survey", "available", "config", "peers"}
MODES = {
    "16 colours": {"TERM": "xterm-16color"},
    "8 colours": {"TERM": "linux"},
    "screen": {"TERM": "screen"},
    "no colours": {"TERM": "vt220"},
    "NO_COLOR": {"NO_COLOR": "1"},
    "ASCII": {"LC_ALL": "C"},
}


@pytest.mark.parametrize("mode", MODES)
def test_every_screen_on_every_terminal(start, mode):
    c = start(rows=24, cols=80, **MODES[mode])
    c.wait("billing", "? help")
    plain = mode in ("no colours", "NO_COLOR")

    def check(text):
        assert c.alive() and "bunnydb" in text
        if plain:
            assert not colours(c), colours(c)
        assert 0 <= c.screen.cursor.y < 24 and 0 <= c.screen.cursor.x <= 80
        backgrounds = {cell.bg for line in c.screen.buffer.values() for cell in line.values()}
        assert backgrounds == {"default"}  # the terminal's own
    for screen in SCREENS:
        visit(c, screen, check)
    if mode == "ASCII":
        assert all(b < 0x80 for b in c.raw)
    elif not plain:
        assert b"\xe2" in c.raw  # lines and blocks
    assert {x.split()[0] for x in c.commands()} <= READS


@pytest.mark.parametrize("rows,cols", [(15, 60), (40, 120), (60, 200)])
def test_every_screen_at_every_size(start, rows, cols):
    c = start(rows=rows, cols=cols)
    c.wait("billing", "? help")

    def check(text):
        lines = text.splitlines()
        assert c.alive() and lines[0].startswith(" bunnyd"), text  # a box may cover the rest
        assert lines[-1].strip(), text  # the keys stand below
    for screen in SCREENS:
        visit(c, screen, check)


@pytest.mark.parametrize("rows,cols", [(10, 44), (6, 40), (5, 30), (3, 20)])
def test_every_screen_is_survived_below(start, rows, cols):
    """What is too small for a screen gets less of it, in the end one line, and nothing breaks."""
    c = start(rows=rows, cols=cols)
    c.wait("7 mirrors")
    for name, there, _, back in SCREENS:
        press(c, there, shows=False)
        text = c.settle()
        assert c.alive() and text.strip(), (name, text)
        press(c, back, shows=False)
        c.settle()
    assert c.alive()
    resize(c, 24, 80)
    c.wait("Mirrors   filter", "billing", "? help")


def test_every_screen_while_the_size_changes(console):
    for screen in SCREENS:
        _, there, word, back = screen
        press(console, there)
        console.wait(word)
        for rows, cols in ((15, 60), (5, 30), (40, 120)):
            resize(console, rows, cols)
            console.settle()
            assert console.alive(), screen[0]
        resize(console, 24, 80)
        console.wait(word)
        press(console, back)
        console.wait("Mirrors   filter", "billing", "? help")
        assert console.line(23).rstrip().endswith("help")


def keys_at_random(dice, c, seconds):
    letters = [chr(x) for x in range(33, 127) if chr(x) not in "qDs"]  # what leaves is tested elsewhere
    others = [UP, DOWN, LEFT, RIGHT, PGUP, PGDN, HOME, END, F1, TAB, ENTER, CTRL_C, CTRL_L, CTRL_Z,
              "\x04", "\x15", "\x7f", "é", "東", "\x1b[M !!", "\x1b[<0;5;5M"]
    end = time.monotonic() + seconds
    while time.monotonic() < end and c.alive():
        c.child.send(dice.choice(others if dice.random() < 0.3 else letters))
        if dice.random() < 0.03:
            resize(c, *dice.choice([(24, 80), (15, 60), (6, 40), (4, 20), (60, 200)]))
        time.sleep(0.004)
        c.read()


@pytest.mark.parametrize("name", NAMES)
def test_random_keys_on_every_screen(start, name):
    """Some each; BUNNYDB_KEYS_SECONDS makes it longer. No command that loses rows is ever met."""
    seed = int(os.environ.get("BUNNYDB_SEED", time.time()))
    print(f"\nseed {seed}")
    c = start()
    c.wait("billing", "? help")
    c.tell("busy on")
    _, there, word, _ = SCREENS[NAMES.index(name)]
    press(c, there)
    c.wait(word)
    keys_at_random(random.Random(seed), c, float(os.environ.get("BUNNYDB_KEYS_SECONDS", "0.4")))
    if not c.alive():
        assert c.child.signalstatus is None and c.child.exitstatus == 0, (c.child.signalstatus, c.raw[-2000:])
    for word in ("delete", "force", "truncate", "resync all"):
        assert not [x for x in c.commands() if x.startswith(word) or f" {word} " in x], c.commands()
