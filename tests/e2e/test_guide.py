"""Promise: every command of the troubleshooting guide that operators know works at least as they were
promised. The walk itself is guide.sh."""
import os
import subprocess

import pytest

from harness.cluster import BINDIR


def place(cluster, dbname):
    return f"host={cluster.host} port={cluster.port} user=postgres dbname={dbname}"


@pytest.mark.long
@pytest.mark.limit(300)
def test_guide(pair, bunny):
    pair.sql("""CREATE TABLE users (id int PRIMARY KEY, username text NOT NULL);
                CREATE TABLE orders (id int PRIMARY KEY, user_id int NOT NULL REFERENCES users
                    DEFERRABLE INITIALLY DEFERRED);
                INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 300) i;
                INSERT INTO orders SELECT i, i FROM generate_series(1, 300) i""")
    bunny.peer(pair.source, pair.sdb, "source-db")
    bunny.peer(pair.dest, pair.ddb, "dest-db")
    bunny.api.post("/v1/mirrors", {
        "name": "my-mirror", "source_peer": "source-db", "destination_peer": "dest-db",
        "table_mappings": [{"source_table": "public.users"}, {"source_table": "public.orders"}]})
    bunny.wait_running("my-mirror")
    env = {**os.environ, "BUNNY": f"http://127.0.0.1:{bunny.port}", "TOKEN": bunny.api.token,
           "SOURCE": place(pair.source, pair.sdb), "DEST": place(pair.dest, pair.ddb),
           "PATH": f"{BINDIR}:{os.environ['PATH']}"}
    path = os.path.join(bunny.dir, "guide.out")
    try:
        with open(path, "w", encoding="utf-8") as out:
            code = subprocess.run([os.path.join(os.path.dirname(__file__), "guide.sh")], env=env,
                                  stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                  check=False).returncode
    finally:
        with open(path, encoding="utf-8") as out:
            text = out.read()
        print(text)
    assert code == 0 and "0 promises not kept" in text
    assert text.count("    kept\n") >= 80
