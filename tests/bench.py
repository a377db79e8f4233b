"""Benchmarks: ``python -m tests.bench``. Each figure is a ratio against a named rival, measured in turns in one run.

Rival of ``analyze``: what a script does that is written for one picture. It makes a fresh MTCNN, loads the weights,
finds the faces at full size, scores the largest, and runs pytorch-grad-cam as its documentation shows.
"""

import io
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from tempfile import NamedTemporaryFile

import numpy as np
from PIL import Image

from faceloupe.config import Settings, weights_folder
from faceloupe.media.intake import Intake, take_in_bytes
from faceloupe.models.records import ModelRecord, find_record
from faceloupe.pipeline import Instruments, analyze
from faceloupe.samples import SAMPLES

ROUNDS = 9
RIVAL_SCRIPT = """
import sys
from faceloupe.models.records import find_record
from faceloupe.config import weights_folder
from tests.bench import plain_script
plain_script(open(sys.argv[1], "rb").read(), find_record(weights_folder()))
"""


def one_megapixel() -> bytes:
    """A JPEG of 1,000 x 1,000 px with one face."""
    stream = io.BytesIO()
    Image.open(SAMPLES[0].path).convert("RGB").resize((1000, 1000)).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def plain_script(content: bytes, record: ModelRecord) -> float:
    """The rival: nothing kept from picture to picture."""
    from faceloupe.vision_ops import torchvision

    vision = torchvision()
    import torch
    from facenet_pytorch import MTCNN
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.image import show_cam_on_image
    from pytorch_grad_cam.utils.model_targets import RawScoresOutputTarget
    from safetensors.torch import load_file

    image = Image.open(io.BytesIO(content)).convert("RGB")
    boxes, _ = MTCNN(keep_all=True).detect(image)
    crop = image.crop(tuple(float(value) for value in boxes[0])).resize((224, 224))
    network = vision.models.mobilenet_v3_small(num_classes=1)
    network.load_state_dict(load_file(weights_folder() / record.weights_file))
    network.eval()
    pixels = np.asarray(crop, np.float32) / 255
    inputs = torch.from_numpy((pixels - record.input.mean) / record.input.std).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        score = float(torch.sigmoid(network(inputs)))
    with GradCAM(model=network, target_layers=[network.features[-1]]) as cam:
        heat = cam(input_tensor=inputs, targets=[RawScoresOutputTarget()])[0]
    show_cam_on_image(pixels, heat, use_rgb=True)
    return score


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _ratio(title: str, ours: Callable[[], object], rival: Callable[[], object], rounds: int) -> None:
    ours(), rival()  # warm-up
    pairs = [(_seconds(ours), _seconds(rival)) for _ in range(rounds)]
    ratios = sorted(theirs / mine for mine, theirs in pairs)
    mine, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
    spread = f"{ratios[0]:.1f} to {ratios[-1]:.1f} over {rounds} pairs"
    times = f"{mine * 1e3:.0f} ms against {theirs * 1e3:.0f} ms"
    print(f"{title}: {statistics.median(ratios):.1f} times faster ({spread}; {times})")


def main() -> int:
    settings = Settings()
    instruments = Instruments.load(settings)
    record, content = find_record(weights_folder()), one_megapixel()
    intake: Intake = take_in_bytes(content, "bench.jpg", max_bytes=settings.max_bytes)

    def warm() -> None:
        report = analyze(intake, instruments, settings=settings).report
        if report["score"] is None or report["faces"][0]["heat_peak"] is None:
            raise SystemExit("the benchmark's face was not scored and explained")

    with NamedTemporaryFile(suffix=".jpg") as stream:
        stream.write(content)
        stream.flush()
        command = [sys.executable, "-c", RIVAL_SCRIPT, stream.name]
        _ratio(
            "analyze, warm, 1 megapixel, one face with heatmap, against the script run for that picture",
            warm,
            lambda: subprocess.run(command, check=True, capture_output=True),
            rounds=5,
        )
    _ratio(
        "the same against the script's steps alone (imports done before)",
        warm,
        lambda: plain_script(content, record),
        rounds=ROUNDS,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
