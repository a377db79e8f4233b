"""Tracking: with MLflow itself where it is installed, and without it everywhere."""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from faceloupe.errors import UsageError
from faceloupe.installation import ROOT
from faceloupe.training import tracking
from faceloupe.training.settings import Draw, Stage, TrainingSettings

# By its spec: importing mlflow here, before tracking has told it not to, would start its telemetry.
needs_mlflow = pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None, reason="mlflow is not installed (requirements-training.txt)"
)
SETTINGS = TrainingSettings(draws=(Draw(1.0, {"toy": 1.0}, {"toy": 1.0}),), stages=(Stage(64, 32),))


@pytest.fixture(autouse=True)
def apart(monkeypatch, tmp_path):
    """Use no store of the person who runs the tests, no earlier messages, and an empty current folder."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tracking, "_said", set())
    (tmp_path / "current").mkdir()
    monkeypatch.chdir(tmp_path / "current")
    yield
    assert list((tmp_path / "current").iterdir()) == []


@pytest.fixture
def no_mlflow(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    for name in [name for name in sys.modules if name.startswith("mlflow.")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def model(tmp_path) -> tuple[Path, Path]:
    """A record and its weights."""
    record, weights = tmp_path / "model-1.json", tmp_path / "model-1.safetensors"
    record.write_text(json.dumps({"id": "model-1", "threshold": 0.5}))
    weights.write_bytes(b"weights")
    return record, weights


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A working folder shared by tests that do not check the rest of the store; creating it takes seconds."""
    return tmp_path_factory.mktemp("build")


def client(folder: Path):
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{folder / tracking.STORE}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def test_without_mlflow_a_run_goes_on_and_says_so_once(no_mlflow, tmp_path, model, capsys):
    work = tmp_path / "build"
    for _ in range(2):
        with tracking.start("toy", SETTINGS, work) as run:
            run.metrics(1, {"loss": 0.5})
            run.artifact(model[0])
            run.figure(model[0])
        assert run.run_id == ""
    assert tracking.register("some-run", *model, work) == ""
    assert capsys.readouterr().err.count("mlflow is not installed") == 1
    assert not work.exists()


def test_without_mlflow_an_error_still_passes(no_mlflow, tmp_path):
    with pytest.raises(ValueError, match="mine"), tracking.start("toy", SETTINGS, tmp_path / "build"):
        raise ValueError("mine")


def test_the_door_is_opened_only_when_used():
    code = "import sys, faceloupe.training.tracking; print('mlflow' in sys.modules)"
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "False"


@needs_mlflow
def test_what_a_run_tells_is_in_the_store(work, model):
    with tracking.start("toy", SETTINGS, work) as run:
        run.metrics(5, {"loss": 0.5, "val AUC/toy": 0.75})
        run.metrics(10, {"loss": 0.25, "val AUC/none": float("nan")})
        run.artifact(model[0])
        run.figure(model[1])
    tracked = client(work).get_run(run.run_id)
    assert tracked.info.run_name == "toy"
    assert tracked.info.status == "FINISHED"
    assert tracked.data.params["batch_size"] == "32"
    assert tracked.data.params["architecture"] == "mobilenet_v3_small"
    assert json.loads(tracked.data.params["stages"]) == [{"size": 64, "images": 32}]
    assert [(m.step, m.value) for m in client(work).get_metric_history(run.run_id, "loss")] == [(5, 0.5), (10, 0.25)]
    assert tracked.data.metrics["val AUC/toy"] == 0.75
    artifacts = work / tracking.ARTIFACTS / run.run_id / "artifacts"
    stored = {str(path.relative_to(artifacts)) for path in artifacts.rglob("*") if path.is_file()}
    assert stored == {"model-1.json", "figures/model-1.safetensors"}
    assert {path.name for path in work.iterdir()} == {tracking.STORE, tracking.ARTIFACTS}


@needs_mlflow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_a_run_names_the_commit(work):
    with tracking.start("toy", SETTINGS, work) as run:
        pass
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    tags = client(work).get_run(run.run_id).data.tags
    assert tags["mlflow.source.git.commit"].removesuffix("-dirty") == head.stdout.strip()


@needs_mlflow
@pytest.mark.parametrize(("problem", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_an_error_marks_the_run_and_passes(work, problem, status):
    with pytest.raises(problem), tracking.start("toy", SETTINGS, work) as run:
        raise problem
    assert client(work).get_run(run.run_id).info.status == status


@needs_mlflow
def test_an_interrupted_run_is_taken_up_again(work):
    with tracking.start("toy", SETTINGS, work) as first:
        first.metrics(1, {"loss": 0.5})
    client(work).set_terminated(first.run_id, "KILLED")
    with tracking.start("toy", SETTINGS, work, run_id=first.run_id) as second:
        second.metrics(2, {"loss": 0.25})
    assert second.run_id == first.run_id
    assert len(client(work).get_metric_history(first.run_id, "loss")) == 2
    assert client(work).get_run(first.run_id).info.status == "FINISHED"
    with tracking.start("toy", SETTINGS, work, run_id="unknown") as other:
        assert other.run_id not in ("", "unknown", first.run_id)


@needs_mlflow
def test_a_store_that_fails_does_not_stop_the_run(work, capsys):
    with tracking.start("toy", SETTINGS, work) as run:
        run.metrics(1, {"a name / that mlflow refuses: §": 1.0})
        run.metrics(2, {"loss": 1.0})
    assert capsys.readouterr().err.count("not tracked") == 1
    assert run.run_id


@needs_mlflow
def test_a_store_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / tracking.STORE).write_bytes(b"no database, but long enough to be taken for one" * 100)
    with (
        pytest.raises(UsageError, match=r"mlflow\.db cannot be opened: ."),
        tracking.start("toy", SETTINGS, tmp_path),
    ):
        pass


@needs_mlflow
@pytest.mark.slow
def test_the_environment_names_another_store(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'other.db'}")
    tracking._client(tmp_path / "build").create_run("0")  # the store itself, without the artifact folder of ours
    assert (tmp_path / "other.db").is_file()
    assert not (tmp_path / "build" / tracking.STORE).exists()


@needs_mlflow
def test_a_model_is_registered_once_for_each_calibration(work, model):
    record, weights = model
    with tracking.start("toy", SETTINGS, work) as run:
        pass
    assert tracking.register(run.run_id, record, weights, work) == "1"
    assert tracking.register(run.run_id, record, weights, work) == "1"
    first = record.read_text()
    record.write_text(json.dumps({"id": "model-1", "threshold": 0.6}))
    assert tracking.register(run.run_id, record, weights, work) == "2"
    assert len(client(work).search_model_versions("name = 'model-1'")) == 2
    entered = client(work).get_model_version("model-1", "1")
    assert entered.run_id == run.run_id
    assert entered.tags["weights_sha256"] == hashlib.sha256(b"weights").hexdigest()
    folder = Path(client(work).get_model_version_download_uri("model-1", "1").removeprefix("file://"))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "model-1.json": first.encode(),
        "model-1.safetensors": b"weights",
    }


@needs_mlflow
@pytest.mark.parametrize(("run_id", "message"), [("", "not tracked"), ("unknown", "does not know")])
def test_a_model_of_an_unknown_run_is_not_registered(work, model, run_id, message, capsys):
    assert tracking.register(run_id, *model, work) == ""
    assert message in capsys.readouterr().err


@needs_mlflow
@pytest.mark.slow
def test_no_telemetry_is_sent(tmp_path):
    """Run in a separate process, because mlflow disables its telemetry under pytest."""
    code = """
import sys
from pathlib import Path
from faceloupe.training import tracking
with tracking.start("toy", {"a": 1}, Path(sys.argv[1])):
    pass
from mlflow.telemetry import get_telemetry_client
print(get_telemetry_client())
"""
    quiet = {"PYTEST_CURRENT_TEST", "CI", "GITHUB_ACTIONS", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"}
    environment = {name: value for name, value in os.environ.items() if name not in quiet}
    arguments = [sys.executable, "-c", code, str(tmp_path / "build")]
    completed = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "None"
