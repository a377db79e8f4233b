"""Benchmarks: ``python -m benchmarks.still``. Each figure is a ratio to a named rival in the same run.

The rival of ``analyze`` on a still is ``rival_script.py``; the rivals for video are in ``video.py``. A large case has
no rival: ``cases.py`` prints seconds and memory at the end. Videos named on the command line are measured as well.
"""

import io
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from runpy import run_path
from tempfile import TemporaryDirectory

from PIL import Image

from benchmarks import cases, video
from faceloupe.analysis.pipeline import Networks, analyze
from faceloupe.config import Settings, weights_folder
from faceloupe.models.loading import forget_crops
from faceloupe.models.record import find_record
from faceloupe.samples import SAMPLES
from faceloupe.training.settings import CARD_CORE

SCRIPT = Path(__file__).with_name("rival_script.py")
ROUNDS = 9


def one_megapixel() -> bytes:
    """Return a JPEG of 1,000 x 1,000 px with one face."""
    stream = io.BytesIO()
    Image.open(SAMPLES[0].path).convert("RGB").resize((1000, 1000)).save(stream, "JPEG", quality=92)
    return stream.getvalue()


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
    networks, expert = (Networks.load(Settings(effort=effort)) for effort in ("quick", "standard"))
    weights = weights_folder() / find_record(weights_folder(), CARD_CORE).weights_file

    def warm(networks: Networks = networks) -> None:
        forget_crops()
        analysis = analyze(photo, networks)
        if analysis.score is None or analysis.faces[0].heatmap is None:
            raise SystemExit("the benchmark's face was not scored and explained")

    with TemporaryDirectory() as folder:
        photo = Path(folder, "photo.jpg")
        photo.write_bytes(one_megapixel())
        command = [sys.executable, "-m", "benchmarks.rival_script", str(photo), str(weights)]
        _ratio(
            "analyze, quick, warm, 1 megapixel, one face with heatmap, against the script run for that picture",
            warm,
            lambda: subprocess.run(command, check=True, capture_output=True),
            rounds=5,
        )
        _ratio(
            "the same against the script's steps alone (imports done before)",
            warm,
            lambda: run_path(str(SCRIPT))["examine"](str(photo), str(weights)),
            rounds=ROUNDS,
        )
        _ratio(
            "analyze, quick, against the effort standard",
            warm,
            lambda: warm(expert),
            rounds=ROUNDS,
        )
    video.main([Path(name) for name in sys.argv[1:]])
    cases.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
