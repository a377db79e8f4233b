"""Weights over a network that fails in every way: verified weights, or one clear sentence, and never a partial file."""

import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from faceloupe.errors import Cancelled, FaceLoupeError, UsageError, WeightsError
from faceloupe.installation import ROOT
from faceloupe.models.fetch import fetch, install_file, missing
from faceloupe.models.record import read_registry
from faceloupe.models.registry import components_of, read_entries, weights_path, weights_status
from tests.models import releases
from tests.models.releases import CONTENT, QUICK, SIZE, cut, registry, served, status, whole

FETCHER = """
import sys
from pathlib import Path
from faceloupe.errors import FaceLoupeError
from faceloupe.models.fetch import fetch
from faceloupe.models.record import read_registry
from tests.models.releases import QUICK
folder = Path(sys.argv[1])
(record,) = read_registry(folder).values()
try:
    fetch(record, folder, retry_policy=QUICK)
except FaceLoupeError as problem:
    sys.exit(str(problem))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.lower() in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FACELOUPE_DATA", str(tmp_path / "data"))
    return tmp_path / "weights"


@pytest.fixture
def record(folder):
    return registry(folder)


@pytest.fixture
def release(monkeypatch):
    """Starts a server with the given behaviors, and names it as the release."""

    def start(stack, *behaviors):
        server = stack.enter_context(served(*behaviors))
        monkeypatch.setenv("FACELOUPE_RELEASES", server.address)
        return server

    import contextlib

    with contextlib.ExitStack() as stack:
        yield lambda *behaviors: start(stack, *behaviors)


def names(folder: Path) -> set[str]:
    """Return the files in the folder, except records and locks."""
    return {path.name for path in folder.iterdir() if path.suffix not in (".json", ".lock")}


@pytest.fixture(autouse=True)
def _no_connection_leaves_this_machine(monkeypatch):
    import socket

    connect = socket.socket.connect

    def guarded(self, address):
        assert self.family == socket.AF_UNIX or str(address[0]).startswith("127."), f"a connection to {address}"
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


def assert_verified(record, folder):
    assert weights_status(record, folder) == "verified"
    assert (folder / record.weights_file).read_bytes() == CONTENT
    assert names(folder) == {record.weights_file}


def refused(record, folder) -> str:
    """The sentence of a failed download; nothing has the final name."""
    with pytest.raises(FaceLoupeError) as caught:
        fetch(record, folder, retry_policy=QUICK)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert not (folder / record.weights_file).exists()
    return sentence


def test_missing_weights_are_fetched_and_verified(release, record, folder):
    server, shares = release(whole), []
    assert missing(record, folder)
    fetch(record, folder, retry_policy=QUICK, progress=lambda stage, share: shares.append((stage, share)))
    assert_verified(record, folder)
    assert server.asked == [(f"/{record.weights_file}", None)]
    assert [share for _, share in shares] == sorted(share for _, share in shares)
    assert shares[0][1] == 0.0
    assert shares[-1] == (f"Fetching {record.id} from 127.0.0.1", 1.0)


def test_weights_that_are_there_make_no_connection(release, record, folder):
    server = release(whole)
    (folder / record.weights_file).write_bytes(CONTENT)
    fetch(record, folder, retry_policy=QUICK)
    assert server.asked == []


def test_altered_weights_are_not_missing_and_are_replaced_when_asked(release, record, folder):
    release(whole)
    (folder / record.weights_file).write_bytes(b"altered")
    assert not missing(record, folder)
    fetch(record, folder, retry_policy=QUICK)
    assert_verified(record, folder)


def test_redirects_are_followed_as_github_makes_them(release, record, folder):
    server = release(status(302, Location="/elsewhere?x=1"), status(307, Location="/signed"), whole)
    fetch(record, folder, retry_policy=QUICK)
    assert_verified(record, folder)
    assert [path for path, _ in server.asked] == [f"/{record.weights_file}", "/elsewhere?x=1", "/signed"]


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_what_will_not_pass_is_asked_for_once(release, record, folder, code):
    server = release(status(code))
    assert f"answered {code}" in refused(record, folder)
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [408, 429, 500, 503])
def test_what_may_pass_is_asked_for_again(release, record, folder, code):
    server = release(status(code), whole)
    fetch(record, folder, retry_policy=QUICK)
    assert_verified(record, folder)
    assert len(server.asked) == 2


def test_a_server_that_stays_broken_is_given_up(release, record, folder):
    server = release(status(500))
    assert "in 3 attempts (127.0.0.1 answered 500" in refused(record, folder)
    assert len(server.asked) == 3


def test_a_broken_transfer_resumes_where_it_stopped(release, record, folder):
    server = release(cut(200_000), cut(200_000), whole)
    fetch(record, folder, retry_policy=QUICK)
    assert_verified(record, folder)
    assert [asked for _, asked in server.asked] == [None, "bytes=200000-", "bytes=400000-"]


def test_a_transfer_resumes_in_the_next_run(release, record, folder):
    server = release(cut(150_000))
    assert "450,000 of 600,000" in refused(record, folder)
    server.behaviors[:] = [whole]
    fetch(record, folder, retry_policy=QUICK)
    assert_verified(record, folder)
    assert server.asked[-1][1] == "bytes=450000-"


def test_a_transfer_cut_short_without_a_length_is_noticed(release, record, folder):
    release(releases.cut_without_length)
    assert "ended after 300,000 of 600,000 bytes" in refused(record, folder)


def test_a_server_that_cannot_go_on_starts_anew(release, record, folder):
    def ignores_the_range(handler):
        handler.send(200, {"Content-Length": str(SIZE)})
        handler.wfile.write(CONTENT)

    release(cut(200_000), ignores_the_range)
    fetch(record, folder, retry_policy=QUICK)
    assert_verified(record, folder)


@pytest.mark.parametrize(
    "wrong",
    [
        status(416),
        status(206, Content_Range=f"bytes 0-{SIZE - 1}/{SIZE}"),
        status(206, Content_Range=f"bytes 200000-{SIZE}/{SIZE + 1}"),
        status(206),
    ],
)
def test_another_part_than_asked_for_starts_anew(release, record, folder, wrong):
    server = release(cut(200_000), wrong, whole)
    fetch(record, folder, retry_policy=QUICK)
    assert_verified(record, folder)
    assert server.asked[-1][1] is None


def test_wrong_bytes_of_an_older_transfer_do_not_stay(release, record, folder):
    (folder / f"{record.weights_file}.{record.weights_sha256[:8]}.part").write_bytes(b"x" * 1000)
    server = release(whole)
    fetch(record, folder, retry_policy=QUICK)
    assert_verified(record, folder)
    assert [asked for _, asked in server.asked] == ["bytes=1000-", None]


def test_a_wrong_hash_keeps_nothing(release, record, folder):
    release(lambda handler: whole(handler, CONTENT[:-1] + b"!"))
    assert "is not the verified" in refused(record, folder)
    assert names(folder) == set()


@pytest.mark.parametrize("more", [-1, 1, 10_000])
def test_a_file_of_another_size_is_refused_before_it_is_read(release, record, folder, more):
    content = CONTENT + b"x" * more if more > 0 else CONTENT[:more]
    server = release(lambda handler: whole(handler, content))
    assert f"{SIZE + more:,} bytes of type application/octet-stream instead of 600,000" in refused(record, folder)
    assert len(server.asked) == 1


def test_a_page_instead_of_the_file_is_named(release, record, folder):
    release(releases.html)
    sentence = refused(record, folder)
    assert "type text/html" in sentence
    assert "login page" in sentence
    assert names(folder) == set()


@pytest.mark.parametrize(
    "slow", [releases.drip, releases.hang, releases.hang_half_way], ids=lambda behavior: behavior.__name__
)
def test_a_slow_server_is_given_up_in_bounded_time(release, record, folder, slow):
    release(slow)
    started = time.monotonic()
    assert "in 3 attempts" in refused(record, folder)
    assert time.monotonic() - started < 15  # a bound on waiting, not on speed: the drip alone would take hours


def test_a_drip_that_turns_into_a_stream_is_verified(release, record, folder):
    release(releases.drip, releases.hang, whole)
    fetch(record, folder, retry_policy=QUICK)
    assert_verified(record, folder)


def test_a_redirect_loop_ends(release, record, folder):
    server = release(status(302, Location="/again"))
    assert "redirects more than 5 times" in refused(record, folder)
    assert len(server.asked) == 6


def test_a_redirect_with_an_endless_body_is_not_read(release, record, folder):
    def endless(handler):
        handler.send(302, {"Location": "/on", "Transfer-Encoding": "chunked"})
        while not handler.server.ended.is_set():
            handler.wfile.write(b"4\r\nmore\r\n")
            time.sleep(0.01)

    release(endless, whole)
    fetch(record, folder, retry_policy=QUICK)
    assert_verified(record, folder)


@pytest.mark.parametrize("target", ["http://example.com/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://[x/"])
def test_a_redirect_never_leads_to_what_is_not_safe(release, record, folder, target):
    release(status(302, Location=target))
    refused(record, folder)


@pytest.mark.parametrize("address", ["http://example.com", "http://192.0.2.1/x", "http://127.0.0.1.example.com"])
def test_plain_http_is_for_this_machine_alone(record, folder, monkeypatch, address):
    monkeypatch.setenv("FACELOUPE_RELEASES", address)
    monkeypatch.setattr("requests.Session.get", lambda *_, **__: pytest.fail("a connection was made"))
    assert "only downloaded over https" in refused(record, folder)


def test_a_missing_listener_is_reported_in_one_sentence(record, folder, monkeypatch):
    with served(whole) as server:
        address = server.address
    monkeypatch.setenv("FACELOUPE_RELEASES", address)
    assert "cannot be reached" in refused(record, folder)


def test_a_certificate_that_cannot_be_verified_is_refused_at_once(record, folder, monkeypatch, tmp_path):
    import ssl

    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "crt")]
    try:
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("openssl is not here to make a certificate")
    with served(whole) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        monkeypatch.setenv("FACELOUPE_RELEASES", server.address.replace("http:", "https:"))
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
        monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
        assert "certificate" in refused(record, folder)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "crt"))
        fetch(record, folder, retry_policy=QUICK)
    assert_verified(record, folder)


def test_a_proxy_of_the_environment_is_used(record, folder, monkeypatch):
    with served(whole) as proxy:
        monkeypatch.setenv("FACELOUPE_RELEASES", "http://127.0.0.9:9")
        monkeypatch.setenv("HTTP_PROXY", proxy.address)
        monkeypatch.setenv("http_proxy", proxy.address)
        fetch(record, folder, retry_policy=QUICK)
        assert proxy.asked == [(f"http://127.0.0.9:9/{record.weights_file}", None)]
    assert_verified(record, folder)


def run_fetcher(folder, **options) -> subprocess.Popen:
    command = [sys.executable, "-c", FETCHER, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.slow
def test_a_fetch_killed_half_way_leaves_no_final_file_and_goes_on(release, record, folder):
    server = release(releases.hang_half_way)
    process = run_fetcher(folder)
    part = folder / f"{record.weights_file}.{record.weights_sha256[:8]}.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (folder / record.weights_file).exists()
    server.behaviors[:] = [whole]
    fetch(record, folder, retry_policy=QUICK)  # the lock of the dead process is no obstacle
    assert_verified(record, folder)
    assert server.asked[-1][1].startswith("bytes=")


@pytest.mark.slow
def test_two_processes_fetch_once(release, record, folder):
    def slowly(handler):
        time.sleep(0.3)
        handler.send(200, {"Content-Length": str(SIZE)})
        for start in range(0, SIZE, SIZE // 20):
            handler.wfile.write(CONTENT[start : start + SIZE // 20])
            time.sleep(0.1)  # long enough for the other to come to the lock

    server = release(slowly)
    processes = [run_fetcher(folder) for _ in range(2)]
    assert [(process.communicate(timeout=120)[1], process.returncode) for process in processes] == [("", 0)] * 2
    assert len(server.asked) == 1
    assert_verified(record, folder)


@pytest.mark.slow
def test_a_disk_that_takes_no_more_is_reported_in_one_sentence(release, record, folder):
    release(whole)
    limit = 100_000

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = run_fetcher(folder, preexec_fn=limited)
    output = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert output.count("\n") == 1
    assert "cannot be written (File too large)" in output
    assert not (folder / record.weights_file).exists()
    fetch(record, folder, retry_policy=QUICK)
    assert_verified(record, folder)


def fetch_under(folder, mount: str) -> subprocess.CompletedProcess:
    """Run the fetcher in its own mount namespace after ``mount``; skip if this machine does not allow it."""
    inside = [sys.executable, "-c", FETCHER, str(folder)]
    namespace = ["unshare", "--mount", "--user", "--map-root-user"]
    if subprocess.run(
        [*namespace, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    ).returncode:
        pytest.skip("this machine lets nobody mount in a namespace")
    command = [*namespace, "sh", "-c", f'{mount} && exec "$@"', "sh", *inside]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_a_full_disk_is_reported_in_one_sentence(release, record, folder):
    server = release(whole)
    saved = folder.rename(folder.with_name("saved"))
    folder.mkdir()
    done = fetch_under(folder, f"mount -t tmpfs -o size=200k none '{folder}' && cp '{saved}'/* '{folder}'")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "bytes free" in done.stderr
    assert len(server.asked) == 1


@pytest.mark.slow
def test_where_the_records_cannot_be_written_weights_go_to_the_data_folder(release, record, folder, tmp_path):
    release(whole)
    done = fetch_under(folder, f"mount --bind '{folder}' '{folder}' && mount -o remount,bind,ro '{folder}'")
    assert (done.stderr, done.returncode) == ("", 0)
    assert names(folder) == set()
    assert (tmp_path / "data" / "weights" / record.weights_file).read_bytes() == CONTENT


def test_a_cancelled_download_stops_and_resumes_later(release, record, folder):
    server = release(whole)
    asked = iter([False, True])
    with pytest.raises(Cancelled):
        fetch(record, folder, retry_policy=QUICK, cancel=lambda: next(asked))
    assert not (folder / record.weights_file).exists()
    fetch(record, folder, retry_policy=QUICK)
    assert_verified(record, folder)
    assert server.asked[-1][1] is not None


def test_a_folder_in_the_way_is_reported_in_one_sentence(release, record, folder):
    release(whole)
    (folder / record.weights_file).mkdir()
    with pytest.raises(WeightsError, match="cannot be replaced"):
        fetch(record, folder, retry_policy=QUICK)


def test_a_file_that_was_carried_here_is_taken_by_its_content(record, folder, tmp_path):
    (tmp_path / "some name.bin").write_bytes(CONTENT)
    assert install_file(tmp_path / "some name.bin", folder) == record
    assert_verified(record, folder)
    assert (tmp_path / "some name.bin").read_bytes() == CONTENT


def test_a_whole_file_that_a_killed_process_left_is_taken_where_it_lies(record, folder):
    entry = read_entries(folder)[record.id]
    left = folder / f"{record.weights_file}.{entry.sha256[:8]}.part"
    left.write_bytes(CONTENT)
    install_file(left, folder)
    assert_verified(record, folder)


@pytest.mark.parametrize("content", [b"", b"short", CONTENT[:-1] + b"!"], ids=["empty", "short", "altered"])
def test_a_carried_file_of_no_model_is_refused(record, folder, tmp_path, content):
    (tmp_path / record.weights_file).write_bytes(content)
    with pytest.raises(WeightsError, match="does not match any model"):
        install_file(tmp_path / record.weights_file, folder)
    assert names(folder) == set()


def test_a_carried_file_must_be_a_file(record, folder, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "none", tmp_path / "pipe"):
        with pytest.raises(UsageError, match="is not a file"):
            install_file(path, folder)


@pytest.mark.parametrize("named", ["", "owner/repository", "owner@v1", "a/b@c/d", "ftp://x", "../..@x"])
def test_what_names_no_release_is_refused(record, folder, monkeypatch, named):
    monkeypatch.setenv("FACELOUPE_RELEASES", named)
    assert "FACELOUPE_RELEASES" in refused(record, folder)


def test_owner_repository_and_tag_are_one_setting(record, folder, monkeypatch):
    monkeypatch.setenv("FACELOUPE_RELEASES", "some-owner/some.repository@v1.2.3")
    expected = "https://github.com/some-owner/some.repository/releases/download/v1.2.3/" + record.weights_file
    assert read_entries(folder)[record.id].address() == expected


@pytest.mark.parametrize("text", ["", "{}", "[{}]", "[1]", '[{"id": 5}]', "[" * 100_000])
def test_a_damaged_registry_is_reported_in_one_sentence(record, folder, text):
    (folder / "registry.json").write_text(text)
    assert "registry.json" in refused(record, folder)


def test_a_registry_of_other_weights_is_refused(record, folder):
    text = (folder / "registry.json").read_text()
    (folder / "registry.json").write_text(text.replace(record.weights_sha256, "0" * 64))
    assert "differ" in refused(record, folder)


def test_the_committed_registry_is_what_the_records_and_files_say():
    folder = ROOT / "weights"
    entries = read_entries(folder)
    records = {part.id: part for record in read_registry(folder).values() for part in components_of(record, folder)}
    assert set(entries) == set(records)
    for name, entry in entries.items():
        path = weights_path(records[name], folder)
        assert (entry.file, entry.sha256) == (records[name].weights_file, records[name].weights_sha256)
        assert entry.license == records[name].license
        assert entry.size_bytes == path.stat().st_size
        assert entry.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (ROOT / entry.card).is_file()
