"""Promise: every route of bunnydb(1) asks for its rights on the running program: without a good
token 401, a viewer at an admin's 403, and nothing has changed. The page is printed from the table of
routes, and a unit test compares, so that no route can be forgotten here."""
import os
import re
import sqlite3

import pytest

from harness.api import Api
from harness.bunny import TOP
from harness.waiting import wait_for

ROUTE = re.compile(r"^\\fB(GET|POST|PUT|PATCH|DELETE) (/\S*)\\fR\n(?:.*\n)??.*\((open|admin|any user.*)\)$",
                   re.M)
WHAT = {"{name}": "m", "{username}": "victim", "{table}": "public.t", "{schema.table}": "public.t"}
PEER = {"name": "new", "host": "h", "user": "u", "database": "d"}
BODIES = {
    ("POST", "/v1/auth/login"): {"username": "nobody", "password": "wrong"},
    ("POST", "/v1/auth/change-password"): {"current_password": "wrong one",
                                           "new_password": "a long password"},
    ("POST", "/v1/users"): {"username": "new", "password": "a long password", "role": "admin"},
    ("POST", "/v1/peers"): PEER,
    ("PUT", "/v1/peers/{name}"): {"port": 1},
    ("POST", "/v1/mirrors/{name}/cutover"): {"read_only": True},
    ("PATCH", "/v1/mirrors/{name}"): {"cdc_batch_size": 5},
    ("PUT", "/v1/mirrors/{name}/tables"): {"table_mappings": [{"source_table": "public.other"}]},
}


def routes():
    with open(os.path.join(TOP, "src", "man", "bunnydb.1"), encoding="utf-8") as f:
        page = f.read().replace("\\-", "-")
    found = ROUTE.findall(page)
    assert len(found) == len(re.findall(r"^\\fB[A-Z]+ /", page, re.M)) >= 25, found
    return found


def dump(bunny, pair):
    """All that a request could change: the catalog but for logs and tokens, slot, publication."""
    path = os.path.join(bunny.state_dir, "catalog.db")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as catalog:
        lines = [line for line in catalog.iterdump()
                 if not re.match(r'INSERT INTO "(log|token|run_event|sqlite_sequence)"', line)]
    assert any('INSERT INTO "mirror"' in line for line in lines)
    status = bunny.status("m")
    return lines, pair.slots(), pair.publications(), status["status"], status["tables"]


def test_every_route_of_the_manual(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY)")
    bunny.mirror("m", pair, ["public.t"])
    for name in ("vera", "victim"):
        bunny.api.post("/v1/users", {"username": name, "password": "a long password",
                                     "role": "viewer"})
    bunny.peer(pair.source, pair.sdb, "m")  # a peer with the name that is put into addresses
    bunny.api.post("/v1/mirrors/m/verify")  # so that there is a report to read
    wait_for(lambda: bunny.status("m")["operation"] is None, 30, "the comparison to end")
    bunny.api.post("/v1/mirrors/m/pause")
    wait_for(lambda: not pair.slots()[0][1], 30, "the slot to be idle")
    vera, ended = Api(bunny.api.address), Api(bunny.api.address)
    vera.login("vera", "a long password")
    ended.login("vera", "a long password")
    ended.post("/v1/auth/logout")
    nobody, guess = Api(bunny.api.address), Api(bunny.api.address, token="A" * 43)
    before = dump(bunny, pair)
    admins = 0
    for method, pattern, level in routes():
        path = re.sub(r"{[^}]*}", lambda m: WHAT[m.group()], pattern)
        body = BODIES.get((method, pattern))
        if level == "open":
            assert nobody.raw(method, path, body).status in (200, 401), path
            continue
        for api in (nobody, guess, ended):
            answer = api.raw(method, path, body)
            assert (answer.status, answer.code) == (401, "unauthorized"), (method, path, answer)
            assert answer.headers["www-authenticate"] == "Bearer"
        if level == "admin":
            admins += 1
            answer = vera.raw(method, path, body)
            assert (answer.status, answer.code) == (403, "forbidden"), (method, path, answer)
        elif pattern not in ("/v1/auth/logout", "/v1/auth/change-password"):
            answer = vera.raw(method, path, body)
            assert answer.status == 200, (method, path, answer)
    assert admins >= 12
    assert dump(bunny, pair) == before
    # the same requests do change something when an admin sends them
    assert bunny.api.raw("PUT", "/v1/peers/m", {"port": 1}).status == 200
    assert dump(bunny, pair) != before


@pytest.mark.quick
def test_a_token_ends_with_its_time(bunny):
    token = bunny.api.token
    assert bunny.api.raw("GET", "/v1/auth/me").status == 200
    bunny.stop()
    with sqlite3.connect(os.path.join(bunny.state_dir, "catalog.db")) as catalog:  # a day later
        catalog.execute("UPDATE token SET expires_at = expires_at - 86400000000")
    catalog.close()
    bunny.start()
    assert bunny.api.raw("GET", "/v1/auth/me").status == 401
    bunny.api.login("ana", "correct horse battery")
    assert bunny.api.token != token
