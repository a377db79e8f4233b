"""Measure the rules of the lenses on material with known truth, and write the rates and ``docs/lenses.md``.

python -m tools.lens_rates --data ../shared/data
python -m tools.lens_rates --data ../shared/data --only copies    measures that part again and keeps the rest
--cameras and --native name folders of further material; without them, earlier results on it are kept or left out.
"""

import argparse
import csv
import io
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image
from tests.conftest import GENERATED
from tests.forensics import files
from tests.forensics.signed import CAPTURE, TRAINED, Authority
from tests.forensics.test_metadata import dated

from faceloupe.analysis.pipeline import Networks
from faceloupe.config import Settings
from faceloupe.evaluation.metrics import wilson_interval
from faceloupe.forensics import jpeg, metadata, provenance, thumbnail, traces
from faceloupe.forensics.rates import RATES, LensTime, Measured, QualityCheck, Separation, Trial, measured
from faceloupe.forensics.registry import LENSES, ROBUSTNESS
from faceloupe.forensics.results import LensResult, Rates
from faceloupe.forensics.source import FaceModel, LensSource
from faceloupe.forensics.trust import TrustList
from faceloupe.media import jpeg_structure
from faceloupe.media.evidence_file import evidence_from_bytes
from faceloupe.media.formats import sniff
from tools import lens_edits, lens_trials
from tools.lens_material import material

PAGE = Path(__file__).resolve().parents[1] / "docs" / "lenses.md"
PHOTOGRAPHS = (
    "IMG_0003.jpg",
    "P1000827.jpg",
    "TUSCANY.TIF",
    "sample1.heic",
    "sample1.avif",
    "sample1.gif",
    "test_xmp.webp",
)
_STILLS, _RECOMPRESSED, _SEED = 1000, 500, 1
_OF_VIDEOS = ("container", "stream", "bitstream")
_OF_PHOTOGRAPHS_TOO = ("editor", "developer")  # kinds of rules
_THUMBNAILS = 300
_THUMBNAILS_ON = (
    f"{_THUMBNAILS} stills of the training material, each with the thumbnail of another one, and each with its own, "
    "160 pixels wide, quality 40 to 90"
)
_CAMERAS = (
    "https://github.com/ianare/exif-samples: exif-org, hdr and mobile without the one that a program saved, and the "
    "Reconyx"
)
_NATIVE = (
    "https://github.com/BaseMax/FakeFaces, https://github.com/jcpeterson/omi, "
    "https://github.com/hmdghoul/generated-faces and "
    "https://github.com/SeegmaEpsilon/experiment-real-or-ai-face against photographs of the last, of "
    "https://github.com/designerdean/silver-maple-photography and of "
    "https://github.com/djbielejeski/Stable-Diffusion-Regularization-Images-man_unsplash"
)
_LARGE = (4000, 3000)
_COPIED_CROPS = 60
_SIGNED = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
_ON = "{} files that the tests write; {:,} files of a format that can carry the marker"


def source(content: bytes, trust_list: TrustList | None = None) -> LensSource:
    settings = Settings()
    return LensSource(
        evidence_from_bytes(content, "file", max_bytes=settings.max_bytes), settings=settings, trust_list=trust_list
    )


def negatives(data: Path) -> list[bytes]:
    """Return files without any of the markers that the rules look for."""
    with (data / "stills.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    chosen = random.Random(_SEED).sample(rows, _STILLS)
    return [(data / row["path"]).read_bytes() for row in chosen] + [
        (data / "formats" / name).read_bytes() for name in PHOTOGRAPHS
    ]


def trace_fixtures(authority: Authority) -> Iterator[tuple[str, bytes]]:
    """Yield the id of a rule and a file that it must fire on, for each rule in each container that can carry it."""
    for rule in traces.rules():
        for structure, statements in rule.examples.items():
            if structure == traces.CREDENTIALS:
                for media_type, form in _SIGNED.items():
                    agent = statements["softwareAgent"]
                    signed, _ = authority.sign(files.saved(form), media_type, agent=agent, source_type=TRAINED)
                    yield f"traces.{rule.id}", signed
            else:
                for make in files.CONTAINERS[structure].values():
                    yield f"traces.{rule.id}", make(statements)


def signed_fixtures(authority: Authority) -> Iterator[tuple[str, bytes]]:
    """Yield the id of a provenance rule and a file that it must fire on."""
    for media_type, form in _SIGNED.items():
        content = files.saved(form)
        signed, _ = authority.sign(content, media_type, source_type=TRAINED)
        yield "provenance.untrusted", signed
        yield "provenance.trainedAlgorithmicMedia", signed
        away, _ = authority.sign(content, media_type, source_type=TRAINED, address="http://127.0.0.1:9/m.c2pa")
        yield "provenance.remote", away
        captured, _ = authority.sign(content, media_type, source_type=CAPTURE)
        yield "provenance.digitalCapture", captured
        yield "provenance.tampered", signed[:-20] + bytes([signed[-20] ^ 1]) + signed[-19:]


def carriers(contents: list[bytes]) -> dict[str, int]:
    """Count the files of a format that can carry the marker of each rule; only on these can the rule be wrong.

    The count is 0 for rules on programs that photographs are processed with: whether one was used is not known.
    """
    formats = Counter(sniff(content) for content in contents)
    stills = sum(formats.values())
    by_place = {"PNG text": formats["PNG"], "GIF comment": formats["GIF"]} | dict.fromkeys(_OF_VIDEOS, 0)
    counts = {
        f"traces.{rule.id}": max(by_place.get(structure, stills) for structure in rule.places)
        if rule.kind not in _OF_PHOTOGRAPHS_TOO
        else 0
        for rule in traces.rules()
    }
    return defaultdict(lambda: stills, counts)


def measure_compression(options: argparse.Namespace, known: Measured) -> Measured:
    """Measure the compression rules; keep the rates of all other rules."""
    with ProcessPoolExecutor() as pool:
        rows = [row for row in pool.map(lens_edits.history, material(options.data)) if row is not None]
    doubles, separations = lens_edits.compressed_twice(rows)
    return msgspec.structs.replace(
        known,
        rules=known.rules | doubles,
        separations=_with_separations(known, separations),
        cameras=lens_edits.of_cameras(options.cameras) if options.cameras else known.cameras,
    )


def measure_copies(options: argparse.Namespace, known: Measured) -> Measured:
    """Measure the rule of copied parts; keep the rates of all other rules."""
    pictures = material(options.data)
    small = [picture for picture in pictures if picture.small]
    chosen = [picture for picture in pictures if not picture.small] + small[:_COPIED_CROPS]
    with ProcessPoolExecutor() as pool:
        rows = [row for row in pool.map(lens_edits.copied, chosen) if row is not None]
    copies, separations, trials = lens_edits.copies(rows)
    return msgspec.structs.replace(
        known,
        rules=known.rules | copies,
        separations=_with_separations(known, separations),
        trials=_with_trials(known, trials),
    )


def _with_separations(known: Measured, rows: tuple[Separation, ...]) -> tuple[Separation, ...]:
    materials = {row.measured_on for row in rows}
    return (*(row for row in known.separations if row.measured_on not in materials), *rows)


def measure_trials(options: argparse.Namespace, known: Measured) -> Measured:
    """Measure how well the methods that were tried and not adopted separate files; keep all rules."""
    trials = (*lens_trials.up_sampling(options.data, options.native), *lens_trials.noise_of_faces(options.data))
    return msgspec.structs.replace(known, trials=_with_trials(known, trials))


def _with_trials(known: Measured, trials: tuple[Trial, ...]) -> tuple[Trial, ...]:
    sought = {trial.sought for trial in trials}
    return (*(trial for trial in known.trials if trial.sought not in sought), *trials)


def measure_times(_: argparse.Namespace, known: Measured) -> Measured:
    """Measure the time of each lens on a JPEG of 12 megapixels, and of reading the file for all lenses."""
    rng = np.random.default_rng(_SEED)
    with Image.open(GENERATED) as image:
        enlarged = np.asarray(image.convert("RGB").resize(_LARGE, Image.Resampling.BICUBIC)).astype(np.float32)
    rgb = np.clip(enlarged + rng.normal(0, 4, enlarged.shape).astype(np.float32), 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "JPEG", quality=92)
    networks = Networks.load(Settings())
    examined = source(stream.getvalue())
    examined.face_model = FaceModel(networks.detector, networks.scorer)
    steps: list[tuple[str, Callable[[LensSource], object]]] = [
        ("what the file states, read in the sandbox", lambda file: (file.metadata, file.credentials)),
        ("the picture and its brightness, decoded in the sandbox", lambda file: (file.picture, file.luma)),
        *((lens.title, lens.examine) for lens in (*LENSES, ROBUSTNESS)),
    ]
    times = []
    for title, step in steps:
        cpu, wall = time.process_time(), time.perf_counter()
        step(examined)
        times.append(LensTime(title, time.process_time() - cpu, time.perf_counter() - wall))
    return msgspec.structs.replace(known, times=tuple(times))


def measure_statements(options: argparse.Namespace, known: Measured) -> Measured:
    """Measure the rules of file statements on their fixtures and on files without markers; keep all other rules."""
    authority = Authority.make()
    own = TrustList(authority.root.decode(), "own", "", 1)
    fired: dict[str, list[bool]] = {}

    def fire(
        looks: Callable[[LensSource], LensResult], rule: str, content: bytes, trust: TrustList | None = None
    ) -> None:
        fired.setdefault(rule, []).append(rule in {finding.id for finding in looks(source(content, trust)).findings})

    for rule, content in trace_fixtures(authority):
        fire(traces.examine, rule, content)
    for rule, content in signed_fixtures(authority):
        fire(provenance.examine, rule, content)
    for media_type, form in _SIGNED.items():
        signed, _ = authority.sign(files.saved(form), media_type, source_type=TRAINED)
        fire(provenance.examine, "provenance.trusted", signed, own)
    for day in range(1, 29):
        fire(
            metadata.examine,
            "metadata.changed-before-taken",
            dated("2024:05:29 10:00:00", f"2024:05:{day:02d} 10:00:00"),
        )
    without = negatives(options.data)
    false_thumbnails = fire_thumbnails(without, fired)
    wrong = dict.fromkeys(fired, 0)
    for content in without:
        examined = source(content)
        for examine in (traces.examine, provenance.examine, metadata.examine):
            for finding in examine(examined).findings:
                wrong[finding.id] = wrong.get(finding.id, 0) + 1
    able = carriers(without)
    rules = {
        rule: Rates(
            sum(hits), len(hits), wrong[rule] if able[rule] else 0, able[rule], _ON.format(len(hits), able[rule])
        )
        for rule, hits in fired.items()
        if rule != thumbnail.DIFFERS
    }
    rules[thumbnail.DIFFERS] = Rates(
        sum(fired[thumbnail.DIFFERS]), _THUMBNAILS, sum(false_thumbnails), _THUMBNAILS, _THUMBNAILS_ON
    )
    checked = qualities(without[:_RECOMPRESSED])
    return msgspec.structs.replace(known, rules=known.rules | rules, jpeg_quality=checked)


def fire_thumbnails(pictures: list[bytes], fired: dict[str, list[bool]]) -> list[bool]:
    """Test the thumbnail rule on pictures with the thumbnail of another one; return its results on their own ones."""
    draw, wrong = random.Random(_SEED), list[bool]()
    fired[thumbnail.DIFFERS] = []
    for own, other in pairwise(pictures[: _THUMBNAILS + 1]):
        with Image.open(io.BytesIO(own)) as image:
            picture = np.asarray(image.convert("RGB"))
        for of, hits in ((own, wrong), (other, fired[thumbnail.DIFFERS])):
            preview = files.preview(of, quality=draw.randint(40, 90))
            with Image.open(io.BytesIO(preview)) as image:
                hits.append(thumbnail.correlation(np.asarray(image), picture) < thumbnail.LEAST_CORRELATION)
    return wrong


def qualities(pictures: list[bytes]) -> QualityCheck:
    """Recompress pictures at random qualities, and count how well these are estimated."""
    draw, errors = random.Random(_SEED), []
    for content in pictures:
        quality, stream = draw.randint(30, 98), io.BytesIO()
        with Image.open(io.BytesIO(content)) as image:
            image.convert("RGB").save(stream, "JPEG", quality=quality, subsampling=draw.choice((0, 1, 2)))
        estimate = jpeg.quality(jpeg_structure.read(stream.getvalue()))
        errors.append(100 if estimate is None else abs(estimate[0] - quality))
    near = sum(error <= 2 for error in errors)
    return QualityCheck(
        len(errors), errors.count(0), near, "stills of the training material, saved by Pillow, 30 to 98"
    )


def page(result: Measured) -> str:
    """Return the page of the documentation."""
    lines = [
        "# Forensic lenses",
        "",
        "`faceloupe lenses FILE` and the page *Lenses* of the app look at a file beside the model's score. This page "
        "is written by `python -m tools.lens_rates`; every rate on it was measured.",
        "",
        "| lens | shows | does not show |",
        "|---|---|---|",
        *(f"| {lens.title} | {lens.shows} | {lens.does_not_show} |" for lens in (*LENSES, ROBUSTNESS)),
        "",
        "## How often each rule is right",
        "",
        "True positives are counted on files that the tests write, so they say that a rule reads its marker in every "
        "container, and not how many generated files carry one: most services remove metadata. Intervals of 95 % "
        "are Wilson's.",
        "",
        "| rule | fires where it should | 95 % interval | fires where it should not | 95 % interval |",
        "|---|---|---|---|---|",
    ]
    for rule, rates in sorted(result.rules.items()):
        right = wilson_interval(rates.true_positives, rates.positives)
        wrong = wilson_interval(rates.false_positives, rates.negatives)
        seldom = f"{rates.false_positives} of {rates.negatives:,} | {wrong[0]:.1%} to {wrong[1]:.1%}"
        lines.append(
            f"| `{rule}` | {rates.true_positives} of {rates.positives} | {right[0]:.1%} to {right[1]:.1%} "
            f"| {seldom if rates.negatives else 'not measured | -'} |"
        )
    check = result.jpeg_quality
    lines += [
        "",
        f"Files without a marker: {_STILLS:,} stills of the training material, real and generated, and "
        f"{len(PHOTOGRAPHS)} photographs and pictures of public collections. Counted are those of a format that can "
        "carry the marker. 435 of the stills were saved again when they were collected, which removes metadata. Videos "
        "and PNG files were not measured, nor were rules of programs that photographs are processed with: whether one "
        "was is not known of these files.",
    ]
    lines += [
        "",
        "## How well scores tell files apart",
        "",
        "Area under the ROC curve: 0.5 is chance, 1 without an error. Intervals are those of a bootstrap over the "
        "files that the examples were made from.",
        "",
        "| files | AUC | 95 % interval | with and without |",
        "|---|---|---|---|",
        *(
            f"| {row.name} | {row.auc:.3f} | {row.low:.3f} to {row.high:.3f} | {row.positives} and {row.negatives} |"
            for row in result.separations
        ),
        "",
        *(f"Material: {material}." for material in dict.fromkeys(row.measured_on for row in result.separations)),
    ]
    if cameras := result.cameras:
        lines += [
            "",
            f"Of {cameras.pictures} photographs that cameras and telephones wrote ({_CAMERAS}), the rule of the same "
            f"grid fires on {cameras.aligned} and that of another grid on {cameras.shifted}. Their history is not "
            "known for certain: some cameras enlarge or compress a picture more than once themselves.",
        ]
    ordinary = [row for row in result.times if row.title != ROBUSTNESS.title]
    lines += [
        "",
        "## Measures that are no findings",
        "",
        "None of these reached what a finding needs; areas under the ROC curve, 0.5 is chance. Portraits of generators "
        "that up-sample are held against photographs of other sources: as collected, where most were made smaller, and "
        f"as their services or cameras wrote them ({_NATIVE}). The noise of faces is held against that of their "
        "surroundings, in swapped and in untouched faces of one source. Copied parts are those that the rule of the "
        "lens Clone was measured on: it is the best of three ways, and the copies that it misses hold less detail.",
        "",
        "| sought | way | AUC |",
        "|---|---|---|",
        *(
            f"| {row.sought} | {row.way} | {', '.join(f'{name} {area:.2f}' for name, area in row.areas.items())} |"
            for row in result.trials
        ),
        "",
        "## Time",
        "",
        f"A JPEG of {_LARGE[0]:,} x {_LARGE[1]:,} pixels, by one thread (OMP_NUM_THREADS=1) on two cores that did "
        "other work as well: seconds of processor time of the lens, and until it was done.",
        "",
        "| lens | processor | elapsed |",
        "|---|---|---|",
        *(f"| {row.title} | {row.cpu_s:.2f} s | {row.wall_s:.1f} s |" for row in result.times),
        f"| together, without {ROBUSTNESS.title} | {sum(row.cpu_s for row in ordinary):.2f} s "
        f"| {sum(row.wall_s for row in ordinary):.1f} s |",
        "",
        f"{ROBUSTNESS.title} runs on request only: it seeks the faces, and scores one of them nine times, two at once.",
    ]
    lines += [
        "",
        "## Quality of JPEG pictures",
        "",
        f"{check.pictures} pictures ({check.measured_on}): the estimate is the true quality for {check.equal}, "
        f"and at most 2 away for {check.within_2}.",
        "",
        "## Where the rules of the generator traces come from",
        "",
        'A source that starts with "Not confirmed" says where the form should be documented; it was taken from '
        "programs that read such files, and not held against the generator's own documents or files.",
        "",
        "| rule | the file claims | places | source |",
        "|---|---|---|---|",
        *(
            f"| `traces.{rule.id}` | {rule.name} | {', '.join(rule.places)} | {rule.source} |"
            for rule in traces.rules()
        ),
        "",
        "The table of rules is `src/faceloupe/forensics/data/generator-rules.toml`.",
    ]
    return "\n".join(lines) + "\n"


PARTS = {
    "statements": measure_statements,
    "compression": measure_compression,
    "copies": measure_copies,
    "trials": measure_trials,
    "times": measure_times,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training material")
    parser.add_argument("--only", choices=PARTS, help="part that is measured (default: all)")
    parser.add_argument("--cameras", type=Path, help="folder of JPEG photographs as cameras wrote them")
    parser.add_argument("--native", type=Path, help="folder of folders generated-NAME and photographs-NAME")
    arguments = parser.parse_args()
    outcome = measured()
    for part in [arguments.only] if arguments.only else PARTS:
        outcome = PARTS[part](arguments, outcome)
    RATES.write_bytes(msgspec.json.format(msgspec.json.encode(outcome), indent=1) + b"\n")
    PAGE.write_text(page(outcome), encoding="utf-8")
