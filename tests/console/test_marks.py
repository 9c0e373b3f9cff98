"""Marked lines: one question for all of them, which names them, and what it leaves out and why."""
import re

import pytest

from driver import DOWN, ENTER, ESC, resize


def mark(console, *names):
    """On the main screen."""
    order = [x[3:].split()[0] for x in console.settle().splitlines()[3:10]]
    for name in names:
        console.keys("g", *"j" * order.index(name), " ")
        console.wait(re.compile(rf"^.{{2}}\*{name} ", re.M))


def test_marked_mirrors_are_paused_after_one_question(console):
    mark(console, "orders_us", "users", "archive")
    console.wait("3 marked")
    console.press("p", "Pause 2 mirrors?", "these   orders_us, users",
                  re.compile(r"not +archive: .*already"), "keep WAL for them")
    console.keys("p")  # the key that asked does not confirm, nor does Enter
    console.keys(ENTER)
    console.wait("3 marked", gone=["Pause 2 mirrors?"])
    assert console.commands() == []
    console.press("p", "Pause 2 mirrors?")
    console.keys("y")
    console.wait("of 2 marked: 2 done or under way, 0 not", gone=["3 marked"])
    assert sorted(console.commands()) == ["pause orders_us", "pause users"]
    console.wait("3 held")
    console.press("m", "pause orders_us: done", "pause users: done", "pause of 2 mirrors: under way")


def test_marks_are_names_and_stay_under_a_filter(console):
    mark(console, "orders_us", "users")
    console.keys("/", "billing", ENTER)
    console.wait("2 marked", gone=["orders_us"])
    console.press("t", "Retry 2 mirrors?", "these   orders_us, users")
    console.press("c", gone=["Retry 2"])
    console.tell("gone users")
    console.wait("1 marked")
    console.keys("/", ENTER)
    console.press("*", "6 marked")
    console.press("*", gone=["marked"])
    console.press("r", "resume: ")  # the selected one again
    assert console.commands() == []


@pytest.mark.parametrize("key", ["p", "r", "t", "X"])
def test_marks_that_a_filter_hides_can_be_acted_upon(start, key):
    c = start("paused" if key == "r" else "mixed")
    c.wait("? help")
    c.keys("*", "/", "zzz", ENTER)
    c.wait("filter zzz", "no mirror matches")
    c.keys(key)
    assert c.alive() and "no such key" not in c.settle()


def test_what_cannot_be_done_for_any_is_said(console):
    mark(console, "orders_us", "users")
    console.press("r", "resume: none of 2 marked: Mirror users is not paused")
    assert console.commands() == []


def test_a_mirror_that_changes_meanwhile_is_left_out(console):
    mark(console, "orders_us", "users")
    console.press("p", "Pause 2 mirrors?")
    console.tell("state error users")
    console.wait("users failed")
    console.keys("y")
    console.wait("of 2 marked: 1 done or under way, 1 not")
    assert console.commands() == ["pause orders_us"]
    console.press("m", "pause users: not done, its state has changed meanwhile")


def test_a_retry_that_copies_anew_is_asked_for_by_itself(console):
    console.tell("slotless users")
    console.wait("2 FAILED")
    mark(console, "users", "billing")
    console.press("t", "Retry 1 mirror?", re.compile("not +users: its retry asks for more"))
    console.keys("y")
    console.wait_record("retry billing")
    assert console.commands() == ["retry billing"]


def test_marked_mirrors_are_copied_again_when_their_number_is_typed(console):
    mark(console, "orders_us", "users")
    console.press("X", "Copy 2 mirrors again?", "all tables of these mirrors", "readers find nothing")
    console.press("e", "type 2 mirrors to empty and copy them:")
    console.keys("users", ENTER)
    console.wait("not done: that is not 2 mirrors", "2 marked")
    console.press("X", "Copy 2 mirrors again?")
    console.press("s", "type 2 mirrors to swap all their tables:")
    console.keys("2 mirrors", ENTER)
    console.wait(re.compile(r"resync \w+ \(swap\): ended"))
    console.press("m", "of 2 marked: 2 done or under way, 0 not")
    assert sorted(console.commands()) == ["resync swap orders_us", "resync swap users"]


def test_marked_tables_are_copied_one_after_the_other(start):
    c = start(slow_ms=300)
    c.wait("billing")
    c.keys("j", ENTER)
    c.wait("Mirrors > catalog", "shop.prices")
    c.press("*", re.compile(r"\d+ marked"))
    c.press("*", gone=["marked"])
    c.keys(" ", " ")
    c.wait("2 marked")
    c.press("p", "pause catalog: ")  # of the mirror, as ever
    c.press("n", "not done")
    c.press("x", "Copy 2 tables again?", "one after the other, as long as this console is there")
    c.keys("s")
    c.wait(re.compile(r"resync shop\.prices of catalog \(swap\): ended"))
    commands = c.commands()
    c.press("m", "of 2 marked: 2 done or under way, 0 not")
    c.press(ESC, "[1 Tables]")
    assert len(set(commands)) == 2 and all(re.fullmatch(r"resync of a table shop\.\w+ swap catalog", x)
                                           for x in commands), commands
    c.keys(" ")
    c.wait("1 marked")
    c.press(ESC, "Mirrors   filter")
    c.keys("k", ENTER)
    c.wait("Mirrors > billing", gone=["marked"])


def test_200_marked_mirrors_are_all_named(start):
    c = start("many")
    c.wait("200 mirrors")
    c.press("*", "200 marked")
    c.press("p", re.compile(r"Pause \d+ mirrors\?"), "up down: more", "mirror_000")
    seen = c.settle()
    for _ in range(80):
        c.keys(DOWN)
        seen += c.settle()
    assert {f"mirror_{i:03}" for i in range(200)} <= set(re.findall(r"mirror_\d{3}", seen))
    resize(c, 12, 50)
    c.wait("Pause", "up down: more")
    c.press("c", gone=["up down: more"])
    resize(c, 24, 80)
    c.press("*", gone=["marked"])
    c.keys("/", "mirror_01", ENTER)
    c.wait("filter mirror_01")
    c.press("*", "10 marked")
    c.press("p", re.compile(r"Pause \d+ mirrors\?"))
    c.keys("y")
    c.wait(re.compile(r"of (\d+) marked: \1 done or under way, 0 not"), limit=20)
    assert len(c.commands()) == int(re.search(r"of (\d+) marked", c.read())[1]) > 5
