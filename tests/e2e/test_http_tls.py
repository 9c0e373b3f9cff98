"""Promise: with tls_cert and tls_key the listener speaks TLS 1.2 and 1.3 and nothing older, what is
wrong with the files is one clear sentence at the start, and no address that others can reach is
served without TLS unless the configuration says so."""
import os
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

from harness.api import Api
from harness.bunny import ADMIN, PASSWORD, find_program
from harness.raw import Raw, descriptors, drip, threads
from harness.waiting import wait_for

SLOW = int(os.environ.get("BUNNYDB_SLOW", 1))
pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes certificates")


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=30)


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """Files: cert and key, the key of somebody else, a protected one, one of another kind."""
    d = tmp_path_factory.mktemp("pem")

    def make(name, *kind):
        openssl("req", "-x509", *kind, "-nodes", "-days", "2", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-keyout", f"{d}/{name}.key", "-out", f"{d}/{name}.crt")
    make("good", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    make("other", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    make("rsa", "-newkey", "rsa:2048")
    openssl("pkey", "-in", f"{d}/good.key", "-aes256", "-passout", "pass:secret",
            "-out", f"{d}/locked.key")
    (d / "empty").write_text("")
    (d / "junk").write_text("this is not PEM\n" * 10)
    (d / "half.crt").write_text((d / "good.crt").read_text()[:200])
    (d / "half.key").write_text((d / "good.key").read_text()[:60] + "\n-----END PRIVATE KEY-----\n")
    return str(d)


def configure(bunny, **settings):
    path = os.path.join(bunny.dir, "bunny.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write("[http]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items()))
    return path


def client(pem, name="good"):
    """A client's context, that trusts this one certificate."""
    return ssl.create_default_context(cafile=f"{pem}/{name}.crt")


def start(bunny, pem, name="good", **settings):
    path = configure(bunny, tls_cert=f"{pem}/{name}.crt", tls_key=f"{pem}/{name}.key", **settings)
    bunny.api = Api(("127.0.0.1", bunny.port), context=client(pem, name))
    return bunny.start("-c", path)


@pytest.mark.quick
@pytest.mark.sanitize
@pytest.mark.parametrize("kind", ["good", "rsa"])
def test_the_api_over_tls(lone_bunny, pem, kind):
    bunny = start(lone_bunny, pem, kind)
    assert bunny.api.get("/v1/auth/me")["username"] == ADMIN
    body = {"name": "p", "host": "h", "user": "u", "database": "d", "password": "x" * 1024}
    assert bunny.api.raw("POST", "/v1/peers", body).status == 201
    assert bunny.api.raw("POST", "/v1/peers", data=b" " * ((1 << 20) + 1)).status == 413
    assert bunny.api.raw("GET", "/v1/peers").body[0]["name"] == "p"
    with open(bunny.log, encoding="utf-8") as f:
        assert "tls=yes" in f.read()
    # the Unix socket is none of the network's business
    assert len(Api(os.path.join(bunny.state_dir, "bunnydb.sock")).get("/v1/peers")) == 1


@pytest.mark.quick
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_versions(lone_bunny, pem):
    bunny = start(lone_bunny, pem)

    def connect(version):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(f"{pem}/good.crt")
        context.set_ciphers("ALL:@SECLEVEL=0")  # the client would take anything
        context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", bunny.port), 10) as s:
            with context.wrap_socket(s, server_hostname="localhost") as t:
                return t.version()
    assert connect(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    assert connect(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    for old in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            connect(old)
    # a client that trusts somebody else, and one that does not know TLS
    with pytest.raises(ssl.SSLError):
        Api(bunny.api.address, context=client(pem, "other")).raw("GET", "/health")
    with Raw(("127.0.0.1", bunny.port)) as c:
        c.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        c.rest()
        assert b"HTTP/1.1 2" not in c.received and b"status" not in c.received
    assert bunny.api.raw("GET", "/health").status == 200


def test_slow_clients_of_tls(lone_bunny, pem):
    """Before, in and after the handshake."""
    bunny = start(lone_bunny, pem, client_timeout="2s")
    pid = bunny.process.pid
    before = descriptors(pid), threads(pid)
    address = ("127.0.0.1", bunny.port)
    silent, half, dripping = Raw(address), Raw(address), Raw(address)
    half.send(b"\x16\x03\x01\x02\x00\x01\x00")
    greeted = Raw(address)
    greeted.socket = client(pem).wrap_socket(greeted.socket, server_hostname="localhost")
    greeted.send(b"GET /health HT")
    ended = drip([silent, half, dripping], [b"", b"", b"\x16\x03\x01\x02\x00" + b"\x01" * 500], 0.1,
                 12 * SLOW)
    assert None not in ended, ended
    assert greeted.rest() == []
    for c in (silent, half, dripping, greeted):
        c.close()
    wait_for(lambda: descriptors(pid) <= before[0] and threads(pid) <= before[1],
             15 * SLOW, "descriptors and threads to be given back")


def refused(bunny, pem, cert, key, *arguments, **settings):
    """Starts with these files; what it says instead of starting."""
    files = {"tls_cert": cert and f"{pem}/{cert}", "tls_key": key and f"{pem}/{key}"}
    path = configure(bunny, **{k: v for k, v in files.items() if v}, **settings)
    ended = subprocess.run(
        [find_program(), "--headless", "-c", path, "--state-dir", bunny.state_dir,
         *(arguments or ("--http", "127.0.0.1:0"))],
        capture_output=True, text=True, timeout=20, check=False, env=bunny.environment())
    assert ended.returncode == 1, ended
    said = [l for l in ended.stderr.splitlines() if l.startswith("bunnydb: ")]
    assert len(said) == 1, ended.stderr
    assert PASSWORD not in ended.stderr and "BEGIN" not in ended.stderr
    return said[0] + "\n" + ended.stderr.split(said[0], 1)[1]


@pytest.mark.quick
@pytest.mark.parametrize("cert, key, words", [
    ("good.crt", None, ["tls_cert and tls_key go together"]),
    (None, "good.key", ["tls_cert and tls_key go together"]),
    ("missing.crt", "good.key", ["tls_cert", "missing.crt: No such file"]),
    ("good.crt", "missing.key", ["tls_key", "missing.key: No such file"]),
    (".", "good.key", ["tls_cert", "directory"]),
    ("empty", "good.key", ["tls_cert", "empty holds no certificate in PEM format"]),
    ("junk", "good.key", ["tls_cert", "junk holds no certificate in PEM format"]),
    ("good.crt", "empty", ["tls_key", "empty holds no private key in PEM format"]),
    ("good.crt", "junk", ["tls_key", "junk holds no private key in PEM format"]),
    ("good.key", "good.key", ["tls_cert", "good.key holds no certificate in PEM format"]),
    ("good.crt", "good.crt", ["tls_key", "good.crt holds no private key in PEM format"]),
    ("good.crt", "locked.key", ["tls_key", "protected by a passphrase", "openssl pkey"]),
    ("half.crt", "good.key", ["tls_cert", "half.crt", "good.key"]),
    ("good.crt", "half.key", ["tls_key", "good.crt", "half.key"]),
    ("good.crt", "other.key", ["tls_cert", "good.crt", "other.key", "not match"]),
    ("good.crt", "rsa.key", ["tls_cert", "good.crt", "rsa.key", "not match"]),
])
def test_files_that_cannot_be_used(lone_bunny, pem, cert, key, words):
    said = refused(lone_bunny, pem, cert, key)
    for word in words:
        assert word in said, said


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"),
                    reason="root may read everything; it takes somebody else to be refused")
def test_files_that_cannot_be_read(lone_bunny, pem, root):
    """As a user who is not the key's owner."""
    directory = os.path.join(root, "tls-nobody")
    os.mkdir(directory, 0o755)
    shutil.chown(directory, "nobody")
    for name, mode in (("good.crt", 0o644), ("good.key", 0o600)):
        shutil.copy(f"{pem}/{name}", directory)
        os.chmod(os.path.join(directory, name), mode)
    path = os.path.join(directory, "bunny.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"[http]\ntls_cert = {directory}/good.crt\ntls_key = {directory}/good.key\n")
    ended = subprocess.run(["setpriv", "--reuid", "nobody", "--clear-groups", find_program(), "-c", path,
                            "--headless", "--http", "127.0.0.1:0", "--state-dir",
                            os.path.join(directory, "state")], env=lone_bunny.environment(),
                           capture_output=True, text=True, timeout=20, check=False, cwd="/")
    assert ended.returncode == 1 and "good.key: Permission denied" in ended.stderr, ended


@pytest.mark.quick
def test_addresses_that_others_can_reach(lone_bunny, pem):
    said = refused(lone_bunny, pem, None, None, "--http", "0.0.0.0:0")
    assert "no TLS" in said and "insecure = yes" in said
    said = refused(lone_bunny, pem, None, None, "--http", "[::]:0")
    assert "no TLS" in said or "cannot listen" in said
    for settings in ({"insecure": "yes"},
                     {"tls_cert": f"{pem}/good.crt", "tls_key": f"{pem}/good.key"}):
        path = configure(lone_bunny, **settings)
        api = lone_bunny.api = Api(("127.0.0.1", lone_bunny.port),
                                   context=client(pem) if "tls_cert" in settings else None)
        lone_bunny.spawn("-c", path, "--http", f"0.0.0.0:{lone_bunny.port}")
        wait_for(lambda a=api: a.raw("GET", "/health").status == 200, 20 * SLOW, "an answer")
        api.login(ADMIN, PASSWORD)
        lone_bunny.stop()


def test_a_renewed_certificate_needs_a_restart(lone_bunny, pem, tmp_path):
    """As bunnydb.conf(5) says: SIGHUP is for the log."""
    for kind in ("crt", "key"):
        shutil.copy(f"{pem}/good.{kind}", tmp_path / f"live.{kind}")
    settings = {"tls_cert": tmp_path / "live.crt", "tls_key": tmp_path / "live.key"}
    path = configure(lone_bunny, **settings)
    lone_bunny.api = Api(("127.0.0.1", lone_bunny.port), context=client(pem))
    lone_bunny.start("-c", path)
    for kind in ("crt", "key"):
        shutil.copy(f"{pem}/other.{kind}", tmp_path / f"live.{kind}")
    lone_bunny.process.send_signal(signal.SIGHUP)
    assert lone_bunny.api.get("/v1/auth/me")["username"] == ADMIN
    lone_bunny.stop()
    lone_bunny.api.context = client(pem, "other")
    lone_bunny.start("-c", path)
    assert lone_bunny.api.get("/v1/auth/me")["username"] == ADMIN
