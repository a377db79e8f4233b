"""The first launch: missing weights are fetched, and no other request is sent."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys

import pytest

from faceloupe.config import QUICK_MODEL, weights_folder
from faceloupe.installation import ROOT
from tests.models.releases import served, status, whole


def launch(folder, releases: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment |= {"FACELOUPE_WEIGHTS": str(folder), "FACELOUPE_RELEASES": releases}
    command = [sys.executable, "-m", "faceloupe.ui.selfcheck"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def without_weights(tmp_path):
    """A copy of the committed registry, as a slim image has it."""
    shutil.copytree(weights_folder(), tmp_path / "weights", ignore=shutil.ignore_patterns("*.safetensors"))
    return tmp_path / "weights"


@pytest.mark.slow
def test_the_first_launch_fetches_what_scores_and_no_more(without_weights):
    name = f"{QUICK_MODEL}.safetensors"
    content = (weights_folder() / name).read_bytes()
    with served(lambda handler: whole(handler, content)) as server:
        done = launch(without_weights, server.address)
        assert done.returncode == 0, done.stderr
        assert server.asked == [(f"/{name}", None)]
    assert f"Fetched and verified: {name}\n" in done.stdout
    assert f"weights {hashlib.sha256(content).hexdigest()[:8]} verified" in done.stdout
    assert [path.name for path in without_weights.glob("*.safetensors")] == [name]
    again = launch(without_weights, "")  # offline from here on
    assert (again.returncode, again.stderr) == (0, "")


@pytest.mark.slow
def test_a_first_launch_that_cannot_fetch_says_why_and_stops(without_weights):
    with served(status(404)) as server:
        done = launch(without_weights, server.address)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("Self-check failed: ")
    assert "answered 404" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(without_weights.glob("*.safetensors"))


def test_the_server_asks_nobody_for_its_address(monkeypatch):
    from streamlit import net_util

    from faceloupe.ui import serve

    asked = []
    monkeypatch.setattr(net_util, "get_external_ip", net_util.get_external_ip)  # put back at the end
    monkeypatch.setattr(net_util, "_external_ip", None)
    monkeypatch.setattr(socket, "create_connection", lambda *address, **_: asked.append(address))
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: asked.append(address))
    serve.disable_address_lookup()
    assert net_util.get_external_ip() is None
    assert asked == []
