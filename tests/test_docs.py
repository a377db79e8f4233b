"""The documentation, compared with the program."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from faceloupe.config import DEFAULT_MODEL, QUICK_MODEL, Settings, weights_folder
from faceloupe.errors import WeightsError
from faceloupe.evaluation import source_rows
from faceloupe.evaluation.published import is_of, read_evaluation
from faceloupe.installation import CORE_TABLES, EXPERT_TABLES, ROOT
from faceloupe.models.record import (
    EVALUATION,
    RATES_OF_UNSEEN,
    ModelRecord,
    find_record,
    members_of,
    read_registry,
)
from faceloupe.training import card, core_card, expert_card
from faceloupe.training.settings import CARD_CORE

README = (ROOT / "README.md").read_text(encoding="utf-8")
DEVELOPMENT = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
OPERATION = (ROOT / "docs" / "operation.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
DOCUMENTS = sorted(
    p for p in ROOT.rglob("*.md") if not {".venv", "build", ".pytest_cache"} & set(p.relative_to(ROOT).parts)
)


def test_every_documented_make_target_exists():
    named = set(re.findall(r"`make ([a-z]+)", README + DEVELOPMENT + OPERATION))
    targets = set(re.findall(r"^([a-z]+):.*##", MAKEFILE, re.M))
    assert {"run", "test"} <= named <= targets


def test_the_settings_table_is_the_settings():
    rows = dict(re.findall(r"^\| `FACELOUPE_([A-Z_]+)` \| ([^|]+?) \|", OPERATION, re.M))
    for other in (
        "WEIGHTS",
        "EVIDENCE",
        "DATA",
        "PASSWORD_HASH",
        "RELEASES",
        "DEMO",
    ):  # of the server, not of an analysis
        rows.pop(other)
    documented = {name.lower(): value for name, value in rows.items()}
    actual = {item.name: str(item.default) or "the effort's" for item in fields(Settings)}
    assert documented == actual


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document):
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def measured_records() -> dict[str, ModelRecord]:
    """The networks of the evaluation; the core and the expert have cards of their own."""
    records = read_registry(weights_folder())
    return {name: item for name, item in records.items() if item.architecture not in RATES_OF_UNSEEN}


def test_the_experts_card_is_what_its_records_and_the_counts_say(tmp_path):
    fusion = find_record(weights_folder())
    folder = EXPERT_TABLES
    records = [fusion, *members_of(fusion, weights_folder())]
    tables = (
        source_rows.LEFT_OUT,
        expert_card.TIERS_FILE,
        expert_card.CONDITIONS,
        expert_card.CLIPS,
        source_rows.HELD_OUT,
        expert_card.OTHERS,
    )
    for name in tables:
        (tmp_path / name).symlink_to(folder / name)
    expert_card.write(records, tmp_path, CORE_TABLES)
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == (folder / "card.md").read_text(encoding="utf-8")


def test_the_cores_card_is_what_its_record_and_the_counts_say(tmp_path):
    folder = CORE_TABLES
    for name in (source_rows.LEFT_OUT, expert_card.TIERS_FILE, source_rows.HELD_OUT):
        (tmp_path / name).symlink_to(folder / name)
    core_card.write(find_record(weights_folder(), QUICK_MODEL), tmp_path)
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == (folder / "card.md").read_text(encoding="utf-8")


def test_the_model_card_is_what_the_records_and_the_evaluation_say(tmp_path):
    card.write(
        read_evaluation(weights_folder() / EVALUATION),
        list(measured_records().values()),
        tmp_path / "model-card.md",
    )
    committed = (ROOT / "docs" / "model-card.md").read_text(encoding="utf-8")
    assert (tmp_path / "model-card.md").read_text(encoding="utf-8") == committed


def test_the_evaluation_is_of_the_committed_records():
    evaluation = read_evaluation(weights_folder() / EVALUATION)
    records = measured_records()
    assert CARD_CORE in records
    assert {QUICK_MODEL, DEFAULT_MODEL} <= set(read_registry(weights_folder()))
    assert all(is_of(evaluation, record) for record in records.values())


def test_the_tables_by_source_are_of_the_committed_records():
    for model, folder in ((DEFAULT_MODEL, EXPERT_TABLES), (QUICK_MODEL, CORE_TABLES)):
        assert source_rows.are_of(folder, find_record(weights_folder(), model))
        assert not source_rows.are_of(folder, find_record(weights_folder(), CARD_CORE))


def test_tables_whose_owner_is_not_known_are_an_error(tmp_path):
    record = find_record(weights_folder())
    with pytest.raises(WeightsError, match=r"record\.json.* is missing"):
        source_rows.are_of(tmp_path, record)
    source_rows.write_owner(record, tmp_path)
    assert source_rows.are_of(tmp_path, record)
    (tmp_path / source_rows.OWNER).write_text("{", encoding="utf-8")
    with pytest.raises(WeightsError, match=r"record\.json.* is damaged"):
        source_rows.are_of(tmp_path, record)


def test_every_pin_carries_its_reason():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) > 10
    for pin in pins:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+ +# .{7,}", pin), pin


def test_the_changelog_names_the_version():
    from faceloupe import __version__

    release, _, _ = __version__.partition(".dev")
    assert f"## {release} " in Path(ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
