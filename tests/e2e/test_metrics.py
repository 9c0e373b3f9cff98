"""Promise: GET /metrics is what Prometheus reads, says what happened, and survives any name."""
import os
import re
import shutil
import subprocess

import pytest

from harness.api import Api
from harness.waiting import wait_for

NASTY = ['quo"te', "back\\slash", "new\nline", "tab\t and blank", "grün €", "{a=\"b\"} 1", "\\n", "a,b"]
SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)')
ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


def parse(text):
    """{(name, frozenset of labels): value}; every line must be one that the format allows."""
    samples = {}
    for line in text.split("\n"):
        if not line or line.startswith("# "):
            continue
        name, labels, value = SAMPLE.match(line).groups()
        found = {k: re.sub(r"\\(.)", lambda m: ESCAPES[m.group(1)], v)
                 for k, v in LABEL.findall(labels or "")}
        assert "".join(f'{k}="{v}",' for k, v in LABEL.findall(labels or "")) == (
            labels + "," if labels else ""), line
        key = (name, frozenset(found.items()))
        assert key not in samples, f"twice: {line}"
        samples[key] = float(value)
    return samples


class Metrics:
    def __init__(self, api, query=""):
        answer = api.raw("GET", "/metrics" + query)
        assert answer.status == 200, answer
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        self.text = answer.body
        self.samples = parse(self.text)

    def get(self, name, **labels):
        return self.samples.get((name, frozenset(labels.items())))


def find_promtool():
    program = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if not program:
        pytest.skip("no promtool; contrib/check fetches it")
    return program


def test_promtool_accepts_every_name(pair, bunny):
    """Prometheus' own checker has nothing to say, whatever tables are called."""
    promtool = find_promtool()
    for name in NASTY:
        quoted = '"' + name.replace('"', '""') + '"'
        pair.src.execute(f"CREATE TABLE {quoted} (id int PRIMARY KEY)")
        pair.src.execute(f"INSERT INTO {quoted} VALUES (1)")
    bunny.mirror("m", pair)
    wait_for(lambda: bunny.status("m")["slot"]["active"], 30, "a sample of the slot")
    for query in ("", "?tables=yes"):
        metrics = Metrics(bunny.api, query)
        check = subprocess.run([promtool, "check", "metrics"], input=metrics.text, text=True,
                               capture_output=True, check=False)
        assert (check.returncode, check.stdout, check.stderr) == (0, "", "")
    for name in NASTY:
        assert metrics.get("bunnydb_table_rows", mirror="m", table=f"public.{name}",
                           operation="copy") == 1, name
    broken = subprocess.run([promtool, "check", "metrics"], input=metrics.text + 'x{a="\n"} 1\n',
                            text=True, capture_output=True, check=False)
    assert broken.returncode != 0, "promtool would accept anything"


@pytest.mark.quick
@pytest.mark.sanitize
@pytest.mark.tsan
def test_figures(pair, bunny):
    """What happened is what is told: rows, batches, time, errors, states, requests, the process."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); "
             "INSERT INTO t SELECT i, 'x' FROM generate_series(1, 7) i")
    bunny.mirror("m", pair)
    pair.sql("INSERT INTO t SELECT i, repeat('y', 1000000) FROM generate_series(11, 15) i")
    pair.sql("UPDATE t SET v = 'z' WHERE id < 4")
    pair.sql("DELETE FROM t WHERE id IN (1, 2)")
    pair.wait_confirmed()
    pair.dsql("DELETE FROM t WHERE id = 3")
    pair.sql("DELETE FROM t WHERE id = 3")
    pair.assert_equal()
    rows = {"copy": 7, "insert": 5, "update": 3, "delete": 3}

    def figures():
        m = Metrics(bunny.api)
        got = {o: m.get("bunnydb_mirror_rows_total", mirror="m", operation=o) for o in rows}
        assert got == rows
        assert m.get("bunnydb_mirror_slot_active", mirror="m") == 1
        assert m.get("bunnydb_mirror_lag_bytes", mirror="m") is not None
        return m
    m = wait_for(figures, 30, "the figures of all changes")
    assert m.get("bunnydb_mirror_missing_rows_total", mirror="m") == 1
    assert m.get("bunnydb_mirror_transactions_total", mirror="m") == 4
    assert 1 <= m.get("bunnydb_mirror_batches_total", mirror="m") <= 4
    assert m.get("bunnydb_mirror_received_bytes_total", mirror="m") > 100
    assert 0 < m.get("bunnydb_mirror_apply_seconds_total", mirror="m") < 60
    assert m.get("bunnydb_mirror_state", mirror="m", state="running") == 1
    assert m.get("bunnydb_mirror_state", mirror="m", state="paused") == 0
    assert m.get("bunnydb_mirror_slot_retained_bytes", mirror="m") >= 0
    assert m.get("bunnydb_mirror_errors_total", mirror="m") == 0
    assert m.get("bunnydb_mirror_findings", mirror="m", severity="error") == 0
    assert m.get("bunnydb_mirror_snapshot_done_tables", mirror="m") == 1
    status = bunny.status("m")
    assert m.get("bunnydb_mirror_info", mirror="m", source_peer=status["source_peer"],
                 destination_peer=status["destination_peer"]) == 1
    assert not any(name == "bunnydb_table_rows" for name, _ in m.samples)
    assert m.get("bunnydb_tables_left_out") == 1
    m = Metrics(bunny.api, "?tables=yes")
    assert m.get("bunnydb_table_rows", mirror="m", table="public.t", operation="insert") == 5
    assert m.get("bunnydb_table_missing_rows", mirror="m", table="public.t") == 1
    assert m.get("bunnydb_tables_left_out") == 0
    pair.dsql("ALTER TABLE t ADD CHECK (v <> 'bad')")
    pair.sql("INSERT INTO t VALUES (99, 'bad')")
    bunny.wait_status("m", "error", may_fail=True)
    m = Metrics(bunny.api)
    assert m.get("bunnydb_mirror_errors_total", mirror="m") >= 1
    assert m.get("bunnydb_mirror_consecutive_errors", mirror="m") >= 1
    assert m.get("bunnydb_mirror_findings", mirror="m", severity="error") == 1
    assert m.get("bunnydb_mirror_state", mirror="m", state="error") == 1


def test_process_and_requests(bunny):
    before = Metrics(bunny.api)
    for _ in range(3):
        assert bunny.api.raw("GET", "/v1/nothing").status == 404
    m = Metrics(bunny.api)

    def grown(name, **labels):
        return m.get(name, **labels) - (before.get(name, **labels) or 0)
    assert grown("bunnydb_http_requests_total", code="404") == 3
    assert grown("bunnydb_http_requests_total", code="200") == 1
    assert grown("bunnydb_http_request_duration_seconds_count") == 4
    assert grown("bunnydb_http_request_duration_seconds_bucket", le="+Inf") == 4
    buckets = [v for (name, _), v in m.samples.items() if name.endswith("_bucket")]
    assert buckets == sorted(buckets) and len(buckets) > 10
    assert 0 < m.get("bunnydb_http_request_duration_seconds_sum") < 60
    pid = bunny.process.pid
    assert abs(m.get("process_resident_memory_bytes") / 1024 - bunny.memory_kib("VmRSS")) < 8192
    assert abs(m.get("process_cpu_seconds_total") - bunny.cpu_seconds()) < 1
    assert m.get("process_threads") >= 2
    assert abs(m.get("process_open_fds") - len(os.listdir(f"/proc/{pid}/fd"))) <= 3
    assert m.get("process_start_time_seconds") == pytest.approx(
        os.stat(f"/proc/{pid}").st_ctime, abs=5)
    assert m.get("bunnydb_build_info", version=bunny.api.get("/health")["version"]) == 1


def test_who_may_read_it(bunny):
    """A viewer may; without a token only when the configuration opens it."""
    bunny.api.post("/v1/users", {"username": "vera", "password": "a long password",
                                 "role": "viewer"})
    vera, nobody = Api(bunny.api.address), Api(bunny.api.address)
    vera.login("vera", "a long password")
    Metrics(vera)
    assert nobody.raw("GET", "/metrics").status == 401
    conf = os.path.join(bunny.dir, "open.conf")
    with open(conf, "w", encoding="utf-8") as f:
        f.write("[http]\nopen_metrics = yes\n")
    bunny.stop()
    bunny.start("-c", conf)
    Metrics(nobody)
    assert nobody.raw("GET", "/v1/mirrors").status == 401
