"""Explanation of one frame of an analyzed video, which is decoded again."""

from dataclasses import dataclass, field, replace

import numpy as np

from faceloupe.analysis.networks import Networks, candidate, finding
from faceloupe.analysis.results import Analysis
from faceloupe.errors import EvidenceError
from faceloupe.faces.outline import BorderlessPicture
from faceloupe.findings import FaceFinding, FaceObservation
from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.media.sandbox.video import IsolatedVideo
from faceloupe.models.record import ModelRecord
from faceloupe.scoring.calibration import log10_likelihood_ratio
from faceloupe.scoring.decision import of_score


@dataclass(frozen=True, slots=True)
class FrameExplanation:
    """One frame of an analyzed video, with its faces explained.

    Attributes:
        index: number of the frame in display order, from 0.
        time_s: seconds since the first frame.
        rgb: (H, W, 3) uint8, upright.
        faces: findings on the faces in the frame. Each has the id of its track and the outcome of this frame only.
    """

    index: int
    time_s: float
    rgb: np.ndarray = field(repr=False)
    faces: tuple[FaceFinding, ...]


def _as_in_video(face: FaceFinding, observation: FaceObservation, record: ModelRecord) -> FaceFinding:
    """Return the finding on a face with the score that the face has in this frame of the video.

    A fusion combines its members differently in a video than in a still. Other models score both alike, so their
    findings, and findings without a score, are returned unchanged.
    """
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
    """Decode an analyzed frame again, and explain each of its faces.

    Args:
        evidence_file: the file that was analyzed.
        analysis: the analysis of this file.
        index: index of a frame in the report's ``frames``.
        networks: the networks that the analysis was made with.

    Raises:
        EvidenceError: the file has changed since, or the frame can no longer be decoded.
    """
    with evidence_file.open() as stream, IsolatedVideo(evidence_file, stream, settings=networks.settings) as video:
        decoded_frame = next(iter(video.walk([index], every=False)), None)
        if decoded_frame is None:
            raise EvidenceError(f"Frame {index} cannot be decoded.")
        rgb, time_s = decoded_frame.rgb(), float(decoded_frame.time)
        evidence_file.check_unchanged(stream)
    picture, faces = BorderlessPicture.find_in(rgb), []
    for track in analysis.tracks:
        for observation in track.observations:
            if observation.frame == index:
                face = picture.from_file(observation.face)
                cut_out = replace(candidate(face, picture, networks.scorer), quality=observation.quality)
                done = None if cut_out.quality.problem else networks.scorer.explained(cut_out.views)
                found_alone = finding(track.id, cut_out, done, networks.scorer)
                faces.append(_as_in_video(found_alone, observation, networks.scorer.record))
    return FrameExplanation(index, time_s, rgb, tuple(faces))
