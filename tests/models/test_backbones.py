"""The networks must equal the definitions of torchvision, which is the reference."""

import pytest
import torch
from torch import nn

from faceloupe.models import backbones
from tests.torchvision_compat import torchvision

NAMES = ("mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0")


def reference(name: str) -> nn.Module:
    return getattr(torchvision().models, name)(num_classes=1)


@pytest.mark.parametrize("name", NAMES)
def test_from_one_seed_the_same_untrained_numbers_come(name):
    torch.manual_seed(7)
    expected = reference(name)
    torch.manual_seed(7)
    network = getattr(backbones, name)()
    ours, theirs = network.state_dict(), expected.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert torch.equal(torch.rand(3), _next_draw(name)), "the generator was drawn from more or less often"


def _next_draw(name: str) -> torch.Tensor:
    torch.manual_seed(7)
    reference(name)
    return torch.rand(3)


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_equal_to_the_last_bit(name):
    torch.manual_seed(1)
    expected = reference(name).eval()
    network = getattr(backbones, name)().eval()
    network.load_state_dict(expected.state_dict(), strict=True)
    inputs = torch.randn(2, 3, 96, 96)
    with torch.inference_mode():
        assert torch.equal(network(inputs), expected(inputs))
        network, expected = (model.to(memory_format=torch.channels_last) for model in (network, expected))
        inputs = inputs.to(memory_format=torch.channels_last)
        assert torch.equal(network(inputs), expected(inputs))


@pytest.mark.parametrize("name", NAMES)
def test_a_training_step_is_the_same(name):
    torch.manual_seed(2)
    networks = reference(name), getattr(backbones, name)()
    networks[1].load_state_dict(networks[0].state_dict())
    inputs, losses, gradients = torch.randn(4, 3, 64, 64), [], []
    for network in networks:
        torch.manual_seed(3)  # of dropout and of the blocks that are left out
        loss = network.train()(inputs).square().mean()
        loss.backward()
        losses.append(loss.item())
        gradients.append([parameter.grad for parameter in network.parameters()])
    assert losses[0] == losses[1]
    assert all(torch.equal(ours, theirs) for theirs, ours in zip(*gradients, strict=True))


def test_lite0_is_b0_without_its_gates_and_with_relu6():
    models, gate = torchvision().models, torchvision().ops.SqueezeExcitation
    torch.manual_seed(4)
    expected = models.efficientnet_b0(num_classes=1)
    for parent in list(expected.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.SiLU):
                setattr(parent, name, nn.ReLU6(inplace=True))
            elif isinstance(child, gate):
                setattr(parent, name, nn.Identity())
    torch.manual_seed(4)
    network = backbones.efficientnet_lite0()
    assert all(torch.equal(network.state_dict()[key], value) for key, value in expected.state_dict().items())
    inputs = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(network.eval()(inputs), expected.eval()(inputs))
