"""The cache of features: whole after a kill at any byte, and the same as if nothing had happened."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch

from faceloupe.config import weights_folder
from faceloupe.errors import DatasetError
from faceloupe.models import encoder as networks
from faceloupe.training import blending, features, gather, regions, views
from faceloupe.training.features import FeatureStore
from tests.training import large
from tests.training.test_regions import middle

SHAPE = (2, 3)
RECORD = 2 * 3 * 2
TREATMENTS = {"train": ("as-is", "heavy-1"), "val": ("as-is", "512"), "cross": ("512",)}


class Encoder:
    """A stand-in: means and spreads of the channels. It counts what it sees, and fails at a batch."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.batches, self.crops, self.fail_at = 0, 0, fail_at

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        if self.batches == self.fail_at:
            raise KeyboardInterrupt
        assert (crops.shape[1:], crops.dtype) == ((views.SIDE, views.SIDE, 3), np.uint8)
        self.batches += 1
        self.crops += len(crops)
        return np.stack([crops.mean(axis=(1, 2)), crops.std(axis=(1, 2))], axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Stills, regions of each kind, and the folder of the latter."""
    folder = tmp_path_factory.mktemp("features")
    sources = large.make(folder)
    sources.still("train", "real", "roomy.png", large.picture(90, (130, 130)), source="roomy")
    sources.still("train", "fake", "local.png", large.picture(91, (130, 130)), source="local")
    sources.write()
    stills = gather.gather(sources.data, sources.snapshots, workers=1).stills
    located = {}
    for kind in (regions.FACE, regions.SURROUNDINGS):
        regions.make(stills, sources.data, sources.snapshots, folder, find=middle, workers=0, kind=kind)
        located[kind] = regions.read(folder, kind)
    return stills, located, folder


def extract(prepared, folder, encode, **more) -> None:
    stills, face_regions, work = prepared
    more = {"treatments": TREATMENTS, "batch": 3} | more
    with FeatureStore(folder, SHAPE, "abc") as store:
        features.extract(stills, face_regions, work, store, encode, **more)


def content(folder) -> tuple[bytes, bytes]:
    return (folder / features.VALUES).read_bytes(), (folder / features.TABLE).read_bytes()


def test_every_view_is_computed_once_and_reads_back(prepared, tmp_path):
    encode = Encoder()
    extract(prepared, tmp_path, encode, tight_only=["local"])
    stored = features.read(tmp_path)
    stills = prepared[0]
    expected = [(still.id, f"tight/{name}") for still in stills for name in TREATMENTS[still.entry.split]]
    roomy = next(still.id for still in stills if still.entry.source == "roomy")
    expected.append((roomy, "widest/as-is"))
    assert sorted(zip(stored.ids, stored.views, strict=True)) == sorted(expected)
    assert stored.values.shape == (len(expected), *SHAPE)
    assert isinstance(stored.values, np.memmap)
    assert (stored.values.dtype, encode.crops, stored.made_by) == (np.float16, len(expected), "abc")
    extract(prepared, tmp_path, encode, tight_only=["local"])
    assert encode.crops == len(expected)


def test_the_features_are_those_of_the_view(prepared, tmp_path):
    extract(prepared, tmp_path, Encoder())
    stored = features.read(tmp_path)
    stills, known, work = prepared
    for still in stills:
        for position in np.flatnonzero(stored.ids == still.id):
            crop, treatment = stored.views[position].split("/")
            kind = features.REGIONS[crop]
            region = known[kind][still.id]
            face = views.Face(regions.pixels(work, region, kind), region.box, region.picture_px)
            treated, framing = views.treat(face, treatment, still.entry.pair or still.id)
            cropped = views.crop(treated, crop, framing)
            np.testing.assert_array_equal(stored.values[position], Encoder()(cropped.rgb[None])[0].astype(np.float16))
            assert stored.face_px[position] == pytest.approx(cropped.face_px, abs=0.06)
            assert stored.ratio[position] == pytest.approx(cropped.ratio, abs=0.001)


def test_photographs_alone_are_blended_and_then_treated_as_they_are_without(prepared, tmp_path):
    treatments = {"train": ("heavy-1", "blended/heavy-1"), "val": ("blended/512",)}
    extract(prepared, tmp_path, Encoder(), treatments=treatments)
    cache = features.read(tmp_path)
    stills, known, work = prepared
    blended = {(still.id, f"tight/{name}") for still in stills for name in treatments.get(still.entry.split, ())[-1:]}
    photographs = {still.id for still in stills if not still.entry.label}
    seen = set(zip(cache.ids.tolist(), cache.views.tolist(), strict=True))
    assert {of for of in seen if "blended" in of[1]} == {of for of in blended if of[0] in photographs}
    position = next(n for n in range(len(cache.ids)) if cache.views[n] == "tight/blended/heavy-1")
    still = next(still for still in stills if still.id == cache.ids[position])
    region = known[regions.FACE][still.id]
    random = np.random.default_rng(int(hashlib.sha256(f"blend{still.id}".encode()).hexdigest()[:12], 16))
    rgb = blending.blend_within(random, regions.pixels(work, region), region.face_box, region.landmarks)
    treated, framing = views.treat(views.Face(rgb, region.face_box, region.picture_px), "heavy-1", still.id)
    expected = Encoder()(views.crop(treated, "tight", framing).rgb[None])[0].astype(np.float16)
    np.testing.assert_array_equal(cache.values[position], expected)
    pristine = cache.values[(cache.ids == still.id) & (cache.views == "tight/heavy-1")]
    assert not np.array_equal(pristine[0], expected)


def test_the_treatments_come_one_after_the_other(prepared, tmp_path):
    extract(prepared, tmp_path, Encoder())
    order = [name.partition("/")[2] for name in features.read(tmp_path).views]
    assert order == sorted(order, key=["as-is", "heavy-1", "512"].index)


@pytest.mark.parametrize("batch", range(8))
def test_a_run_that_fails_at_any_batch_resumes_with_the_same_features(prepared, tmp_path, batch):
    extract(prepared, tmp_path / "unbroken", Encoder())
    first, rest = Encoder(batch), Encoder()
    with pytest.raises(KeyboardInterrupt):
        extract(prepared, tmp_path / "work", first)
    extract(prepared, tmp_path / "work", rest)
    assert rows(tmp_path / "work") == rows(tmp_path / "unbroken")
    assert first.crops + rest.crops == len(rows(tmp_path / "unbroken"))


def rows(folder) -> dict[tuple[str, str], tuple]:
    stored = features.read(folder)
    return {
        (str(stored.ids[n]), str(stored.views[n])): (stored.face_px[n], stored.ratio[n], stored.values[n].tobytes())
        for n in range(len(stored.ids))
    }


def test_a_kill_at_any_byte_of_either_file_loses_only_what_was_not_whole(tmp_path):
    values = np.arange(5 * 6, dtype=np.float32).reshape(5, *SHAPE)
    of = [(f"{n:016x}", "tight/as-is", 50.0 + n, 1.3) for n in range(5)]
    whole = tmp_path / "whole"
    with FeatureStore(whole, SHAPE, "abc") as store:
        store.add(of, values)
    records, table = content(whole)
    header = table.index(b"\n") + 1
    cuts = [(n, len(table)) for n in range(len(records) + 1)] + [(len(records), n) for n in range(len(table) + 1)]
    for number, (record_bytes, table_bytes) in enumerate(cuts):
        folder = tmp_path / f"cut{number}"
        shutil.copytree(whole, folder)
        (folder / features.VALUES).write_bytes(records[:record_bytes])
        (folder / features.TABLE).write_bytes(table[:table_bytes])
        with FeatureStore(folder, SHAPE, "abc") as store:
            left = len(store)
            assert left == min(record_bytes // RECORD, max(table[:table_bytes].count(b"\n") - 1, 0))
            assert [entry[:2] in store for entry in of] == [n < left for n in range(5)]
            assert content(folder) == (records[: left * RECORD], table[: _end(table, header, left)])
            store.add(of[left:], values[left:])
        assert content(folder) == (records, table)


def _end(table: bytes, header: int, count: int) -> int:
    return header + sum(len(line) for line in table[header:].splitlines(keepends=True)[:count])


def test_a_reader_sees_whole_records_while_another_writes(tmp_path):
    with FeatureStore(tmp_path, SHAPE, "abc") as store:
        store.add([("a", "tight/as-is", 50.0, 1.3)], np.ones((1, *SHAPE)))
        with (tmp_path / features.VALUES).open("ab") as stream:
            stream.write(b"half")
        with (tmp_path / features.TABLE).open("ab") as stream:
            stream.write(b"b,tight")
        assert features.read(tmp_path).ids.tolist() == ["a"]


@pytest.mark.parametrize(("shape", "made_by"), [((2, 4), "abc"), (SHAPE, "other")])
def test_features_of_two_encoders_are_never_mixed(tmp_path, shape, made_by):
    FeatureStore(tmp_path, SHAPE, "abc").__exit__()
    with pytest.raises(DatasetError, match="of another encoder"):
        FeatureStore(tmp_path, shape, made_by)
    (tmp_path / features.MADE_BY).unlink()
    with pytest.raises(DatasetError, match="move the folder away"):
        FeatureStore(tmp_path, SHAPE, "abc")


@pytest.mark.parametrize("values", [np.ones((2, *SHAPE)), np.ones((1, 3, 2)), np.full((1, *SHAPE), 1e6)])
def test_what_is_no_record_is_refused_before_anything_is_written(tmp_path, values):
    with FeatureStore(tmp_path, SHAPE, "abc") as store, pytest.raises(ValueError, match=r"expected|finite"):
        store.add([("a", "tight/as-is", 50.0, 1.3)], values)
    assert content(tmp_path)[0] == b""


def test_an_empty_or_damaged_cache_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="damaged or missing"):
        features.read(tmp_path)
    FeatureStore(tmp_path, SHAPE, "abc").__exit__()
    with pytest.raises(DatasetError, match="run `features` first"):
        features.read(tmp_path)
    (tmp_path / features.MADE_BY).write_text("{")
    with pytest.raises(DatasetError, match="damaged or missing"):
        features.read(tmp_path)


def test_the_cache_says_what_it_was_made_by(tmp_path):
    FeatureStore(tmp_path, SHAPE, "abc").__exit__()
    assert json.loads((tmp_path / features.MADE_BY).read_text()) == {"shape": [2, 3], "made_by": "abc"}


def test_the_encoder_is_fed_as_clip_was_trained(portrait):
    """The committed file; the network's input is checked with a normalization that is independent of the project."""
    path = weights_folder() / "clip-vit-b16.safetensors"
    encode, shape, sha256 = features.load_encoder(path)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    crops = np.stack([portrait[::4, ::4][:224, :224], portrait[::4, ::4][-224:, -224:]])
    mean, std = np.array(features.CONTRACT.mean), np.array(features.CONTRACT.std)
    inputs = torch.from_numpy(((crops / 255.0 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32))
    with torch.inference_mode():
        expected = networks.Encoder.load(path.read_bytes())(inputs).numpy()
    result = encode(crops)
    assert result.shape == (2, *shape)
    assert np.corrcoef(result.ravel(), expected.ravel())[0, 1] > 0.9999
    assert np.corrcoef(result[0].ravel(), result[1].ravel())[0, 1] < 0.999


def test_the_encoders_file_has_to_be_there(tmp_path):
    with pytest.raises(DatasetError, match="run `encoder` first"):
        features.load_encoder(tmp_path / "encoder.safetensors")
