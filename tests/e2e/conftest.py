"""Fixtures of the end-to-end tests: two clusters per session, two databases and one process per
test, and a look at what was left behind after each."""
import os
import shutil
import signal

import pytest

from harness.bunny import Bunny
from harness.cluster import Cluster
from harness.pair import Pair
from harness.place import scratch
from harness.waiting import SLOW, soon

DEFAULT_LIMIT = 180


def pytest_configure():
    """SIGTERM ends it as Ctrl-C does, fixtures too; the process that hands out the tests as well."""
    def terminate(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, terminate)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With -n: a process holds one test beside the one that runs, so that none queues up work
    while others are idle."""
    from xdist.scheduler import LoadScheduling

    class Sparing(LoadScheduling):
        def _send_tests(self, node, num):
            super()._send_tests(node, min(num, 2 - len(self.node2pending[node])))
    return Sparing(config, log)


def pytest_collection_modifyitems(items):
    """With -n: the longest ones first, or the others would wait for them at the end."""
    def length(item):
        limit = item.get_closest_marker("limit")
        return limit.args[0] if limit else 0
    if os.environ.get("PYTEST_XDIST_WORKER"):
        items.sort(key=lambda item: (item.get_closest_marker("long") is None, -length(item)))


def _remove_stale(place):
    """Directories of runs that were killed: their clusters died with them."""
    for name in os.listdir(place):
        pid = name.removeprefix("be2e-")
        if name.startswith("be2e-") and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            shutil.rmtree(f"{place}/{name}", ignore_errors=True)


@pytest.fixture(scope="session")
def root():
    """A short path (Unix sockets end at 107 bytes), removed at the end."""
    place = scratch()
    _remove_stale(place)
    path = f"{place}/be2e-{os.getpid()}"
    os.mkdir(path, 0o755)
    yield path
    if not os.environ.get("BUNNYDB_KEEP"):
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def source(root):
    cluster = Cluster(root, "src").start()
    yield cluster
    cluster.stop("immediate")


@pytest.fixture(scope="session")
def dest(root):
    cluster = Cluster(root, "dst").start()
    yield cluster
    cluster.stop("immediate")


@pytest.fixture(scope="session")
def durable(root):
    """Two more clusters, with fsync: for tests that kill servers and compare what is left."""
    clusters = [Cluster(root, name, fsync="on").start() for name in ("fsrc", "fdst")]
    yield clusters
    for c in clusters:
        c.stop("immediate")


@pytest.fixture
def loaded(durable, root):
    """A pair on them and a process; afterwards all of it must go cleanly."""
    p = Pair(*durable)
    b = Bunny(root, f"f{Pair.count}").start()
    try:
        yield p, b
        _finish(b)
        p.assert_clean()
    finally:
        b.remove()
        p.drop()


@pytest.fixture(autouse=True)
def _limit(request):
    """A test that hangs fails, and the session goes on."""
    marker = request.node.get_closest_marker("limit")
    seconds = 2 * SLOW * (marker.args[0] if marker else DEFAULT_LIMIT)

    def expired(*_):
        raise TimeoutError(f"the test took longer than {seconds} s")
    signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    yield
    signal.alarm(0)


@pytest.fixture
def pair(source, dest):
    """Two empty databases. The test fails when a slot or publication is left in the first."""
    p = Pair(source, dest)
    yield p
    try:
        p.assert_clean()
    finally:
        p.drop()


@pytest.fixture
def make_pair(source, dest):
    """More than one pair, or special ones: make_pair(extra="ENCODING 'LATIN1' …")."""
    made = []

    def make(**kw):
        made.append(Pair(source, dest, **kw))
        return made[-1]
    yield make
    try:
        for p in made:
            p.assert_clean()
    finally:
        for p in made:
            p.drop()


def _finish(bunny):
    """Deletes all mirrors and ends the process, as an operator would; says what was wrong."""
    try:
        if not bunny.is_running:
            return
        bunny.delete_all()
        code, seconds = bunny.stop()
        said = bunny.sanitizer_reports()[:6000] or bunny.log_tail()
        assert code == 0, f"exit code {code}:\n{said}"
        assert seconds < soon(2), f"took {seconds:.1f} s to end"
    finally:
        bunny.kill()
    report = bunny.sanitizer_reports()
    assert not report, report[:6000]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """The process's and the servers' last words go into the report of a failed test."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, Bunny):
                report.sections.append((f"bunnydb ({name})", value.log_tail()))
            if isinstance(value, Cluster):
                with open(value.log, encoding="utf-8", errors="replace") as f:
                    report.sections.append((f"server {name}", f.read()[-3000:]))


@pytest.fixture
def bunny(root, pair):
    """The program, running, beside a pair. Its mirrors are deleted at the end."""
    b = Bunny(root, f"b{Pair.count}").start()
    yield b
    _finish(b)
    b.remove()


@pytest.fixture
def lone_bunny(root, request):
    """The program, not started yet and without databases."""
    b = Bunny(root, f"l{abs(hash(request.node.name)) % 10**8}")
    yield b
    _finish(b)
    b.remove()


@pytest.fixture
def plain_mirror(pair, bunny):
    """To be called: a mirror m of the schema public, whose user at the destination owns what it makes
    there and is no superuser. Returns the user's name."""
    role = f"plain{pair.count}"

    def make():
        pair.dsql(f"CREATE ROLE {role} LOGIN; GRANT ALL ON SCHEMA public TO {role};"
                  f"GRANT CREATE ON DATABASE {pair.ddb} TO {role}")
        body = bunny.mirror_body("m", pair, ["public.*"])
        body["destination_peer"] = bunny.peer(pair.dest, pair.ddb, "plain", user=role)
        bunny.api.post("/v1/mirrors", body)
        bunny.wait_running("m")
        return role
    yield make
    bunny.delete_all()
    pair.dsql(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")
