"""A TCP proxy in front of a server. It forwards, until it is told to misbehave: to hang (it takes
bytes and forwards none), to cut, to be late, to trickle, or to refuse. One thread; what others tell
it takes effect within some milliseconds."""
import os
import selectors
import socket
import struct
import threading
import time

from harness.place import free_port

FORWARD, HANG, TRICKLE = "forward", "hang", "trickle"
BUFFER = 1 << 18
MOST = 1 << 20  # bytes on their way in one direction; beyond, the sender waits as behind a full window


class Half:
    """One direction of a connection."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.waiting = []  # (when it may go, bytes)
        self.size = 0
        self.is_over = False  # the reader has said its last word
        self.is_shut = False


class Link:
    """A client's connection and ours to the server."""

    def __init__(self, client, server, mode):
        self.client, self.server, self.mode = client, server, mode
        self.halves = (Half(client, server), Half(server, client))

    def half_of(self, reader):
        return self.halves[0] if reader is self.client else self.halves[1]


class Proxy:
    """Listens on 127.0.0.1 at port, in front of a server at host and target_port."""

    def __init__(self, target_port, host="127.0.0.1"):
        self.target = (host, target_port)
        self.port = free_port()
        self.mode = FORWARD          # of connections to come
        self.delay = 0.0             # seconds, each way
        self.count = 0               # connections so far
        self.hang_at = None          # bytes from the server after which a new connection hangs
        self.lost = 0                # answers that never arrived
        self._tag, self._is_lost = None, None
        self._links, self._orders = [], []
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._wake_r, self._wake_w = os.pipe()
        os.set_blocking(self._wake_r, False)
        self._selector.register(self._wake_r, selectors.EVENT_READ)
        self._listener = None
        self._is_over = False
        self._listen()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # --- orders, from any thread ---------------------------------------------------------------
    def _order(self, what, wait=True):
        done = threading.Event()
        with self._lock:  # or it may be carried out, and the pipe be closed, before the byte is written
            self._orders.append((what, done))
            os.write(self._wake_w, b"x")
        if wait and not done.wait(10):
            raise RuntimeError("the proxy's thread does not answer")

    def hang(self, new=True):
        """Connections take bytes from now on and forward none. new: those to come, too."""
        def act():
            self.mode = HANG if new else self.mode
            for link in self._links:
                link.mode = HANG
        self._order(act)

    def heal(self):
        """Connections to come are well again; those that hang do so until somebody closes them."""
        def act():
            self.mode, self.delay, self.hang_at, self._tag = FORWARD, 0.0, None, None
            for link in self._links:
                if link.mode != HANG:
                    link.mode = FORWARD
            if self._listener is None:
                self._listen()
        self._order(act)

    def cut(self, how="rst"):
        """Ends all connections: by a reset, or by an orderly end in both directions."""
        def act():
            for link in list(self._links):
                if how == "rst":
                    for s in (link.client, link.server):
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._drop(link)
        self._order(act)

    def refuse(self):
        """Nobody listens any more; connections stay."""
        def act():
            if self._listener is not None:
                self._selector.unregister(self._listener)
                self._listener.close()
                self._listener = None
        self._order(act)

    def trickle(self):
        """A few bytes at a time, both ways."""
        def act():
            self.mode = TRICKLE
            for link in self._links:
                link.mode = TRICKLE if link.mode == FORWARD else link.mode
        self._order(act)

    def change(self, port, mode):
        """Of one connection; port: the server's view of its client."""
        def act():
            for link in self._links:
                if link.server.getsockname()[1] == port:
                    link.mode = mode
        self._order(act)

    def slow(self, seconds):
        def act():
            self.delay = seconds
        self._order(act)

    def hang_after(self, n):
        """Connections to come hang once the server has sent n bytes on them (0: at once)."""
        def act():
            self.hang_at = n
        self._order(act)

    def lose_answers(self, tag, is_lost):
        """What the server has done, and says so with this tag (b"COMMIT"), the client does not learn:
        the connection ends instead. is_lost() is asked each time."""
        def act():
            self._tag, self._is_lost = tag + b"\0", is_lost
        self._order(act)

    def close(self):
        def act():
            self._is_over = True
        self._order(act, wait=False)
        self._thread.join(10)

    @property
    def open_links(self):
        return len(self._links)

    # --- its thread ----------------------------------------------------------------------------
    def _listen(self):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", self.port))
        s.listen(100)
        s.setblocking(False)
        self._listener = s
        self._selector.register(s, selectors.EVENT_READ)

    def _run(self):
        while not self._is_over:
            try:
                self._turn()
            except OSError as e:  # of a connection that ended meanwhile
                print(f"proxy: {e!r}")
        for link in list(self._links):
            self._drop(link)
        if self._listener is not None:
            self._listener.close()
        self._selector.close()
        os.close(self._wake_r)
        os.close(self._wake_w)

    def _turn(self):
        for key, _ in self._selector.select(self._pause()):
            if key.fileobj == self._wake_r:
                os.read(self._wake_r, 4096)
            elif key.fileobj is self._listener:
                self._accept()
            elif key.data in self._links:
                self._read(key.data, key.fileobj)
        with self._lock:
            orders, self._orders = self._orders, []
        for what, done in orders:
            what()
            done.set()
        for link in list(self._links):
            for half in link.halves:
                if link in self._links and link.mode != HANG:
                    self._write(link, half)
        for link in list(self._links):
            if all(h.is_over and (not h.waiting or link.mode == HANG) for h in link.halves) or \
                    (link.mode == HANG and link.halves[0].is_over):
                self._drop(link)

    def _pause(self):
        """Seconds until the next bytes may go."""
        now = time.monotonic()
        times = [h.waiting[0][0] for link in self._links if link.mode != HANG
                 for h in link.halves if h.waiting]
        if not times:
            return 0.5
        floor = 0.0005 if any(link.mode == TRICKLE for link in self._links) else 0.0
        return max(min(times) - now, floor)

    def _accept(self):
        client, _ = self._listener.accept()
        server = socket.socket()
        try:
            server.connect(self.target)
        except OSError:
            server.close()
            client.close()
            return
        self.count += 1
        for s in (client, server):
            s.setblocking(False)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(client, server, HANG if self.hang_at == 0 else self.mode)
        link.hang_in = self.hang_at
        self._links.append(link)
        self._selector.register(client, selectors.EVENT_READ, link)
        self._selector.register(server, selectors.EVENT_READ, link)

    def _read(self, link, reader):
        half = link.half_of(reader)
        if half.size >= MOST and link.mode != HANG:
            return
        try:
            data = reader.recv(BUFFER)
        except BlockingIOError:
            return
        except OSError:
            self._drop(link)
            return
        if not data:
            half.is_over = True
            self._selector.unregister(reader)
            return
        if reader is link.server and self._tag and self._tag in data and self._is_lost():
            self.lost += 1
            self._drop(link)
            return
        if reader is link.server and link.hang_in is not None:
            if link.hang_in <= len(data):
                data, link.mode = data[:link.hang_in], HANG
                self._push(link, half, data)
                return
            link.hang_in -= len(data)
        if link.mode != HANG:  # what a hanging one takes is gone
            half.waiting.append((time.monotonic() + self.delay, data))
            half.size += len(data)

    def _push(self, link, half, data):
        """What was to go before it hangs."""
        for _, old in half.waiting:
            half.writer.send(old)
        if data:
            half.writer.send(data)
        half.waiting.clear()

    def _write(self, link, half):
        now = time.monotonic()
        while half.waiting and half.waiting[0][0] <= now:
            when, data = half.waiting[0]
            piece = data[:7] if link.mode == TRICKLE else data
            try:
                n = half.writer.send(piece)
            except BlockingIOError:
                half.waiting[0] = (now + 0.002, data)
                return
            except OSError:
                self._drop(link)
                return
            half.size -= n
            if n < len(data):
                half.waiting[0] = (now + 0.0005 if link.mode == TRICKLE else when, data[n:])
                if link.mode == TRICKLE:
                    return
            else:
                half.waiting.pop(0)
        if half.is_over and not half.waiting and not half.is_shut:
            half.is_shut = True
            try:
                half.writer.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def _drop(self, link):
        if link not in self._links:
            return
        self._links.remove(link)
        for s in (link.client, link.server):
            try:
                self._selector.unregister(s)
            except (KeyError, ValueError):
                pass
            s.close()
