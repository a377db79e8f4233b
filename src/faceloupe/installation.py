"""Where the files of FaceLoupe that are not Python modules lie: in a checkout, or inside an installed wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_WHEEL_DATA = _PACKAGE / "_data"  # the build puts the folders of the checkout there

ROOT = _WHEEL_DATA if _WHEEL_DATA.is_dir() else _PACKAGE.parents[1]
"""Folder with ``weights``, ``pages``, ``src/app.py``, ``.streamlit`` and ``docs``, laid out alike in both."""

WEIGHTS = ROOT / "weights"
APP = ROOT / "src" / "app.py"
MODEL_CARD = ROOT / "docs" / "model-card.md"
EXPERT_TABLES = ROOT / "docs" / "expert"
CORE_TABLES = ROOT / "docs" / "core"


def git_checkout() -> Path | None:
    """Return the root of the checkout that this code runs from, or None where it was installed otherwise."""
    return ROOT if (ROOT / ".git").exists() else None
