"""Promise: a COMMIT at the destination whose answer never arrives is nobody's loss. Whether it was done
is asked, not guessed: what it was to bring is there afterwards, once."""
import pytest

from faults.world import World
from harness.waiting import wait_for

MOST = 12  # COMMITs of one operation that are tried, one after the other


class Nth:
    """Of all answers the n-th is lost, from 0."""

    def __init__(self, n):
        self.left = n

    def __call__(self):
        self.left -= 1
        return self.left == -1


@pytest.fixture
def world(root, source, dest, request):
    w = World(root, source, dest, request.node.name)
    w.open()
    w.create()
    w.wait_streaming()
    yield w
    w.close()


def ask(w, path, body=None):
    answer = w.api.raw("POST", f"/v1/mirrors/{w.name}/{path}", body)
    assert answer.status in (200, 202, 409), answer  # 409: the last one goes on


def is_there(w, table):
    return w.pair.dsql("SELECT to_regclass(%s)", (table,))[0][0] is not None


def lose_each_commit(w, begin, is_done):
    """begin(n) has COMMITs done; of each n in turn the answer is lost, until there are no more."""
    proxy = w.proxies["dest"]
    for n in range(MOST):
        before = proxy.lost
        proxy.lose_answers(b"COMMIT", Nth(n))
        begin(n)
        wait_for(lambda i=n: is_done(i), 60, "the operation to end")
        w.pair.sql("UPDATE parent SET v = v + 1 WHERE id = 1")  # the stream commits, too
        w.recover(False)
        proxy.heal()
        assert w.compare()[:2] == (0, 0), f"COMMIT {n}"
        if proxy.lost == before:
            break
    assert proxy.lost > 0


@pytest.mark.quick
def test_a_table_that_is_made_anew_gets_its_rows(world):
    """sync-schema makes the table and wishes for a copy of its rows; not knowing whether the table was
    made is no reason to take the wish back."""
    def begin(_):
        w.pair.dsql("DROP TABLE log")
        ask(w, "sync-schema")

    w = world
    lose_each_commit(w, begin, lambda _: ask(w, "sync-schema") or is_there(w, "log"))


@pytest.mark.long
@pytest.mark.parametrize("strategy", ["truncate", "swap"])
def test_a_copy_of_a_table(world, strategy):
    w = world

    def begin(n):
        w.pair.dsql("UPDATE t SET v = -7 WHERE id = 4000")
        ask(w, "resync/public.t", {"strategy": strategy})

    def is_done(_):
        return w.pair.dsql("SELECT v FROM t WHERE id = 4000") not in ([], [(-7,)])
    lose_each_commit(w, begin, is_done)


@pytest.mark.long
def test_definitions_that_change(root, source, dest, request):
    w = World(root, source, dest, request.node.name)
    try:
        w.options["schema_changes"] = "auto"
        w.open()
        w.create()
        w.wait_streaming()

        def begin(n):
            w.pair.sql(f"ALTER TABLE t ADD COLUMN c{n} int DEFAULT {n}; UPDATE t SET v = 1 WHERE id = 7;"
                       f"ALTER TABLE log DROP COLUMN n; ALTER TABLE log ADD COLUMN n int DEFAULT {n};"
                       "INSERT INTO log (s) VALUES ('new')")
        lose_each_commit(w, begin, lambda _: True)
        w.finish()
    finally:
        w.close()
