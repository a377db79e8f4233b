"""The public demo: pages driven as a visitor would, and the Space as it would be pushed, served on a real socket."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import requests
import yaml
from streamlit.testing.v1 import AppTest
from tools import space

from faceloupe.installation import APP
from faceloupe.ui import resources, state
from tests.conftest import GENERATED, SAMPLE
from tests.pages.record import TIMEOUT, go
from tests.pages.test_pages import page_text

PATIENCE_S = 400  # on a machine that does much else


@pytest.fixture
def demo(monkeypatch):
    monkeypatch.setenv("FACELOUPE_DEMO", "1")
    monkeypatch.setenv("FACELOUPE_EVIDENCE", "/")
    for cached in (resources._server, resources.long_jobs, resources.short_jobs):
        cached.clear()
    yield AppTest.from_file(str(APP), default_timeout=TIMEOUT).run()
    for cached in (resources._server, resources.long_jobs, resources.short_jobs):
        cached.clear()


def test_a_visitor_gets_a_verdict_and_nothing_is_written(demo, data_folder):
    demo.button(key=f"sample-{SAMPLE.stem}").click().run()
    assert not demo.exception
    text = page_text(demo).replace("\\", "")
    assert "manipulated" in text
    assert "is not kept" in text
    assert not {"this machine", "Not filed", "Open a case"} & set(text.split("  "))
    assert "nothing leaves this machine" not in text
    assert not data_folder.exists()


def test_there_are_no_cases_no_batches_and_no_folders(demo):
    for page in ("cases", "case", "report", "batch", "models", "verify"):
        with pytest.raises(ValueError, match="Could not find a navigation page"):
            go(demo, page)
    go(demo, "video")
    assert [box.key for box in demo.selectbox] == []


def test_what_is_larger_than_the_limit_and_several_files_at_once_are_refused(demo):
    demo.file_uploader(key="upload").upload("large.png", GENERATED.read_bytes() + b"\0" * 10_000_001, "image/png").run()
    assert not demo.exception
    key = demo.session_state[state.RESULT]
    assert resources.analyses().get(key).report.outcome == "error"
    go(demo, "start")
    archive = ("a.zip", b"PK\x03\x04" + b"\0" * 100, "application/zip")
    demo.file_uploader(key="upload").upload(*archive).run()
    assert "one photo or video at a time" in page_text(demo)


def test_images_and_videos_wait_in_one_queue(demo):
    assert resources.short_jobs() is resources.long_jobs()


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_S)
def test_the_space_starts_and_answers_under_any_name(tmp_path):
    folder = tmp_path / "space"
    space.assemble(folder)
    front = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert (front["sdk"], front["license"]) == ("docker", "mit")
    docker = (folder / "Dockerfile").read_text(encoding="utf-8")
    assert f"EXPOSE {front['app_port']}" in docker
    assert "FACELOUPE_DEMO=1" in docker.splitlines()[-1]
    for line in docker.splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for name in line.split()[1:-1]:
                assert list(folder.glob(name)), line
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"FACELOUPE_DEMO": "1", "PYTHONPATH": str(folder / "src"), "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-m", "faceloupe", "app", "--port", str(port)]
    app = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + PATIENCE_S / 2
        while True:
            try:
                headers = {"Host": "somebody-faceloupe.hf.space"}
                answer = requests.get(f"http://127.0.0.1:{port}/", headers=headers, timeout=10)
                assert (answer.status_code, "streamlit" in answer.text.lower()) == (200, True)
                break
            except requests.ConnectionError:
                assert app.poll() is None, app.stdout.read()
                assert time.monotonic() < deadline
                time.sleep(0.5)
    finally:
        app.send_signal(signal.SIGTERM)
        output, _ = app.communicate(timeout=PATIENCE_S)
    assert f"Self-check: {SAMPLE.name}".encode() in output
    assert b"without a password" not in output
