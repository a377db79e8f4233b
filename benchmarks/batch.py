"""Benchmarks of batches: ``python -m benchmarks.batch``; ``--help`` lists its options.

The rival is a common, simple loop: facenet-pytorch's MTCNN at full size, then the network on each face it found, one
file after another. Both start from nothing: imports and loading count. Rates are measured on the same stills, in turns.
``docs/scaling.md`` uses the other results: a cluster's rate, the driver's cost for a file, and a minute of video.
"""

import argparse
import csv
import hashlib
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from faceloupe.batch.api import BatchSpec, run_batch
from faceloupe.batch.executors.local import LocalEngine
from faceloupe.config import Settings, weights_folder
from faceloupe.installation import ROOT
from faceloupe.models.record import find_record
from faceloupe.training.settings import CARD_CORE

LOOP = Path(__file__).with_name("rival_loop.py")


def stills(data: Path, count: int) -> list[str]:
    """Return the paths of ``count`` different stills, drawn from all sources."""
    with (data / "stills.csv").open(newline="") as stream:
        paths = [str(data / row["path"]) for row in csv.DictReader(stream)]
    if len(paths) < count:
        raise SystemExit(f"{data} holds {len(paths):,} stills, {count:,} are wanted")
    return [paths[number] for number in np.random.default_rng(0).permutation(len(paths))[:count]]


def _run(command: list[str], given: list[str]) -> tuple[float, float]:
    """Run a command; return its wall time, and the time that all cores of the machine worked meanwhile, seconds."""
    before, began = _on_cores(), time.perf_counter()
    subprocess.run(command, input="\n".join(given).encode(), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began, _on_cores() - before


def _on_cores() -> float:
    """Return the seconds that the cores of this machine have worked since it started, also for killed decoders."""
    user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def batch(out: Path, workers: int, *others: str) -> list[str]:
    """Return the command of a batch over a list on stdin; remove an old table."""
    out.unlink(missing_ok=True)
    return [sys.executable, "-m", "faceloupe", "batch", "-", "--csv", str(out), "--workers", str(workers), *others]


def speed(paths: list[str], folder: Path, rounds: int) -> None:
    """Print the rates of the batch against the loop, and of two workers against one."""
    rival = [sys.executable, str(LOOP), str(weights_folder() / find_record(weights_folder(), CARD_CORE).weights_file)]
    runs: dict[str, list[tuple[float, float]]] = {"two": [], "loop": [], "one": []}
    for _ in range(rounds):
        runs["two"].append(_run(batch(folder / "two.csv", 2), paths))
        runs["loop"].append(_run(rival, paths))
        runs["one"].append(_run(batch(folder / "one.csv", 1), paths))
    for name, pairs in runs.items():
        clock, on_cores = (statistics.median(times) / len(paths) for times in zip(*pairs, strict=True))
        print(f"{name}: {1 / clock:.1f} of {len(paths):,} stills a second, {on_cores * 1e3:.0f} ms of a core each")
    print(f"batch, 2 workers, against the loop: {_ratios(runs['loop'], runs['two'], 0)}")
    print(f"the same by the time on cores: {_ratios(runs['loop'], runs['two'], 1)}")
    print(f"batch, 2 workers against 1: {_ratios(runs['one'], runs['two'], 0)}")
    print(f"rows of 2 workers and of 1 to the last byte: {_compared(folder / 'two.csv', folder / 'one.csv')}")


def _compared(first: Path, second: Path) -> str:
    return "the same" if first.read_bytes() == second.read_bytes() else "DIFFERENT"


def _ratios(theirs: list[tuple[float, float]], ours: list[tuple[float, float]], which: int) -> str:
    ratios = sorted(their[which] / our[which] for their, our in zip(theirs, ours, strict=True))
    return f"{statistics.median(ratios):.2f} times ({ratios[0]:.2f} to {ratios[-1]:.2f})"


_MEASURED = """
import resource, sys
from faceloupe.cli import main
code = main(sys.argv[1:])
peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(*peaks, file=sys.stderr)
sys.exit(code)
"""


def memory(paths: list[str], folder: Path) -> None:
    """Print the peak memory for all files against a tenth of them: of the driver, and of the larger worker."""
    peaks = []
    for some in (paths[: len(paths) // 10], paths):
        (folder / "many.csv").unlink(missing_ok=True)
        command = [sys.executable, "-c", _MEASURED, *batch(folder / "many.csv", 2)[3:]]
        done = subprocess.run(command, input="\n".join(some).encode(), check=True, capture_output=True)
        peaks.append([int(text) * (1 if sys.platform == "darwin" else 1024) for text in done.stderr.split()[-2:]])
    for name, few, many in zip(("driver", "worker"), *peaks, strict=True):
        print(
            f"peak memory of the {name}: {many / 2**20:.0f} MiB for {len(paths):,} files, {few / 2**20:.0f} MiB for "
            f"{len(paths) // 10:,}: {many / few - 1:+.1%}"
        )


def nodes(paths: list[str], folder: Path, rounds: int) -> None:
    """Print the rate of a Ray cluster of two single-core nodes, all on this machine, against the local engine's."""
    try:
        import ray  # here: comes with an extra
        from ray.cluster_utils import Cluster
    except ImportError:
        print("ray is not installed (requirements-cluster.txt): its rate was not measured")
        return
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray's own name
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            made.add_node(num_cpus=1)
        made.wait_for_nodes()
        on_ray = "--engine", "ray", "--ray-address", made.address
        runs: dict[str, list[tuple[float, float]]] = {"local": [], "ray": []}
        for _ in range(rounds):
            runs["ray"].append(_run(batch(folder / "ray.csv", 2, *on_ray), paths))
            runs["local"].append(_run(batch(folder / "local.csv", 2), paths))
    finally:
        ray.shutdown()
        made.shutdown()
    print(f"ray, 2 nodes, against the local engine: {_ratios(runs['local'], runs['ray'], 0)}")
    print(f"rows of both engines to the last byte: {_compared(folder / 'ray.csv', folder / 'local.csv')}")


def driver(folder: Path, count: int) -> None:
    """Print the driver's cost for a file, without its examination: listing, hashing, comparing, writing."""
    for number in range(count):
        path = folder / "small" / f"{number // 1000}" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number * 10_000)
    engine = partial(LocalEngine, workers=2, work="tests.batch.workers:Light")
    (folder / "driver.csv").unlink(missing_ok=True)
    before = time.process_time()
    run_batch(BatchSpec((str(folder / "small"),), folder / "driver.csv"), Settings(effort="quick"), make_engine=engine)
    cost = (time.process_time() - before) / count
    print(f"driver: {cost * 1e3:.2f} ms of a core for each of {count:,} small files, {1 / cost:,.0f} files a second")
    size, block = 2**30, bytes(2**20)
    digest, before = hashlib.sha256(), time.process_time()
    for _ in range(size // len(block)):
        digest.update(block)
    print(f"SHA-256: {size / (time.process_time() - before) / 2**20:,.0f} MiB a second")


def photos(paths: list[str], folder: Path, count: int) -> None:
    """Print the cost of a picture of a camera's size: stills enlarged to 12 megapixels, with some noise."""
    made = []
    for number, path in enumerate(paths[:count]):
        large = np.asarray(Image.open(path).convert("RGB").resize((4000, 3000)), np.int16)
        noise = np.random.default_rng(number).integers(-8, 9, large.shape, np.int16)
        made.append(str(folder / f"{number}.jpg"))
        Image.fromarray(np.clip(large + noise, 0, 255).astype(np.uint8)).save(made[-1], quality=90)
    clock, on_cores = _run(batch(folder / "photos.csv", 2), made)
    size = statistics.mean(Path(path).stat().st_size for path in made) / 2**20
    print(f"{count} photos of {size:.1f} MiB: {clock / count:.2f} s by the clock, {on_cores / count:.2f} on cores")


def videos(data: Path, folder: Path) -> None:
    """Print the cost of a minute of video."""
    clips = sorted(map(str, (data / "videos" / "ffpp_c23").glob("*.mp4")))
    clock, on_cores = _run(batch(folder / "videos.csv", 2), clips)
    with (folder / "videos.csv").open(newline="") as stream:
        minutes = sum(float(row["duration_s"]) for row in csv.DictReader(stream)) / 60
    print(
        f"{len(clips)} clips of {60 * minutes / len(clips):.0f} s: {clock / minutes:.1f} s by the clock and "
        f"{on_cores / minutes:.1f} s of a core for a minute of video"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--stills", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--many", type=int, default=10_000, help="files for the memory; 0 leaves it out")
    parser.add_argument("--photos", type=int, default=100, help="large pictures")
    parser.add_argument("--small", type=int, default=20_000, help="files that nobody examines")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        speed(stills(options.data, options.stills), Path(folder), options.rounds)
        nodes(stills(options.data, options.stills), Path(folder), options.rounds)
        driver(Path(folder), options.small)
        photos(stills(options.data, options.stills), Path(folder), options.photos)
        videos(options.data, Path(folder))
        if options.many:
            memory(stills(options.data, options.many), Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
