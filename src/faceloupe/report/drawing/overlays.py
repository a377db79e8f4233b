"""Pictures drawn from an analysis: numbered boxes, and heatmaps on one fixed scale."""

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from faceloupe.analysis.results import Canvas
from faceloupe.findings import FaceFinding, TrackFinding
from faceloupe.report.document.locales import texts_in
from faceloupe.report.numerals import decimal
from faceloupe.types import Box, Outcome

# Okabe and Ito (2008): distinguishable for color-blind people.
COLORS: dict[Outcome, str] = {
    Outcome.MANIPULATED: "#D55E00",
    Outcome.AUTHENTIC: "#009E73",
    Outcome.INCONCLUSIVE: "#E69F00",
    Outcome.NOT_APPLICABLE: "#8A8A8A",
    Outcome.ERROR: "#8A8A8A",
}
# Shapes of the five outcomes, for print and for people who do not see color.
SHAPES: dict[Outcome, str] = {
    Outcome.MANIPULATED: "■",
    Outcome.AUTHENTIC: "●",
    Outcome.INCONCLUSIVE: "◐",
    Outcome.NOT_APPLICABLE: "○",
    Outcome.ERROR: "✕",
}
SURROUNDINGS, SURROUNDINGS_PX = 2.4, 260  # side of the square around a face: in box sides, and in drawn pixels
_MOSTLY = 0.5  # least share of the heatmap inside the box of a face for the face alone to be enlarged
_OUTSIDE_GRAY = 128  # gray level outside the picture
_WORDS = {Outcome.NOT_APPLICABLE: "not applicable"}


def outcome_words(outcome: Outcome) -> str:
    """Return an outcome in the words that are shown to people."""
    return _WORDS.get(outcome, outcome.value)


def boxes(canvas: Canvas, faces: tuple[FaceFinding, ...], *, chosen: int | None = None) -> np.ndarray:
    """Draw the numbered boxes of all faces, colored by outcome.

    Args:
        canvas: canvas of the picture that the faces were found in.
        faces: the findings, with boxes in pixels of the picture.
        chosen: id of the face to draw with a thicker line.

    Returns:
        (h, w, 3) uint8.
    """
    return _draw_boxes(canvas.rgb, canvas.scale, faces, chosen)


def _draw_boxes(drawn: np.ndarray, scale: float, faces: tuple[FaceFinding, ...], chosen: int | None) -> np.ndarray:
    image = Image.fromarray(drawn)
    pen = ImageDraw.Draw(image)
    long_side = max(image.size)
    font = ImageFont.load_default(max(12, long_side // 40))
    for face in faces:
        color = COLORS[face.outcome]
        line = max(2, long_side // (220 if face.id == chosen else 400))
        x0, y0, x1, y1 = (value * scale for value in face.box.corners)
        pen.rectangle((x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)), outline="white", width=line + 2)
        pen.rectangle((x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)), outline=color, width=line)
        label = str(face.id)
        left, top, right, bottom = pen.textbbox((0, 0), label, font=font)
        pad = max(3, (bottom - top) // 3)
        width, height = right - left + 2 * pad, bottom - top + 2 * pad
        corner_x = min(max(x0, 0), image.width - width)
        corner_y = y0 - height if y0 >= height else max(y0, 0)
        pen.rectangle((corner_x, corner_y, corner_x + width, corner_y + height), fill=color)
        ink = "black" if face.outcome is Outcome.INCONCLUSIVE else "white"  # white on amber cannot be read
        pen.text((corner_x + pad - left, corner_y + pad - top), label, fill=ink, font=font)
    return np.asarray(image)


def color_map(share: np.ndarray, colors_of: int = cv2.COLORMAP_VIRIDIS) -> np.ndarray:
    """Return the colors of values 0..1 (clipped) in a perceptually uniform map, uint8 RGB.

    Args:
        share: values.
        colors_of: OpenCV's number of the map; the colors of the default, "viridis", are rare in skin and hair.
    """
    levels = (np.clip(share, 0.0, 1.0) * 255).round().astype(np.uint8)
    colors = cv2.cvtColor(cv2.applyColorMap(levels.reshape(-1, 1), colors_of), cv2.COLOR_BGR2RGB)
    return np.asarray(colors).reshape(*levels.shape, 3)


def blend(rgb: np.ndarray, heatmap: np.ndarray, maximum: float, opacity: float) -> np.ndarray:
    """Lay a heatmap over pixels of the same size.

    The scale is fixed: 0 is transparent, ``maximum`` logits per cell fully opaque at opacity 1. Between them, the
    opacity grows with the square root of the value, so that a weak map stays weak and can still be seen.

    Args:
        rgb: (H, W, 3) uint8.
        heatmap: (H, W) float32, logits per cell, >= 0.
        maximum: upper end of the scale, from the model record.
        opacity: 0..1.
    """
    share = np.clip(heatmap / maximum, 0.0, 1.0)
    alpha = (opacity * np.sqrt(share))[..., None]
    return (rgb * (1.0 - alpha) + color_map(0.2 + 0.8 * share) * alpha).round().astype(np.uint8)


def face_overlay(face: FaceFinding | TrackFinding, maximum: float, opacity: float) -> np.ndarray:
    """Return the scored crop with its heatmap: (S, S, 3) uint8."""
    if face.crop is None or face.heatmap is None:
        raise ValueError("the face has no heatmap")
    return blend(face.crop, face.heatmap, maximum, opacity)


def enlarged(picture: np.ndarray, side: int) -> np.ndarray:
    """Return a picture enlarged to ``side`` pixels on its longer side, for the screen."""
    scale = side / max(picture.shape[:2])
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)


def source_overlay(canvas: Canvas, faces: tuple[FaceFinding, ...], maximum: float, opacity: float) -> np.ndarray:
    """Lay every face's heatmap over the source picture, with numbered boxes: (h, w, 3) uint8, see ``boxes``."""
    heated = blend(canvas.rgb, _heatmap_over(canvas, faces), maximum, opacity)
    return _draw_boxes(heated, canvas.scale, faces, None)


def surroundings(
    canvas: Canvas,
    face: FaceFinding,
    maximum: float,
    opacity: float,
    *,
    boxes_wide: float = SURROUNDINGS,
    shown_px: int = SURROUNDINGS_PX,
) -> np.ndarray:
    """Cut a face and its surroundings out of the source picture, and lay its heatmap over it.

    The crop that a model scores can be the whole picture; this square shows which face of a group is meant.

    Args:
        canvas: canvas of the picture that the face was found in.
        face: the finding.
        maximum: upper end of the scale, from the model record.
        opacity: opacity of the heatmap, 0..1; 0 for no heatmap.
        boxes_wide: side of the square, in units of the longer side of the box.
        shown_px: S, side of the result.

    Returns:
        (S, S, 3) uint8, gray outside the picture.
    """
    x0, y0, x1, y1 = (value * canvas.scale for value in face.box.corners)
    side = max(1, round(boxes_wide * max(x1 - x0, y1 - y0)))
    left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
    height, width = canvas.rgb.shape[:2]
    inside = slice(max(top, 0), min(top + side, height)), slice(max(left, 0), min(left + side, width))
    part = canvas.rgb[inside]
    if opacity and face.heatmap is not None:
        part = blend(part, _heatmap_over(canvas, (face,))[inside], maximum, opacity)
    square = np.full((side, side, 3), _OUTSIDE_GRAY, np.uint8)
    square[inside[0].start - top : inside[0].stop - top, inside[1].start - left : inside[1].stop - left] = part
    interpolation = cv2.INTER_AREA if side > shown_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (shown_px, shown_px), interpolation=interpolation))


def _heatmap_over(canvas: Canvas, faces: tuple[FaceFinding, ...]) -> np.ndarray:
    """Return the heatmaps of faces at their position in the picture: (h, w) float32, logits per cell."""
    drawn, scale = canvas.rgb, canvas.scale
    heatmap: np.ndarray = np.zeros(drawn.shape[:2], np.float32)
    for face in faces:
        if face.heatmap is None or face.crop_box is None:
            continue
        if face.turned_deg:
            turned = _turned_back(face.heatmap, face.crop_box, face.turned_deg, scale, (drawn.shape[0], drawn.shape[1]))
            heatmap = np.maximum(heatmap, turned)
            continue
        x0, y0, x1, y1 = (round(value * scale) for value in face.crop_box.corners)
        if x1 > x0 and y1 > y0:
            local = np.asarray(cv2.resize(face.heatmap, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR))
            heatmap[y0:y1, x0:x1] = np.maximum(
                heatmap[y0:y1, x0:x1], local[: heatmap.shape[0] - y0, : heatmap.shape[1] - x0]
            )
    return heatmap


def _turned_back(
    heatmap: np.ndarray, bounds: Box, turned_deg: float, scale: float, shape: tuple[int, int]
) -> np.ndarray:
    """Rotate the heatmap of a face that was turned upright back to its position in the picture: ``shape``, float32."""
    angle = np.radians(-turned_deg)
    cosine, sine = float(np.cos(angle)), float(np.sin(angle))
    cells = heatmap.shape[0]
    # Side of a cell, pixels. The box encloses a rotated square.
    step = scale * bounds.width / (abs(cosine) + abs(sine)) / cells
    turn = step * np.array([[cosine, -sine], [sine, cosine]])
    middle = scale * np.array([bounds.x0 + bounds.x1, bounds.y0 + bounds.y1]) / 2 - 0.5
    matrix = np.column_stack([turn, middle - turn @ np.full(2, (cells - 1) / 2)])
    return np.asarray(cv2.warpAffine(heatmap, matrix, shape[::-1], flags=cv2.INTER_LINEAR))


def enlarged_face(
    canvas: Canvas, face: FaceFinding, maximum: float, opacity: float, *, boxes_wide: float, shown_px: int
) -> tuple[np.ndarray, bool]:
    """Enlarge a face with its heatmap, or all that was scored if most of the heatmap lies outside the face.

    Args:
        canvas: canvas of the picture that the face was found in.
        face: the finding.
        maximum: upper end of the scale, from the model record.
        opacity: opacity of the heatmap, 0..1.
        boxes_wide: side of the enlarged square around the face, in units of the longer side of the box.
        shown_px: S, side of the result.

    Returns:
        (S, S, 3) uint8, and whether it shows all that was scored.
    """
    if face.heatmap_in_face is None or face.heatmap_in_face >= _MOSTLY:
        return surroundings(canvas, face, maximum, opacity, boxes_wide=boxes_wide, shown_px=shown_px), False
    return enlarged(face_overlay(face, maximum, opacity), shown_px), True


def scale_bar(maximum: float, width: int, opacity: float, language: str = "en") -> np.ndarray:
    """Return the printed color scale from 0 to ``maximum`` with its numbers: (h, width, 3) uint8 on white.

    The colors are those of a heatmap with that opacity on mid gray.

    Raises:
        UsageError: there are no texts in that language.
    """
    bar_height, margin = 14, 8
    font = ImageFont.load_default(12)
    image = Image.new("RGB", (width, bar_height + 46), "white")
    share = np.linspace(0.0, 1.0, width - 2 * margin, dtype=np.float32)[None].repeat(bar_height, 0)
    gray = np.full((*share.shape, 3), 128, np.uint8)
    image.paste(Image.fromarray(blend(gray, share * maximum, maximum, opacity)), (margin, 18))
    pen = ImageDraw.Draw(image)
    pen.text((margin, 2), texts_in(language)["heatmap_scale"], fill="black", font=font)
    for position in (0.0, 0.5, 1.0):
        text = decimal(position * maximum, 2, language) + ("+" if position == 1.0 else "")
        length = pen.textlength(text, font=font)
        x = margin + position * (width - 2 * margin) - length * position
        pen.text((x, 18 + bar_height + 3), text, fill="black", font=font)
    return np.asarray(image)


def with_scale(picture: np.ndarray, maximum: float, opacity: float, language: str = "en") -> np.ndarray:
    """Add the color scale of a heatmap with that opacity below a picture, on white; see ``scale_bar``."""
    width = max(picture.shape[1], 260)
    bar = scale_bar(maximum, width, opacity, language)
    canvas = np.full((picture.shape[0] + bar.shape[0], width, 3), 255, np.uint8)
    canvas[: picture.shape[0], : picture.shape[1]] = picture
    canvas[picture.shape[0] :] = bar
    return canvas
