"""The form with a mirror's settings: how they are, what is changed, and why something is refused."""
import re

from driver import CTRL_C, DOWN, ENTER, ESC, TAB, UP

CTRL_U = "\x15"


def field(console, label):
    """The line of a field: its marks and what stands in it."""
    found = [x for x in console.read().splitlines() if re.match(f" .{{2}}{label} ", x)]
    assert len(found) == 1, console.read()
    return found[0]


def open_form(console):
    console.press("e", "settings of billing", "< manual >", "[ Save ]")


def test_settings_are_changed(console):
    open_form(console)
    console.press(" ", ">*definitions", "< auto >  was manual")
    console.press(" ", " > definitions", gone=["was manual"])  # as it was: no change
    console.press(" ", "< auto >  was manual")
    console.keys(TAB, TAB, TAB, TAB, CTRL_U, "5", "0", "0", DOWN)
    console.wait("*batch size", "500  was 10000", " > batch wait")
    console.keys(*[TAB] * 6)
    console.wait("once what is copied or compared is done")
    console.press(ENTER, "settings of billing changed", "Mirrors   filter")
    assert console.commands()[-1] == \
        "cdc_batch_size 10000 -> 500, schema_changes manual -> auto billing"
    console.keys(ENTER, "6")
    console.wait("[6 Config]", "at most 500 changes", "schema_changes auto")
    console.press("e", "settings of billing", "< auto >", gone=["was"])  # of a mirror that is open
    assert "500" in field(console, "batch size")
    console.press(ESC, "[6 Config]", "not done")


def test_what_is_not_possible_is_told_at_its_field(console):
    open_form(console)
    console.press(UP + ENTER, "nothing is changed")
    console.keys(UP, UP, UP, CTRL_U, "many")  # indexes, then copy rows
    console.wait(" >*copy rows", "many  was 500000")
    console.keys(UP, UP, CTRL_U, "65")
    console.wait(">*copy tables", "65  was 4")
    console.keys(*[UP] * 7)  # over the first one, to the button
    console.press(ENTER, "snapshot_num_tables_in_parallel: must be between 1 and 64", ">*copy tables")
    console.keys(CTRL_U, "8", *[UP] * 7)
    console.press(ENTER, "snapshot_num_rows_per_partition: must be a whole number", ">*copy rows")
    assert not [x for x in console.commands() if "->" in x], "nothing was asked for"
    console.press(CTRL_C, "not done", "Mirrors   filter")


def test_what_the_engine_refuses_stays_in_the_form(console):
    open_form(console)
    console.keys(*[TAB] * 4, CTRL_U, "666", *[TAB] * 7)
    console.press(ENTER, "cdc_batch_size: 666 is not taken today; take 667", ">*batch size")
    console.keys(CTRL_U, "667", *[TAB] * 7)
    console.press(ENTER, "settings of billing changed", "Mirrors   filter")
    assert console.commands()[-1] == "cdc_batch_size 10000 -> 667 billing"


def test_the_key_is_named_below_and_in_the_help(start):
    c = start(rows=40, cols=120)
    c.wait("billing", "e edit")
    c.press("?", re.compile(r"^ e +edit +Other settings", re.M),
            re.compile(r"^ E +edit tables +Other tables", re.M))


def test_a_form_that_has_no_room_says_so(start):
    c = start(rows=15, cols=60)
    c.wait("billing", "? help")
    c.press("e", "settings of billing", "more below", "esc leaves")
    c.press(UP, "[ Save ]", "more above", gone=["more below"])


def test_names_of_tables_are_told_apart_on_a_small_screen(start):
    c = start(rows=15, cols=60)
    c.wait("billing", "? help")
    c.press(ENTER, "public.addresses_1 ", "NO ROW")
