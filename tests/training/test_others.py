"""Comparison with other networks: the faces that they judge, and the training material of their heads."""

import numpy as np
import pytest
import torch

from faceloupe.models.contract import InputContract
from faceloupe.scoring.preprocess import FaceViews, view_face
from faceloupe.training import gather, others, regions
from tests.training import large
from tests.training.test_regions import middle


class Brightness:
    """A stand-in for a network: the mean brightness of a face."""

    def view(self, rgb, box) -> FaceViews:
        return view_face(rgb, box, InputContract(size=32))

    def logits(self, faces) -> np.ndarray:
        return np.array([face.crops.mean() - 127.0 for face in faces])


class Colors:
    """A stand-in for a trunk: the mean of each channel."""

    def features(self, crops) -> torch.Tensor:
        return torch.from_numpy(crops.mean((1, 2)).astype(np.float32))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Stills of four families: `own` with both labels, two of one label, one held out."""
    work = tmp_path_factory.mktemp("others")
    material = large.make(work)
    for number in range(20, 26):
        blob = large.repository(
            material.snapshots / f"c{number}+made" / "repo", {"a.png": large.png(large.picture(number))}
        )["a.png"]
        label, split = ("fake", "real")[number % 2], "cross" if number > 23 else "train"
        material.listed(split, label, f"c{number}/made", "a.png", blob, source=f"c{number}", method="made")
    material.write()
    stills = gather.gather(material.data, material.snapshots, workers=1).stills
    regions.make(stills, material.data, material.snapshots, work, find=middle, workers=0)
    return stills, regions.read(work), work


def test_each_network_judges_faces_left_out_and_held_out(prepared):
    stills, located, work = prepared
    faces = others.choose(stills, located, work, {})
    assert len(faces) == len(located) == 17
    rows = others.ask(faces, {"net": Brightness()}, Colors(), work)
    counts = {(row.view, row.label): row.faces for row in rows if row.source == "all"}
    left_out, held_out = (sorted(faces.labels[faces.held_out == held].tolist()) for held in (False, True))
    for name in ("net", others.PROBE):
        for view, labels in (("left out", left_out), ("held out", held_out)):
            assert counts[f"{name}, {view}", "authentic"] == labels.count(0)
            assert counts[f"{name}, {view}", "manipulated"] == labels.count(1)
    assert "own" in {row.source for row in rows if row.view == "net, left out"}


def test_a_head_sees_neither_the_family_that_it_judges_nor_what_is_held_out(prepared, monkeypatch):
    stills, located, work = prepared
    faces = others.choose(stills, located, work, {"anna": "pair", "c20": "pair"})
    seen: list[set[str]] = []

    def fit(inputs, labels, sources, settings):
        seen.append(set(sources.tolist()))
        return lambda asked: np.zeros(len(asked))

    monkeypatch.setattr(others.heads, "fit", fit)
    others.ask(faces, {}, Colors(), work)
    held_out = set(faces.sources[faces.held_out]) - set(faces.sources[~faces.held_out])
    assert held_out
    assert all(not held_out & known for known in seen)
    assert any(not {"anna", "c20"} & known for known in seen)
    assert all(("anna" in known) == ("c20" in known) for known in seen)


def test_the_trunk_gives_the_features_before_the_classifier(tmp_path):
    from safetensors.torch import save_file

    from faceloupe.models.networks import build

    torch.manual_seed(0)
    network = build("mobilenet_v3_small").eval()
    path = tmp_path / "trunk.safetensors"
    save_file({k: v for k, v in network.state_dict().items() if k.startswith("features.")}, path)
    crops = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    features = others.Probe(path).features(crops)
    assert features.shape == (2, 576)
    logits = network.classifier(features)
    expected = network(torch.from_numpy(others.normalize(crops, others.CONTRACT)).contiguous())
    torch.testing.assert_close(logits, expected)
