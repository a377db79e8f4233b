"""The recorded answers of the committed model for the bundled samples.

A change of any part between the file and the score shows here. Where the change is meant, record anew with
``python -m tests.golden.test_golden`` and say why in the changelog.
"""

import json
from pathlib import Path

import pytest
from tests.report_json import report_json

from faceloupe.analysis.pipeline import Networks, analyze
from faceloupe.config import Settings
from faceloupe.samples import SAMPLES

RECORD = Path(__file__).with_name("samples.json")
KEYS = ("outcome", "score", "raw_logit", "log10_lr", "box", "crop_box", "sharpness", "heat_peak")


def answers(analyzer: Networks, settings: Settings) -> dict:
    """Return the recorded values of every sample: the hash of the weights, and the numbers of each face."""
    result = {}
    for sample in SAMPLES:
        report = report_json(analyze(sample.path, analyzer))
        faces = [{key: face[key] for key in KEYS} for face in report["faces"]]
        result[sample.path.name] = {
            "sha256": report["evidence"]["sha256"],
            "outcome": report["outcome"],
            "faces": faces,
        }
    return {"weights_sha256": analyzer.scorer.record.weights_sha256, "samples": result}


@pytest.mark.parametrize("effort", ["quick", "standard"])
def test_the_samples_get_the_recorded_answers(effort, analyzer, standard):
    used = {"quick": analyzer, "standard": standard}[effort]
    recorded, now = json.loads(RECORD.read_text(encoding="utf-8"))[effort], answers(used, Settings(effort=effort))
    assert now["weights_sha256"] == recorded["weights_sha256"]
    for name, expected in recorded["samples"].items():
        result = now["samples"][name]
        assert (result["sha256"], result["outcome"]) == (expected["sha256"], expected["outcome"])
        assert len(result["faces"]) == len(expected["faces"])
        for face, expected_face in zip(result["faces"], expected["faces"], strict=True):
            assert face["outcome"] == expected_face["outcome"]
            # The expert multiplies in bfloat16 where a processor can: another one comes to a slightly different score.
            near, far, like = (1e-3, 1e-2, 0.02) if effort == "quick" else (6e-2, 3e-1, 0.25)
            assert face["score"] == pytest.approx(expected_face["score"], abs=near)
            assert face["raw_logit"] == pytest.approx(expected_face["raw_logit"], abs=far)
            assert face["box"] == pytest.approx(expected_face["box"], abs=0.5)
            assert face["crop_box"] == pytest.approx(expected_face["crop_box"], abs=1.0)
            assert face["heat_peak"] == pytest.approx(expected_face["heat_peak"], rel=like, abs=0.02)


if __name__ == "__main__":
    efforts = {effort: Settings(effort=effort) for effort in ("quick", "standard")}
    recorded = {effort: answers(Networks.load(settings), settings) for effort, settings in efforts.items()}
    text = json.dumps(recorded, indent=2)
    RECORD.write_text(text + "\n", encoding="utf-8")
