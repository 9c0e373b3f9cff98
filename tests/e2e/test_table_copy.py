"""Promise: one table (or several) is copied while all others stream on, and afterwards every table
is equal: under load of every kind, across kills, with foreign keys on both sides of the copy."""
import os
import threading
import time

import pytest

from harness.load import Load, pgbench_init
from harness.waiting import wait_for

KILLS = int(os.environ.get("KILLS", "4"))


def table(bunny, name, wanted):
    """The status of one table."""
    return next(t for t in bunny.status(name)["tables"] if t["table_name"] == wanted)


def wait_streams(bunny, name, wanted, limit=60):
    return wait_for(lambda: table(bunny, name, wanted)["status"] == "streaming" and
                    bunny.status(name)["status"] == "running", limit, f"{wanted} to stream again")


def resync(bunny, name, wanted, limit=60):
    """Copies the table again and waits until it streams."""
    before = bunny.log_tail(10**7).count("copied tables stream")
    bunny.api.post(f"/v1/mirrors/{name}/resync/{wanted}", {"strategy": "truncate"})
    wait_for(lambda: bunny.log_tail(10**7).count("copied tables stream") > before, limit,
             f"{wanted} to be copied")


def test_a_resync_of_a_quiet_table(pair, bunny):
    pair.sql("CREATE TABLE a (id int PRIMARY KEY, v text);"
             "CREATE TABLE b (id int PRIMARY KEY, v text);"
             "INSERT INTO a SELECT g, 'a' || g FROM generate_series(1, 1000) g;"
             "INSERT INTO b SELECT g, 'b' || g FROM generate_series(1, 1000) g")
    bunny.mirror("m", pair)
    pair.dsql("UPDATE a SET v = 'wrong'; DELETE FROM a WHERE id > 500; INSERT INTO a VALUES (-1)")
    resync(bunny, "m", "public.a")
    assert pair.assert_equal() == 2000
    assert pair.dsql("SELECT * FROM _bunnydb.table_sync") == []
    pair.sql("UPDATE a SET v = 'later' WHERE id = 7; INSERT INTO b VALUES (0, 'later')")
    pair.assert_equal()
    status = bunny.status("m")
    assert status["operation"] is None and status["phase"] == "streaming", status
    assert table(bunny, "m", "public.a")["rows_synced"] == 1000
