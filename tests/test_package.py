"""The package: a wheel of it works where nothing of the checkout is, and its requirements are those that are pinned."""

import ast
import json
import os
import re
import shutil
import signal
import site
import socket
import subprocess
import sys
import time
import tomllib
import venv
from importlib.metadata import requires
from pathlib import Path
from urllib.request import urlopen

import pytest
import requests
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from faceloupe.installation import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRA_FILES = {name: f"requirements-{name}.txt" for name in ("cluster", "export", "litert")}
PATIENCE_S = 600
NO_HOME = "/proc/home"  # nobody can make it, not even root


def pins(name: str) -> dict[str, str]:
    """Package -> version of a requirements file."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("#")[0].strip().split("==") for line in lines if "==" in line)


def asked(lines: list[str]) -> list[Requirement]:
    """Requirements of pyproject.toml, without those on extras of the package itself."""
    return [Requirement(line) for line in lines if not line.startswith("faceloupe[")]


@pytest.mark.parametrize("extra", ["", "app", "report", "batch", "training", "dev", *EXTRA_FILES])
def test_every_requirement_of_the_package_admits_the_version_that_is_pinned(extra):
    extras = PROJECT["project"]["optional-dependencies"] | PROJECT["dependency-groups"]
    pinned = pins("requirements.txt") | pins(EXTRA_FILES.get(extra, "requirements-training.txt"))
    for requirement in asked(extras[extra] if extra else PROJECT["project"]["dependencies"]):
        assert requirement.specifier.contains(pinned[requirement.name]), requirement


def test_every_pinned_package_is_a_requirement_of_the_package():
    lists = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    lists.append(PROJECT["dependency-groups"]["dev"])
    names = {requirement.name for lines in lists for requirement in asked(lines)}
    for name in ("requirements.txt", "requirements-training.txt", *EXTRA_FILES.values()):
        assert pins(name).keys() <= names, name


LOCK = {  # package -> versions of the lock: one for all platforms, or one for each range of Python versions
    name: set(re.findall(rf"^{name}==([^ ;]+)", text, re.M))
    for text in [(ROOT / "requirements.lock").read_text(encoding="utf-8")]
    for name in re.findall(r"^([a-z0-9-]+)==", text, re.M)
}
UNLOCKED = {"torch", "torchvision"}  # each platform has builds of its own, whose hashes differ


def needed(requirements: list[Requirement]) -> set[str]:
    """Return the names of the packages that these requirements install, by the metadata of the installed packages."""
    names: set[str] = set()
    waiting = list(requirements)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in names:
            continue
        names.add(name)
        if name not in UNLOCKED:
            asked_for = map(Requirement, requires(name) or [])
            waiting += [item for item in asked_for if item.marker is None or item.marker.evaluate({"extra": ""})]
    return names


def test_the_lock_names_all_that_app_and_api_install_and_no_build_of_torch():
    extras = PROJECT["project"]["optional-dependencies"]
    app = asked(
        [*PROJECT["project"]["dependencies"], *extras["app"], *extras["api"], *extras["report"], *extras["batch"]]
    )
    assert needed(app) - UNLOCKED <= LOCK.keys(), "write it anew: make lock"
    assert not LOCK.keys() & UNLOCKED


def test_the_lock_holds_the_pinned_versions_and_a_hash_of_every_file():
    pinned = pins("requirements.txt")
    assert {name: versions for name, versions in LOCK.items() if name in pinned and versions != {pinned[name]}} == {}
    for entry in re.split(r"^(?=[a-z0-9-]+==)", (ROOT / "requirements.lock").read_text(encoding="utf-8"), flags=re.M)[
        1:
    ]:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry.split()[0]


def test_a_command_whose_extra_is_not_installed_names_it_in_one_sentence():
    code = "import sys; sys.modules['streamlit'] = None; from faceloupe.cli.main import main; sys.exit(main(['app']))"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "faceloupe: this command needs streamlit; install it with pip install 'faceloupe[app]'.\n"


def test_messages_name_nothing_that_an_installed_package_lacks():
    named: set[str] = set()
    for path in (ROOT / "src" / "faceloupe").rglob("*.py"):
        if "training" in path.parts:  # is run from a checkout
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not re.search(r"requirements[-\w]*\.txt|`make ", node.value), (path, node.value)
                named |= set(re.findall(r"faceloupe\[([a-z]+)\]", node.value))
    assert {"cluster", "export", "litert"} <= named <= PROJECT["project"]["optional-dependencies"].keys()


class Installed:
    """A wheel in a separate environment, which sees the installed requirements but not the checkout."""

    def __init__(self, folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        build = [*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT]
        subprocess.run(build, check=True, timeout=PATIENCE_S)
        (self.wheel,) = folder.glob("faceloupe-*.whl")
        self.bin = folder / "venv" / "bin"
        venv.create(folder / "venv")
        python = self.bin / "python"
        install = [*pip, "--python", python, "install", "--quiet", "--no-deps", self.wheel]
        subprocess.run(install, check=True, timeout=PATIENCE_S)
        (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
        (packages / "requirements.pth").write_text("\n".join(site.getsitepackages()), encoding="utf-8")
        self.package = packages / "faceloupe"
        for path in (*self.package.rglob("*"), self.package):
            path.chmod(path.stat().st_mode & ~0o222)
        self.empty = folder / "empty"
        self.empty.mkdir()
        names = {name: value for name, value in os.environ.items() if not name.startswith(("FACELOUPE_", "XDG_"))}
        names.pop("PYTHONPATH", None)
        self.environment = names | {"HOME": NO_HOME, "FACELOUPE_EFFORT": "quick", "PYTHONDONTWRITEBYTECODE": "1"}

    def files(self) -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in self.package.rglob("*")}

    def start(self, program: str, *arguments: str) -> subprocess.Popen[str]:
        command = [str(self.bin / program), *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=self.empty, env=self.environment, **pipes)

    def run(self, program: str, *arguments: str) -> str:
        """Return the output of a program, which must succeed."""
        process = self.start(program, *arguments)
        output, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, errors
        return output


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Installed:
    return Installed(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(autouse=True)
def untouched(request):
    """Nothing is written into the installation, nor to the folder that a command is run in."""
    if "installed" not in request.fixturenames:
        yield
        return
    here = request.getfixturevalue("installed")
    before = here.files()
    yield
    assert here.files() == before
    assert not list(here.empty.iterdir())


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_S)
def test_an_installed_wheel_brings_weights_that_are_the_verified_ones(installed):
    lines = installed.run("faceloupe", "models", "verify").splitlines()
    assert len(lines) == len(list((ROOT / "weights").glob("faceloupe-*.json")))
    assert all(": verified, SHA-256 " in line for line in lines)


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_S)
def test_an_installed_wheel_analyzes_as_the_checkout_does(installed, analyzer):
    from faceloupe.analysis.pipeline import analyze

    sample = installed.package / "samples" / "photograph.png"
    report = json.loads(installed.run("faceloupe", "analyze", str(sample), "--json"))
    here = analyze(sample, analyzer, explain=False)
    assert report["tool"]["git_commit"] is None
    assert report["model"]["id"] == analyzer.scorer.record.id
    assert report["score"] == pytest.approx(here.faces[0].score, abs=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_S)
def test_an_installed_wheel_is_a_python_interface_with_types(installed):
    sample = installed.package / "samples" / "generated-man.jpg"
    code = "import faceloupe, sys; print(faceloupe.__file__, faceloupe.Analyzer('quick').analyze(sys.argv[1]).outcome)"
    path, outcome = installed.run("python", "-c", code, str(sample)).split()
    assert Path(path) == installed.package / "__init__.py"
    assert outcome == "manipulated"
    assert (installed.package / "py.typed").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("lacking", ["*.safetensors", "weights"])
def test_a_wheel_without_weights_or_records_scores_nothing_and_gives_one_sentence(installed, tmp_path, lacking):
    package = tmp_path / "faceloupe"
    shutil.copytree(installed.package, package, ignore=shutil.ignore_patterns(lacking))
    environment = installed.environment | {"PYTHONPATH": str(tmp_path)}
    command = [installed.bin / "python", "-m", "faceloupe", "analyze", package / "samples" / "photograph.png", "--json"]
    done = subprocess.run(
        command, env=environment, cwd=installed.empty, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"faceloupe: [^\n]+ nothing can be scored; [^\n]+\.\n", done.stderr), done.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def first_answer(url: str, server: subprocess.Popen[str]) -> bytes:
    """Return the first answer of a server that is starting."""
    deadline = time.monotonic() + PATIENCE_S / 2
    while True:
        try:
            with urlopen(url, timeout=5) as answer:
                content: bytes = answer.read()
                return content
        except OSError:
            assert server.poll() is None, server.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_S)
def test_an_installed_wheel_serves_the_http_api(installed):
    sample = installed.package / "samples" / "generated-man.jpg"
    port = free_port()
    server = installed.start("faceloupe", "api", "--port", str(port))
    try:
        health = json.loads(first_answer(f"http://127.0.0.1:{port}/v1/health", server))
        assert health["weights"] == "verified"
        with sample.open("rb") as stream:
            answer = requests.post(f"http://127.0.0.1:{port}/v1/analyze", files={"file": stream}, timeout=PATIENCE_S)
        assert (answer.status_code, answer.json()["outcome"]) == (200, "manipulated")
    finally:
        server.kill()
        server.communicate()


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_S)
def test_an_installed_wheel_serves_every_page_of_the_app(installed):
    port = free_port()
    app = installed.start("faceloupe", "app", "--port", str(port))
    try:
        assert first_answer(f"http://127.0.0.1:{port}/_stcore/health", app) == b"ok"
        app.send_signal(signal.SIGTERM)
        output, errors = app.communicate(timeout=PATIENCE_S / 4)
        assert app.returncode == 0, errors
        assert "Self-check: generated-woman.jpg: inconclusive" in output
    finally:
        app.kill()
    data = installed.package / "_data"
    named = set(re.findall(r'"\.\./(pages/\w+\.py)"', (data / "src" / "app.py").read_text(encoding="utf-8")))
    assert named == {f"pages/{path.name}" for path in (data / "pages").glob("*.py")} != set()
    assert (data / ".streamlit" / "config.toml").is_file()
