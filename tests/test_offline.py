"""FaceLoupe opens no connection, and never executes its input."""

import ast
import subprocess
import sys

import pytest

from faceloupe.installation import ROOT
from tests.conftest import GENERATED

SOURCES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "pages").glob("*.py")])
NAMES = [str(path.relative_to(ROOT)) for path in SOURCES]
FETCHES = {"download.py", "http.py"}
RUNS_BYTES = {"shelve", "marshal", "dill", "joblib", "cloudpickle", "code", "codeop", "runpy"}
CALLS_OUT = {
    "requests",
    "urllib.request",
    "urllib3",
    "http.client",
    "httpx",
    "aiohttp",
    "ftplib",
    "smtplib",
    "telnetlib",
}
FORBIDDEN = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "pty.spawn", "np.load", "numpy.load"}
# Counts every attempt to reach another machine, by name or by address, whatever comes of it.
WATCH = """
import socket, sys
attempts = []
connect, lookup = socket.socket.connect, socket.getaddrinfo

def refused(own, address):
    if own.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        attempts.append(address)
        raise OSError("the network is cut")
    return connect(own, address)

def unknown(host, *rest, **more):
    if host not in (None, "127.0.0.1", "::1", "localhost"):
        attempts.append(host)
        raise OSError("the network is cut")
    return lookup(host, *rest, **more)

socket.socket.connect = socket.socket.connect_ex = refused
socket.getaddrinfo = unknown
"""
ANALYSIS = """
from pathlib import Path
from faceloupe.config import Settings
from faceloupe.analysis.pipeline import Networks, analyze
settings = Settings(effort="quick")
report = analyze(Path(sys.argv[1]), Networks.load(settings))
print(report.outcome, attempts)
"""
APP = """
from streamlit.testing.v1 import AppTest
at = AppTest.from_file("src/app.py", default_timeout=120).run()
assert not at.exception
for page in sorted(Path("pages").glob("*.py")):
    at.switch_page(f"../pages/{page.name}").run()
    assert not at.exception, page
print("shown", attempts)
"""


def modules(tree: ast.AST) -> set[str]:
    result = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return result | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_no_module_runs_bytes_or_text_as_code(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not modules(tree) & RUNS_BYTES
    for node in ast.walk(tree):
        assert not (isinstance(node, ast.ImportFrom) and node.module in ("pickle", "_pickle")), node.lineno
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle":
            assert node.attr == "UnpicklingError", node.lineno  # to catch what torch raises
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in FORBIDDEN, node.lineno
            arguments = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert arguments.get("shell", "False") == "False", node.lineno
            assert arguments.get("allow_pickle", "False") == "False", node.lineno


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_no_module_can_ask_another_machine(path):
    if path.parent.name == "models" and path.name in FETCHES:
        pytest.skip("fetches weights that are missing, when it is asked to")
    assert not modules(ast.parse(path.read_text(encoding="utf-8"))) & CALLS_OUT


def isolated(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code without a network: isolated by the system if possible, and always with a guard on Python's sockets."""
    command = [sys.executable, "-c", WATCH + code, *arguments]
    cut = ["unshare", "--user", "--map-root-user", "--net"]
    try:
        allowed = subprocess.run([*cut, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        allowed = False
    return subprocess.run(
        [*cut, *command] if allowed else command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.slow
def test_an_analysis_needs_no_network_and_tries_none():
    done = isolated(ANALYSIS, str(GENERATED))
    assert done.stdout == "manipulated []\n", done.stderr


@pytest.mark.slow
def test_the_app_shows_every_page_without_a_network_and_tries_none():
    done = isolated("from pathlib import Path\n" + APP)
    assert done.stdout == "shown []\n", done.stderr


def test_the_watch_would_see_an_attempt():
    code = WATCH + "import requests\ntry: requests.get('http://example.org')\nexcept Exception: print(attempts)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "example.org" in done.stdout
