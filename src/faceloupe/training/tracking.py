"""A thin interface to MLflow: tracks training runs, and registers the versions of the models that they made.

MLflow is optional: a run also writes the same numbers to files. If MLflow is not installed, or its store fails during a
run, the run continues untracked.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceloupe.errors import UsageError
from faceloupe.installation import ROOT

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXPERIMENT = "faceloupe"
STORE, ARTIFACTS = "mlflow.db", "mlartifacts"  # in the working folder
MODEL = "model"  # artifact folder of a run that a registered version points to
_WEIGHTS_HASH, _RECORD_HASH = "weights_sha256", "record_sha256"  # tags that identify a version
_said: set[str] = set()


def _say_once(text: str) -> None:
    if text not in _said:
        _said.add(text)
        print(text, file=sys.stderr, flush=True)


def _client(folder: Path) -> "MlflowClient | None":
    """Return a client of the tracking store, and create the experiment if needed; None if mlflow is not installed.

    Raises:
        UsageError: the store cannot be opened.
    """
    # MLflow reads these at its first import. It reports its use over the network unless told not to.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # it logs every table that it creates
    try:
        from mlflow.tracking import MlflowClient  # here: mlflow is optional
    except ImportError:
        _say_once("mlflow is not installed (requirements-training.txt), so this run is not tracked.")
        return None
    remote = os.environ.get("MLFLOW_TRACKING_URI")
    folder = folder.resolve()
    uri = remote or f"sqlite:///{folder / STORE}"
    failures: tuple[type[Exception], ...] = (*_failures(), ImportError)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        client = MlflowClient(tracking_uri=uri, registry_uri=os.environ.get("MLFLOW_REGISTRY_URI") or uri)
        if client.get_experiment_by_name(EXPERIMENT) is None:
            # A server has its own folder for artifacts. With a local store, MLflow would put them into the current
            # folder.
            client.create_experiment(EXPERIMENT, None if remote else (folder / ARTIFACTS).as_uri())
    except failures as problem:
        raise UsageError(f"The tracking store {uri} cannot be opened: {_first_line(problem)}") from problem
    return client


def _failures() -> tuple[type[Exception], ...]:
    """Return the exceptions of a failing store; MLflow passes on some database errors unchanged."""
    from mlflow.exceptions import MlflowException  # here: mlflow is optional

    try:
        from sqlalchemy.exc import SQLAlchemyError  # here: mlflow is optional
    except ImportError:  # not needed with a server
        return MlflowException, OSError
    return MlflowException, SQLAlchemyError, OSError


def _first_line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0]


def _flat(settings: Any) -> dict[str, str]:
    """Return settings as MLflow parameters; values that are not strings are written as JSON."""
    values = asdict(settings) if is_dataclass(settings) and not isinstance(settings, type) else dict(settings)
    return {
        name: value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
        for name, value in values.items()
    }


def _commit() -> dict[str, str]:
    """Return the commit of the code as a tag; empty outside a checkout."""
    try:
        completed = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"mlflow.source.git.commit": completed.stdout.strip()}


class Run:
    """One tracked run; all methods do nothing if it is not tracked."""

    def __init__(self, client: "MlflowClient | None" = None, run_id: str = "") -> None:
        self._client = client
        self._run_id = run_id

    @property
    def run_id(self) -> str:
        """The run's id in MLflow; empty if the run is not tracked."""
        return self._run_id

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Store the numbers of a step."""
        if self._client is None:
            return
        from mlflow.entities import Metric  # here: mlflow is optional

        now = int(time.time() * 1000)
        self._try("log_batch", metrics=[Metric(name, float(value), now, step) for name, value in values.items()])

    def artifact(self, path: Path, folder: str = "") -> None:
        """Store a copy of a file or a folder, in a folder of the run's artifacts."""
        self._try("log_artifacts" if path.is_dir() else "log_artifact", str(path), folder or None)

    def figure(self, path: Path) -> None:
        """Store a copy of a picture among the figures."""
        self.artifact(path, "figures")

    def _settings(self, settings: Any) -> None:
        if self._client is None:
            return
        from mlflow.entities import Param  # here: mlflow is optional

        self._try("log_batch", params=[Param(name, value) for name, value in _flat(settings).items()])

    def _end(self, status: str) -> None:
        self._try("set_terminated", status)

    def _try(self, method: str, *arguments: Any, **named: Any) -> None:
        """Call a method of the client; a failing store ends the tracking, so that it cannot end hours of training."""
        if self._client is None:
            return
        try:
            getattr(self._client, method)(self._run_id, *arguments, **named)
        except _failures() as problem:
            self._client = None
            _say_once(f"The tracking store failed, so the rest of this run is not tracked: {_first_line(problem)}")


@contextmanager
def start(name: str, settings: Any, folder: Path, *, run_id: str = "") -> Iterator[Run]:
    """Track the code inside the ``with``; an exception marks the run as failed and is raised again.

    Args:
        name: name of the run.
        settings: a dataclass or a mapping, stored as parameters.
        folder: working folder; it holds the store ``mlflow.db`` and the artifacts in ``mlartifacts``. The environment
            variable ``MLFLOW_TRACKING_URI`` selects another store.
        run_id: id of an interrupted run to continue; if the store does not know it, a new run begins.

    Raises:
        UsageError: the store cannot be opened.
    """
    client = _client(folder)
    run = Run() if client is None else _begin(client, name, settings, run_id)
    try:
        yield run
    except BaseException as problem:
        run._end("FAILED" if isinstance(problem, Exception) else "KILLED")
        raise
    run._end("FINISHED")


def _begin(client: "MlflowClient", name: str, settings: Any, run_id: str) -> Run:
    if run_id and _known(client, run_id):
        run = Run(client, run_id)
        run._try("update_run", "RUNNING")
        return run
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        raise UsageError(f"The tracking store has lost its experiment {EXPERIMENT}; start the run again.")
    begun = client.create_run(experiment.experiment_id, run_name=name, tags=_commit())
    run = Run(client, begun.info.run_id)
    run._settings(settings)
    return run


def _known(client: "MlflowClient", run_id: str) -> bool:
    from mlflow.exceptions import MlflowException  # here: mlflow is optional

    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException:
        return False


def register(run_id: str, record: Path, weights: Path, folder: Path) -> str:
    """Register a model in MLflow; its record and its weights become artifacts of the run that made it.

    The same weights with the same record are registered only once. The weights stay safetensors; nothing is pickled.

    Args:
        run_id: id of the training run.
        record: JSON file of the model record; its id names the registered model.
        weights: safetensors file.
        folder: see ``start``.

    Returns:
        Version number; empty if the run was not tracked, or the store does not know it.

    Raises:
        UsageError: the store cannot be opened, or refuses the entry.
    """
    if not run_id:
        _say_once(f"{record.name} comes of a run that was not tracked, so mlflow's registry does not list it.")
        return ""
    client = _client(folder)
    if client is None:
        return ""
    if not _known(client, run_id):
        _say_once(f"{record.name} comes of run {run_id}, which mlflow does not know, so its registry does not list it.")
        return ""
    content = record.read_bytes()
    name = json.loads(content)["id"]
    tags = {_RECORD_HASH: hashlib.sha256(content).hexdigest()}
    tags[_WEIGHTS_HASH] = hashlib.sha256(weights.read_bytes()).hexdigest()
    try:
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        for version in client.search_model_versions(f"name = '{name}'"):
            if tags.items() <= version.tags.items():
                return str(version.version)
        # The folder is named by the record's hash: a later calibration of the run must not change an earlier version.
        artifact_folder = f"{MODEL}/{tags[_RECORD_HASH][:12]}"
        for path in (record, weights):
            client.log_artifact(run_id, str(path), artifact_folder)
        source = f"{client.get_run(run_id).info.artifact_uri}/{artifact_folder}"
        return str(client.create_model_version(name, source, run_id, tags=tags).version)
    except _failures() as problem:
        raise UsageError(f"mlflow's registry refuses {name}: {_first_line(problem)}") from problem
