"""Every address of the HTTP API, over a real socket."""

import contextlib
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time

import msgspec
import numpy as np
import pytest
import requests
from PIL import Image

from faceloupe.api import Analyzer as PublicAnalyzer
from faceloupe.bundle.export import export_case
from faceloupe.cases.store import CaseStore
from faceloupe.config import Settings, weights_folder
from faceloupe.installation import ROOT
from faceloupe.models.record import read_registry
from faceloupe.report.schema import ImageReport, VideoReport
from faceloupe.server import connection
from faceloupe.server.keys import Scope
from tests.clips import write_clip
from tests.conftest import GENERATED, PHOTOGRAPH, SAMPLE
from tests.server.conftest import PATIENCE_S, eventually, served

FAKE = GENERATED.read_bytes()
FAKE_SHA256 = hashlib.sha256(FAKE).hexdigest()
PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'  # begins a body


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> bytes:
    """Two seconds of a portrait that moves."""
    picture = np.asarray(Image.open(GENERATED).convert("RGB").resize((360, 360)))
    frames = [np.roll(picture, step, axis=1) for step in range(50)]
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames).read_bytes()


def jpeg(content: bytes) -> bytes:
    """A picture as JPEG."""
    target = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").save(target, "JPEG", quality=95)
    return target.getvalue()


def problem(answer: requests.Response, status: int) -> str:
    """The sentence of a problem, whose form is checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    values = answer.json()
    assert set(values) == {"type", "title", "status", "detail"}
    assert values["status"] == status
    assert values["detail"].endswith((".", "`."))
    assert "Traceback" not in answer.text
    return values["detail"]


def comparable(report: dict) -> dict:
    """Return a report without the fields that differ between runs."""
    return {name: value for name, value in report.items() if name not in ("created_utc", "timing")}


def test_a_picture_is_answered_at_once_with_the_report_of_the_pipeline(api, analyzer, settings):
    answer = api.post("/analyze", FAKE, GENERATED.name)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    own = PublicAnalyzer(settings=settings).analyze(GENERATED)
    assert comparable(answer.json()) == comparable(json.loads(own.to_json()))
    assert msgspec.json.decode(answer.content, type=ImageReport).outcome == "manipulated"
    assert api.files() == []


def test_raw_adds_the_logit_and_the_probability_before_calibration(api):
    plain, raw = api.post("/analyze", FAKE).json(), api.post("/analyze?raw=true", FAKE).json()
    added = raw.pop("raw")
    assert comparable(plain) == comparable(raw)
    (face,) = raw["faces"]
    assert added["logit"] == face["raw_logit"]
    assert added["probability"] == pytest.approx(1 / (1 + np.exp(-face["raw_logit"])))
    assert added["faces"] == [{"id": 1, "logit": added["logit"], "probability": added["probability"]}]


def test_a_picture_without_a_face_has_no_raw_score_either(api):
    stream = io.BytesIO()
    Image.new("RGB", (300, 300), "gray").save(stream, "PNG")
    report = api.post("/analyze?raw=true", stream.getvalue()).json()
    assert (report["outcome"], report["score"]) == ("not_applicable", None)
    assert report["raw"] == {"logit": None, "probability": None, "faces": []}


def test_the_effort_of_a_request_is_the_one_that_scores(api):
    report = api.post("/analyze?effort=standard", FAKE).json()
    assert report["settings"]["effort"] == "standard"
    assert report["model"]["id"] == Settings(effort="standard").model_id
    assert api.post("/analyze", FAKE).json()["settings"]["effort"] == "quick"


def test_a_file_that_cannot_be_decoded_has_a_report_that_says_so(api):
    report = api.post("/analyze", FAKE[:5000]).json()
    assert (report["outcome"], report["score"]) == ("error", None)
    assert report["evidence"]["sha256"] == hashlib.sha256(FAKE[:5000]).hexdigest()


def test_the_name_of_an_upload_is_shown_and_never_used_as_a_path(api):
    report = api.post("/analyze", FAKE[:100], "../../etc/pass\u202ewd").json()
    assert report["evidence"]["name"] == "pass\ufffdwd"
    report = api.post("/analyze", FAKE[:100], "C:\\Users\\me\\a.jpg").json()
    assert report["evidence"]["name"] == "a.jpg"


@pytest.mark.parametrize("parameter", ["path", "image", "url", "file"])
@pytest.mark.parametrize("value", [str(PHOTOGRAPH), "file:///etc/passwd", "http://127.0.0.1:1/a.jpg"])
def test_no_path_of_the_server_and_no_address_is_ever_read(api, parameter, value):
    """A path or address is never read, neither from the query nor from any field of the form."""
    detail = problem(api.post(f"/analyze?{parameter}={value}", FAKE), 422)
    assert parameter in detail
    answer = requests.post(f"{api.address}/analyze", files={parameter: (None, value)}, timeout=PATIENCE_S)
    assert "Send the file" in problem(answer, 400)
    answer = requests.post(f"{api.address}/analyze", json={parameter: value}, timeout=PATIENCE_S)
    assert "multipart/form-data" in problem(answer, 415)


def test_reports_and_pictures_of_an_upload_are_found_by_its_hash(api):
    report = api.post("/analyze?explain=true", FAKE, "a.jpg").json()
    assert api.get(f"/reports/{FAKE_SHA256}").json() == report
    names = api.get(f"/reports/{FAKE_SHA256}/pictures").json()["pictures"]
    assert names == ["boxes.png", "heatmap.png", "face-1-face.png", "face-1-crop.png", "face-1-heatmap.png"]
    for name in names:
        answer = api.get(f"/reports/{FAKE_SHA256}/pictures/{name}")
        assert answer.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(answer.content)).format == "PNG"
    problem(api.get(f"/reports/{FAKE_SHA256}/pictures/other.png"), 404)
    problem(api.get(f"/reports/{FAKE_SHA256}/pictures/..%2f..%2fetc%2fpasswd"), 404)
    problem(api.get(f"/reports/{'0' * 64}"), 404)


def test_what_a_file_holds_besides_its_picture_is_analyzed_on_request(api, clip):
    photograph = PHOTOGRAPH.read_bytes()
    both = jpeg(FAKE) + jpeg(photograph)
    (content,) = api.post("/analyze", both, "both.jpg").json()["evidence"]["embedded"]
    own = api.post("/analyze?embedded=1", both, "both.jpg").json()
    assert own["evidence"]["sha256"] == hashlib.sha256(jpeg(photograph)).hexdigest()
    assert own["evidence"]["size_bytes"] == content["size"]
    assert own["score"] == api.post("/analyze", jpeg(photograph), "own.jpg").json()["score"]
    assert "1 content" in problem(api.post("/analyze?embedded=2", both, "both.jpg"), 422)
    problem(api.post("/analyze?embedded=0", both, "both.jpg"), 422)
    assert api.post("/analyze?embedded=1", jpeg(FAKE) + clip, "motion.jpg").status_code == 202  # a video: a job


def test_a_video_is_a_job_that_brings_its_report(api, clip):
    answer = api.post("/analyze", clip, "clip.mp4")
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    events = api.get(f"/jobs/{job['id']}/events", stream=True)
    assert events.headers["content-type"].startswith("text/event-stream")
    lines = events.iter_lines(decode_unicode=True)
    pairs = [(line.partition(": ")[2], json.loads(next(lines).partition(": ")[2])) for line in lines if line]
    names, states = zip(*pairs, strict=True)
    assert (names[-1], states[-1]["state"]) == ("end", "done")
    assert set(names[:-1]) <= {"progress"}
    shares = [state["share"] for state in states]
    assert shares == sorted(shares)
    ended = api.get(f"/jobs/{job['id']}").json()
    assert (ended["state"], ended["share"], ended["error"]) == ("done", 1.0, None)
    report = msgspec.convert(ended["result"], VideoReport)
    assert (report.evidence.name, report.evidence.sha256) == ("clip.mp4", hashlib.sha256(clip).hexdigest())
    assert len(report.frames) > 10
    assert api.files() == []


def test_a_cancelled_job_ends_and_leaves_no_file(api, clip):
    job = api.post("/analyze", clip, "clip.mp4").json()["id"]
    waiting = api.post("/analyze", clip, "clip.mp4").json()["id"]
    assert len(api.files()) == 2
    for queued in (waiting, job):
        assert requests.delete(f"{api.address}/jobs/{queued}", timeout=PATIENCE_S).status_code == 204
        assert api.get(f"/jobs/{queued}").json()["state"] == "cancelled"
    assert api.files() == []
    problem(requests.delete(f"{api.address}/jobs/none", timeout=PATIENCE_S), 404)
    problem(api.get("/jobs/none"), 404)
    problem(api.get("/jobs/none/events"), 404)


def test_health_tells_the_model_and_the_queue(api, analyzer):
    health = api.get("/health").json()
    record = analyzer.scorer.record
    assert (health["status"], health["model"], health["weights"]) == ("ok", record.id, "verified")
    assert health["weights_sha256"] == record.weights_sha256
    assert health["queue"] == {"images": 0, "videos": 0}


def test_models_lists_every_record_with_the_state_of_its_weights(api):
    models = api.get("/models").json()
    assert [model["id"] for model in models] == list(read_registry(weights_folder()))
    assert {model["weights"] for model in models} == {"verified"}


@pytest.mark.parametrize(("kind", "path"), [("fake", SAMPLE), ("real", PHOTOGRAPH)])
def test_the_samples_are_the_bundled_pictures(api, kind, path):
    assert api.get(f"/samples/{kind}").content == path.read_bytes()
    problem(api.get("/samples/other"), 404)


def test_a_bundle_is_checked_and_an_altered_one_is_found(api, tmp_path):
    store = CaseStore(tmp_path / "store")
    case = store.create_case("Case", examiner="Ada")
    export_case(store, case.id, tmp_path / "bundle.zip", actor="Ada")
    content = (tmp_path / "bundle.zip").read_bytes()
    good = api.post("/verify", content, "bundle.zip").json()
    assert good["good"]
    assert len(good["key_sha256"]) >= 16
    altered = content.replace(b"Case", b"Fake", 1)
    bad = api.post("/verify", altered, "bundle.zip").json()
    assert not bad["good"]
    assert any(not finding["good"] for finding in bad["findings"])
    assert "not a ZIP" in problem(api.post("/verify", FAKE), 422)
    assert api.files() == []


def test_the_description_is_that_of_the_handlers_and_its_types(api):
    described = api.get("/openapi.json").json()
    assert described["openapi"] == "3.1.0"
    paths = {path: set(methods) for path, methods in described["paths"].items()}
    assert paths["/v1/jobs/{id}"] == {"get", "delete"}
    assert len(paths) == 11
    for path, methods in paths.items():
        for method in methods:
            named = (
                path.replace("{id}", "none").replace("{sha256}", "none").replace("{name}", "n").replace("{kind}", "k")
            )
            answer = requests.request(method, api.address.removesuffix("/v1") + named, timeout=PATIENCE_S)
            assert str(answer.status_code) in described["paths"][path][method]["responses"], (path, answer.text)
    text = json.dumps(described)
    references = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert references <= set(described["components"]["schemas"])
    assert "$defs" not in text


def test_an_address_or_method_that_is_not_there_is_a_problem(api):
    assert "openapi.json" in problem(api.get("/nothing"), 404)
    answer = requests.put(f"{api.address}/analyze", timeout=PATIENCE_S)
    assert "openapi.json" in problem(answer, 405)
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("query", "word"),
    [("effort=best", "effort"), ("raw=maybe", "raw"), ("raw=true&raw=false", "twice"), ("frames=3", "frames")],
)
def test_a_query_that_is_impossible_is_refused(api, query, word):
    assert word in problem(api.post(f"/analyze?{query}", FAKE), 422)


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("multipart/form-data", b"", 400),
        ("multipart/form-data; boundary=", b"--\r\n", 422),
        ("multipart/form-data; boundary=x", b"", 422),
        ("multipart/form-data; boundary=x", b"\x00" * 1000, 400),
        (
            "multipart/form-data; boundary=x",
            PART + b"abc",
            422,
        ),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\nabc\r\n--x--\r\n", 400),
        ("multipart/form-data; boundary=x; charset=\xff", b"--x--\r\n", 422),
        ("multipart/form-data; boundary=" + "x" * 5000, b"", 400),
        ("application/json", b"{}", 415),
        ("", b"", 415),
    ],
)
def test_a_broken_body_is_refused_and_leaves_no_file(api, content_type, body, status):
    headers = {"Content-Type": content_type.encode("latin-1")}
    problem(requests.post(f"{api.address}/analyze", data=body, headers=headers, timeout=PATIENCE_S), status)
    assert api.files() == []


def test_two_files_in_one_request_are_refused(api):
    files = [("file", ("a.jpg", FAKE)), ("file", ("b.jpg", FAKE))]
    problem(requests.post(f"{api.address}/analyze", files=files, timeout=PATIENCE_S), 400)


def test_an_upload_over_the_limit_is_refused_whether_it_says_its_length_or_not(api):
    content = b"\0" * 8_200_000
    assert "8,000,000 bytes" in problem(api.post("/analyze", content), 413)

    def unannounced():
        yield PART
        for _ in range(100):
            yield b"\0" * 100_000

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    for _ in range(5):  # the answer is read even if the client had not said everything
        answer = requests.post(f"{api.address}/analyze", data=unannounced(), headers=headers, timeout=PATIENCE_S)
        assert "8,000,000 bytes" in problem(answer, 413)
    eventually(lambda: api.files() == [])


def test_an_upload_that_is_broken_off_leaves_no_file_and_the_server_goes_on(api):
    for part in (b"", b"--x\r\n", PART + FAKE):
        with socket.create_connection(("127.0.0.1", api.port)) as client:
            head = f"POST /v1/analyze HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {10**6}\r\n"
            client.sendall(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode() + part)
            time.sleep(0.1)
    assert api.get("/health").json()["status"] == "ok"
    eventually(lambda: api.files() == [])


def test_a_client_that_hangs_up_while_its_picture_is_analyzed_frees_its_place(api):
    with socket.create_connection(("127.0.0.1", api.port)) as client:
        body = PART + FAKE + b"\r\n--x--\r\n"
        head = f"POST /v1/analyze HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        client.sendall(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode() + body)
        eventually(lambda: api.service.images.live() != [])
    eventually(lambda: api.service.images.live() == [])
    assert api.post("/analyze", FAKE).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",  # TLS
        b"GET /v1/health HTTP/1.1\r\n\r\n",  # names no host
        b"GET /v1/health HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 1_000_000,
        b"POST /v1/analyze HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/analyze HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    ],
)
def test_requests_that_are_not_http_get_a_problem(api, sent):
    head, _, body = exchange(api.port, sent).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in head
    if len(sent) < 1000:  # else the client is cut off while it still sends
        assert json.loads(body)["status"] == 400


def exchange(port: int, sent: bytes) -> bytes:
    """Return the complete response of the server, until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
        answer = b""
        with contextlib.suppress(OSError):
            client.sendall(sent)
            while part := client.recv(65536):
                answer += part
        return answer


def test_connections_that_never_end_their_headers_do_not_keep_others_out(analyzer, tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "_HEAD_S", 1.0)
    monkeypatch.setattr(connection, "CONNECTIONS", 3)
    with served(analyzer, tmp_path, requests_per_minute=0) as crowded, contextlib.ExitStack() as stack:
        for sent in (b"", b"GET /v1/health HTTP/1.1\r\nX: y", b"GET"):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", crowded.port)))
            client.sendall(sent)
        answer = crowded.get("/health")
        assert "Too many connections" in problem(answer, 503)
        assert answer.headers["retry-after"]
        eventually(lambda: crowded.get("/health").status_code == 200)


def send_for_ever(client: socket.socket, sent: bytes) -> None:
    while True:
        client.sendall(sent)
        time.sleep(0.01)


def test_an_answer_that_is_not_read_ends_its_connection(analyzer, tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "_STUCK_S", 0.5)
    with served(analyzer, tmp_path, requests_per_minute=0) as api:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(PATIENCE_S)
            client.connect(("127.0.0.1", api.port))
            with pytest.raises(ConnectionError):  # its requests are not taken any more either, so that nothing piles up
                send_for_ever(client, b"GET /v1/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 100)
        assert api.get("/health").status_code == 200


def test_a_body_that_nobody_reads_does_not_hold_the_connection(analyzer, tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "_HEAD_S", 0.5)
    with (
        served(analyzer, tmp_path, requests_per_minute=0) as api,
        socket.create_connection(("127.0.0.1", api.port), PATIENCE_S) as client,
    ):
        client.sendall(b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n")
        assert b" 200 " in client.recv(65536)
        with pytest.raises(ConnectionError):
            send_for_ever(client, b"x")


def test_uploads_that_wait_do_not_fill_disk_and_memory(analyzer, tmp_path):
    with served(analyzer, tmp_path, requests_per_minute=0, upload_bytes=len(FAKE), images=1) as api:
        gate = threading.Event()
        api.service.images.submit("held", "held", lambda *, progress, cancel: gate.wait(PATIENCE_S), owner="other")
        answers: list[requests.Response] = []
        threads = [threading.Thread(target=lambda: answers.append(api.post("/analyze", FAKE))) for _ in range(3)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(api.files()) == 3)
        answer = api.post("/analyze", FAKE)
        assert "wait to be analyzed" in problem(answer, 503)
        assert answer.headers["retry-after"]
        gate.set()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert [answer.status_code for answer in answers] == [200] * 3
        assert api.post("/analyze", FAKE).status_code == 200
        assert api.service.pending._bytes == 0


def test_what_is_opened_within_a_file_waits_for_its_turn(analyzer, tmp_path):
    both = jpeg(FAKE) + jpeg(PHOTOGRAPH.read_bytes())
    with served(analyzer, tmp_path, requests_per_minute=0, images=1) as api:
        gate, answers = threading.Event(), []
        api.service.images.submit("held", "held", lambda *, progress, cancel: gate.wait(PATIENCE_S), owner="other")
        thread = threading.Thread(target=lambda: answers.append(api.post("/analyze?embedded=1", both)))
        thread.start()
        eventually(lambda: len(api.service.images.live()) == 2)
        gate.set()
        thread.join(PATIENCE_S)
        assert answers[0].status_code == 200
        assert problem(api.post("/analyze?embedded=2", both), 422)
        eventually(lambda: not api.files())


def test_a_damaged_file_of_keys_opens_nothing_and_its_path_is_not_told(analyzer, tmp_path):
    with served(analyzer, tmp_path, requests_per_minute=0) as api:
        described = api.get("/openapi.json").json()["paths"]
        (tmp_path / "api-keys.json").write_text("[{]")
        for path, methods in described.items():
            for method, operation in methods.items():
                answer = requests.request(method, api.address.removesuffix("/v1") + path, timeout=PATIENCE_S)
                assert str(tmp_path) not in problem(answer, 503)
                assert "503" in operation["responses"], path


def test_without_keys_no_web_page_reaches_the_server(api):
    foreign = {"Host": "evil.example"}
    assert "localhost" in problem(api.get("/health", headers=foreign), 421)
    page = {"Origin": "http://6.6.6.6"}
    assert "localhost" in problem(api.post("/analyze", FAKE, headers=page), 421)
    assert api.get("/health", headers={"Host": f"localhost:{api.port}"}).status_code == 200


def test_many_clients_at_once_get_their_own_answers(api):
    answers: dict[int, dict] = {}

    def ask(number: int) -> None:
        answers[number] = api.post("/analyze", (FAKE, PHOTOGRAPH.read_bytes())[number % 2], f"{number}.jpg").json()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert [answers[number]["evidence"]["name"] for number in range(8)] == [f"{number}.jpg" for number in range(8)]
    assert [answers[number]["outcome"] for number in range(0, 8, 2)] == ["manipulated"] * 4


def test_keys_open_what_their_scopes_say_and_nothing_of_other_clients(analyzer, tmp_path):
    with served(analyzer, tmp_path, requests_per_minute=0) as locked:
        assert locked.get("/models").status_code == 200  # no key was made yet
        _, reader = locked.keys.create("reader", [Scope.READ])
        key, both = locked.keys.create("both")
        read, full = ({"Authorization": f"Bearer {secret}"} for secret in (reader, both))
        answer = locked.get("/models")
        assert "Authorization" in problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")
        problem(locked.get("/models", headers={"Authorization": "Bearer wrong"}), 401)
        problem(locked.get("/models", headers={"Authorization": f"Basic {both}"}), 401)
        assert locked.get("/models", headers=read).status_code == 200
        assert "analyze" in problem(locked.post("/analyze", FAKE, headers=read), 403)
        assert locked.post("/analyze", FAKE, headers=full).status_code == 200
        assert locked.get(f"/reports/{FAKE_SHA256}", headers=full).status_code == 200
        problem(locked.get(f"/reports/{FAKE_SHA256}", headers=read), 404)
        assert locked.get("/health").status_code == 200
        locked.keys.revoke(key.id)
        problem(locked.post("/analyze", FAKE, headers=full), 401)


def test_a_client_that_asks_too_often_is_told_when_to_come_back(analyzer, tmp_path):
    with served(analyzer, tmp_path, requests_per_minute=3) as limited:
        assert [limited.get("/health").status_code for _ in range(3)] == [200] * 3
        answer = limited.get("/health")
        assert "try again" in problem(answer, 429)
        assert 1 <= int(answer.headers["retry-after"]) <= 20


def test_work_beyond_the_time_limit_is_stopped_and_a_full_queue_says_so(analyzer, clip, tmp_path):
    with served(analyzer, tmp_path, requests_per_minute=0, work_s=1e-6) as short:
        assert "stopped at the limit" in problem(short.post("/analyze", FAKE), 422)
        job = short.post("/analyze", clip, "clip.mp4").json()["id"]
        eventually(lambda: short.get(f"/jobs/{job}").json()["state"] == "failed")
        assert "stopped at the limit" in short.get(f"/jobs/{job}").json()["error"]
        gate = threading.Event()
        for number in range(9):
            short.service.videos.submit(
                number, "held", lambda *, progress, cancel: gate.wait(PATIENCE_S), owner="address 127.0.0.1"
            )
            eventually(lambda: any(job.state == "running" for job in short.service.videos.live()))
        answer = short.post("/analyze", clip, "clip.mp4")
        assert "already waiting" in problem(answer, 503)
        assert answer.headers["retry-after"]
        assert short.files() == []
        gate.set()


def test_an_upload_that_takes_too_long_is_refused(analyzer, tmp_path):
    with (
        served(analyzer, tmp_path, upload_s=0.2) as hasty,
        socket.create_connection(("127.0.0.1", hasty.port)) as client,
    ):
        head = "POST /v1/analyze HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n"
        client.sendall(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n--x".encode())
        client.settimeout(PATIENCE_S)
        assert b" 408 " in client.recv(65536)


def test_another_address_is_refused_without_a_key(tmp_path):
    command = [sys.executable, "-m", "faceloupe", "api", "--host", "0.0.0.0", "--port", "0"]
    environment = os.environ | {"FACELOUPE_DATA": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert "without a key" in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_the_client_of_the_documentation_gets_an_answer_from_the_command(tmp_path):
    """The command serves every address with a key; the lines of the page are run literally."""
    environment = os.environ | {"FACELOUPE_DATA": str(tmp_path), "FACELOUPE_EFFORT": "quick"}
    run = [sys.executable, "-m", "faceloupe", "api"]
    made = subprocess.run([*run, "key", "create", "docs"], capture_output=True, text=True, env=environment, check=True)
    page = (ROOT / "docs" / "http-api.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    assert len(code.strip().splitlines()) <= 15
    command = [*run, "--host", "0.0.0.0", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        try:
            address = process.stdout.readline().split("served on ")[1].split(";")[0].replace("0.0.0.0", "127.0.0.1")
            (tmp_path / "portrait.jpg").write_bytes(FAKE)
            client = environment | {"FACELOUPE_API": address, "FACELOUPE_API_KEY": made.stdout.strip()}
            command = [sys.executable, "-c", code]
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=client, cwd=tmp_path)
            assert done.stdout.startswith("manipulated"), done.stderr
        finally:
            process.terminate()
            assert process.wait(PATIENCE_S) == 0
    listed = subprocess.run([*run, "key", "list"], capture_output=True, text=True, env=environment, check=True)
    assert "docs" in listed.stdout
    assert made.stdout.strip() not in listed.stdout


@pytest.mark.parametrize(
    ("content", "work_s", "error"),
    [("picture", 600.0, None), ("clip", 600.0, None), ("clip", 1e-6, "stopped at the limit"), ("picture", 1e-6, "422")],
)
def test_the_client_of_the_documentation_prints_a_finding_or_says_why_not(
    analyzer, clip, tmp_path, monkeypatch, capsys, *, content, work_s, error
):
    code = (ROOT / "docs" / "http-api.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    (tmp_path / "portrait.jpg").write_bytes(clip if content == "clip" else FAKE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACELOUPE_API_KEY", "none")
    with served(analyzer, tmp_path, requests_per_minute=0, work_s=work_s) as api:
        monkeypatch.setenv("FACELOUPE_API", api.address)
        if error is None:
            exec(code, {})
            assert capsys.readouterr().out.startswith("manipulated ")
        else:
            with pytest.raises((SystemExit, requests.HTTPError), match=error):
                exec(code, {})
