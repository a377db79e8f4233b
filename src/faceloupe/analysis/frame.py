"""One frame of an examined video, decoded again and explained."""

from dataclasses import dataclass, field, replace

import numpy as np

from faceloupe.analysis.networks import Networks, candidate, finding
from faceloupe.analysis.results import Analysis
from faceloupe.errors import EvidenceError
from faceloupe.faces.frame import PictureItself
from faceloupe.findings import FaceFinding, FaceObservation
from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.media.sandbox.video import IsolatedVideo
from faceloupe.models.record import ModelRecord
from faceloupe.scoring.calibration import log10_likelihood_ratio
from faceloupe.scoring.decision import of_score


@dataclass(frozen=True, slots=True)
class FrameExplanation:
    """One frame of an examined video, explained.

    Attributes:
        index: in order of display, from 0.
        time_s: seconds since the first frame.
        rgb: (H, W, 3) uint8, upright.
        faces: those found in it; the id of each is that of its track, its outcome that of this frame alone.
    """

    index: int
    time_s: float
    rgb: np.ndarray = field(repr=False)
    faces: tuple[FaceFinding, ...]


def _as_in_video(face: FaceFinding, observation: FaceObservation, record: ModelRecord) -> FaceFinding:
    """Return the finding on a face of a frame with the score of that frame in its video, which is joined otherwise."""
    if record.fusion is None or face.score is None or observation.score is None:
        return face
    outcome, reason = of_score(observation.score, record.thresholds)
    return replace(
        face,
        outcome=outcome,
        reason=reason,
        score=observation.score,
        raw_logit=observation.raw_logit,
        log10_lr=log10_likelihood_ratio(observation.score, record.log10_lr_bounds),
        propositions=(),
    )


def explain_frame(evidence_file: EvidenceFile, analysis: Analysis, index: int, networks: Networks) -> FrameExplanation:
    """Decode one of the frames that were analyzed again, and explain each of its faces.

    Args:
        evidence_file: the very file that was examined.
        analysis: of it.
        index: of a frame in the report's ``frames``.
        networks: the networks that the analysis was made with.

    Raises:
        EvidenceError: the file changed since, or the frame cannot be decoded any more.
    """
    with evidence_file.open() as stream, IsolatedVideo(evidence_file, stream, settings=networks.settings) as video:
        decoded_frame = next(iter(video.walk([index], every=False)), None)
        if decoded_frame is None:
            raise EvidenceError(f"Frame {index} cannot be decoded.")
        rgb, time_s = decoded_frame.rgb(), float(decoded_frame.time)
        evidence_file.refuse_changed(stream)
    picture, faces = PictureItself.of(rgb), []
    for track in analysis.tracks:
        for observation in track.observations:
            if observation.frame == index:
                face = picture.out_of_file(observation.face)
                cut_out = replace(candidate(face, picture, networks.scorer), quality=observation.quality)
                done = None if cut_out.quality.problem else networks.scorer.explained(cut_out.views)
                found_alone = finding(track.id, cut_out, done, networks.scorer)
                faces.append(_as_in_video(found_alone, observation, networks.scorer.record))
    return FrameExplanation(index, time_s, rgb, tuple(faces))
