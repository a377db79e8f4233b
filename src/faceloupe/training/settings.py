"""The training recipe, typed and in one place."""

from dataclasses import dataclass, field
from types import MappingProxyType

from faceloupe.scoring.preprocess import InputContract


@dataclass(frozen=True, slots=True)
class Draw:
    """One kind of pair that a batch is filled with: an authentic face and a manipulated one.

    Attributes:
        share: of all pairs, 0..1.
        real: source -> weight among the authentic faces.
        fake: source -> weight among the manipulated ones.
    """

    share: float
    real: dict[str, float]
    fake: dict[str, float]


def _same(share: float, source: str) -> Draw:
    """Both faces from one source: the pristine original of the fake where it is known, else one of its own group."""
    return Draw(share, {source: 1.0}, {source: 1.0})


# Shares were set by hand: the hard kinds (swaps) get more than their number, and photos meet generated faces across
# sources, so that no single collection stands for a class.
_GENERATED = {
    "hardfake": 0.28,
    "ffhq_tpdne": 0.12,
    "omi_stylegan2": 0.15,
    "generated_photos": 0.15,
    "boredhumans": 0.15,
    "sdfd_sd21": 0.15,
}
DRAWS = (
    Draw(
        0.53,
        {"hardfake": 0.25, "ffhq_tpdne": 0.25, "ciplab": 0.15, "utkface": 0.20, "facemask_nomask": 0.15},
        _GENERATED,
    ),
    _same(0.22, "dfdc_faces"),
    _same(0.12, "ffpp_faces"),
    _same(0.05, "ciplab"),
    _same(0.04, "ffpp_c23_methods"),
    _same(0.04, "dfd_crops"),
)
# Beside swaps, the network grows too ready to call sharp photographs fake: it ends with photographs for the most part.
FINISHING_DRAWS = (
    Draw(
        0.70,
        {"hardfake": 0.32, "ffhq_tpdne": 0.30, "ciplab": 0.12, "utkface": 0.12, "facemask_nomask": 0.14},
        _GENERATED,
    ),
    _same(0.13, "dfdc_faces"),
    _same(0.13, "ffpp_faces"),
    _same(0.02, "ffpp_c23_methods"),
    _same(0.02, "dfd_crops"),
)


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of training at one input size: ``images`` pictures of ``size`` pixels."""

    size: int
    images: int


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Everything that decides what training makes.

    Attributes:
        stages: run one after the other; the first, small one is cheap and does most of the learning.
        batch_size: pictures in a step, half of them authentic.
        peak_rate: learning rate of AdamW after warm-up; it falls to ``final_rate`` along a cosine.
        dropout: in the classifier, while training.
        label_smoothing: targets are this far from 0 and 1.
        average_decay: of the exponential moving average of the weights.
        validate_every: steps between two validations, and between two checkpoints.
        selection: rows of the validation table whose mean AUC says which average is kept: late in training the photos
            are learned by heart, and the last average is not the best.
    """

    architecture: str = "mobilenet_v3_small"
    contract: InputContract = field(default_factory=InputContract)
    draws: tuple[Draw, ...] = DRAWS
    stages: tuple[Stage, ...] = (Stage(160, 70_000), Stage(224, 75_000))
    batch_size: int = 32
    warmup_steps: int = 300
    peak_rate: float = 7e-4
    final_rate: float = 1e-5
    weight_decay: float = 0.05
    dropout: float = 0.4
    label_smoothing: float = 0.05
    average_decay: float = 0.999
    validate_every: int = 500
    selection: tuple[str, ...] = ("generated", "hardfake", "dfdc_faces", "ffpp_faces")
    seed: int = 20261121


PROFILES = MappingProxyType(
    {
        "full": TrainingSettings(),
        "finish": TrainingSettings(
            draws=FINISHING_DRAWS,
            stages=(Stage(224, 20_000),),
            warmup_steps=50,
            peak_rate=2e-4,
            average_decay=0.99,
            validate_every=125,
        ),
        "smoke": TrainingSettings(
            stages=(Stage(96, 256), Stage(128, 128)), warmup_steps=4, average_decay=0.8, validate_every=6
        ),
    }
)
