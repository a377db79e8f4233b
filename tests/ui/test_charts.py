"""Claims about the figures of the pages."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from faceloupe.analysis.pipeline import analyze
from faceloupe.ui.charts import framed_picture
from tests.conftest import PHOTOGRAPH


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_each_face_of_a_picture_can_be_clicked_where_it_is(analyzer, scale):
    analysis = analyze(PHOTOGRAPH, analyzer, explain=False)
    (face, *_) = analysis.faces
    rgb = np.asarray(Image.open(PHOTOGRAPH).convert("RGB"))
    rgb = rgb[:: round(1 / scale), :: round(1 / scale)]
    figure = framed_picture(rgb, scale, [face])
    (points,) = figure.data
    x0, y0, x1, y1 = (scale * value for value in face.box.corners)
    assert list(points.customdata) == [face.id]
    assert (points.x[0], points.y[0]) == pytest.approx(((x0 + x1) / 2, (y0 + y1) / 2))
    assert figure.layout.xaxis.range == (0, rgb.shape[1])
    assert figure.layout.yaxis.range == (rgb.shape[0], 0)  # downwards, as pictures are
    picture = base64.b64decode(figure.layout.images[0].source.partition(",")[2])
    assert Image.open(io.BytesIO(picture)).size == rgb.shape[1::-1]
