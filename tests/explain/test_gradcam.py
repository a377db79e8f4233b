import threading

import cv2
import numpy as np
import pytest
import torch

from faceloupe.explain.gradcam import explain
from faceloupe.models.networks import build


@pytest.fixture(scope="module")
def crop(portrait) -> np.ndarray:
    return cv2.resize(portrait[150:700, 250:800], (224, 224), interpolation=cv2.INTER_AREA)


def test_the_explained_logit_is_the_scored_logit(instruments, crop):
    logit, _ = instruments.scorer.explained_logit(crop)
    assert logit == pytest.approx(instruments.scorer.logits(crop[None])[0], abs=1e-5)


def independent_map(network, inputs) -> np.ndarray:
    """Grad-CAM from its paper, with autograd alone: mean gradient times activation, summed over channels, ReLU."""
    features = network.features(inputs).detach().requires_grad_(True)
    network.classifier(torch.flatten(network.avgpool(features), 1))[0, 0].backward()
    weights = features.grad.mean((2, 3), keepdim=True)
    return torch.relu((weights * features).sum(1))[0].detach().numpy()


def test_the_map_agrees_with_an_independent_grad_cam_and_is_not_rescaled():
    torch.manual_seed(0)
    network = build("mobilenet_v3_small").eval()
    inputs = torch.randn(1, 3, 224, 224)
    reference = independent_map(network, inputs)
    network.requires_grad_(False)
    _, heat = explain(network, inputs)
    expected = cv2.resize(reference, (224, 224), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(heat, expected, atol=1e-6)
    assert reference.max() < 0.5  # a fresh network has little to say, and the map says so


def test_a_map_is_never_negative_and_has_the_crops_size(instruments, crop):
    _, heat = instruments.scorer.explained_logit(crop)
    assert heat.shape == (224, 224)
    assert heat.dtype == np.float32
    assert heat.min() >= 0


def test_explaining_leaves_no_trace_in_the_network(instruments, crop):
    network = instruments.scorer._network
    before = instruments.scorer.logits(crop[None])
    instruments.scorer.explained_logit(crop)
    assert not any(module._forward_hooks for module in network.modules())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in network.parameters())
    assert np.array_equal(before, instruments.scorer.logits(crop[None]))


def test_sessions_that_explain_at_once_get_their_own_maps(instruments, crop):
    scorer = instruments.scorer
    crops = [crop, crop[:, ::-1].copy(), 255 - crop, cv2.GaussianBlur(crop, (0, 0), 4)]
    alone = [scorer.explained_logit(one) for one in crops]
    together: dict[int, list] = {}

    def work(number: int) -> None:
        together[number] = [scorer.explained_logit(crops[number]) for _ in range(3)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(crops))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, (logit, heat) in enumerate(alone):
        for other_logit, other_heat in together[number]:
            assert other_logit == pytest.approx(logit, abs=1e-6)
            np.testing.assert_allclose(other_heat, heat, atol=1e-6)


def test_one_forward_and_one_backward_pass_a_face(instruments, crop, monkeypatch):
    network, calls = instruments.scorer._network, []
    handle = network.register_forward_hook(lambda *_: calls.append("forward"))
    backward = torch.Tensor.backward
    monkeypatch.setattr(torch.Tensor, "backward", lambda *a, **k: (calls.append("backward"), backward(*a, **k))[1])
    instruments.scorer.explained_logit(crop)
    handle.remove()
    assert calls == ["forward", "backward"]
