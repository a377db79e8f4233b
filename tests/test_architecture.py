"""Claims about the structure: what may import what, what a page may do, what the project never says."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from faceloupe.installation import ROOT

SOURCE = ROOT / "src" / "faceloupe"
MODULES = sorted(path for path in SOURCE.rglob("*.py"))
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


def part(path: Path) -> str:
    relative = path.relative_to(SOURCE)
    return relative.parts[0].removesuffix(".py")


def test_the_core_imports_no_streamlit_in_a_fresh_interpreter():
    names = [
        ".".join(("faceloupe", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
        for path in MODULES
        if part(path) not in ("ui", "__main__") and path.name != "__main__.py"
    ]
    code = f"import importlib, sys\nfor n in {names!r}: importlib.import_module(n)\nprint('streamlit' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "False\n"


def test_the_command_line_starts_without_the_heavy_libraries():
    code = "import sys, faceloupe.cli.main; print({'torch', 'cv2', 'streamlit'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_one_way(path):
    rank = {"errors": 0, "config": 1, "types": 1, "system": 1, "analysis": 4, "cases": 5, "batch": 5, "ui": 6}
    rank |= {"bundle": 5, "evaluation": 5, "training": 6, "cli": 7, "__main__": 7}
    mine = rank.get(part(path), 3)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    for name in names:
        if name.startswith("faceloupe."):
            target = name.split(".")[1]
            assert rank.get(target, 3) <= mine, f"{path.name} imports {name}"


def test_the_app_never_imports_training():
    for path in [*(m for m in MODULES if part(m) != "training"), *PAGES, ROOT / "src" / "app.py"]:
        assert not any(name.startswith("faceloupe.training") for name in imports(path)), path


def test_one_module_alone_touches_each_third_party_network_library():
    for library, home in (("facenet_pytorch", "detector.py"), ("pytorch_grad_cam", "gradcam.py")):
        assert [path.name for path in MODULES if library in roots(path)] == [home]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_wiring(path):
    assert not roots(path) & {"torch", "cv2", "numpy", "requests", "facenet_pytorch", "sqlite3"}
    assert len(path.read_text().splitlines()) <= 110


def test_nothing_that_can_unpickle_or_evaluate_is_called():
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in ("eval", "exec", "pickle.load", "pickle.loads", "os.system"), path
                if name == "torch.load":
                    assert any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords), path
