"""Edge export: parity with the original, a record of its own, and no error rate that was not measured."""

import json
import shutil

import numpy as np
import pytest

from faceloupe.cli import main
from faceloupe.config import QUICK_MODEL, weights_folder
from faceloupe.errors import WeightsError
from faceloupe.evaluation import onnx_export
from faceloupe.models.record import find_record, read_registry
from tests.cli.test_main import run
from tests.conftest import GENERATED, PHOTOGRAPH

onnxruntime = pytest.importorskip("onnxruntime", reason="see requirements-export.txt")
pytest.importorskip("onnxscript", reason="see requirements-export.txt")
pytestmark = pytest.mark.slow

RECORD = find_record(weights_folder(), QUICK_MODEL)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Both precisions, exported by the command line."""
    folder = tmp_path_factory.mktemp("edge")
    for name, options in (("float32.onnx", []), ("int8.onnx", ["--int8"])):
        assert main.main(["models", "export", QUICK_MODEL, "--onnx", str(folder / name), *options]) == 0
    return folder


def test_float32_gives_the_logits_of_the_original(exported, analyzer, portrait):
    values, scorer = onnx_export.read_exported(exported / "float32.onnx", RECORD)
    assert values["parity"]["largest_logit_difference"] < 1e-4
    assert values["parity"]["other_outcomes"] == 0
    (face,) = analyzer.detector.detect(portrait)
    views = analyzer.scorer.view(portrait, face.box)
    for count in (1, 3):  # any number of faces at once
        result, expected = scorer.logits([views] * count), analyzer.scorer.logits([views] * count)
        np.testing.assert_allclose(result, expected, atol=1e-4)


def test_int8_is_a_quarter_of_the_size_and_says_how_far_it_is_off(exported, analyzer, portrait):
    small, large = ((exported / name).stat().st_size for name in ("int8.onnx", "float32.onnx"))
    assert small < 0.33 * large
    values, scorer = onnx_export.read_exported(exported / "int8.onnx", RECORD)
    (face,) = analyzer.detector.detect(portrait)
    views = analyzer.scorer.view(portrait, face.box)
    apart = abs(float(scorer.logits([views])[0] - analyzer.scorer.logits([views])[0]))
    assert 0.0 < apart <= values["parity"]["largest_logit_difference"] + 1e-6 < 1.0


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


def test_error_rates_are_measured_on_the_exported_network(capsys, tmp_path):
    for name, path in (("real", PHOTOGRAPH), ("fake", GENERATED)):
        (tmp_path / "labeled" / name).mkdir(parents=True)
        shutil.copy(path, tmp_path / "labeled" / name)
    arguments = [QUICK_MODEL, "--onnx", tmp_path / "x.onnx", "--int8", "--validate", tmp_path / "labeled"]
    code, out, err = run(capsys, "models", "export", *arguments)
    assert (code, err) == (0, "")
    values = json.loads((tmp_path / "x.json").read_text())
    own, other = (values[key]["measures"] for key in ("error_rates", "error_rates_of_the_original"))
    assert (own["n_real"], own["n_fake"]) == (other["n_real"], other["n_fake"]) == (1, 1)
    assert "Errors     its own" in out


def test_what_is_not_what_its_record_says_is_refused(exported, tmp_path):
    for path in exported.iterdir():
        shutil.copy(path, tmp_path)
    with (tmp_path / "int8.onnx").open("ab") as stream:
        stream.write(b"x")
    (tmp_path / "float32.json").write_text("{")
    for name in ("int8.onnx", "float32.onnx", "none.onnx"):
        with pytest.raises(WeightsError):
            onnx_export.read_exported(tmp_path / name, RECORD)


def test_a_bad_request_is_one_sentence(capsys, exported, tmp_path):
    ensemble = next(record for record in read_registry(weights_folder()).values() if record.members)
    (tmp_path / "empty").mkdir()
    for arguments in (
        ["none-such", "--onnx", tmp_path / "a.onnx"],
        [ensemble.id, "--onnx", tmp_path / "a.onnx"],
        [QUICK_MODEL, "--onnx", tmp_path / "a.bin"],
        [QUICK_MODEL, "--onnx", exported / "int8.onnx"],
        [QUICK_MODEL, "--onnx", tmp_path / "a.onnx", "--pictures", tmp_path / "empty"],
        [QUICK_MODEL, "--onnx", weights_folder() / "a.onnx"],  # its record would be taken for a model's
        [QUICK_MODEL],
    ):
        code, out, err = run(capsys, "models", "export", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), err
    assert list(tmp_path.iterdir()) == [tmp_path / "empty"]
