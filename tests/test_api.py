"""The Python interface: its documentation runs, and importing it takes no time."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import faceloupe
from faceloupe.config import Sampling, Settings
from faceloupe.errors import UsageError
from faceloupe.installation import ROOT
from tests.clips import write_clip
from tests.conftest import GENERATED, PHOTOGRAPH

EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.S)


@pytest.mark.slow
def test_the_examples_of_the_documentation_run(tmp_path, monkeypatch):
    shutil.copy(GENERATED, tmp_path / "portrait.jpg")
    shutil.copy(PHOTOGRAPH, tmp_path / "photograph.png")
    frame = np.asarray(Image.open(GENERATED).convert("RGB").resize((320, 320)))
    write_clip(tmp_path / "clip.mp4", [frame] * 25)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    assert len(EXAMPLES) > 5
    for example in EXAMPLES:
        exec(compile(example, "docs/api.md", "exec"), names)
    assert {path.suffix for path in (tmp_path / "written").iterdir()} >= {".json", ".png"}


def test_every_public_name_is_there_and_no_other():
    for name in faceloupe.__all__:
        assert getattr(faceloupe, name) is not None
    assert set(faceloupe.__all__) <= set(dir(faceloupe))
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        faceloupe.Nothing  # noqa: B018 - asking is the test


def test_importing_the_package_loads_none_of_its_modules():
    code = "import sys, faceloupe; print(sorted(name for name in sys.modules if name.startswith('faceloupe.')))"
    command = [sys.executable, "-c", code]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_effort_and_a_model_are_not_both_named():
    with pytest.raises(UsageError, match="not both"):
        faceloupe.Analyzer("quick", settings=Settings(model="another"))


@pytest.mark.parametrize(
    ("values", "problem"),
    [({"frames": -1}, "frames must be between 0"), ({"start_s": 2.0, "end_s": 1.0}, "must end after it starts")],
)
def test_a_sampling_that_is_impossible_is_refused(values, problem):
    with pytest.raises(UsageError, match=problem):
        Sampling(**values)


def test_settings_with_another_sampling_differ_in_nothing_else():
    before = Settings(effort="quick", max_pixels=5)
    after = before.with_sampling(Sampling(7, 1.0, 2.0))
    assert after.sampling == Sampling(7, 1.0, 2.0)
    assert after.with_sampling(before.sampling) == before
    assert (after.frames, after.from_s, after.to_s) == (7, 1.0, 2.0)
