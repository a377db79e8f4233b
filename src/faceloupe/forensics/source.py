"""Input of the lenses: a file, and the data that the sandbox reads from it once for all lenses."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from faceloupe.config import Settings
from faceloupe.errors import EvidenceError
from faceloupe.faces.detector import FaceDetector
from faceloupe.forensics.trust import TrustList
from faceloupe.media.credentials import Credentials
from faceloupe.media.evidence import Picture
from faceloupe.media.evidence_file import EvidenceFile, evidence_from_bytes
from faceloupe.media.sandbox.image import decode, decode_luma
from faceloupe.media.sandbox.statements import read_credentials, read_metadata
from faceloupe.media.statements import Metadata
from faceloupe.scoring.classifier import FaceScorer

_LARGEST_SIDECAR = 64 << 20  # bytes


@dataclass(frozen=True, slots=True)
class FaceModel:
    """The model that scores faces, for the lens that scores them again.

    Attributes:
        detector: finds the faces.
        scorer: the loaded model.
    """

    detector: FaceDetector
    scorer: FaceScorer


class LensSource:
    """A file for the lenses; its data is read in a separate process when a lens first needs it.

    Attributes:
        evidence_file: the file, hashed before it is read.
        trust_list: trusted signers of Content Credentials.
        with_position: whether the position in EXIF (GPS) is shown.
        face_model: model that scores the changed picture in the robustness lens; None if that lens does not run.
        check: called while waiting; an exception that it raises ends the work.
    """

    def __init__(
        self,
        evidence_file: EvidenceFile,
        *,
        settings: Settings,
        trust_list: TrustList | None = None,
        sidecar: bytes = b"",
        with_position: bool = False,
        face_model: FaceModel | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Create the source without reading the file.

        Args:
            evidence_file: the file.
            settings: settings with the limits.
            trust_list: trusted signers; None for the list that comes with FaceLoupe.
            sidecar: content of a manifest beside the file; empty for none.
            with_position: whether the position in EXIF (GPS) is shown.
            face_model: see the class.
            check: called while waiting; an exception that it raises ends the work.
        """
        self.evidence_file, self.check, self.with_position = evidence_file, check, with_position
        self.trust_list = TrustList.bundled() if trust_list is None else trust_list
        self.face_model = face_model
        self._settings, self._sidecar = settings, sidecar

    @cached_property
    def metadata(self) -> Metadata:
        """The statements of the file about itself.

        Raises:
            EvidenceError: the file cannot be read.
        """
        return read_metadata(
            self.evidence_file, settings=self._settings, with_position=self.with_position, check=self.check
        )

    @cached_property
    def credentials(self) -> Credentials:
        """The Content Credentials of the file.

        Raises:
            EvidenceError: the file cannot be read.
        """
        return read_credentials(
            self.evidence_file,
            anchors=self.trust_list.anchors,
            settings=self._settings,
            sidecar=self._sidecar,
            check=self.check,
        )

    @cached_property
    def picture(self) -> Picture:
        """The picture of an image file, as a viewer shows it.

        Raises:
            EvidenceError: the file cannot be decoded, or is a video.
        """
        return decode(self.evidence_file, settings=self._settings, check=self.check)

    @cached_property
    def luma(self) -> np.ndarray:
        """The brightness of a JPEG as its blocks store it, (H, W) uint8.

        Raises:
            EvidenceError: see ``media.luma.read``.
        """
        return decode_luma(self.evidence_file, settings=self._settings, check=self.check)

    @cached_property
    def thumbnail(self) -> Picture | None:
        """The thumbnail in EXIF; None if there is none.

        Raises:
            EvidenceError: the thumbnail cannot be decoded.
        """
        content = self.metadata.thumbnail
        if not content:
            return None
        named = evidence_from_bytes(content, "thumbnail", max_bytes=self._settings.max_bytes)
        return decode(named, settings=self._settings, check=self.check)


def sidecar_of(path: Path) -> bytes:
    """Read the manifest beside a file, which has the same name with the suffix ``.c2pa``; empty if there is none.

    Raises:
        EvidenceError: the manifest is too large.
    """
    beside = path.with_suffix(".c2pa")
    if beside == path or not beside.is_file():
        return b""
    if beside.stat().st_size > _LARGEST_SIDECAR:
        raise EvidenceError(f"The manifest {beside.name} is larger than {_LARGEST_SIDECAR >> 20} MiB and was not read.")
    return beside.read_bytes()
