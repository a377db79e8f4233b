"""The lenses, and the functions that run them on a file."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from PIL import Image

from faceloupe.errors import Cancelled, EvidenceError
from faceloupe.forensics import clone, compression, jpeg, metadata, pixels, provenance, robustness, thumbnail, traces
from faceloupe.forensics.results import Finding, LensPicture, LensResult, LensSummary, quoted
from faceloupe.forensics.source import LensSource
from faceloupe.media.formats import ANIMATED_FORMATS, IMAGE_FORMATS
from faceloupe.types import Cancel, Progress


@dataclass(frozen=True, slots=True)
class Lens:
    """A way to examine a file.

    Attributes:
        id: stable id for reports.
        title: title for people.
        shows: what the lens shows, one sentence.
        does_not_show: what the lens does not show, one sentence.
        examine: function that examines a file; raises ``EvidenceError`` if the file does not allow it.
        formats: formats that the lens can examine; None for all formats.
    """

    id: str
    title: str
    shows: str
    does_not_show: str
    examine: Callable[[LensSource], LensResult]
    formats: frozenset[str] | None = None


FILE_LENSES: tuple[Lens, ...] = (
    Lens(
        "provenance",
        "Provenance",
        "Whether the file carries Content Credentials (C2PA), who signed them, what they state about its making, and "
        "whether file and statement still belong together.",
        "A file without credentials has an unknown origin: their absence proves nothing, as most programs remove them. "
        "Intact credentials say who made a statement, not that it is true.",
        provenance.examine,
    ),
    Lens(
        "traces",
        "Generator traces",
        "What the file itself claims about the generator or editor that made it, in its metadata.",
        "Anybody can write or remove such a claim: it is not a proof, and its absence proves nothing. Watermarks in "
        "the pixels, such as SynthID, cannot be read offline.",
        traces.examine,
    ),
    Lens(
        "metadata",
        "Metadata",
        "Everything that the file states about itself: EXIF, IPTC, XMP, text, and the tags of a video and its streams; "
        "of a video also its boxes, edit lists, codecs, key frames and times.",
        "Anybody can write metadata, and missing metadata is common, as services remove it.",
        metadata.examine,
    ),
    Lens(
        "jpeg",
        "JPEG structure",
        "The quality that the file was last saved at, its tables, its color sampling and the order of its segments.",
        "It describes the last program that saved the file, and nothing of what was done to the picture before that.",
        jpeg.examine,
        formats=frozenset({"JPEG"}),
    ),
)
"""Lenses that read what the file states about itself. They run in every analysis, and reports state their findings."""
LENSES: tuple[Lens, ...] = (
    *FILE_LENSES,
    Lens(
        "thumbnail",
        "Thumbnail",
        "Whether the preview in EXIF shows the picture that is there: some programs change a picture and leave its "
        "preview.",
        "Most programs write a new preview or none. A small change of a part is not seen at the size of a preview.",
        thumbnail.examine,
        formats=IMAGE_FORMATS,
    ),
    Lens(
        "compression",
        "Compression history",
        "Whether a JPEG was saved as a JPEG before, at a lower quality, on the same block grid or on another one; and "
        "where parts change less at some lower quality than at those beside it (JPEG ghost).",
        "Almost every picture on the web was compressed more than once, so this says nothing against it. Resizing, and "
        "a last compression stronger than the ones before, remove the traces. The ghost map is a picture to look "
        "at and never a finding.",
        compression.examine,
        formats=frozenset({"JPEG"}),
    ),
    Lens(
        "error-level",
        "Error level",
        "How much each pixel changes when the picture is saved as a JPEG again: parts with another history can differ.",
        "Edges and texture are always brighter than flat parts. Nothing here was shown to beat chance: it is a picture "
        "to look at and never a finding.",
        pixels.examine_error_level,
        formats=IMAGE_FORMATS,
    ),
    Lens(
        "spectrum",
        "Spectrum",
        "The frequencies in the middle of the picture; regular points away from the center can come from resampling, "
        "those at 1/4 and 1/2 of the sampling rate from the up-sampling of a generator.",
        "Screens, fabrics and JPEG blocks make regular points too, and making a picture smaller removes those of a "
        "generator. It is a picture to look at and never a finding.",
        pixels.examine_spectrum,
        formats=IMAGE_FORMATS,
    ),
    Lens(
        "noise",
        "Noise",
        "What a median filter takes away: noise and the finest detail, which can differ where a part was pasted.",
        "Focus, texture and the noise reduction of cameras change it as well. It is a picture to look at and never a "
        "finding.",
        pixels.examine_noise,
        formats=IMAGE_FORMATS,
    ),
    Lens(
        "clone",
        "Clone",
        "Whether a part of the picture lies in it twice: copied from one place to another, also turned or scaled.",
        "A part without detail, such as sky, skin or a blurred background, is not found. Patterns, letters and other "
        "things that are alike are found as well.",
        clone.examine,
        formats=IMAGE_FORMATS,
    ),
)


ROBUSTNESS = Lens(
    "robustness",
    "Robustness",
    "How far the likelihood ratio of the face that decides moves when the picture is recompressed, resized, cropped, "
    "mirrored and turned a little, in memory.",
    "A verdict that holds can be wrong all the same, and one that falls can be right. On validation faces, one "
    "collection aside, a rule made of it was no better than asking for a higher score: it never changes the outcome.",
    robustness.examine,
    formats=IMAGE_FORMATS,
)
"""Lens that runs only on request, because it scores the face once for each change."""


class LensReport(msgspec.Struct, frozen=True):
    """Results of the lenses for a file, in the form for reports.

    Attributes:
        provenance: state of the Content Credentials; see ``media.credentials.Credentials``.
        generator: the generator that the file claims to be made with; None if it claims none.
        lenses: result of each lens.
        findings: findings of all lenses.
        signer: signer of the Content Credentials; None if nobody signed them.
    """

    provenance: str
    generator: str | None
    lenses: tuple[LensSummary, ...]
    findings: tuple[Finding, ...]
    signer: str | None = None


@dataclass(frozen=True, slots=True)
class LensAnalysis:
    """Results of the lenses for a file, with their pictures.

    Attributes:
        report: the results without pixels.
        pictures: pictures of all lenses.
    """

    report: LensReport
    pictures: tuple[LensPicture, ...]

    def pngs(self) -> dict[str, bytes]:
        """Return each picture as a PNG by file name."""
        contents = {}
        for picture in self.pictures:
            stream = io.BytesIO()
            Image.fromarray(picture.rgb).save(stream, "PNG")
            contents[f"lens-{picture.scale.name}.png"] = stream.getvalue()
        return contents


def read_file(source: LensSource) -> LensReport | None:
    """Run the lenses that read the statements of the file, ``FILE_LENSES``; None if none of them can read it.

    Args:
        source: the file.
    """
    try:
        return examine(source, lenses=FILE_LENSES).report
    except EvidenceError:
        return None


def examine(
    source: LensSource,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    lenses: tuple[Lens, ...] = LENSES,
) -> LensAnalysis:
    """Run lenses on a file.

    Args:
        source: the file.
        progress: called with the title of the lens and the share done, 0..1.
        cancel: called before each lens; True stops the work.
        lenses: the lenses to run; those that do not support the format of the file are skipped.

    Raises:
        EvidenceError: no lens can read the file.
        Cancelled: ``cancel`` returned True.
    """
    evidence = source.evidence_file.evidence
    kinds = {evidence.format} - (ANIMATED_FORMATS if evidence.media_type == "video" else set())
    chosen = [lens for lens in lenses if lens.formats is None or kinds & lens.formats]
    results, problems = list[LensResult](), list[EvidenceError]()
    for number, lens in enumerate(chosen):
        if cancel and cancel():
            raise Cancelled("The lenses were cancelled.")
        if progress:
            progress(lens.title, number / len(chosen))
        try:
            results.append(lens.examine(source))
        except EvidenceError as problem:
            problems.append(problem)
            results.append(LensResult(problem=str(problem)))
    if len(problems) == len(chosen):
        raise problems[0]
    summaries = tuple(
        LensSummary(
            lens.id,
            lens.title,
            lens.shows,
            lens.does_not_show,
            result.facts,
            result.findings,
            tuple(picture.scale for picture in result.pictures),
            result.problem,
        )
        for lens, result in zip(chosen, results, strict=True)
    )
    report = LensReport(
        source.credentials.state,
        traces.generator(source),
        summaries,
        tuple(finding for result in results for finding in result.findings),
        quoted(source.credentials.signer) or None,
    )
    return LensAnalysis(report, tuple(picture for result in results for picture in result.pictures))
