"""The committed evaluation as types: no field is lost, and damaged files are refused."""

import json

import pytest

from faceloupe.config import weights_folder
from faceloupe.errors import WeightsError
from faceloupe.evaluation import published
from faceloupe.evaluation.published import read_evaluation
from faceloupe.models.record import EVALUATION
from faceloupe.training.settings import CARD_CORE

COMMITTED = weights_folder() / EVALUATION


def test_reading_and_writing_the_committed_evaluation_changes_no_value(tmp_path):
    published.write(read_evaluation(COMMITTED), tmp_path / EVALUATION)
    assert json.loads((tmp_path / EVALUATION).read_text()) == json.loads(COMMITTED.read_text())


def _without(*path):
    def damage(values):
        inner = values
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        return json.dumps(values)

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        *(_without("tables", name) for name in ("sources", "sizes", "conditions", "people", "clips", "heatmaps")),
        *(_without("curves", CARD_CORE, name) for name in ("roc", "reliability", "tippett", "confusion")),
        _without("curves", CARD_CORE),
        _without("studies", "faults"),
        _without("clips"),
        _without("tables", "sources", 0, "auc", "value"),
        lambda values: json.dumps(values | {"clips": {}}),
        lambda values: json.dumps(values | {"models": None}),
        lambda values: json.dumps(values)[:-1],
        lambda values: "[" * 100_000,
        lambda values: "NaN",
    ],
)
def test_a_damaged_evaluation_is_refused_with_one_sentence(damage, tmp_path):
    (tmp_path / EVALUATION).write_text(damage(json.loads(COMMITTED.read_text())))
    with pytest.raises(WeightsError, match=r"^evaluation\.json is damaged, so there are no tables; restore it"):
        read_evaluation(tmp_path / EVALUATION)
