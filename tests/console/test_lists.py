"""The screens that are asked for: slots of all sources, runs, peers with their form, and the tabs of a
mirror."""
import re

import pytest

from driver import BACKSPACE, CTRL_C, DOWN, ENTER, ESC, F5, LEFT, RIGHT, SHIFT_TAB, TAB, UP

SIZES = [(24, 80), (40, 120), (15, 60), (10, 44)]


# --- Slots ------------------------------------------------------------------------------------
def test_a_slot_that_may_be_ours_is_not_to_be_dropped(console):
    """A server that two peers name has each slot twice."""
    console.press("2", "[2 Slots]", "old_consumer")
    console.keys("/", "bunny_slot_billing", ENTER, "G")
    console.wait("mirror billing, if eu-prod and us-prod are the same server", "leave it alone", "(billing)",
                 gone=["pg_drop_replication_slot"])


def test_slots_of_all_sources_what_is_wrong_first(console):
    console.press("2", "[2 Slots]", "old_consumer", "HEALTH", re.compile(r"\d+s ago"))
    text = console.settle()
    rows = [x.split() for x in text.splitlines()[3:12]]
    assert [r[0] for r in rows[:3]] == [">!", "!", "?"]
    assert rows[0][1:] == ["old_consumer", "us-prod", "(other)", "LOST", "40G", "0", "-", "-"]
    assert rows[1][1:] == ["bunny_slot_users", "us-prod", "users", "MISSING", "-", "-", "-", "-"]
    assert rows[2][1:6] == ["reporting", "us-prod", "(other)", "UNREAD", "3.0G"]
    assert ["=", "bunny_slot_archive", "us-prod", "archive", "PAUSED"] in [r[:5] for r in rows]
    assert "old_consumer on us-prod: LOST" in text
    assert "us-prod cannot be asked: connection refused" in text
    assert "plugin test_decoding, database shop" in text
    assert "pg_drop_replication_slot('old_consumer')" in text


def test_the_keys_of_a_slot_are_those_of_its_mirror(console):
    console.press("2", "old_consumer")
    console.press("p", "pause: no mirror is selected")
    console.keys("/", "archive", ENTER)
    console.wait("filter archive", "bunny_slot_archive on us-prod: PAUSED", gone=["old_consumer"])
    console.press("r", "resume archive: done")
    console.wait_record("resume archive")
    console.press(ENTER, "Mirrors > Slots > archive", "[1 Tables]")
    console.press(ESC, "[2 Slots]", "filter archive")
    console.press("1", "Mirrors   filter -")


def test_time_until_a_slot_is_full(console):
    """The rate is measured between two samples of the picture."""
    console.press("2", "old_consumer")
    console.keys("/", "billing", ENTER)
    console.wait("room", "61G until it is lost", "keeps     2.9G of WAL, wal_status reserved")


def test_a_slot_that_is_read_does_not_fill(console):
    for name in ("catalog", "archive") * 2:  # the rate is between two pictures
        console.tell(f"writes {name}")
        console.settle()
    console.press("2", "old_consumer")
    console.wait(re.compile(r"bunny_slot_catalog +eu-prod +catalog +ACTIVE +13M 1\.0G +- +4711"),
                 re.compile(r"bunny_slot_archive +us-prod +archive +PAUSED +13M 1\.0G +\d+[smhd]"))
    console.keys("/", "catalog", ENTER)
    console.wait("1.0G until it is lost; unread it would be full in")
    console.keys("/", "archive", ENTER)
    console.wait("1.0G until it is lost: full in")


def test_lists_ask_again_by_themselves_and_with_r(console):
    console.press("2", "old_consumer")
    console.tell("gone search_idx")
    console.wait("bunny_slot_users", gone=["bunny_slot_search_idx"])
    console.press("5", "[5 Runs]", "orders_eu")
    console.keys(F5)
    console.wait("0s ago")


# --- Runs -------------------------------------------------------------------------------------
def test_runs_of_all_mirrors_newest_first(console):
    text = console.press("5", "[5 Runs]", "goes on", "run 23 of orders_eu: goes on")
    mirrors = [x[3:].split()[0] for x in text.splitlines()[3:9]]
    assert mirrors == ["orders_eu", "catalog", "billing"] * 2
    assert re.search(r"running, streaming +6h59m", text)
    assert re.search(r"snapshotting, copying +10s", text)
    console.keys("/", "failed", ENTER)
    console.wait("run 19 of catalog: failed", "1m35s", "error", "23505 duplicate key value",
                 gone=["goes on"])
    console.press(ENTER, "Mirrors > Runs > catalog")


def test_runs_schema_and_configuration_of_one_mirror(console):
    console.press(ENTER, "[1 Tables]")
    text = console.press("4", "[4 Runs]", "run 21 of billing: goes on", "resume by ana")
    assert "orders_eu" not in text
    console.press("j", "run 18 of billing: stopped", "pause by ben", gone=["resume by ana"])
    console.press("5", "[5 Schema]", "a runs 1 statement at the destination",
                  "ALTER TABLE public.orders ADD COLUMN note text", "by hand",
                  "it is only at the destination")
    console.press("6", "[6 Config]", "bunny_slot_billing", "schema_changes manual")
    console.keys("o", "G")
    console.wait("public.invoices to archive.invoices  without secret")


# --- Definitions ------------------------------------------------------------------------------
def test_definitions_are_shown_before_they_are_changed(console):
    console.press(ENTER, "[1 Tables]")
    console.press("a", "apply: ")
    console.press(ESC, "Mirrors   filter")
    console.tell("state running billing")
    console.wait("billing runs again")
    console.keys("/", "billing", ENTER)
    console.press("d", "[5 Schema]", "ALTER TABLE public.orders ADD COLUMN note text")
    console.press("a", "Let the definitions of billing follow?", "1 statement at dwh")
    console.keys(ENTER)  # the focus is on Cancel
    console.wait(gone=["Let the definitions"])
    assert not [x for x in console.commands() if x.startswith("sync-schema")]
    plans = console.record().count("schema-plan billing")
    console.press("a", "Let the definitions of billing follow?")
    console.keys("r")
    console.wait_record("sync-schema billing")
    console.wait("sync-schema billing: ended")
    console.keys("R")
    assert re.search(r"looked \d+s ago", console.settle())
    assert console.record().count("schema-plan billing") > plans


def test_nothing_to_apply_and_servers_that_do_not_answer(console):
    console.keys("/", "orders_eu", ENTER, ENTER)
    console.press("5", "nothing: there is no statement to run")
    console.keys(ESC, "/", "archive", ENTER, "d")
    console.wait("[5 Schema]", "source us-prod cannot be reached")


def test_a_mirror_is_deleted_by_its_name(console):
    console.press("K", "Delete mirror billing?", "slot bunny_slot_billing")
    console.keys(ENTER)
    console.press("K", "Delete mirror billing?")
    console.press("d", "type billing to delete this mirror:")
    console.keys("bill", ENTER)
    console.wait("not done: that is not billing")
    assert console.commands() == []
    console.keys("K")
    console.wait("Delete mirror billing?")
    console.press("d", "type billing")
    console.keys("billing", ENTER)
    console.wait_record("delete billing")
    console.press("K", "Delete mirror")
    console.press("f", re.compile("type .* to delete"))
    console.keys(ESC)


# --- Doctor and bundles -----------------------------------------------------------------------
def test_the_doctor_sees_all_mirrors_one_after_the_other(console):
    console.press("6", "[6 Doctor]", re.compile(r"users +ok +2/2"))
    text = console.settle()
    rows = [x[3:].split()[:3] for x in text.splitlines()[3:10]]
    assert rows[:3] == [["archive", "error", "0/0"], ["billing", "error", "1/2"],
                        ["catalog", "ok", "2/2"]]
    assert "archive: not answered within 10 s" in text
    assert console.record().count("doctor users") == 1
    console.press("j", "billing: what is not well", "slot s does not exist", "Retry.  |  t retry")
    console.press("R", "billing: what is not well")
    console.settle()
    assert console.record().count("doctor users") == 2
    console.press("h", "billing: doctor, what may be wrong", "slot: slot s does not exist")
    console.press(ESC, "[6 Doctor]")
    console.keys("/", "users", ENTER)
    console.press(ENTER, "Mirrors > Doctor > users")


def test_a_bundle_says_where_it_is(console):
    console.press("b", "OK bundle /tmp/bunnydb-billing-20261128-064000.json ")
    console.keys("G")
    console.press("b", "ERROR bundle users: /tmp/bunnydb-users")
    console.press("m", "disk is full")


# --- Peers ------------------------------------------------------------------------------------
def test_peers_and_a_test_of_the_connection(console):
    text = console.press("3", "[3 Peers]", "db1.example.com:5432")
    assert re.search(r"dwh +10\.0\.0\.7:5432 +shop +bunny +4 to +-", text)
    assert "destination of  billing, orders_eu, orders_us, users" in text
    console.press("t", "dwh: test of the connection", "PostgreSQL 15.18", "as a source",
                  "wal_level is replica", "ALTER SYSTEM SET wal_level", "as a destination")
    console.press(ESC, re.compile(r"ok \d+s ago"))
    console.press("G", "peer spare")
    console.press(ENTER, "spare: no password supplied; give the peer a password")
    console.press(ESC, re.compile(r"FAILED \d+s ago"))


def fill(console, **fields):
    order = ["name", "host", "port", "database", "user", "password"]
    for key in order:
        if key in fields:
            console.keys("\x15", fields[key])
        console.keys(ENTER)


def test_a_peer_is_added_by_a_form_then_tested(console):
    console.press("3", "db1.example.com")
    console.press("a", "a new peer", "Letters, digits")
    fill(console, name="dwh", port="99999", password="s3cret")
    text = console.wait("******", "< prefer >", "Blank or arrows")
    assert "s3cret" not in text
    console.keys(RIGHT)
    console.wait("< require >")
    console.keys(LEFT, " ", ENTER, "connect_timeout=5", ENTER)
    console.wait("Save and test")
    console.press(ENTER, "port: must be a number from 1 to 65535")
    assert re.search(r"^ > port", console.read(), re.M)  # the focus is where it is wrong
    console.keys("\x15", "5433", UP, UP, DOWN)
    console.wait(re.compile(r"^ > host", re.M))
    for _ in range(7):
        console.keys(TAB)
    console.wait("Save and test")
    console.press(ENTER, "host must not be empty", re.compile(r"^ > host", re.M))
    console.keys("db9x", BACKSPACE, SHIFT_TAB)
    for _ in range(8):
        console.keys(TAB)
    console.press(ENTER, "peer dwh exists", re.compile(r"^ > name", re.M))
    console.keys("2")
    for _ in range(8):
        console.keys(DOWN)
    console.press(ENTER, "dwh2: test of the connection")
    console.wait_record("peer-create dwh2")
    console.press(ESC, "peer dwh2", "db9:5433")
    assert b"s3cret" not in console.raw


def test_a_peer_is_changed(console):
    console.press("3", "db1.example.com")
    console.press("e", "peer dwh: its mirrors connect again")
    console.wait(re.compile(r"^ > host +. 10\.0\.0\.7", re.M))
    for _ in range(7):
        console.keys(ENTER)
    console.press(ENTER, "nothing is changed")
    console.keys(TAB, "\x15", "10.0.0.8")
    for _ in range(7):
        console.keys(ENTER)
    console.press(ENTER, "dwh: test of the connection",
                  "peer dwh changed, its mirrors connect again")
    console.wait_record("peer-update 1 dwh")  # the host, and nothing else
    console.press(ESC, "10.0.0.8:5432")


@pytest.mark.parametrize("key", [ESC, CTRL_C])
def test_a_form_is_left_without_doing_anything(console, key):
    console.press("3", "db1.example.com")
    console.press("a", "a new peer")
    console.keys("abcqdK")
    console.wait("abcqdK")
    console.press(key, "not done", "[3 Peers]")
    assert console.commands() == []


def test_options_are_written_as_libpq_does(console):
    console.press("3", "db1.example.com")
    console.press("a", "a new peer")
    fill(console, name="p", host="h", database="d", user="u")
    console.keys(ENTER, "connect_timeout", ENTER, ENTER)
    console.wait("options: write keyword=value")
    console.keys("=5", ENTER, ENTER)
    console.wait_record("peer-create p")


def test_keys_of_mirrors_do_nothing_to_the_one_that_was_open_before_a_test(console):
    console.keys(ENTER)
    console.wait("Mirrors > billing")
    console.press(ESC, "Mirrors   filter")
    console.press("3", "db1.example.com")
    console.press("t", "as a destination")
    console.press("v", "verify: no mirror is selected", gone=["y/N"])
    console.press("C", "cutover: no mirror is selected")


def test_a_peer_in_use_stays_and_another_is_deleted_by_its_name(console):
    console.press("3", "db1.example.com")
    console.press("K", "peer dwh is used by 4 mirrors")
    console.press("G", "peer spare")
    console.press("K", "type spare to forget this peer and its password:")
    console.keys("dwh", ENTER)
    console.wait("not done: that is not spare")
    console.press("K", "type spare")
    console.keys("spare", ENTER)
    console.wait("peer spare deleted", gone=["/run/postgresql"])
    console.wait_record("peer-delete spare")


# --- All of them ------------------------------------------------------------------------------
@pytest.mark.parametrize("rows,cols", SIZES)
@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_every_size_and_locale(start, rows, cols, locale):
    c = start(rows=rows, cols=cols, LC_ALL=locale)
    c.wait("billing")
    c.press("2", "SLOT", "HEALTH", "old_cons")
    c.press("3", "PEER", "ADDRESS", "db1.exam")
    c.press("5", "MIRROR", "BEGAN", "orders_eu")
    c.press("6", "MIRROR", "WORST", "billing")
    c.press("3", "PEER")
    c.press("a", "name", "enter next")
    c.keys("xy")
    for _ in range(8):
        c.keys(TAB)
    c.wait("Save and test")
    c.settle()
    if locale == "C":
        assert all(b < 0x80 for b in c.raw)


def test_nothing_is_there(start):
    c = start("empty")
    c.wait("no mirrors yet")
    c.press("2", "no source has a slot")
    c.keys("p", "l", ENTER, "j", "/", "x", ENTER, "o", "R")
    c.wait("nothing matches the filter")
    c.keys("/", ENTER)
    c.wait("no source has a slot")


# --- Choices ----------------------------------------------------------------------------------
def test_choices_are_kept_from_one_start_to_the_next(start, tmp_path):
    kept = tmp_path / "console"
    c = start("empty", CHOICES=str(kept))
    c.press("s", "sort mirror")
    c.press("I", "inverted")
    c.press("T", "theme light")
    c.keys("~", "q")
    c.end()
    assert kept.read_text().splitlines()[:4] == ["theme light", "glyphs ascii", "sort mirror",
                                                 "invert yes"]
    assert kept.stat().st_mode & 0o777 == 0o600
    c = start("mixed", CHOICES=str(kept))
    text = c.wait("sort mirror inverted", "billing")
    assert "--" in text and "──" not in text
    assert [x[3:].split()[0] for x in text.splitlines()[3:5]] == ["users", "search_idx"]
    c.press("T", "theme mono")


def test_a_broken_file_of_choices_is_passed_over(start, tmp_path):
    kept = tmp_path / "console"
    kept.write_bytes(b"\xff\x00theme\nsort nothing\nrefresh_ms 1\ntheme pink\n" + b"x" * 3000)
    c = start("empty", CHOICES=str(kept))
    c.wait("sort severity")
    c.keys("q")
    c.end()
    assert kept.read_text().startswith("theme default\n")
    kept.unlink()
    kept.mkdir()
    c = start("empty", CHOICES=str(kept))
    c.wait("sort severity")
    c.keys("q")
    c.end()
    assert list(tmp_path.glob("console.*")) == []
