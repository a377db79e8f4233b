"""Claims about the structure that the layers in pyproject.toml (import-linter, `make lint`) do not cover."""

import ast
import re
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from faceloupe.installation import ROOT

SOURCE = ROOT / "src" / "faceloupe"
MODULES = sorted(path for path in SOURCE.rglob("*.py"))
UNCLEAR = {"one", "found", "place", "words", "kept", "said", "told"}
PAGES = sorted((ROOT / "pages").glob("*.py"))


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def test_the_command_line_starts_without_the_heavy_libraries():
    code = "import sys, faceloupe.cli.main; print({'torch', 'cv2', 'streamlit'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"


def late_imports(path: Path) -> list[str]:
    """Blocks of imports that are not at the top of a module and state no reason in a comment."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    blocks: list[tuple[int, int]] = []  # first and last line; a blank line between two groups of imports is in one
    for node in sorted(nodes, key=lambda node: node.lineno):
        if node.col_offset and blocks and "".join(lines[blocks[-1][1] : node.lineno - 1]).strip() == "":
            blocks[-1] = blocks[-1][0], node.end_lineno
        elif node.col_offset:
            blocks.append((node.lineno, node.end_lineno))
    return [
        f"{path.name}:{first}"
        for first, last in blocks
        if "if TYPE_CHECKING:" not in lines[first - 2] and "#" not in "".join(lines[first - 2 : last])
    ]


def dialect(path: Path) -> list[str]:
    """Return local names, parameters and functions of a module that do not describe their content."""
    bound = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) | ast.FunctionDef(name=name):
                bound.append((name, node.lineno))
            case ast.MatchAs(name=str(name)) | ast.ExceptHandler(name=str(name)):
                bound.append((name, node.lineno))
    return [f"{path.name}:{line} {name}" for name, line in bound if name in UNCLEAR]


@pytest.mark.parametrize("folder", ["src", "pages", "tests", "tools", "benchmarks", "docs"])
def test_names_say_what_they_hold(folder):
    assert [name for path in sorted((ROOT / folder).rglob("*.py")) for name in dialect(path)] == []


def test_an_import_inside_a_function_states_its_reason():
    assert [late for path in (*MODULES, *PAGES) for late in late_imports(path)] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_wiring(path):
    assert not roots(path) & {"torch", "cv2", "numpy", "requests", "facenet_pytorch", "sqlite3"}
    assert not any(name.startswith("faceloupe.training") for name in imports(path))
    assert len(path.read_text().splitlines()) <= 110


def test_the_page_on_the_architecture_lists_the_layers_as_they_are_checked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (entry for entry in project["tool"]["importlinter"]["contracts"] if entry["type"] == "layers")
    checked = [package for layer in contract["layers"] for package in layer.split(" | ") if package != "__main__"]
    rows = re.findall(r"^\| \d+ \| ([^|]+) \|", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), re.M)
    documented = [set(re.findall(r"`(\w+)`", row)) for row in rows]
    for earlier, later in pairwise(documented):  # a row may join layers; no later row may stand above an earlier one
        assert max(map(checked.index, earlier)) < min(map(checked.index, later)), (earlier, later)
    assert set().union(*documented) == set(checked)


def test_nothing_that_can_unpickle_or_evaluate_is_called():
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in ("eval", "exec", "pickle.load", "pickle.loads", "os.system"), path
                if name == "torch.load":
                    assert any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords), path
