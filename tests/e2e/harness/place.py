"""Where throw-away things are: directories and ports."""
import fcntl
import os
import random
import socket

NEEDED = 4 << 30
_taken = {}  # of this process: the locks below do not tell it from itself


def scratch():
    """TMPDIR; else memory, if there is plenty: a new database is some 300 files, which cost ten
    times as much on a disk."""
    if os.environ.get("TMPDIR"):
        return os.environ["TMPDIR"]
    try:
        room = os.statvfs("/dev/shm")
        with open("/proc/meminfo", encoding="ascii") as f:
            memory = next(int(x.split()[1]) << 10 for x in f if x.startswith("MemAvailable:"))
        if min(room.f_bavail * room.f_frsize, memory) >= NEEDED and os.access("/dev/shm", os.W_OK):
            return "/dev/shm"
    except OSError:
        pass
    return "/tmp"


def _claim(port):
    """For this process until it ends: another one that runs tests may look for a port before the
    server of this one has started, or while it is down. A lock of one byte for each port."""
    if not _taken:
        _taken["file"] = os.open(f"/tmp/bunnydb-ports-{os.geteuid()}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if port in _taken:
        return False
    try:
        fcntl.lockf(_taken["file"], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _taken[port] = True
    return True


def free_port():
    """Of 127.0.0.1, below those that the kernel gives to any connection, and no other process of
    the tests has it: it stays free while its server is down."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        end = int(f.read().split()[0])
    while True:
        port = random.SystemRandom().randrange(10000, end if end > 20000 else 65536)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if _claim(port):
            return port
