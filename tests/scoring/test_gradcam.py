import threading

import cv2
import numpy as np
import pytest
import torch

from faceloupe.models.contract import InputContract
from faceloupe.models.networks import ARCHITECTURES, build
from faceloupe.scoring.gradcam import average_maps, explain, explained_layer
from faceloupe.scoring.preprocess import FaceViews, view_face
from faceloupe.types import Box
from tests.torchvision_compat import torchvision

BOX = Box(330, 200, 620, 600)


@pytest.fixture(scope="module")
def face(portrait) -> FaceViews:
    return view_face(portrait, BOX, InputContract())


def test_the_explained_logit_is_the_scored_logit(analyzer, face):
    reading, _ = analyzer.scorer.explained(face)
    assert reading.logit == pytest.approx(analyzer.scorer.logits([face])[0], abs=1e-5)


def independent_map(network, inputs) -> np.ndarray:
    """Grad-CAM as in its paper, only with autograd: mean gradient times activation, summed over channels, ReLU."""
    features = network.features[:-1](inputs).detach().requires_grad_(True)
    network.classifier(torch.flatten(network.avgpool(network.features[-1](features)), 1))[0, 0].backward()
    weights = features.grad.mean((2, 3), keepdim=True)
    return torch.relu((weights * features).sum(1))[0].detach().numpy()


def test_the_map_agrees_with_an_independent_grad_cam_and_is_not_rescaled():
    torch.manual_seed(0)
    network = build("mobilenet_v3_small").eval()
    inputs = torch.randn(2, 3, 224, 224)
    references = [independent_map(network, tensor[None]) for tensor in inputs]
    network.requires_grad_(False)
    _, maps = explain(network, inputs)
    for reference, result in zip(references, maps, strict=True):
        expected = cv2.resize(reference, (224, 224), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(result, expected, atol=1e-5)
    assert (
        max(reference.max() for reference in references) < 0.5
    )  # a fresh network has little to say, and the map says so


def test_the_map_is_that_of_pytorch_grad_cam_before_it_rescales():
    torchvision()
    from pytorch_grad_cam import GradCAM  # it imports torchvision, which must be made loadable first
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    torch.manual_seed(1)
    network = build("mobilenet_v3_small").eval()
    inputs = torch.randn(2, 3, 224, 224)
    targets = [ClassifierOutputTarget(0)] * len(inputs)
    with GradCAM(model=network, target_layers=[explained_layer(network)]) as cam:
        cam(input_tensor=inputs, targets=targets)
        activations, gradients = (
            stored[0].detach().numpy()
            for stored in (cam.activations_and_grads.activations, cam.activations_and_grads.gradients)
        )
        cells = cam.get_cam_image(inputs, cam.target_layers[0], targets, activations, gradients)
    network.requires_grad_(False)
    _, maps = explain(network, inputs)
    for reference, heatmap in zip(np.maximum(cells, 0.0), maps, strict=True):
        expected = cv2.resize(reference, (224, 224), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(heatmap, expected, atol=1e-6)
        assert heatmap.max() > 0


def test_a_map_is_never_negative_and_has_the_crops_size(analyzer, face):
    _, heatmap = analyzer.scorer.explained(face)
    assert heatmap.shape == (224, 224)
    assert heatmap.dtype == np.float32
    assert heatmap.min() >= 0


def test_explaining_leaves_no_trace_in_the_network(analyzer, face):
    network = analyzer.scorer.scorer._network
    before = analyzer.scorer.logits([face])
    analyzer.scorer.explained(face)
    assert not any(module._forward_hooks for module in network.modules())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in network.parameters())
    assert np.array_equal(before, analyzer.scorer.logits([face]))


def test_sessions_that_explain_at_once_get_their_own_maps(analyzer, portrait):
    scorer = analyzer.scorer
    variants = [portrait, portrait[:, ::-1].copy(), 255 - portrait, cv2.GaussianBlur(portrait, (0, 0), 4)]
    crops = [view_face(variant, BOX, InputContract()) for variant in variants]
    alone = [scorer.explained(crop) for crop in crops]
    together: dict[int, list] = {}

    def work(number: int) -> None:
        together[number] = [scorer.explained(crops[number]) for _ in range(3)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(crops))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, (logit, heatmap) in enumerate(alone):
        for other_logit, other_heat in together[number]:
            assert other_logit == pytest.approx(logit, abs=1e-6)
            np.testing.assert_allclose(other_heat, heatmap, atol=1e-6)


def test_one_forward_and_one_backward_pass_a_face(analyzer, face, monkeypatch):
    network, calls = analyzer.scorer.scorer._network, []
    handle = network.features[0].register_forward_hook(lambda *_: calls.append("forward"))
    grad = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **k: (calls.append("backward"), grad(*a, **k))[1])
    analyzer.scorer.explained(face)
    handle.remove()
    assert calls == ["forward", "backward"]


def test_merged_maps_lie_where_their_views_do():
    squares = [Box(10, 10, 30, 30), Box(0, 0, 40, 40)]
    maps = np.stack([np.full((40, 40), 2.0, np.float32), np.zeros((40, 40), np.float32)])
    merged = average_maps(maps, squares)
    assert (merged[10:30, 10:30] == 1.0).all()
    assert merged.sum() == pytest.approx(400.0)


def test_of_a_network_judged_by_all_blocks_the_map_is_what_cells_add_to_means_and_deviations():
    torch.manual_seed(2)
    network = build("mobilenet_v3_small_blocks").eval().requires_grad_(False)
    inputs = torch.randn(1, 3, 224, 224)
    logits, maps = explain(network, inputs)
    assert logits[0] == pytest.approx(float(network(inputs)), abs=1e-6)
    statistics = network.statistics(inputs).requires_grad_(True)
    (slopes,) = torch.autograd.grad(network.classifier(statistics).sum(), statistics)
    cells, start = np.zeros((14, 14)), 0
    for block in network.blocks(inputs):
        channels, count = block[0].double().flatten(1).numpy(), block.shape[1]
        of_mean, of_deviation = slopes[0, start : start + 2 * count].double().numpy().reshape(2, count, 1)
        start += 2 * count
        away = channels - channels.mean(1, keepdims=True)
        deviation = np.sqrt((away**2).mean(1, keepdims=True) + 1e-6)
        added = ((of_mean + of_deviation * away / deviation) * away / away.shape[1]).sum(0)
        side = block.shape[-1]
        added = (added - added.mean()).reshape(side, side)
        if side >= 14:
            cells += added.reshape(14, side // 14, 14, side // 14).sum((1, 3))
        else:
            cells += cv2.resize(added, (14, 14), interpolation=cv2.INTER_LINEAR) * (side / 14) ** 2
    expected = cv2.resize(np.maximum(cells, 0.0), (224, 224), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(maps[0], expected, atol=1e-6)
    assert expected.max() > 1e-6


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_every_architecture_can_be_explained(architecture):
    torch.manual_seed(0)
    network = build(architecture).eval().requires_grad_(False)
    logits, maps = explain(network, torch.randn(1, 3, 96, 96))
    assert logits.shape == (1,)
    assert maps.shape == (1, 96, 96)
    assert maps.min() >= 0
