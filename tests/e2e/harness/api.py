"""A client of the HTTP API over TCP or a Unix socket, as thin as can be."""
import http.client
import json
import socket
from dataclasses import dataclass, field


@dataclass
class Answer:
    status: int
    body: object = None
    headers: dict = field(default_factory=dict)

    @property
    def code(self):
        return self.body.get("code") if isinstance(self.body, dict) else None


class ApiError(AssertionError):
    """An answer that is not 2xx, where one was expected."""

    def __init__(self, method, path, answer):
        super().__init__(f"{method} {path}: {answer.status} {answer.body}")
        self.answer = answer


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Api:
    """address: (host, port) or the path of a Unix socket. token: None sends none. context: an
    ssl.SSLContext for TLS."""

    def __init__(self, address, token=None, timeout=60, context=None):
        self.address = address
        self.token = token
        self.timeout = timeout
        self.context = context

    def _connection(self):
        if isinstance(self.address, str):
            return UnixConnection(self.address, self.timeout)
        if self.context:
            return http.client.HTTPSConnection(*self.address, timeout=self.timeout,
                                               context=self.context)
        return http.client.HTTPConnection(*self.address, timeout=self.timeout)

    def raw(self, method, path, body=None, headers=None, data=None):
        """Any answer, errors too. body is sent as JSON; data as it is."""
        connection = self._connection()
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if data is None and body is not None:
            data = json.dumps(body)
        if data is not None:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        try:
            try:
                connection.request(method, path, body=data, headers=sent)
            except BrokenPipeError:
                pass  # refused before all was sent: the answer says why
            response = connection.getresponse()
            text = response.read().decode()
        except http.client.HTTPException as e:
            raise OSError(f"{method} {path}: {e!r}") from e
        finally:
            connection.close()
        try:
            parsed = json.loads(text) if text else None
        except ValueError:
            parsed = text
        return Answer(response.status, parsed,
                      {k.lower(): v for k, v in response.getheaders()})

    def _ok(self, method, path, body=None):
        answer = self.raw(method, path, body)
        if not 200 <= answer.status < 300:
            raise ApiError(method, path, answer)
        return answer.body

    def get(self, path):
        return self._ok("GET", path)

    def post(self, path, body=None):
        return self._ok("POST", path, body)

    def put(self, path, body=None):
        return self._ok("PUT", path, body)

    def delete(self, path):
        return self._ok("DELETE", path)

    def login(self, username, password):
        """Keeps the token for the calls that follow; returns the answer."""
        answer = self.post("/v1/auth/login", {"username": username, "password": password})
        self.token = answer["token"]
        return answer
