"""Benchmarks of video: each figure is a ratio to a named rival in the same run.

The rival of finding and scoring is the simple way of a common open-source app: MTCNN at full size on each frame, and
the network, with one view, on one face at a time. The rival of a whole analysis only decodes its frames. The clip is
generated here, a portrait that moves over a textured ground; further clips can be named on the command line.
"""

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from PIL import Image
from tests.clips import repeated, write_clip
from tests.torchvision_compat import torchvision

from faceloupe.analysis.networks import candidate
from faceloupe.analysis.pipeline import Networks, analyze
from faceloupe.config import Settings
from faceloupe.faces.outline import BorderlessPicture
from faceloupe.faces.upright import AnyAngleVideoDetector
from faceloupe.media.evidence_file import open_evidence
from faceloupe.media.sampling import Sampler
from faceloupe.media.video import Video
from faceloupe.models.loading import forget_crops
from faceloupe.models.networks import build
from faceloupe.samples import SAMPLES

SIZE, SECONDS, FPS = (1280, 720), 15, 30
ROUNDS, BATCH = 5, 8


def portrait_clip(path: Path, seconds: float = SECONDS) -> Path:
    """Write a talking-head clip: a portrait of 480 px that sways over a textured ground with noise."""
    width, height = SIZE
    generator = np.random.default_rng(1)
    ground = cv2.resize(generator.integers(40, 200, (18, 32, 3)).astype(np.uint8), SIZE, interpolation=cv2.INTER_CUBIC)
    person = np.asarray(Image.open(SAMPLES[0].path).convert("RGB").resize((480, 480), Image.Resampling.LANCZOS))
    noise = generator.integers(0, 9, (8, height, width, 3)).astype(np.uint8)
    frames = []
    for number in range(round(seconds * FPS)):
        rgb = ground + noise[number % 8]
        x, y = round(400 + 120 * np.sin(number / 40)), round(130 + 30 * np.cos(number / 25))
        rgb[y : y + 480, x : x + 480] = person
        frames.append(rgb)
    return write_clip(path, frames, fps=FPS, gop=250, options={"preset": "veryfast", "crf": "23"})


class Rival:
    """MTCNN with its defaults, at full size; a plain MobileNetV3-small, on one face and one view at a time."""

    def __init__(self, networks: Networks) -> None:
        torchvision()
        from facenet_pytorch import MTCNN  # here: torchvision has to be made importable first

        self._finder = MTCNN(keep_all=True, post_process=False)
        self._network = build("mobilenet_v3_small").eval()
        contract = networks.scorer.record.input
        self._mean, self._std = (torch.tensor(part).view(3, 1, 1) for part in (contract.mean, contract.std))

    def examine(self, frames: list[np.ndarray]) -> int:
        """Find and score faces; return the number of scored faces."""
        count = 0
        with torch.inference_mode():
            for rgb in frames:
                boxes, _ = self._finder.detect(rgb)
                for x0, y0, x1, y1 in boxes if boxes is not None else ():
                    face = Image.fromarray(rgb).crop((float(x0), float(y0), float(x1), float(y1))).resize((224, 224))
                    pixels = torch.from_numpy(np.array(face)).permute(2, 0, 1).float() / 255
                    self._network(((pixels - self._mean) / self._std)[None])
                    count += 1
        return count


def ours(frames: list[np.ndarray], networks: Networks) -> int:
    """Find and score faces like ``analyze``, without tracks and report; return the number of scored faces."""
    count, video_detector = 0, AnyAngleVideoDetector(networks.detector)
    for start in range(0, len(frames), BATCH):
        views = []
        for number, rgb in enumerate(frames[start : start + BATCH]):
            picture = BorderlessPicture.find_in(rgb)
            detected = video_detector.detect(picture.rgb, fresh=number == 0)
            views += [candidate(face, picture, networks.scorer).views for face in detected]
        count += len(networks.scorer.logits(views)) if views else 0
    return count


def _decoded(path: Path, settings: Settings, *, keep: bool) -> list[np.ndarray]:
    """Decode the frames that an analysis uses, in the cheapest way and without further work."""
    with (
        open_evidence(path, max_bytes=settings.max_bytes).open() as stream,
        Video(stream, "MP4", max_pixels=10**8) as video,
    ):
        planned = Sampler(video, frames=settings.frames, from_s=0.0, to_s=0.0).planned
        pictures = (decoded_frame.rgb() for decoded_frame in video.walk(planned, every=False))
        return list(pictures) if keep else [picture[:1, :1] for picture in pictures]


@contextmanager
def one_network_thread() -> Iterator[None]:
    """Run networks in one thread, as the app does; the rival runs them with torch's default."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cpu_ratio(path: Path, networks: Networks, settings: Settings) -> None:
    """Print the faces found and scored per second of CPU, without decoding."""
    frames, rival = _decoded(path, settings, keep=True), Rival(networks)
    pairs = []
    for turn in range(ROUNDS + 1):
        times, counts = [], []
        for work, threads in (
            (lambda: ours(frames, networks), one_network_thread()),
            (lambda: rival.examine(frames), nullcontext()),
        ):
            with threads:
                began = time.process_time()
                counts.append(work())
                times.append((time.process_time() - began) / max(counts[-1], 1))
        if turn:  # the first round warms up
            pairs.append((*times, *counts))
    ratios = sorted(theirs / mine for mine, theirs, *_ in pairs)
    mine, theirs, detected, found_by_rival = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"{path.name}: faces found and scored per second of CPU: {statistics.median(ratios):.1f} times the plain way "
        f"({ratios[0]:.1f} to {ratios[-1]:.1f} over {ROUNDS} pairs; {mine * 1e3:.1f} ms against {theirs * 1e3:.1f} ms "
        f"a face; {detected:.0f} and {found_by_rival:.0f} faces in {len(frames)} frames)"
    )


def wall_ratio(path: Path, settings: Settings) -> None:
    """Print the time of a whole analysis against the time of only decoding its frames."""
    networks = Networks.load(settings)
    pairs = []
    for turn in range(ROUNDS + 1):
        times = []
        forget_crops()
        for work in (
            lambda: analyze(path, networks, explain=False),
            lambda: _decoded(path, settings, keep=False),
        ):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
        if turn:
            pairs.append(tuple(times))
    ratios = sorted(mine / floor for mine, floor in pairs)
    mine, floor = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"{path.name}: whole analysis, {settings.effort}: {statistics.median(ratios):.2f} times merely decoding its "
        f"frames ({ratios[0]:.2f} to {ratios[-1]:.2f} over {ROUNDS} pairs; {mine:.2f} s against {floor:.2f} s)"
    )


def peak_memory(path: Path) -> float:
    """Return the peak resident memory of a process that examines a clip, MiB."""
    command = [sys.executable, "-m", "benchmarks.video", "--peak", str(path)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory_ratio(folder: Path) -> None:
    """Print the peak memory of a two-hour clip against that of a two-minute one."""
    seed = portrait_clip(folder / "seed.mp4", 10.0)
    short, long = (peak_memory(repeated(seed, minutes * 6, folder / f"{minutes}-minutes.mp4")) for minutes in (2, 120))
    print(f"peak memory, 2 h against 2 min: {long / short:.3f} times ({long:.0f} MiB against {short:.0f} MiB)")


def main(paths: list[Path]) -> None:
    """Run all benchmarks of video, on the generated clip and on the given ones."""
    settings = Settings(frames=32, effort="quick")
    networks = Networks.load(settings)  # the same network as the rival's
    with TemporaryDirectory() as folder:
        for path in [portrait_clip(Path(folder, "portrait-720p-15s.mp4")), *paths]:
            cpu_ratio(path, networks, settings)
            for effort in ("quick", "standard"):
                wall_ratio(path, replace(settings, effort=effort))
        memory_ratio(Path(folder))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        quick = Settings(effort="quick")
        analyze(Path(sys.argv[2]), Networks.load(quick), explain=False)
        print(int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024)
    else:
        main([Path(name) for name in sys.argv[1:]])
