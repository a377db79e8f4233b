"""Regions around faces: their geometry, and that a killed run can resume with the same result."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from faceloupe.config import Settings
from faceloupe.errors import DatasetError
from faceloupe.faces.detector import FaceDetector
from faceloupe.installation import ROOT
from faceloupe.training import gather, regions
from faceloupe.training.snapshots import Why
from faceloupe.types import Box, DetectedFace
from tests.training import large

POINTS = np.array([[18.0, 16], [28, 16], [23, 22], [19, 28], [27, 28]])


def middle(rgb: np.ndarray) -> list[DetectedFace]:
    """A stand-in for the face finder: every picture has a face of 36 x 40 pixels."""
    return [DetectedFace(Box(2.0, 3.0, 38.0, 43.0), 0.99, POINTS)]


def none(rgb: np.ndarray) -> list[DetectedFace]:
    return []


class Counting:
    """Counts the pictures it looks at, and is killed at one of them."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.seen, self.kill_at = 0, kill_at

    def __call__(self, rgb: np.ndarray) -> list[DetectedFace]:
        if self.seen == self.kill_at:
            raise KeyboardInterrupt
        self.seen += 1
        return middle(rgb)


@pytest.fixture
def sources(tmp_path) -> large.Material:
    return large.make(tmp_path)


@pytest.fixture
def stills(sources):
    return gather.gather(sources.data, sources.snapshots, workers=1).stills


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(regions, "_CHUNK", 3)


def make(sources: large.Material, stills, work: Path, find=middle, **more):
    return regions.make(
        stills, sources.data, sources.snapshots, work, find=find, workers=more.pop("workers", 0), **more
    )


def result(work: Path) -> dict[str, bytes]:
    """Everything that later stages read."""
    stored = sorted((work / regions.FACE.folder).glob("*.png"))
    return {path.name: path.read_bytes() for path in [work / regions.FACE.table, *stored]}


def test_the_region_is_2_6_times_the_box_and_keeps_box_and_landmarks_in_place():
    rgb = np.random.default_rng(0).integers(0, 256, (500, 700, 3), np.uint8)
    face = DetectedFace(Box(300.0, 200.0, 380.0, 300.0), 0.97, POINTS + np.array([310, 220]))
    region, pixels = regions.cut_out(rgb, face, "a")
    assert (region.side, pixels.shape, region.scale) == (260, (260, 260, 3), 1.0)
    x0, y0 = 300 - region.box.x0, 200 - region.box.y0
    np.testing.assert_array_equal(pixels, rgb[int(y0) : int(y0) + 260, int(x0) : int(x0) + 260])
    np.testing.assert_allclose(np.array(region.landmarks).reshape(5, 2) + np.array([x0, y0]), face.landmarks)
    assert (region.width, region.height, region.picture_px) == (700, 500, 700)


def test_a_large_region_is_shrunk_and_all_numbers_with_it():
    rgb = np.zeros((3000, 2600, 3), np.uint8)
    rgb[1000:1500, 1000:1500] = 255
    region, pixels = regions.cut_out(rgb, DetectedFace(Box(1000.0, 1000.0, 1500.0, 1500.0), 1.0, POINTS + 1200), "a")
    assert pixels.shape == (800, 800, 3)
    assert region.scale == pytest.approx(800 / 1300)
    x0, y0, x1, y1 = (round(value) for value in region.box.corners)
    assert pixels[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1].min() == 255
    assert pixels[: y0 - 1].max() == 0
    assert region.picture_px == pytest.approx(3000 * 800 / 1300)


def test_a_face_that_is_too_small_has_no_region():
    rgb = np.zeros((500, 500, 3), np.uint8)
    sizes = {35: regions.SMALL_FACE, 36: ""}
    for size, reason in sizes.items():
        face = DetectedFace(Box(100.0, 100.0, 100.0 + size, 180.0), 1.0, POINTS)
        assert regions.cut_out(rgb, face, "a")[0].reason == reason


def test_surroundings_are_the_largest_square_of_the_picture_where_that_shows_more_than_the_face():
    rgb = np.random.default_rng(0).integers(0, 256, (170, 300, 3), np.uint8)
    face = DetectedFace(Box(20.0, 40.0, 100.0, 140.0), 0.97, POINTS + np.array([40, 60]))
    region, pixels = regions.cut_out(rgb, face, "a", regions.SURROUNDINGS)
    np.testing.assert_array_equal(pixels, rgb[:, :170])
    assert (region.side, region.box.corners, region.has_surroundings) == (170, face.box.corners, True)
    region, pixels = regions.cut_out(rgb[1:], face, "a", regions.SURROUNDINGS)
    assert (region.reason, pixels.size) == (regions.FACE_ALONE, 0)
    assert [regions.cut_out(rgb[lost:], face, "a")[0].has_surroundings for lost in (0, 1)] == [True, False]


def test_only_a_face_that_the_finder_is_sure_of_counts():
    faces = [DetectedFace(Box(0.0, 0.0, size, size), sure, POINTS) for size, sure in ((90, 0.89), (60, 0.9), (50, 1.0))]
    assert regions.main_face(faces).box.width == 60
    assert regions.main_face(faces[:1]) is None


def test_every_picture_gets_a_region_that_reads_back(sources, stills, tmp_path):
    made = make(sources, stills, tmp_path / "work")
    assert [region.id for region in made] == [still.id for still in stills]
    assert regions.read(tmp_path / "work") == {region.id: region for region in made}
    for still, seed in zip(stills, (0, 1, 2, 3, *range(10, 17)), strict=True):
        region = made[stills.index(still)]
        x0, y0 = round(2 - region.box.x0), round(3 - region.box.y0)
        stored = regions.pixels(tmp_path / "work", region)
        np.testing.assert_array_equal(stored, large.picture(seed)[y0 : y0 + region.side, x0 : x0 + region.side])


def test_the_picture_itself_stands_for_the_face_in_sources_of_tight_crops_alone(sources, stills, tmp_path):
    made = make(sources, stills, tmp_path / "work", none, crops=["own"])
    assert {region.reason for region in made[4:]} == {regions.NO_FACE}
    assert {(region.reason, region.box.width, region.landmarks, region.confidence) for region in made[:4]} == {
        ("", 40.0, (), 0.0)
    }
    assert set(regions.read(tmp_path / "work")) == {still.id for still in stills[:4]}


@pytest.mark.parametrize("killed_at", range(11))
def test_a_run_killed_at_any_picture_resumes_with_the_same_result(sources, stills, tmp_path, killed_at):
    make(sources, stills, tmp_path / "unbroken")
    with pytest.raises(KeyboardInterrupt):
        make(sources, stills, tmp_path / "work", Counting(killed_at))
    assert not (tmp_path / "work" / regions.FACE.table).exists()
    rest = Counting()
    make(sources, stills, tmp_path / "work", rest)
    assert result(tmp_path / "work") == result(tmp_path / "unbroken")
    assert rest.seen == 11 - killed_at // 3 * 3  # what whole chunks did is kept


def test_a_table_cut_at_any_byte_is_completed(sources, stills, tmp_path):
    work = tmp_path / "work"
    make(sources, stills, work)
    whole = result(work)
    log = work / regions.FACE.folder / "log.csv"
    content = log.read_bytes()
    for cut in (0, 1, 40, content.index(b"\n"), content.index(b"\n") + 1, len(content) // 2, len(content) - 1):
        log.write_bytes(content[:cut])
        lost = Counting()
        make(sources, stills, work, lost)
        assert lost.seen == 11 - max(content[:cut].count(b"\n") - 1, 0)
        assert result(work) == whole
    assert sorted(log.read_bytes().splitlines()) == sorted(content.splitlines())


def test_a_finished_run_does_nothing_again_but_what_was_removed(sources, stills, tmp_path):
    made = make(sources, stills, tmp_path / "work")
    (tmp_path / "work" / regions.FACE.folder / f"{made[5].id}.png").unlink()
    again = Counting()
    make(sources, stills, tmp_path / "work", again)
    assert again.seen == 1


def test_other_parameters_make_every_region_anew(sources, stills, tmp_path, monkeypatch):
    make(sources, stills, tmp_path / "work")
    monkeypatch.setattr(regions, "SMALLEST_FACE_PX", 20)
    again = Counting()
    changed = make(sources, stills, tmp_path / "work", again)
    assert again.seen == 11
    assert regions.read(tmp_path / "work") == {region.id: region for region in changed}


def test_a_picture_that_was_missing_is_tried_again(sources, stills, tmp_path):
    snapshot = sources.snapshots / "bert+made"
    away = snapshot.rename(tmp_path / "away")
    made = make(sources, stills, tmp_path / "work")
    assert [region.reason for region in made[8:]] == [Why.NO_SNAPSHOT] * 3
    away.rename(snapshot)
    again = Counting()
    assert all(not still.reason for still in make(sources, stills, tmp_path / "work", again))
    assert again.seen == 3


def test_workers_change_nothing(sources, stills, tmp_path):
    make(sources, stills, tmp_path / "alone")
    make(sources, stills, tmp_path / "three", workers=3)
    assert result(tmp_path / "three") == result(tmp_path / "alone")


_RUN = """
import os, sys
from pathlib import Path
from faceloupe.training import gather, regions
from tests.training.test_regions import middle

data, snapshots, work, kill_after = *map(Path, sys.argv[1:4]), int(sys.argv[4])
regions._CHUNK = 1
done = 0

def find(rgb):
    global done
    if done == kill_after:
        os.kill(os.getpid(), 9)
    done += 1
    return middle(rgb)

stills = gather.gather(data, snapshots, workers=1).stills
regions.make(stills, data, snapshots, work, find=find, workers=0)
"""


def test_a_process_that_is_killed_outright_loses_nothing_that_was_done(sources, stills, tmp_path):
    arguments = [str(path) for path in (sources.data, sources.snapshots, tmp_path / "work")]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-c", _RUN, *arguments, "4"], env=environment, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    rest = Counting()
    make(sources, stills, tmp_path / "work", rest)
    assert rest.seen == 7
    make(sources, stills, tmp_path / "unbroken")
    assert result(tmp_path / "work") == result(tmp_path / "unbroken")


def test_the_projects_own_finder_is_asked(sources, portrait, tmp_path):
    sources.still("train", "fake", "portrait.png", portrait)
    sources.write()
    stills = gather.gather(sources.data, None, workers=1).stills[-1:]
    shutil.rmtree(sources.snapshots)
    (region,) = regions.make(stills, sources.data, None, tmp_path / "work", workers=1)
    face = FaceDetector(Settings()).detect(portrait)[0]
    assert region.box.width / region.scale == pytest.approx(face.box.width, abs=0.1)
    assert region.confidence == pytest.approx(face.confidence, abs=1e-3)
    assert region.side == regions.LONGEST_PX


def test_missing_or_damaged_regions_are_refused(sources, stills, tmp_path):
    with pytest.raises(DatasetError, match="run `regions` first"):
        regions.read(tmp_path)
    region = make(sources, stills, tmp_path / "work")[0]
    path = tmp_path / "work" / regions.FACE.folder / f"{region.id}.png"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DatasetError, match="missing or damaged"):
        regions.pixels(tmp_path / "work", region)
