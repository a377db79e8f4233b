"""Every command in docs/command-line.md, run as written there."""

import hashlib
import io
import re
import shlex
import shutil
import zipfile
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from faceloupe.cli import main
from faceloupe.config import QUICK_MODEL
from faceloupe.installation import ROOT
from tests.clips import write_clip
from tests.conftest import GENERATED, PHOTOGRAPH

PAGE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
COMMANDS = [line.removeprefix(".venv/bin/faceloupe ") for line in PAGE.splitlines() if line.startswith(".venv/bin/f")]
CASE_ACTIONS = {  # what stands behind "case list|show|note|sign-off ..."
    "list": "",
    "show": "{case}",
    "note": "{case} 'A note' --author You",
    "sign-off": "{case} --item {item} --reviewer Another",
}


def command_words(line: str) -> list[str]:
    """Return the words of a line of the page, without its explanation and its optional parts."""
    return shlex.split(re.sub(r"\[[^]]*\]|\.\.\.", "", re.split(r"\s{2,}", line)[0]))


@pytest.fixture
def workflow(tmp_path, monkeypatch):
    """A folder that holds the files that the commands name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACELOUPE_DATA", str(tmp_path / "data"))
    Image.open(GENERATED).save("photo.jpg", quality=95)
    (tmp_path / "motion.jpg").write_bytes((tmp_path / "photo.jpg").read_bytes() + PHOTOGRAPH.read_bytes())
    frames = [np.asarray(Image.open(PHOTOGRAPH).convert("RGB").resize((160, 160)))] * 64
    write_clip(tmp_path / "clip.mp4", frames, fps=4)
    for kind, source in (("real", PHOTOGRAPH), ("fake", GENERATED)):
        (tmp_path / "folder" / kind).mkdir(parents=True)
        shutil.copy(source, tmp_path / "folder" / kind)
    with zipfile.ZipFile("more.zip", "w") as archive:
        archive.write("photo.jpg")
    shutil.copy(PHOTOGRAPH, tmp_path / "file")
    shutil.copy(GENERATED, tmp_path / "file.pth")
    return tmp_path


@pytest.mark.slow
def test_every_documented_command_does_what_it_says(workflow, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a long password\n" * 2)))
    case, done = "", []

    def run(*arguments: str) -> str:
        code = main.main(list(arguments))
        out, err = capsys.readouterr()
        assert (code, err) == (0, ""), (arguments, err)
        done.append(arguments[:2])
        return out

    for line in COMMANDS:
        arguments = command_words(line)
        if arguments[0] == "app" or arguments[:2] == ["api", "--port"]:
            continue  # serves until it is stopped, see tests/ui and tests/server
        if "ray" in arguments:
            continue  # needs a cluster, see tests/batch/executors/test_ray.py
        if arguments[:2] == ["models", "export"] and find_spec("onnxruntime") is None:
            continue  # needs the extra export
        if arguments[:2] == ["models", "inspect"]:
            assert main.main(arguments) in (0, 2)
            capsys.readouterr()
            continue
        item = hashlib.sha256((workflow / "file").read_bytes()).hexdigest()[:12]
        if arguments[:2] == ["case", "list|show|note|sign-off"]:
            for action, rest in CASE_ACTIONS.items():
                run("case", action, *shlex.split(rest.format(case=case, item=item)))
            continue
        known = {"ID": case if arguments[0] == "case" else QUICK_MODEL, "SHA256": item}
        out = run(*[known.get(word, word) for word in arguments])
        if arguments[:2] == ["case", "create"]:
            case = out.strip()
    assert len(done) >= len(COMMANDS) - 4
    assert {path.name for path in workflow.iterdir()} >= {"results", "results.csv", "bundle.zip"}
