"""Fixtures of the fault suite: those of the end-to-end tests, and what single faults need."""
import contextlib
import glob
import importlib.util
import os
import shutil
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]

_spec = importlib.util.spec_from_file_location("e2e_conftest",
                                               os.path.join(HERE, "..", "e2e", "conftest.py"))
_e2e = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_e2e)
from faults.table import Disk  # noqa: E402
from harness.bunny import find_program  # noqa: E402
from harness.cluster import Cluster  # noqa: E402

pytest_configure = _e2e.pytest_configure
pytest_xdist_make_scheduler = _e2e.pytest_xdist_make_scheduler
root, _limit = _e2e.root, _e2e._limit

SETTINGS = {"fsync": "on", "max_connections": 60, "max_replication_slots": 10,
            "max_wal_senders": 10, "shared_buffers": "128MB", "deadlock_timeout": "500ms",
            "checkpoint_timeout": "30min", "max_wal_size": "1GB", "wal_keep_size": "0",
            "restart_after_crash": "on"}


def _cluster(root, name):
    cluster = Cluster(root, name, **SETTINGS).start()
    yield cluster
    cluster.stop("immediate")


@pytest.fixture(scope="session")
def source(root):
    yield from _cluster(root, "fsrc")


@pytest.fixture(scope="session")
def dest(root):
    yield from _cluster(root, "fdst")


def _disk(path, size):
    os.makedirs(path, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", path],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        os.rmdir(path)
        pytest.skip(f"mounting a small file system is not permitted: {done.stderr.strip()}")
    return Disk(path)


@pytest.fixture(scope="session")
def small_disk(root, dest):
    disk = _disk(f"{root}/small", "160m")
    yield disk
    disk.free()
    dest.stop("immediate")
    subprocess.run(["umount", "-l", disk.path], check=True)


@pytest.fixture(scope="session")
def wal_disk(root):
    """A cluster whose WAL is on a small file system of its own."""
    disk = _disk(f"{root}/wal", "600m")
    settings = {**SETTINGS, "max_wal_size": "64MB", "min_wal_size": "32MB"}
    disk.cluster = cluster = Cluster(root, "fwal", **settings)
    wal = os.path.join(cluster.data, "pg_wal")
    shutil.copytree(wal, f"{disk.path}/wal")
    subprocess.run(["chown", "-R", "--reference", wal, f"{disk.path}/wal"], check=True)
    shutil.rmtree(wal)
    os.symlink(f"{disk.path}/wal", wal)
    cluster.start()
    yield disk
    disk.free()
    cluster.stop("immediate")
    subprocess.run(["umount", "-l", disk.path], check=True)


@pytest.fixture
def state_disk(root, request):
    disk = _disk(f"{root}/state", "6m")
    yield disk
    subprocess.run(["umount", "-l", disk.path], check=True)


@pytest.fixture(scope="session")
def faketime():
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        pytest.skip("libfaketime is not installed")
    yield found[0]
    # a process that was killed leaves what libfaketime shares with its children
    for left in glob.glob("/dev/shm/*faketime_s*_*"):
        pid = left.rsplit("_", 1)[1]
        if pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(left)


@pytest.fixture(scope="session")
def resolver(root):
    path = f"{root}/resolver.so"
    done = subprocess.run(["cc", "-shared", "-fPIC", "-o", path, f"{HERE}/faults/resolver.c",
                           "-ldl"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no C compiler: {done.stderr[:200]}")
    return path


@pytest.fixture(scope="session", autouse=True)
def _program():
    find_program()
