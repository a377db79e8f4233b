import csv
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from faceloupe.errors import DatasetError
from faceloupe.models.contract import InputContract
from faceloupe.scoring.preprocess import view_face
from faceloupe.training import clips, data
from faceloupe.types import Box

COLUMNS = ["split", "source", "label", "method", "group", "path", "width"]
PER_SECOND = 1000  # Matroska's clock


def film(path: Path, frames: list[np.ndarray], times_ms: list[int] | None = None) -> Path:
    """A lossless Matroska file, which does not say how many frames it has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.time_base = "bgr0", Fraction(1, PER_SECOND)
        stream.codec_context.time_base = Fraction(1, PER_SECOND)
        for rgb, time_ms in zip(frames, times_ms or [40 * number for number in range(len(frames))], strict=True):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, PER_SECOND)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def gray(*levels: int) -> list[np.ndarray]:
    return [np.full((32, 48, 3), level, np.uint8) for level in levels]


def index(root: Path, rows: list[tuple]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    with (root / "videos.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])
    return root / "videos.csv"


@pytest.fixture(scope="module")
def street(portrait) -> np.ndarray:
    """(240, 480, 3): a large face at the left, a small one at the right."""
    picture = np.full((240, 480, 3), 90, np.uint8)
    picture[:, :240] = np.asarray(Image.fromarray(portrait).resize((240, 240)))
    picture[60:180, 340:460] = np.asarray(Image.fromarray(portrait).resize((120, 120)))
    return picture


@pytest.fixture(scope="module")
def material(street, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("material")
    film(root / "videos" / "a.mkv", [street, np.zeros_like(street), street[:, ::-1].copy()])
    film(root / "videos" / "b.mkv", gray(10, 20))
    row = ("val", "s", "fake", "Swapped", "anna", "videos/a.mkv", 480)
    faceless = ("control", "s", "real", "original", "", "videos/b.mkv", 48)
    passed_over = [
        ("train", "s", "real", "original", "", "videos/not-there.mkv", 480),
        ("control", "s", "none", "original", "", "videos/not-there.mkv", 480),
    ]
    index(root, [row, faceless, *passed_over])
    return root


@pytest.fixture(scope="module")
def prepared(material, tmp_path_factory) -> tuple[Path, list[clips.ClipFace], list[tuple[int, int]]]:
    work = tmp_path_factory.mktemp("work") / "build"
    calls = []
    faces = clips.prepare(material, work, workers=1, progress=lambda *counts: calls.append(counts))
    return work, faces, calls


@pytest.mark.parametrize(
    ("times_ms", "count", "expected"),
    [
        (list(range(0, 1000, 100)), 5, [1, 3, 5, 7, 9]),
        (list(range(700, 1700, 100)), 5, [1, 3, 5, 7, 9]),
        ([0, 40, 80, 120, 4000, 8000], 4, [3, 4, 5]),
        ([0, 100, 200], 16, [0, 1, 2]),
        ([0], 16, [0]),
    ],
    ids=["even", "late start", "uneven", "few frames", "one frame"],
)
def test_frames_are_those_on_screen_halfway_through_equal_parts_of_the_time(tmp_path, times_ms, count, expected):
    path = film(tmp_path / "a.mkv", gray(*range(0, 20 * len(times_ms), 20)), times_ms)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 0
    result = list(clips.read_frames(path, count))
    assert [number for number, _, _ in result] == expected
    assert [time_s for _, time_s, _ in result] == [Fraction(times_ms[number], 1000) for number in expected]
    assert all((rgb == 20 * number).all() and rgb.shape == (32, 48, 3) for number, _, rgb in result)


def test_only_clips_with_a_face_and_never_those_to_train_on_are_read(material):
    read = clips.read_videos(material / "videos.csv")
    assert read == [
        clips.Clip("val", "s", 1, "Swapped", "anna", "videos/a.mkv"),
        clips.Clip("control", "s", 0, "original", "", "videos/b.mkv"),
    ]


def test_the_largest_face_of_each_frame_is_kept_and_a_frame_without_one_left_out(prepared):
    work, faces, calls = prepared
    assert [face.item.path for face in faces] == ["clips/a-00000.png", "clips/a-00002.png"]
    assert [face.time_s for face in faces] == [0.0, 0.08]
    assert {(face.split, face.method, face.clip, face.item.label, face.item.group) for face in faces} == {
        ("val", "Swapped", "a", 1, "anna")
    }
    assert all(face.item.has_face and face.item.box.height > 100 for face in faces)  # the small one is 80 pixels high
    assert calls == [(1, 2), (2, 2)]
    assert sorted(path.name for path in (work / "clips").iterdir()) == ["a-00000.png", "a-00002.png"]


def test_the_stored_picture_is_the_region_of_the_frame_unchanged(prepared, street):
    work, faces, _ = prepared
    for face, frame in zip(faces, (street, street[:, ::-1]), strict=True):
        stored = data.read_rgb(work / face.item.path)
        windows = np.lib.stride_tricks.sliding_window_view(frame, stored.shape)[:, :, 0]
        assert any((window == stored).all() for row in windows for window in row)
        assert 0 <= face.item.box.x0 < face.item.box.x1 <= stored.shape[1]
        assert 0 <= face.item.box.y0 < face.item.box.y1 <= stored.shape[0]


def test_faces_survive_writing_and_reading(prepared):
    work, faces, _ = prepared
    assert clips.read_clips(work / "clips.csv") == faces
    assert not list(work.rglob("*.partial"))


def test_every_view_is_the_same_from_the_frame_and_from_the_stored_region():
    rng = np.random.default_rng(0)
    contract = InputContract(size=64)
    for _ in range(200):
        height, width = (int(side) for side in rng.integers(40, 200, 2))
        frame = rng.integers(0, 256, (height, width, 3), np.uint8)
        (x0, x1), (y0, y1) = np.sort(rng.uniform(-10, width + 10, 2)), np.sort(rng.uniform(-10, height + 10, 2))
        if min(x1, width) - max(x0, 0) < 4 or min(y1, height) - max(y0, 0) < 4:
            continue
        box = Box(x0, y0, x1, y1).clipped(width, height)
        left, top, right, bottom = clips._region(box, width, height)
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        inside = Box(box.x0 - left, box.y0 - top, box.x1 - left, box.y1 - top)
        from_region = view_face(frame[top:bottom, left:right], inside, contract).crops
        assert (from_region == view_face(frame, box, contract).crops).all()


def test_a_clip_that_cannot_be_decoded_is_named_and_no_index_is_written(tmp_path):
    film(tmp_path / "videos" / "a.mkv", gray(10, 20))
    (tmp_path / "videos" / "b.mkv").write_bytes(b"no video")
    rows = [("val", "s", "real", "original", "", f"videos/{name}.mkv", 48) for name in "ab"]
    index(tmp_path, rows)
    with pytest.raises(DatasetError, match=r"b\.mkv is listed as a clip, but cannot be decoded"):
        clips.prepare(tmp_path, tmp_path / "work", workers=1)
    assert not (tmp_path / "work" / "clips.csv").exists()


def test_a_missing_file_and_one_without_pictures_are_named(tmp_path):
    with pytest.raises(DatasetError, match=r"not-there\.mkv"):
        list(clips.read_frames(tmp_path / "not-there.mkv", 4))
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(DatasetError, match="holds no video"):
        list(clips.read_frames(tmp_path / "sound.wav", 4))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("val", "s", "maybe", "original", "", "a.mkv", 48)], "real or fake"),
        ([("val", s, "real", "original", "", f"{s}/a.mkv", 48) for s in "pq"], "are named a"),
    ],
    ids=["label", "same name"],
)
def test_an_index_that_contradicts_itself_is_refused(tmp_path, rows, message):
    with pytest.raises(DatasetError, match=message):
        clips.read_videos(index(tmp_path, rows))


def test_indexes_that_are_missing_cut_or_to_train_on_are_refused(tmp_path, prepared):
    with pytest.raises(DatasetError, match="not there"):
        clips.read_videos(tmp_path / "videos.csv")
    with pytest.raises(DatasetError, match="not there"):
        clips.read_clips(tmp_path / "clips.csv")
    text = (prepared[0] / "clips.csv").read_text()
    path = tmp_path / "clips.csv"
    for damaged, texts in (
        (text.replace("time_s", "time"), "lacks the columns time_s"),
        (text[:-30], "damaged"),
        (text.replace("\nval,", "\ntrain,"), "split 'train'"),
    ):
        path.write_text(damaged)
        with pytest.raises(DatasetError, match=texts):
            clips.read_clips(path)


@pytest.mark.shared
def test_the_real_material_has_clips_of_both_classes_to_measure(shared_data):
    read = clips.read_videos(shared_data / "videos.csv")
    assert {(clip.split, clip.label) for clip in read} == {
        ("val", 0),
        ("val", 1),
        ("cross", 0),
        ("cross", 1),
        ("control", 0),
    }
    assert all((shared_data / clip.path).is_file() for clip in read)
