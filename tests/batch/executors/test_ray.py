"""The Ray engine, on this machine and on a cluster of local nodes. Needs requirements-cluster.txt."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from functools import partial

import pytest

from faceloupe.batch.api import BatchSpec, run_batch
from faceloupe.batch.executors.pool import GIVEN_UP
from faceloupe.errors import FaceLoupeError, UsageError
from faceloupe.installation import ROOT
from faceloupe.types import Outcome
from tests.batch.conftest import LIGHT, read
from tests.conftest import GENERATED, PHOTOGRAPH

ray = pytest.importorskip("ray", reason="ray is not installed: pip install -r requirements-cluster.txt")

from faceloupe.batch.executors.ray import RayEngine  # noqa: E402 - after ray is known to be there

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # ray's own warnings


@pytest.fixture
def on_ray(tmp_path, settings):
    """Carries out a batch with light workers on Ray; the table is ``ray.csv``."""

    def carry(*paths, work=LIGHT, address=None, workers=2, **others):
        spec = BatchSpec(tuple(map(str, paths)), tmp_path / "ray.csv")
        engine = partial(RayEngine, work=work, address=address, workers=workers)
        return run_batch(spec, settings, make_engine=engine, **others)

    return carry


@pytest.fixture
def cluster():
    """A head without cores, and two nodes with one each."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [made.add_node(num_cpus=1) for _ in range(2)]
    made.wait_for_nodes()
    yield made, nodes
    ray.shutdown()
    made.shutdown()


def test_the_rows_are_those_of_the_local_engine(on_ray, batch, folder, tmp_path):
    (folder / "0" / "SEGV").write_bytes(b"bad")
    (folder / "1" / "KILL").write_bytes(b"bad, too")
    shutil.copy(folder / "0" / "000.bin", folder / "2" / "copy")
    batch(folder)
    batch_progress = on_ray(folder)
    assert (tmp_path / "ray.csv").read_bytes() == (tmp_path / "out.csv").read_bytes()
    assert batch_progress.outcomes[Outcome.ERROR] == 2
    assert {row["reason"] for row in read(tmp_path / "ray.csv") if row["outcome"] == "error"} == {GIVEN_UP}


def test_the_pipeline_gives_the_same_rows_on_ray(on_ray, batch, tmp_path):
    for number, path in enumerate((GENERATED, PHOTOGRAPH, PHOTOGRAPH)):
        (tmp_path / "in").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "in" / f"{number}{path.suffix}")
    work = "faceloupe.batch.executors.worker:AnalysisWorker"
    batch(tmp_path / "in", work=work, workers=1)
    on_ray(tmp_path / "in", work=work, workers=1)
    assert (tmp_path / "ray.csv").read_bytes() == (tmp_path / "out.csv").read_bytes()
    assert read(tmp_path / "ray.csv")[0]["outcome"] == "manipulated"


def test_a_node_that_is_lost_costs_no_row(on_ray, batch, folder, tmp_path, cluster):
    made, (lost, _) = cluster
    for number in range(20):
        (folder / "1" / f"SLOW {number:02}").write_bytes(f"slow {number}".encode())
    batch(folder)
    removed = []

    def remove(batch_progress):
        if not removed and batch_progress.done >= 25:
            removed.append(lost)
            made.remove_node(lost, allow_graceful=False)

    batch_progress = on_ray(folder, address=made.address, progress=remove)
    assert removed
    assert batch_progress.outcomes[Outcome.AUTHENTIC] == 80
    assert (tmp_path / "ray.csv").read_bytes() == (tmp_path / "out.csv").read_bytes()


def test_a_cluster_that_is_not_there_is_named(on_ray, folder):
    with pytest.raises(UsageError, match=r"cluster at 127\.0\.0\.1:1 "):
        on_ray(folder, address="127.0.0.1:1")


def test_without_an_address_no_cluster_that_others_started_is_joined(on_ray, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    on_ray(folder / "0", workers=1)
    assert len(read(tmp_path / "ray.csv")) == 20


def test_workers_without_weights_end_the_batch(on_ray, folder):
    with pytest.raises(FaceLoupeError, match="are missing"):
        on_ray(folder, work="tests.batch.workers:Unready", workers=1)


def listens(port: int) -> None:
    """Wait until something on this machine does at that port."""
    until = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if time.monotonic() > until:
            raise TimeoutError(port)
        time.sleep(0.1)


@pytest.fixture
def started(tmp_path):
    """Nodes on this machine, started as docs/scaling.md describes, with a token: the address and the environment."""
    lines = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8").splitlines()
    commands = [line.removeprefix(".venv/bin/") for line in lines if line.startswith(".venv/bin/ray start")]
    assert len(commands) == 2
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a1" * 32}  # pragma: allowlist secret
    nodes = []
    for command in commands:
        words_of_command = command.replace("HOST", "127.0.0.1").replace("6379", port).split()
        here = ["--block", "--node-ip-address", "127.0.0.1", "--num-cpus", "1", "--include-dashboard", "false"]
        here = here if "--head" in words_of_command else here[:-2]
        nodes.append(
            subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", *words_of_command[1:], *here],
                env=os.environ | token,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        listens(int(port))
    yield f"127.0.0.1:{port}", token
    for node in reversed(nodes):
        node.terminate()
        node.wait(30)


def test_a_cluster_as_the_documentation_starts_it_examines_for_those_who_have_its_token(started, tmp_path):
    address, token = started
    shutil.copy(GENERATED, tmp_path / "photo.jpg")

    def batch(table, environment):
        command = ["batch", "photo.jpg", "--csv", table, "--engine", "ray", "--ray-address", address]
        return subprocess.run(
            [sys.executable, "-m", "faceloupe", *command],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")} | environment,
            capture_output=True,
            timeout=180,
            check=False,
        )

    done = batch("with.csv", token)
    assert done.returncode == 0, done.stderr
    assert [row["outcome"] for row in read(tmp_path / "with.csv")] == ["manipulated"]
    assert batch("without.csv", {"RAY_AUTH_MODE": "disabled"}).returncode != 0
