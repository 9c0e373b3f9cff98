"""HTTP as bytes: requests that no library would send, and the answers taken apart."""
import json
import os
import socket
import time


class Reply:
    """One answer. body is parsed when it is JSON, else bytes."""

    def __init__(self, status, headers, body):
        self.status, self.headers = status, headers
        try:
            self.body = json.loads(body) if body else None
        except ValueError:
            self.body = body

    @property
    def code(self):
        return self.body.get("code") if isinstance(self.body, dict) else None

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body!r:.300}>"


def split(data):
    """The answers in data, and whatever stands behind the last whole one."""
    replies = []
    while data.startswith(b"HTTP/1.1 ") and b"\r\n\r\n" in data:
        head, rest = data.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, v in (l.split(":", 1) for l in lines[1:])}
        status = int(lines[0].split(" ")[1])
        size = int(headers.get("content-length", 0)) if status not in (100, 204) else 0
        if len(rest) < size:
            break
        replies.append(Reply(status, headers, rest[:size]))
        data = rest[size:]
    return replies, data


class Raw:
    """A connection to (host, port) or the path of a Unix socket."""

    def __init__(self, address, limit=20):
        local = isinstance(address, str)
        self.socket = socket.socket(socket.AF_UNIX if local else socket.AF_INET)
        self.socket.settimeout(limit)
        self.socket.connect(address)
        self.port = None if local else address[1]
        self.received = b""

    def send(self, data):
        """False when the other side has hung up already."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def reply(self):
        """The next answer; None when the connection ends before it is whole."""
        while True:
            replies, _ = split(self.received)
            if replies:
                whole = self.received
                for end in range(len(whole) + 1):  # the first answer's bytes
                    if split(whole[:end])[0]:
                        self.received = whole[end:]
                        break
                return replies[0]
            if not self._more():
                return None

    def rest(self):
        """All answers until the other side hangs up."""
        while self._more():
            pass
        return split(self.received)[0]

    def _more(self):
        try:
            piece = self.socket.recv(65536)
        except ConnectionError:
            return False
        self.received += piece
        return bool(piece)

    @property
    def is_open(self):
        """Looks without waiting, and without reading."""
        self.socket.setblocking(False)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            self.socket.settimeout(20)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def request(method="GET", target="/health", *headers, body=b"", host="x", version="1.1",
            token=None, closes=True):
    """A well-formed request, unless an argument says otherwise."""
    target = target.encode("latin-1") if isinstance(target, str) else target
    method = method.encode("latin-1") if isinstance(method, str) else method
    lines = [method + b" " + target + b" HTTP/" + version.encode()]
    if host is not None:
        lines.append(b"Host: " + host.encode())
    if token:
        lines.append(b"Authorization: Bearer " + token.encode())
    if body and not any(b"ength" in h or b"ncoding" in h for h in map(_bytes, headers)):
        lines.append(b"Content-Length: %d" % len(body))
    if body and not any(b"Content-Type" in h for h in map(_bytes, headers)):
        lines.append(b"Content-Type: application/json")
    if closes:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines + [_bytes(h) for h in headers]) + b"\r\n\r\n" + body


def _bytes(text):
    return text.encode("latin-1") if isinstance(text, str) else text


def ask(address, data, limit=20):
    """Sends data and returns all answers until the connection ends."""
    with Raw(address, limit) as c:
        c.send(data)
        return c.rest()


def chunked(body, size=65536):
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


# --- what the process holds -------------------------------------------------------------------
def descriptors(pid):
    """Those of the program. libfaketime's own (its file of the time among them, by the name that the
    fault suite gives it) are as many as there are threads that came first."""
    n = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            name = os.path.basename(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            continue  # closed meanwhile
        n += not name.startswith("faketime_") and name != "clock"
    return n


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def what_is_held(pid):
    """The names of the process's threads and what its descriptors are, for a message."""
    names, links = [], []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as f:
                names.append(f.read().strip())
        except OSError:
            pass  # ended meanwhile
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            links.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            pass  # closed meanwhile
    return sorted(names), sorted(links)


def serves(pid, c):
    """Whether the process still holds its end of a TCP connection of ours. What our own end shows may
    be minutes behind: who waits for a window to open learns the end by a probe, and these get rare."""
    ours, theirs = (f":{c.socket.getsockname()[1]:04X}", f":{c.port:04X}")
    with open("/proc/net/tcp", encoding="ascii") as f:
        ends = [line.split() for line in f]
    inodes = {e[9] for e in ends if e[1].endswith(theirs) and e[2].endswith(ours)}
    return any(f"socket:[{i}]" in what_is_held(pid)[1] for i in inodes)


def drip(connections, pieces, every, limit):
    """Sends each connection a byte of its text now and then. Returns when each was hung up on
    (seconds since the beginning; None: not within limit)."""
    began, ended, sent = time.monotonic(), [None] * len(connections), 0
    while time.monotonic() - began < limit and None in ended:
        for i, c in enumerate(connections):
            if ended[i] is None:
                text = pieces[i]
                alive = c.is_open and (not text or c.send(text[sent % len(text):][:1]))
                if not alive:
                    ended[i] = time.monotonic() - began
        sent += 1
        time.sleep(every)
    return ended
