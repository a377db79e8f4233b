import json
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from faceloupe.analysis.pipeline import Networks, analyze
from faceloupe.config import EFFORTS, QUICK_MODEL, Settings, weights_folder
from faceloupe.models.record import find_record, read_registry
from faceloupe.models.registry import components_of
from faceloupe.report.build import build
from faceloupe.report.schema import Report
from tests.conftest import GENERATED
from tests.report_json import report_json

TOP = {
    "schema_version",
    "created_utc",
    "tool",
    "model",
    "evidence",
    "outcome",
    "reason",
    "score",
    "log10_lr",
    "faces",
    "settings",
    "timing",
}
MODEL = {"id", "architecture", "components", "weights_sha256", "calibrator_id", "thresholds", "error_rates"}
EVIDENCE = {
    "name",
    "sha256",
    "size_bytes",
    "media_type",
    "format",
    "width",
    "height",
    "duration_s",
    "frame_rate",
    "frame_count",
}
FACE = {
    "id",
    "box",
    "detection_confidence",
    "size_px",
    "outcome",
    "score",
    "raw_logit",
    "first_s",
    "last_s",
    "frames_scored",
}
TIMING = {"decode_s", "detect_s", "score_s", "explain_s", "total_s"}
RATES = {"fpr", "fnr", "n_real", "n_fake", "interval_95", "measured_on"}


@pytest.fixture(scope="module")
def built(analyzer):
    return build(analyze(GENERATED, analyzer))


@pytest.fixture(scope="module")
def report(built):
    return json.loads(built.to_json())


def test_the_report_holds_every_field_of_the_contract(report):
    assert set(report) >= TOP
    assert report["schema_version"] == "1"
    assert set(report["model"]) >= MODEL
    assert set(report["model"]["error_rates"]) >= RATES
    assert set(report["evidence"]) >= EVIDENCE
    assert set(report["timing"]) == TIMING
    assert report["faces"]
    for face in report["faces"]:
        assert set(face) >= FACE


def test_the_text_is_one_json_document_that_is_read_as_the_same_report(built):
    assert Report.from_json(built.to_json()) == built


def test_nan_never_leaves_the_house(built):
    with pytest.raises(ValueError, match="JSON compliant"):
        msgspec.structs.replace(built, score=float("nan")).to_json()


def test_the_creation_time_is_utc_and_recent(report):
    created = datetime.strptime(report["created_utc"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - created).total_seconds()) < 600


def test_the_score_is_that_of_a_named_face(report):
    (decisive,) = [face for face in report["faces"] if face["id"] == report["decisive_id"]]
    assert report["score"] == decisive["score"] == max(face["score"] for face in report["faces"])


def test_the_model_block_is_the_record(report):
    record = find_record(weights_folder(), QUICK_MODEL)
    assert report["model"]["weights_sha256"] == record.weights_sha256
    assert report["model"]["thresholds"] == {"lower": record.thresholds.lower, "upper": record.thresholds.upper}


def test_the_components_are_the_networks_that_scored_with_their_weights(tmp_path):
    (tmp_path / "text.jpg").write_bytes(b"no picture")  # also a report without a score names them
    registry = read_registry(weights_folder())
    assert {bool(record.members) for record in registry.values()} == {True, False}
    for record in registry.values():
        settings = Settings(model=record.id)
        report = report_json(analyze(tmp_path / "text.jpg", Networks.load(settings)))
        expected = [(part.id, part.weights_sha256) for part in components_of(record, weights_folder())]
        assert [
            (component["id"], component["weights_sha256"]) for component in report["model"]["components"]
        ] == expected
        assert report["model"]["members"] == list(record.members)


def test_the_settings_name_the_effort_and_the_model_that_scored(report, analyzer, settings):
    assert (report["settings"]["effort"], report["settings"]["model"]) == ("quick", QUICK_MODEL)
    assert report["model"]["id"] == report["settings"]["model"]
    quick = replace(settings, effort="quick", model=EFFORTS["quick"])
    named = replace(analyzer, settings=quick)
    assert report_json(analyze(GENERATED, named, explain=False))["settings"]["effort"] == "quick"


def test_every_report_states_scope_and_both_propositions(report):
    assert "prior odds" in report["scope"][0]
    assert len(report["scope"]) > 1
    assert {"manipulated", "authentic", "kinds"} <= set(report["propositions"])


def test_the_settings_hold_what_changes_the_numbers(report):
    record = find_record(weights_folder(), QUICK_MODEL)
    assert report["settings"]["crop_margins"] == list(record.input.views)
    assert {"seed", "device", "gates", "input_size", "detection_long_side"} <= set(report["settings"])


def test_the_times_add_up(report):
    timing = report["timing"]
    parts = sum(timing[key] for key in TIMING - {"total_s"})
    assert parts <= timing["total_s"] + 0.01
