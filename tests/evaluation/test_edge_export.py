"""Edge export: parity with the original, its own record, and only measured error rates."""

import json
import shutil
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from faceloupe.analysis.pipeline import Networks, analyze
from faceloupe.cli import main
from faceloupe.config import QUICK_MODEL, Settings, weights_folder
from faceloupe.errors import WeightsError
from faceloupe.evaluation import edge_export
from faceloupe.media.evidence_file import open_evidence
from faceloupe.models.loading import load_network
from faceloupe.models.record import find_record, read_registry
from faceloupe.training.settings import CARD_CORE
from tests.cli.test_main import run
from tests.conftest import GENERATED, PHOTOGRAPH

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # litert_torch converts for a minute and more

RECORD = find_record(weights_folder(), CARD_CORE)


@pytest.fixture(scope="module")
def analyzer():
    """The core of version 2, which is exported."""
    return Networks.load(Settings(model=CARD_CORE))


NEEDED = {  # the two formats want environments of their own
    "onnx": (("onnxruntime", "onnxscript"), "requirements-export.txt"),
    "tflite": (("litert_torch", "ai_edge_quantizer", "ai_edge_litert"), "requirements-litert.txt"),
}


@pytest.fixture(scope="module", params=list(NEEDED))
def kind(request):
    """Each format whose libraries are installed."""
    modules, requirements = NEEDED[request.param]
    if any(find_spec(module) is None for module in modules):
        pytest.skip(f"see {requirements}")
    return request.param


@pytest.fixture(scope="module")
def exported(kind, tmp_path_factory):
    """Both precisions, exported by the command line."""
    folder = tmp_path_factory.mktemp("edge")
    for name, options in (("float32", []), ("int8", ["--int8"])):
        target = folder / f"{name}.{kind}"
        assert main.main(["models", "export", CARD_CORE, f"--{kind}", str(target), *options]) == 0
    return folder


def test_a_network_that_replaces_the_original_is_analyzed_with_like_it(analyzer, settings):
    network = load_network(RECORD, weights_folder())

    def run(views):
        with torch.inference_mode():
            return network(torch.from_numpy(views)).numpy()

    replaced = replace(analyzer, scorer=analyzer.scorer.with_scorer(edge_export.ExportedScorer(RECORD.input, run)))
    evidence_file = open_evidence(GENERATED, max_bytes=settings.max_bytes)
    own, other = (analyze(evidence_file, networks, explain=False).faces for networks in (analyzer, replaced))
    assert [face.raw_logit for face in own] == pytest.approx([face.raw_logit for face in other], abs=1e-4)


def test_float32_gives_the_logits_of_the_original(exported, kind, analyzer, portrait):
    exported_record, scorer = edge_export.read_exported(exported / f"float32.{kind}", RECORD)
    assert exported_record.parity.largest_logit_difference < 1e-4
    assert exported_record.parity.other_outcomes == 0
    (face,) = analyzer.detector.detect(portrait)
    views = analyzer.scorer.view(portrait, face.box)
    for count in (1, 3):  # any number of faces at once
        result, expected = scorer.logits([views] * count), analyzer.scorer.logits([views] * count)
        np.testing.assert_allclose(result, expected, atol=1e-4)


def test_int8_is_a_quarter_of_the_size_and_says_how_far_it_is_off(exported, kind, analyzer, portrait):
    small, large = ((exported / name).stat().st_size for name in (f"int8.{kind}", f"float32.{kind}"))
    assert small < 0.33 * large
    exported_record, scorer = edge_export.read_exported(exported / f"int8.{kind}", RECORD)
    (face,) = analyzer.detector.detect(portrait)
    views = analyzer.scorer.view(portrait, face.box)
    apart = abs(float(scorer.logits([views])[0] - analyzer.scorer.logits([views])[0]))
    assert 0.0 < apart <= exported_record.parity.largest_logit_difference + 1e-6 < 1.0


def test_an_export_never_carries_the_rates_of_the_original(exported):
    for name in ("float32", "int8"):
        values = json.loads((exported / f"{name}.json").read_text())
        assert values["error_rates"] is None
        assert values["of"] == {
            "id": RECORD.id,
            "weights_sha256": RECORD.weights_sha256,
            "record_sha256": RECORD.sha256,
        }
        assert f"{RECORD.error_rates.fpr}" not in (exported / f"{name}.json").read_text()


def test_error_rates_are_measured_on_the_exported_network(kind, capsys, tmp_path):
    for name, path in (("real", PHOTOGRAPH), ("fake", GENERATED)):
        (tmp_path / "labeled" / name).mkdir(parents=True)
        shutil.copy(path, tmp_path / "labeled" / name)
    arguments = [CARD_CORE, f"--{kind}", tmp_path / f"x.{kind}", "--int8", "--validate", tmp_path / "labeled"]
    code, out, err = run(capsys, "models", "export", *arguments)
    assert (code, err) == (0, "")
    values = json.loads((tmp_path / "x.json").read_text())
    own, other = (values[key]["measures"] for key in ("error_rates", "error_rates_of_the_original"))
    assert (own["n_real"], own["n_fake"]) == (other["n_real"], other["n_fake"]) == (1, 1)
    assert "Errors     its own" in out


def test_what_is_not_what_its_record_says_is_refused(exported, kind, tmp_path):
    for path in exported.iterdir():
        shutil.copy(path, tmp_path)
    with (tmp_path / f"int8.{kind}").open("ab") as stream:
        stream.write(b"x")
    (tmp_path / "float32.json").write_text("{")
    for name in ("int8", "float32", "none"):
        with pytest.raises(WeightsError):
            edge_export.read_exported(tmp_path / f"{name}.{kind}", RECORD)


def test_a_bad_request_is_reported_in_one_sentence(capsys, exported, kind, tmp_path):
    ensemble = next(record for record in read_registry(weights_folder()).values() if record.members)
    (tmp_path / "empty").mkdir()
    for arguments in (
        ["none-such", f"--{kind}", tmp_path / f"a.{kind}"],
        [ensemble.id, f"--{kind}", tmp_path / f"a.{kind}"],
        [CARD_CORE, f"--{kind}", tmp_path / "a.bin"],
        [CARD_CORE, f"--{kind}", exported / f"int8.{kind}"],
        [CARD_CORE, f"--{kind}", tmp_path / f"a.{kind}", "--pictures", tmp_path / "empty"],
        [CARD_CORE, f"--{kind}", weights_folder() / f"a.{kind}"],  # its record would be taken for a model's
        [CARD_CORE],
    ):
        code, out, err = run(capsys, "models", "export", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), err
    assert list(tmp_path.iterdir()) == [tmp_path / "empty"]


@pytest.mark.parametrize("options", [[], ["--int8"]], ids=["float32", "int8"])
def test_a_head_of_the_expert_is_exported_with_its_encoder(tmp_path, options):
    if any(find_spec(module) is None for module in NEEDED["onnx"][0]):
        pytest.skip("see requirements-export.txt")
    target = tmp_path / "head.onnx"
    assert main.main(["models", "export", "faceloupe-generated-10", "--onnx", str(target), *options]) == 0
    values = json.loads(target.with_suffix(".json").read_text())
    assert values["parity"]["largest_logit_difference"] < 1e-4
    assert values["onnx"]["input"]["shape"] == ["n", 3, 224, 224]
    assert (target.stat().st_size < 10**8) == bool(options)


def test_the_core_that_is_judged_by_all_blocks_is_exported_too(tmp_path):
    if any(find_spec(module) is None for module in NEEDED["onnx"][0]):
        pytest.skip("see requirements-export.txt")
    gaps = []
    for name, options in (("float32.onnx", []), ("int8.onnx", ["--int8"])):
        assert main.main(["models", "export", QUICK_MODEL, "--onnx", str(tmp_path / name), *options]) == 0
        record, _ = edge_export.read_exported(tmp_path / name, find_record(weights_folder(), QUICK_MODEL))
        gaps.append(record.parity.largest_logit_difference)
    assert gaps[0] < 1e-4 < gaps[1] < 1.0
    assert (tmp_path / "int8.onnx").stat().st_size < 0.33 * (tmp_path / "float32.onnx").stat().st_size
