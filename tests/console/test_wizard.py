"""The steps to a new mirror, and to other tables of one: what is chosen is what is asked for, and nothing
is done before it was confirmed."""
import re

import pytest

from driver import DOWN, ENTER, ESC, RIGHT, TAB


def choose_peers(console, name="new", source="eu-prod", to=None):
    """The form, filled in; the focus on its button."""
    console.press("a", "a new mirror, 1 of 3")
    console.keys(name, ENTER)
    console.wait(re.compile(r"^ > source", re.M))
    for _ in range(4):
        if f"source       │ < {source} >" in console.settle():
            break
        console.keys(" ")
    console.keys(ENTER)
    for _ in range(4):
        if to is None or f"destination  │ < {to} >" in console.settle():
            break
        console.keys(RIGHT)
    for _ in range(7):
        console.keys(TAB)
    console.keys(ENTER)


def test_a_mirror_is_made_in_three_steps(console):
    choose_peers(console, to="dwh")
    text = console.wait("Tables", "public.customers", "REMARKS")
    assert re.search(r"!  -  public\.scratch +43M +4\.0G - +it is unlogged, unlogged", text)
    assert re.search(r"\? +\[ \] public\.orders", text)
    console.press(ENTER, "no table is chosen")
    console.press(" ", re.compile(r"\[x\] public\.customers +11M +1\.0G copied"))
    console.keys(DOWN)
    console.wait("public.orders", "no primary key", "updates search the whole table",
                 "ALTER TABLE public.orders REPLICA IDENTITY FULL;")
    console.keys(" ", " ")
    console.wait("public.scratch cannot be mirrored: it is unlogged")
    console.press(ENTER, "3 of 3: what will be done", "new, from eu-prod to dwh", "2, about 43M rows, 4.0G",
                  "both servers are ready")
    assert not [x for x in console.commands() if x.startswith("create")]
    console.press(ENTER, "make new: 2 tables, 4.0G y/N")
    console.press("n", "not done")
    console.keys(ENTER)
    console.wait("y/N")
    console.keys("y")
    console.wait_record("create eu-prod-dwh manual new public.customers public.orders")
    console.wait("mirror new made: it copies its tables", "Mirrors   filter -")


def test_what_the_form_refuses(console):
    console.press("a", "a new mirror, 1 of 3")
    for _ in range(9):
        console.keys(TAB)
    console.press(ENTER, "name: must not be empty", re.compile(r"^ > name", re.M))
    console.keys("billing")
    console.wait("billing", gone=["must not be empty"])
    for _ in range(9):
        console.keys(TAB)
    console.press(ENTER, "there is a mirror of that name")
    console.keys("2", ENTER, " ")
    for _ in range(8):
        console.keys(TAB)
    console.press(ENTER, "must be another peer than the source", re.compile(r"^ > destination", re.M))
    console.press(ESC, "not done", "Mirrors   filter")
    assert console.commands() == []


def test_all_that_the_filter_shows_and_back_to_the_form(console):
    choose_peers(console, to="dwh")
    console.wait("public.customers")
    console.press("*", "[x] public.orders", "[x] public.invoices", " -  public.scratch")
    console.press("*", "[ ] public.orders", gone=["[x]"])
    console.keys("/", "order", ENTER, "*", "/", ENTER)
    console.wait("[x] public.orders", "[ ] public.customers")
    console.press(ESC, "a new mirror, 1 of 3", re.compile(r"name +. new"))
    console.keys("er")
    console.wait("er")
    for _ in range(12):
        if re.search(r"^ > ", console.settle(), re.M) is None:
            break
        console.keys(TAB)
    console.press(ENTER, "[x] public.orders")  # what was chosen is kept: the peers are the same
    assert console.record().count("check eu-prod") == 1


def test_servers_that_are_not_ready_and_a_refusal_with_findings(console):
    choose_peers(console, to="spare")
    console.wait("public.customers")
    console.keys(" ")
    console.press(ENTER, "the servers are not ready:", "role bunny may not create schemas",
                  "GRANT CREATE ON DATABASE shop TO bunny;")
    console.press(ENTER, "y/N")
    console.press("y", "refused", "the servers lack something", "mirror new not made")
    console.press(ESC, "[x] public.customers")


def test_a_source_that_does_not_answer(console):
    choose_peers(console, source="dwh")
    console.wait("dwh: connection refused")
    console.press(" ", "no table is selected")
    console.press("R", "dwh: connection refused")
    console.press(ESC, "a new mirror, 1 of 3")


def test_other_tables_pause_change_resume(console):
    console.keys("/", "users", ENTER)
    console.press("E", "public.customers", re.compile(r"\[x\] public\.orders +.* stays"))
    console.press(ENTER, "nothing is changed")
    console.keys(" ", " ")
    console.wait(re.compile(r"\[x\] public\.customers.* added"),
                 re.compile(r"\[ \] public\.invoices.* removed"))
    console.press(ENTER, "users: 2 tables afterwards", "adds", "public.customers", "removes",
                  "public.invoices")
    console.press(ENTER, "pause, change the tables of users, go on y/N")
    console.keys("y")
    console.wait_record("resume users")
    assert console.commands()[-3:] == ["pause users",
                                       "set-tables users public.customers public.orders",
                                       "resume users"]
    console.wait("tables of users changed, it goes on", "Mirrors   filter users")


def test_a_paused_mirror_stays_paused(console):
    console.keys("/", "archive", ENTER)
    console.press("E", "public.customers")
    console.keys(" ")
    console.press(ENTER, "archive: 3 tables afterwards")
    console.press(ENTER, "change the tables of archive y/N", gone=["go on"])
    console.keys("y")
    console.wait_record("set-tables archive public.customers public.invoices public.orders")
    console.wait("tables of archive changed", "PAUSED")
    assert "resume archive" not in console.record()


def test_a_refused_change_lets_the_mirror_go_on(console):
    console.keys("/", "catalog", ENTER)
    console.press("E", "public.customers")
    console.keys(" ")
    console.press(ENTER, "catalog: 3 tables")
    console.keys(ENTER)
    console.wait("y/N")
    console.press("y", "refused", "source eu-prod cannot be reached")
    console.wait_record("resume catalog")


@pytest.mark.parametrize("rows,cols", [(24, 80), (40, 120), (15, 60), (10, 44)])
@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_every_size_and_locale(start, rows, cols, locale):
    c = start(rows=rows, cols=cols, LC_ALL=locale)
    c.wait("billing")
    c.press("E", "public.customers", "SIZE")
    c.press(" ", "[x] public.customers")
    c.press(ENTER, "billing: 3 tables afterwards")
    c.press("q", "[x] public.customers")
    c.press("q", "Mirrors", "billing")
    c.press("a", "a new mirror")
    c.settle()
    if locale == "C":
        assert all(b < 0x80 for b in c.raw)
