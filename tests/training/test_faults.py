import pytest
import torch
from torch import nn

from faceloupe.errors import DatasetError
from faceloupe.training.faults import MODES, Fault

FACES, LABELS = torch.randn(64, 3, 8, 8), torch.tensor([0.0, 1.0] * 32)


def test_all_the_modes_of_the_study_are_known():
    assert set(MODES) == {
        "label_noise",
        "shuffle_labels",
        "input_noise",
        "wrong_loss",
        "shuffle_batch",
        "random_weight_reset",
        "skip_update",
    }


@pytest.mark.parametrize(
    "text",
    [
        "magic",
        "label_noise",
        "label_noise:2",
        "input_noise:0",
        "skip_update:1",
        "skip_update:inf",
        "input_noise:nan",
        "wrong_loss:1",
    ],
)
def test_a_fault_that_is_none_is_refused(text):
    with pytest.raises(DatasetError, match="fault"):
        Fault.parse(text)


def test_an_amount_that_is_no_number_is_refused():
    with pytest.raises(DatasetError, match="no amount"):
        Fault.parse("label_noise:much")


def test_label_noise_flips_about_its_share():
    torch.manual_seed(0)
    flips = [float((Fault("label_noise", 0.25).batch(FACES, LABELS)[1] != LABELS).float().mean()) for _ in range(50)]
    assert sum(flips) / 50 == pytest.approx(0.25, abs=0.03)


def test_shuffled_labels_keep_their_number_and_lose_their_faces():
    torch.manual_seed(0)
    faces, labels = Fault("shuffle_labels").batch(FACES, LABELS)
    assert faces is FACES
    assert labels.sum() == LABELS.sum()
    assert not torch.equal(labels, LABELS)


def test_a_shuffled_batch_parts_faces_from_labels_without_turning_them_round():
    torch.manual_seed(0)
    agreement = []
    for _ in range(50):
        marked = LABELS[:, None, None, None].expand(-1, 3, 2, 2)
        faces, labels = Fault("shuffle_batch").batch(marked, LABELS)
        assert torch.equal(labels, LABELS)
        assert faces.sum() == marked.sum()
        agreement.append(float((faces[:, 0, 0, 0] == labels).float().mean()))
    assert sum(agreement) / 50 == pytest.approx(0.5, abs=0.03)


def test_input_noise_has_the_deviation_asked_for():
    torch.manual_seed(0)
    faces, _ = Fault("input_noise", 0.5).batch(FACES, LABELS)
    assert float((faces - FACES).std()) == pytest.approx(0.5, rel=0.05)


def test_the_wrong_loss_is_the_squared_error_of_the_probability():
    logits = torch.tensor([0.0, 4.0])
    result = Fault("wrong_loss").loss(logits, torch.tensor([1.0, 1.0]))
    assert float(result) == pytest.approx(float(((torch.sigmoid(logits) - 1) ** 2).mean()))


def test_every_third_update_is_skipped():
    assert [Fault("skip_update", 3).skips(step) for step in range(6)] == [False, False, True, False, False, True]


def test_a_weight_reset_changes_one_layer_and_no_other():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 1))
    before = [parameter.clone() for parameter in network.parameters()]
    Fault("random_weight_reset", 1.0).after(network)
    changed = [not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)]
    assert sum(changed[0::2]) == 1


def test_without_its_occasion_a_fault_changes_nothing():
    network = nn.Linear(2, 1)
    before = network.weight.clone()
    Fault("label_noise", 0.5).after(network)
    assert torch.equal(before, network.weight)
    assert not Fault("label_noise", 0.5).skips(2)
