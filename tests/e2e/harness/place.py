"""Where throw-away things are: directories and ports."""
import os
import random
import socket

NEEDED = 4 << 30


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


def free_port():
    """Of 127.0.0.1, below those that the kernel gives to any connection: it stays free while its
    server is down."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        end = int(f.read().split()[0])
    while True:
        port = random.SystemRandom().randrange(10000, end if end > 20000 else 65536)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
