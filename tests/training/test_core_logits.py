"""The core's answers to the views that the encoder saw."""

import numpy as np
import pytest

from faceloupe.errors import DatasetError
from faceloupe.models.contract import InputContract
from faceloupe.scoring.preprocess import FaceViews, view_face
from faceloupe.training import core_logits, gather, regions
from tests.training import large
from tests.training.test_regions import middle


class Scorer:
    """A stand-in: the mean brightness of a face. It counts what it sees."""

    def __init__(self) -> None:
        self.faces = 0

    def view(self, rgb, box) -> FaceViews:
        return view_face(rgb, box, InputContract(size=32))

    def logits(self, faces) -> np.ndarray:
        self.faces += len(faces)
        return np.array([face.crops.mean() for face in faces])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("core")
    sources = large.make(folder)
    stills = gather.gather(sources.data, sources.snapshots, workers=1).stills
    regions.make(stills, sources.data, sources.snapshots, folder, find=middle, workers=0)
    return stills, regions.read(folder), folder


def test_every_view_is_scored_once_and_reads_back(prepared):
    stills, face_regions, work = prepared
    seen = [(still.id, treatment) for still in stills for treatment in ("as-is", "512", "as-is")]
    wanted = core_logits.tasks(stills, seen)
    scorer = Scorer()
    core_logits.score(wanted[:3], face_regions, work, scorer=scorer, model="core-1")
    core_logits.score(wanted, face_regions, work, scorer=scorer, model="core-1")
    assert scorer.faces == len(wanted) == len(set(wanted))
    answers = core_logits.read(work, "core-1")
    assert set(answers) == {(task.still.id, task.treatment) for task in wanted}
    core_logits.score(wanted[:1], face_regions, work, scorer=scorer, model="core-2")
    assert len(core_logits.read(work, "core-2")) == 1
    with pytest.raises(DatasetError, match="no answers of core-3"):
        core_logits.read(work, "core-3")


def test_the_core_is_not_asked_what_it_was_trained_on(prepared):
    stills, _, _ = prepared
    asked = {task.still.id for task in core_logits.tasks(stills, [(still.id, "as-is") for still in stills])}
    for still in stills:
        trained = not still.entry.repository and still.entry.split == "train"
        assert (still.id in asked) is not trained


def test_without_answers_it_says_what_to_run(tmp_path):
    with pytest.raises(DatasetError, match="run `corelogits` first"):
        core_logits.read(tmp_path, "core-1")
