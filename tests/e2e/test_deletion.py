"""Promise: a mirror that cannot be deleted now stays whole; one that has lost its slot to a deletion is
deleted to the end, whatever comes between."""
from harness.waiting import wait_for

REFUSE = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION 'not now'; END$$;
CREATE TRIGGER refuse BEFORE DELETE ON _bunnydb.progress EXECUTE FUNCTION public.refuse();
"""


def refused(bunny):
    answer = bunny.api.raw("DELETE", "/v1/mirrors/m")
    assert (answer.status, answer.code) == (409, "cleanup_failed"), answer
    return answer.body


def is_gone(bunny):
    return bunny.api.raw("GET", "/v1/mirrors/m").status == 404


def test_a_deletion_that_cannot_reach_the_destination_leaves_the_mirror_whole(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    bunny.mirror("m", pair)
    pair.dsql("SELECT 1")  # a session that may still come in is there before
    pair.dest.sql(f'ALTER DATABASE "{pair.ddb}" ALLOW_CONNECTIONS false')
    assert "to the end" not in refused(bunny)["error"]
    assert pair.slots() and pair.publications()
    pair.dest.sql(f'ALTER DATABASE "{pair.ddb}" ALLOW_CONNECTIONS true')
    bunny.wait_running("m", may_fail=True)
    pair.sql("INSERT INTO t VALUES (2)")
    assert pair.assert_equal() == 2


def test_a_deletion_that_has_begun_goes_on(pair, bunny):
    """The slot is gone, the destination refuses the rest: the mirror does not come back to life with
    a hole in it, not after kill -9 either."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    bunny.mirror("m", pair)
    pair.dsql(REFUSE)
    assert "to the end" in refused(bunny)["error"]
    assert not pair.slots()
    for _ in range(2):
        status = bunny.status("m")
        assert (status["status"], status["phase"]) == ("stopped", "deleting"), status
        bunny.kill()
        bunny.start()
    pair.dsql("DROP FUNCTION public.refuse CASCADE")
    wait_for(lambda: is_gone(bunny), 60, "the deletion to end")
    pair.assert_clean()
