"""The expert's encoder: its output does not depend on other faces, and foreign files are refused."""

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from faceloupe.config import weights_folder
from faceloupe.errors import WeightsError
from faceloupe.models.encoder import BLOCKS, ROWS, SIDE, WIDTH, Encoder, features_of

FILE = weights_folder() / "clip-vit-b16.safetensors"


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load(FILE.read_bytes())


@pytest.fixture(scope="module")
def inputs(portrait) -> torch.Tensor:
    """(3, 3, 224, 224): parts of a portrait."""
    crops = [portrait[y : y + SIDE, x : x + SIDE] for y, x in ((100, 300), (300, 420), (500, 200))]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def test_a_face_gets_the_same_features_alone_and_among_others(encoder, inputs):
    with torch.inference_mode():
        together = encoder(inputs)
        alone = torch.cat([encoder(tensor[None]) for tensor in inputs])
    assert together.shape == (3, len(ROWS), WIDTH)
    assert torch.equal(together, alone)


def test_the_number_of_threads_changes_no_feature(encoder, inputs):
    before = torch.get_num_threads()
    result = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with torch.inference_mode():
                result.append(encoder(inputs[:1]))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*result)


def test_a_processor_without_bfloat16_sees_nearly_the_same(inputs):
    content = FILE.read_bytes()
    with torch.inference_mode():
        fast, exact = (Encoder.load(content, kind)(inputs[:2]) for kind in (torch.bfloat16, torch.float32))
    assert torch.nn.functional.cosine_similarity(fast.flatten(1), exact.flatten(1)).min() > 0.999


def test_a_walk_in_two_parts_ends_where_one_ends(encoder, inputs):
    with torch.inference_mode():
        tokens, early = encoder.walk(encoder.tokens(inputs[:1]), 1, 8)
        _, late = encoder.walk(tokens, 9, BLOCKS)
        assert torch.equal(features_of(early | late), encoder(inputs[:1]))


@pytest.mark.parametrize("damage", ["cut", "empty", "other"])
def test_a_file_that_is_not_the_encoders_is_refused_in_one_sentence(damage):
    content = {
        "cut": FILE.read_bytes()[:1000],
        "empty": b"",
        "other": save({"something": torch.zeros(3)}),
    }[damage]
    with pytest.raises(WeightsError, match="encoder's weights do not fit"):
        Encoder.load(content)


def test_the_encoder_misses_no_tensor_of_its_file(encoder):
    names = set(load(FILE.read_bytes()))
    assert {f"blocks.{number}.fc2.scale" for number in range(BLOCKS)} <= names
