"""The pipeline file, held against the code that it runs and the parameters that it reads, for both profiles."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from faceloupe.installation import ROOT
from faceloupe.training import features, material, settings, views
from faceloupe.training.__main__ import _parser

PROFILES = {"full": ROOT, "quick": ROOT / "quick"}
CONFIGURATION = (ROOT / ".dvc" / "config").read_text(encoding="utf-8")


def _params(folder: Path) -> dict:
    return yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))


def _filled_in(part: object, values: dict) -> object:
    """A part of the pipeline file with every ``${name}`` replaced, as DVC does it."""
    if isinstance(part, dict):
        return {_filled_in(key, values): _filled_in(value, values) for key, value in part.items()}
    if isinstance(part, list):
        return [_filled_in(entry, values) for entry in part]
    if not isinstance(part, str):
        return part

    def value(match: re.Match) -> str:
        result = values
        for name in match[1].split("."):
            result = result[name]
        return str(result)

    return re.sub(r"\$\{([^}]+)\}", value, part)


def stages(folder: Path) -> dict[str, dict]:
    """Name -> stage, with everything filled in."""
    params = _params(folder)
    result = {}
    for name, stage in yaml.safe_load((folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"].items():
        if "foreach" not in stage:
            result[name] = _filled_in(stage, params)
        elif stage["foreach"] == "${trunks}":
            for key, item in params["trunks"].items():
                result[f"{name}@{key}"] = _filled_in(stage["do"], params | {"key": key, "item": item})
        else:
            for item in stage["foreach"]:
                result[f"{name}@{item}"] = _filled_in(stage["do"], params | {"item": item})
    return result


def paths(listed: list) -> list[str]:
    """Of dependencies or outputs, whether or not they carry options."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in listed]


@pytest.fixture(params=PROFILES)
def profile(request, monkeypatch) -> Path:
    """Folder of a profile, which is the current folder of its stages."""
    monkeypatch.chdir(PROFILES[request.param])
    return PROFILES[request.param]


def test_both_profiles_run_the_same_pipeline():
    assert (ROOT / "quick" / "dvc.yaml").resolve() == ROOT / "dvc.yaml"
    full, quick = (_params(folder) for folder in PROFILES.values())
    assert set(quick) == set(full)
    assert quick["registered"]["recipes"] == full["registered"]["recipes"]


def test_the_quick_profile_writes_under_its_own_folder_only():
    own = ROOT / "build" / "quick"
    for name, stage in stages(ROOT / "quick").items():
        for path in paths(stage["outs"]):
            assert (ROOT / "quick" / path).resolve().is_relative_to(own), (name, path)


def test_every_stage_is_a_command_of_the_training_package(profile):
    python = _params(profile)["python"]
    for name, stage in stages(profile).items():
        if name in ("trunk", "wheel"):
            continue
        texts = shlex.split(stage["cmd"])
        assert texts[:3] == [python, "-m", "faceloupe.training"]
        options = _parser().parse_args(texts[3:])
        assert options.work == Path(_params(profile)["work"])


def test_every_module_that_a_stage_depends_on_exists(profile):
    code = _params(profile)["code"]
    named = [path for stage in stages(profile).values() for path in stage.get("deps", []) if path.startswith(code)]
    assert len(named) > 20
    assert all(Path(path).exists() for path in named)


def test_every_other_dependency_is_material_or_made_by_a_stage(profile):
    params = _params(profile)
    made = [path for stage in stages(profile).values() for path in paths(stage["outs"])]
    given = (params["code"], params["data"], params["peers"], params["trunks"]["mobilenet_v3_small"])
    given += (params["requirements"],)
    for name, stage in stages(profile).items():
        for path in stage.get("deps", []):
            assert path in made or path.startswith(given), (name, path)
    assert len(made) == len(set(made))


def test_every_registered_recipe_is_trained_and_calibrated(profile):
    commands, params = stages(profile), _params(profile)
    chosen = settings.read_registered()
    assert list(params["trunks"]) == list(chosen.recipes)
    for recipe in chosen.recipes:
        assert settings.read_recipe(recipe).stages
        weights = f"{params['work']}/runs/{recipe}/weights.safetensors"
        assert weights in paths(commands[f"train@{recipe}"]["outs"])
        assert weights in commands["calibrate"]["deps"]
        assert f"recipes.{recipe}" in commands["calibrate"]["params"]


def test_the_large_material_of_both_profiles_fits_its_types_and_known_treatments(profile):
    chosen = settings.read_material()
    assert set(chosen.treatments) == set(material.SPLITS)
    treatments = {entry.removeprefix(features.BLENDED) for some in chosen.treatments.values() for entry in some}
    for treatment in treatments - set(views.TIERS):
        views.recipe_for(treatment, "")
    assert all(cap.pictures and cap.person for cap in (chosen.caps.default, *chosen.caps.of_source.values()))


def test_the_wheel_that_a_stage_makes_is_the_one_that_is_pinned(profile):
    pin = re.search(r"^(\S+)==(\S+) ", Path(_params(profile)["requirements"]).read_text(encoding="utf-8"), re.M)
    (wheel,) = stages(profile)["wheel"]["outs"]
    assert Path(wheel).name == f"{pin[1]}-{pin[2]}-py3-none-any.whl"
    assert wheel in stages(profile)["encoder"]["deps"]


def test_snapshots_that_come_or_change_make_the_material_anew(profile):
    commands = stages(profile)
    assert commands["snapshots"]["always_changed"] is True
    assert commands["snapshots"]["outs"][0] in commands["gather"]["deps"]


def test_every_parameter_that_a_stage_names_exists(profile):
    for stage in stages(profile).values():
        for name in stage.get("params", []):
            params = _params(profile)
            for part in name.split("."):
                params = params[part]


def test_what_git_carries_is_neither_cached_nor_removed_first():
    carried = ("weights", "docs/expert", "docs/core", "docs/model-card", "docs/model-card.md", "docs/robustness.md")
    listed = [output for stage in stages(ROOT).values() for output in stage["outs"]]
    options = {path: entry[path] for entry in listed if isinstance(entry, dict) for path in entry if path in carried}
    assert options == {path: {"cache": False, "persist": True} for path in carried}
    assert all(path.startswith("build/") for path in paths(listed) if path not in carried)


def test_dvc_sends_nothing():
    assert "analytics = false" in CONFIGURATION
    assert "check_update = false" in CONFIGURATION


def test_dvc_may_write_the_lock_that_git_ignores():
    assert "quick/dvc.lock" in (ROOT / ".gitignore").read_text(encoding="utf-8")
    assert "no_scm = true" in CONFIGURATION  # else it refuses to


def test_every_pin_for_training_carries_its_reason():
    lines = (ROOT / "requirements-training.txt").read_text(encoding="utf-8").splitlines()
    first, *pins = [line for line in lines if line and not line.startswith("#")]
    assert first == "-r requirements.txt"
    for pin in pins:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+ +# .{7,}", pin), pin
