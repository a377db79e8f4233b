"""Checks of the text of the Dockerfile; tools/docker/chroot_image.py executes it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tools import space
from tools.docker import chroot_image, dockerfile

from faceloupe.evaluation import source_rows
from faceloupe.installation import CORE_TABLES, EXPERT_TABLES, ROOT

PATH = ROOT / "Dockerfile"
STAGES = {stage.name: stage for stage in dockerfile.read(PATH)}
FULL = [*STAGES["slim"].steps, *STAGES["full"].steps]


def last(word: str) -> dockerfile.Step:
    return next(step for step in reversed(FULL) if step.word == word)


def test_the_image_that_is_built_by_default_is_the_full_one():
    assert list(STAGES)[-1] == "full"
    assert STAGES["full"].base == "slim"


def test_it_runs_as_a_user_that_is_not_root():
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last("USER").rest)
    assert not any(step.word == "RUN" for step in STAGES["full"].steps)


def test_the_health_check_asks_what_the_command_serves():
    command, port = last("CMD").listed, last("EXPOSE").rest
    assert command[command.index("--port") + 1] == port
    assert f":{port}/_stcore/health" in last("HEALTHCHECK").rest
    assert command[:2] == ["faceloupe", "app"]


def test_what_is_written_goes_to_the_volume_or_to_tmp():
    (environment,) = (step.rest for step in FULL if step.word == "ENV")
    (volume,) = last("VOLUME").listed
    assert f"FACELOUPE_DATA={volume}" in environment
    assert "HOME=/tmp" in environment
    assert "MPLCONFIGDIR=/tmp/" in environment


def test_what_only_tests_need_stays_out():
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert "/^# Tests and checks/,$d" in PATH.read_text(encoding="utf-8")
    runtime, heading, dropped = requirements.partition("# Tests and checks")
    assert heading
    assert not re.search(r"^(pytest|ruff|pypdf|scikit-image)\b", runtime, re.M)
    imported = {"streamlit", "torch", "requests", "filelock", "typst", "jinja2"}
    assert not any(re.search(rf"^{name}==", dropped, re.M) for name in imported)


def test_every_file_that_is_copied_exists_and_reaches_the_engine():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = [Path(line[1:]) for line in ignored if line.startswith("!")]
    for step in [*STAGES["build"].steps, *FULL]:
        if step.word == "COPY" and not step.rest.startswith("--from"):
            for source in step.rest.split()[:-1]:
                assert list(ROOT.glob(source)), source
                assert any(Path(source).is_relative_to(path) for path in let_through), source


@pytest.mark.parametrize("folder", ["weights", "pages", "docs/core", "docs/expert"])
def test_every_file_of_the_checkout_that_the_app_reads_is_in_the_image(folder):
    copied: set[Path] = set()
    for step in FULL:
        if step.word == "COPY" and not step.rest.startswith("--"):
            for source in (path for pattern in step.rest.split()[:-1] for path in ROOT.glob(pattern)):
                copied |= set(source.rglob("*")) if source.is_dir() else {source}
    listed = subprocess.run(["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=True)
    read = {
        name
        for name in listed.stdout.split()
        if not name.startswith("docs") or name.endswith(("-out.csv", "record.json"))
    }
    assert read
    assert {name for name in read if ROOT / name not in copied} == set()


def test_every_file_that_the_space_copies_is_in_it_and_its_demo_is_switched_on(tmp_path):
    space.assemble(tmp_path / "space")
    for folder in (CORE_TABLES, EXPERT_TABLES):
        for name in (source_rows.HELD_OUT, source_rows.LEFT_OUT, source_rows.OWNER):
            assert (tmp_path / "space" / (folder / name).relative_to(ROOT)).is_file()
    stages = dockerfile.read(tmp_path / "space" / "Dockerfile")
    taken = chroot_image.context(tmp_path, tmp_path / "space")
    for step in (step for stage in stages for step in stage.steps if step.word == "COPY"):
        if not step.rest.startswith("--from"):
            for source in step.rest.split()[:-1]:
                assert list(taken.glob(source)), source
    assert "FACELOUPE_DEMO=1" in stages[-1].last("ENV").rest


def test_both_stages_of_a_base_are_the_same():
    assert STAGES["build"].base == STAGES["slim"].base


def test_the_linter_finds_nothing():
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, str(PATH)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda p: p.name)
def test_a_workflow_may_do_no_more_than_it_needs(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), "a value goes through the environment, never into the script"


def test_what_the_release_uploads_is_what_the_registry_offers():
    from faceloupe.models.registry import read_entries

    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    (command,) = re.findall(r"gh release upload .*", text)
    for entry in read_entries(ROOT / "weights").values():
        assert any(Path("weights", entry.file).match(word) for word in command.split())
        assert entry.url == "{releases}/" + entry.file
