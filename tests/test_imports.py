"""Each command, in a separate process, imports only the modules that it needs."""

import subprocess
import sys

import pytest

from tests.conftest import PHOTOGRAPH

HEAVY = ("torchvision", "facenet_pytorch", "pytorch_grad_cam", "scipy", "sympy", "pandas", "matplotlib", "sklearn")


def loaded_by(*arguments: str) -> set[str]:
    """The top-level modules that a command line has loaded when it ends; it must have ended well."""
    code = (
        "import sys; from faceloupe.cli.main import main; code = main(sys.argv[1:]); "
        "print('\\n', *{name.partition('.')[0] for name in sys.modules}); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=300, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("heatmaps", [False, True])
def test_a_still_is_scored_and_explained_without_a_heavy_library(tmp_path, heatmaps):
    out = ["--out", str(tmp_path / "out")] if heatmaps else []
    loaded = loaded_by("analyze", str(PHOTOGRAPH), *out)
    assert "torch" in loaded
    assert not loaded & {*HEAVY, "requests", "streamlit", "plotly"}


def test_commands_that_score_nothing_load_no_network_library():
    for arguments in (["--help"], ["case", "list"], ["models", "list"]):
        assert not loaded_by(*arguments) & {*HEAVY, "torch", "streamlit"}, arguments


def test_a_program_leaves_its_objects_alone_at_exit():
    code = (
        "import atexit, gc, sys; atexit.register(lambda: print(gc.get_freeze_count() > 0)); "
        "from faceloupe.cli.main import run; sys.argv = ['faceloupe', 'models', 'list']; sys.exit(run())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.splitlines()[-1] == "True"
