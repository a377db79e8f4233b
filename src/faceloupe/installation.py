"""Paths of the files of FaceLoupe that are not Python modules, in a checkout or in an installed wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_WHEEL_DATA = _PACKAGE / "_data"  # the build copies the folders of the checkout to here

ROOT = _WHEEL_DATA if _WHEEL_DATA.is_dir() else _PACKAGE.parents[1]
"""Folder with ``weights``, ``pages``, ``src/app.py``, ``.streamlit`` and ``docs``, in a checkout or in a wheel."""

WEIGHTS = ROOT / "weights"
APP = ROOT / "src" / "app.py"
MODEL_CARD = ROOT / "docs" / "model-card.md"
EXPERT_TABLES = ROOT / "docs" / "expert"
CORE_TABLES = ROOT / "docs" / "core"


def git_checkout() -> Path | None:
    """Return the root of the Git checkout that this code runs from, or None if there is none."""
    return ROOT if (ROOT / ".git").exists() else None
