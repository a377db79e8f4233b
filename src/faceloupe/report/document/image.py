"""The faces of an image as blocks, and the parts that they share with the tracks of a video."""

from collections.abc import Iterator

from faceloupe.report.document.blocks import Block, Cell, Facts, Figure, Finding, Heading, Picture, Style, Table, Text
from faceloupe.report.document.exhibits import Exhibit
from faceloupe.report.document.format import (
    Texts,
    number,
    number_cell,
    pose_rows,
    proposition_rows,
    record_cell,
    score_and_thresholds,
    verdict,
)
from faceloupe.report.document.images import ImageSet, fitted, side_by_side
from faceloupe.report.schema import Face, ImageFace, Report, ScoreThresholds

_FACE_MM = 50.0  # width of a face's heatmap on paper


def blocks(exhibit: Exhibit, report: Report, images: ImageSet, texts: Texts) -> Iterator[Block]:
    """Yield the picture with its boxes, the table of faces, and each face beside its heatmap."""
    faces, thresholds = report.image_faces, report.model.thresholds
    if not faces:
        return
    yield Heading(3, texts["faces"], f"{exhibit.anchor}-faces")
    if (boxes := images.get("boxes.png")) is not None:
        alt = texts["alt_boxes"].format(number=exhibit.number, count=len(faces))
        yield Figure(fitted(boxes, alt), texts["caption_boxes"])
    yield Table(
        texts["faces"],
        tuple(texts[key] for key in ("face", "outcome", "score", "log10_lr", "size_px", "detection", "reason")),
        tuple(_face_row(face, thresholds, texts) for face in faces),
        (17, 31, 14, 18, 18, 20, 56),
    )
    for face in faces:
        title = texts["face_title"].format(number=face.id)
        rows: tuple[tuple[str, Cell], ...] = (
            (texts["outcome"], verdict(face.outcome, texts)),
            (texts["score"], Text(score_text(texts, face.score, thresholds))),
            (texts["log10_lr"], Text(number(texts, face.log10_lr, signed=True))),
            *proposition_rows(texts, face),
            (texts["raw_logit"], Text(number(texts, face.raw_logit, 3, signed=True))),
            (texts["sharpness"], Text(number(texts, face.sharpness))),
            *pose_rows(texts, face),
            *_stretch_rows(texts, face),
            (texts["box"], Text("; ".join(number(texts, value, 1) for value in face.box))),
        )
        yield from finding(title, f"face-{face.id}", face, rows, images=images, texts=texts)


def _stretch_rows(texts: Texts, face: ImageFace) -> list[tuple[str, Cell]]:
    """Return the row about restored proportions; no row if nothing was restored."""
    if face.stretch == 1.0:
        return []
    return [(texts["stretched"], Text(texts["stretched_by"].format(stretch=number(texts, face.stretch))))]


def _face_row(face: ImageFace, thresholds: ScoreThresholds, texts: Texts) -> tuple[Cell, ...]:
    return (
        Text(str(face.id), Style.NUMBER),
        verdict(face.outcome, texts),
        Text(score_text(texts, face.score, thresholds), Style.NUMBER),
        number_cell(texts, face.log10_lr, signed=True),
        number_cell(texts, face.size_px, 1),
        number_cell(texts, face.detection_confidence),
        record_cell(texts, face.reason),
    )


def score_text(texts: Texts, score: float | None, thresholds: ScoreThresholds) -> str:
    """Return the score of a face, a track or a report as text; a dash for None."""
    return number(texts, None) if score is None else score_and_thresholds(texts, score, thresholds)[0]


def finding(
    title: str,
    stem: str,
    face: Face,
    rows: tuple[tuple[str, Cell], ...],
    *,
    images: ImageSet,
    texts: Texts,
) -> Iterator[Finding]:
    """Yield the pictures of a face or a track, with its numbers beside them; nothing if there are no pictures.

    Args:
        title: title of the block.
        stem: beginning of the file names of the pictures.
        face: the face or track in the report.
        rows: the numbers; the peak of the heatmap is added.
        images: pictures of the run.
        texts: fixed texts in the language of the document.
    """
    strip, near, crop, heatmap = (images.get(f"{stem}-{kind}.png") for kind in ("filmstrip", "face", "crop", "heatmap"))
    face_text, heat_text = ("face", "seen_heatmap") if near is not None else ("crop", "face_heatmap")
    figure = None if strip is None else Figure(fitted(strip, texts["alt_strip"].format(what=title)), texts["strip"])
    pictures: tuple[Picture, ...] = ()
    alone = near or crop  # runs of earlier versions, and videos, have no picture of the surroundings
    if alone is not None and heatmap is not None:
        contents = {
            texts[f"alt_{face_text}"].format(what=title): alone,
            texts[f"alt_{heat_text}"].format(what=title): heatmap,
        }
        pictures = side_by_side(contents, _FACE_MM)
        rows = (*rows, (texts["peak"], Text(texts["peak_value"].format(value=number(texts, face.heatmap_peak, 3)))))
    if figure or pictures:
        captions = (texts[f"caption_{face_text}"], texts[f"caption_{heat_text}"])
        yield Finding(title, figure, pictures, captions[: len(pictures)], Facts(rows))
