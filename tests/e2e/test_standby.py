"""Promise: when a standby takes the place of the source or of the destination, the mirror goes on
without loss where the standby has everything, and where it does not, it says so: it never streams on
over what is not there."""
import os

import pytest

from harness.bunny import Bunny
from harness.cluster import Cluster, Standby
from harness.pair import Pair
from harness.waiting import wait_for

pytestmark = pytest.mark.long


class Servers:
    """A source and a destination of this test alone, with a standby of one of them; a mirror runs."""

    def __init__(self, root, side):
        self.side = side
        self.made = []
        for name in ("source", "dest"):
            self.made.append(Cluster(root, f"sb{os.urandom(3).hex()}", wal_keep_size="256MB",
                                     shared_buffers="32MB", max_connections=60).start())
        self.source, self.dest = self.made
        self.old = getattr(self, side)
        self.standby = Standby(root, f"sb{os.urandom(3).hex()}", self.old).start()
        self.made.append(self.standby)
        self.pair = Pair(self.source, self.dest)
        self.bunny = Bunny(root, f"s{Pair.count}").start()
        self.pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text)")
        self.pair.sql("INSERT INTO t SELECT i, 'first' FROM generate_series(1, 100) i")
        self.bunny.mirror("m", self.pair)

    def take_over(self):
        """The mirror's peer is the standby from now on."""
        db = self.pair.sdb if self.side == "source" else self.pair.ddb
        setattr(self.pair, self.side, self.standby)
        self.bunny.api.put(f"/v1/peers/{self.old.name}-{db}",
                           {"host": self.standby.host, "port": self.standby.port})

    def fails_with(self, code):
        def failed():
            status = self.bunny.status("m")
            assert status["status"] == "error" and status["error_code"] == code, status
            return status
        return wait_for(failed, 60, f"the mirror to fail with {code}")

    def ends_equal(self, rows):
        self.bunny.wait_running("m", may_fail=True)
        self.pair.sql("INSERT INTO t VALUES (1000000, 'last')")
        assert self.pair.assert_equal() == rows + 1
        self.bunny.delete_all()
        code, _ = self.bunny.stop()
        assert code == 0, self.bunny.log_tail()
        self.pair.assert_clean()

    def close(self):
        self.bunny.remove()
        for cluster in self.made:
            cluster.stop("immediate")


@pytest.fixture
def servers(root, request):
    made = Servers(root, request.param)
    yield made
    print(made.bunny.log_tail())  # shown when the test has failed
    made.close()


def add(s, first, last):
    s.pair.sql(f"INSERT INTO t SELECT i, 'later' FROM generate_series({first}, {last}) i")
    s.pair.wait_confirmed()


@pytest.mark.parametrize("servers", ["source"], indirect=True)
def test_a_promoted_standby_of_the_source_that_has_everything(servers):
    s = servers
    add(s, 101, 200)
    s.standby.wait_caught_up()
    s.bunny.api.post("/v1/mirrors/m/pause")
    s.pair.sql("UPDATE t SET v = 'paused' WHERE id % 3 = 0")
    s.source.stop("fast")
    s.standby.stop("fast")
    s.standby.take_slots()
    s.standby.start()
    s.standby.promote()
    s.take_over()
    copied = s.bunny.log_tail().count("created at=")
    s.pair.sql("INSERT INTO t SELECT i, 'promoted' FROM generate_series(201, 300) i")
    s.bunny.api.post("/v1/mirrors/m/resume")
    s.bunny.wait_running("m")
    assert s.pair.assert_equal() == 300
    assert s.bunny.log_tail().count("created at=") == copied  # nothing was copied again
    s.bunny.api.post("/v1/mirrors/m/pause")  # the new timeline is the known one now
    s.pair.sql("DELETE FROM t WHERE id <= 50")
    s.bunny.api.post("/v1/mirrors/m/resume")
    s.ends_equal(250)


@pytest.mark.parametrize("servers", ["source"], indirect=True)
def test_a_promoted_standby_of_the_source_that_lacks_what_was_applied(servers):
    """Same system identifier, same name of the slot, a slot that stands before our progress, and WAL
    far behind it: only the timeline says that it is other WAL."""
    s = servers
    add(s, 101, 200)
    s.pair.sql("CHECKPOINT")  # slots are kept as of here
    s.standby.wait_caught_up()
    s.standby.stop("fast")
    s.standby.take_slots()
    add(s, 201, 300)  # applied, and never seen by the standby
    s.bunny.api.post("/v1/mirrors/m/pause")
    progress = s.pair.dsql("SELECT lsn FROM _bunnydb.progress")[0][0]
    s.source.stop("immediate")
    s.standby.start()
    s.standby.promote()
    s.take_over()
    s.pair.sql("INSERT INTO t SELECT i, 'elsewhere' FROM generate_series(251, 280) i")
    s.pair.sql("SELECT pg_switch_wal()")
    assert s.pair.sql("SELECT pg_current_wal_lsn() > %s::pg_lsn", (progress,))[0][0]
    s.pair.sql("INSERT INTO t SELECT i, 'elsewhere' FROM generate_series(401, 450) i")
    s.bunny.api.post("/v1/mirrors/m/resume")
    status = s.fails_with("source_changed")
    assert "promoted" in status["error_message"], status
    assert s.pair.dsql("SELECT count(*) FROM t") == [(300,)]  # untouched
    s.bunny.api.post("/v1/mirrors/m/retry", {"recreate_slot": True})
    s.ends_equal(280)


@pytest.mark.parametrize("servers", ["source"], indirect=True)
def test_a_promoted_standby_of_the_source_without_the_slot(servers):
    s = servers
    add(s, 101, 200)
    s.standby.wait_caught_up()
    s.source.stop("immediate")
    s.standby.promote()
    s.pair.source = s.standby
    s.pair.sql("INSERT INTO t SELECT i, 'promoted' FROM generate_series(201, 300) i")
    s.take_over()
    s.fails_with("slot_missing")
    s.bunny.api.post("/v1/mirrors/m/retry")
    s.ends_equal(300)


@pytest.mark.parametrize("servers", ["dest"], indirect=True)
def test_a_promoted_standby_of_the_destination_that_has_everything(servers):
    s = servers
    add(s, 101, 200)
    s.standby.wait_caught_up()
    copied = s.bunny.log_tail().count("created at=")
    s.dest.stop("immediate")
    s.pair.sql("INSERT INTO t SELECT i, 'meanwhile' FROM generate_series(201, 300) i")
    s.take_over()  # not promoted yet: it takes no rows, and the mirror says why
    status = s.fails_with("read_only")
    assert "standby" in status["error_hint"], status
    s.standby.promote()
    s.ends_equal(300)
    assert s.bunny.log_tail().count("created at=") == copied


@pytest.mark.parametrize("servers", ["dest"], indirect=True)
def test_a_promoted_standby_of_the_destination_that_lost_the_last_commits(servers):
    """The source was told that they are durable, and they were: on a disk that is not there any
    more. What the slot does not hold is not passed over."""
    s = servers
    add(s, 101, 200)
    s.standby.wait_caught_up()
    s.standby.stop("fast")
    add(s, 201, 300)  # confirmed, and never seen by the standby
    s.dest.stop("immediate")
    s.pair.sql("INSERT INTO t SELECT i, 'meanwhile' FROM generate_series(301, 310) i")
    s.standby.start()
    s.standby.promote()
    s.take_over()
    s.fails_with("slot_ahead")
    assert s.pair.dsql("SELECT count(*) FROM t") == [(200,)]  # it did not stream on over the hole
    s.bunny.api.post("/v1/mirrors/m/retry")
    s.ends_equal(310)
