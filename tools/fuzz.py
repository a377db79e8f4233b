"""Fuzzing of intake and decoding with hostile files: ``python -m tools.fuzz --images 10000 --videos 2000 --seed 1``.

Every case is made from an intact file of a known kind by a few mutations. They are drawn from a generator seeded by the
run's seed and the case's number, so that each case can be repeated on its own (``--only image:123``). It passes through
intake and decoding as in an analysis; with ``--analyze N``, every N-th case goes through the whole analysis. A case may
be decoded, or refused in one sentence. All other results are recorded: another exception, a process or file left
behind, an exceeded limit.
"""

import argparse
import errno
import io
import json
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pillow_heif
import skimage
from PIL import Image
from tests.clips import numbered, write_clip
from tests.hostile import handmade
from tests.media import icc
from tests.media.stored import gamma, png, pq

from faceloupe.config import Settings
from faceloupe.errors import EvidenceError
from faceloupe.media.embedded import extract_as_file
from faceloupe.media.evidence_file import open_evidence
from faceloupe.media.sandbox import client
from faceloupe.media.sandbox.image import decode
from faceloupe.media.sandbox.statements import list_embedded
from faceloupe.media.sandbox.video import IsolatedVideo
from faceloupe.samples import SAMPLES

SETTINGS = replace(Settings(effort="quick"), max_decoder_s=20.0, max_decoder_bytes=2**30, max_pixels=20_000_000)
SLACK_S = 10.0  # for work besides waiting for a decoder, on a loaded machine
_QUIET_LOOKS = 10  # checks in a row without a surplus process, before none counts as left behind
_LENGTHS = (b"\x00\x00\x00\x00", b"\x00\x00\x00\x01", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\xff\xff\xff\xff")

Mutator = Callable[[np.random.Generator, bytearray, list[bytes]], bytearray]


def bit_flips(random: np.random.Generator, content: bytearray, _: list[bytes]) -> bytearray:
    for position in random.integers(0, len(content), random.integers(1, 40)):
        content[position] ^= 1 << random.integers(8)
    return content


def header_flips(random: np.random.Generator, content: bytearray, _: list[bytes]) -> bytearray:
    """Change bytes at the head of a file, where decoders trust sizes and tables."""
    for position in random.integers(0, min(len(content), 512), random.integers(1, 8)):
        content[position] = random.integers(256)
    return content


def truncation(random: np.random.Generator, content: bytearray, _: list[bytes]) -> bytearray:
    return content[: random.integers(1, len(content))]


def chunk_swap(random: np.random.Generator, content: bytearray, _: list[bytes]) -> bytearray:
    size = int(random.integers(1, max(2, len(content) // 8)))
    first, second = random.integers(0, len(content) - size, 2)
    content[first : first + size], content[second : second + size] = (
        content[second : second + size],
        content[first : first + size],
    )
    return content


def length_edits(random: np.random.Generator, content: bytearray, _: list[bytes]) -> bytearray:
    """Replace four bytes at a time by a length that is a border case, in either byte order."""
    for position in random.integers(0, max(1, len(content) - 4), random.integers(1, 6)):
        edit = _LENGTHS[random.integers(len(_LENGTHS))]
        content[position : position + 4] = edit[:: 1 if random.integers(2) else -1]
    return content


def spliced(random: np.random.Generator, content: bytearray, others: list[bytes]) -> bytearray:
    """Join the head of one file and the body of another."""
    other = others[random.integers(len(others))]
    cut = int(random.integers(4, min(len(content), 2048)))
    return content[:cut] + other[int(random.integers(0, len(other))) :]


def repeated(random: np.random.Generator, content: bytearray, _: list[bytes]) -> bytearray:
    start = int(random.integers(0, len(content)))
    part = content[start : start + int(random.integers(1, 4096))]
    return content[:start] + part * int(random.integers(2, 20)) + content[start:]


MUTATORS: tuple[Mutator, ...] = (bit_flips, header_flips, truncation, chunk_swap, length_edits, spliced, repeated)


def still_seeds() -> dict[str, bytes]:
    """Return intact pictures of each kind, some with metadata; small ones, as mutations reach more of a small file."""
    pillow_heif.register_heif_opener()
    folder = Path(skimage.__file__).parent / "data"
    seeds, exif, exchanged = {}, Image.Exif(), icc.permuted("bgr")
    exchanged = exchanged[:24] + bytes(12) + exchanged[36:]  # without its creation time
    exif[0x0112], exif[0x010F] = 6, "maker"
    for source in (SAMPLES[0].path, SAMPLES[1].path, folder / "chelsea.png", folder / "astronaut.png"):
        picture = Image.open(source).convert("RGB").resize((96, 80))
        for kind, mode, options in (
            ("JPEG", "RGB", {"exif": exif}),
            ("JPEG", "RGB", {"progressive": True}),
            ("JPEG", "CMYK", {}),
            ("PNG", "RGB", {"exif": exif}),
            ("PNG", "P", {}),
            ("WEBP", "RGBA", {}),
            ("WEBP", "RGB", {"lossless": True}),
            ("TIFF", "RGB", {"compression": "tiff_lzw"}),
            ("TIFF", "RGB", {"compression": "jpeg"}),
            ("BMP", "RGB", {}),
            ("GIF", "P", {}),
            ("AVIF", "RGB", {}),
            ("HEIF", "RGB", {}),
            ("JPEG", "RGB", {"icc_profile": exchanged}),
            ("PNG", "RGB", {"icc_profile": exchanged}),
            ("JPEG", "CMYK", {"icc_profile": icc.cmyk()}),
        ):
            stream = io.BytesIO()
            picture.convert(mode).save(stream, kind, **options)
            seeds[f"{source.name}-{kind}-{mode}-{len(seeds)}"] = stream.getvalue()
        jpeg = seeds[f"{source.name}-JPEG-RGB-{len(seeds) - 16}"]
        seeds |= {
            f"{source.name}-PNG-PQ": png(pq(picture), cICP=bytes((9, 16, 0, 1))),
            f"{source.name}-PNG-gAMA": png(picture, gAMA=gamma(1.0)),
            f"{source.name}-JPEG-motion": jpeg + clip_seeds()["h264.mp4"],
            f"{source.name}-JPEG-second": jpeg * 2,
        }
    return seeds


def clip_seeds() -> dict[str, bytes]:
    """Return intact clips of each container and of the available codecs, with a few small frames each."""
    h264, two = {"options": {"bf": "2"}}, {"codec": "mpeg4", "options": {"bf": "2"}}
    vp8 = {"codec": "libvpx", "options": {"cpu-used": "-8"}}  # a fixed speed; otherwise it depends on the clock
    same = {"container_options": {"fflags": "+bitexact"}}  # otherwise Matroska gives each file a random number
    kinds = {
        "h264.mp4": h264,
        "fragments.mp4": h264 | {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
        "hevc.mp4": {"codec": "libx265"},
        "sound.mp4": {"audio": "aac"},
        "turned.mov": {"rotation": 90},
        "h264.mkv": h264 | same,
        "vp8.webm": vp8 | same,
        "vp9.webm": {"codec": "libvpx-vp9"} | same,
        "ffv1.mkv": {"codec": "ffv1"} | same,
        "mpeg4.avi": two,
        "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
        "mpeg1.mpg": {"codec": "mpeg1video"},
        "mpeg2.vob": {"codec": "mpeg2video", "options": {"bf": "2"}},
        "raw.m2v": {"codec": "mpeg2video"},
        "h264.ts": h264,
        "h263.3gp": {"codec": "h263", "size": (128, 96)},
        "wmv2.asf": {"codec": "wmv2"} | same,
        "h264.flv": h264,
        "vp8.ogv": vp8 | same,
        "vp8.ivf": vp8,
        "mpeg2.mxf": {"codec": "mpeg2video"} | same,
        "dv.dv": {"codec": "dvvideo", "size": (720, 576), "count": 2},
        "raw.h264": h264,
        "raw.hevc": {"codec": "libx265"},
        "raw.m4v": two | {"container_format": "m4v"},
        "raw.mjpeg": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    }
    clips = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, options in kinds.items():
            frames = numbered(options.pop("count", 14), options.pop("size", (96, 64)))
            clips[name] = write_clip(Path(folder, name), frames, **options).read_bytes()
    packets = [clips["h264.ts"][start : start + 188] for start in range(0, len(clips["h264.ts"]), 188)]
    clips["h264.m2ts"] = b"".join(bytes(4) + packet for packet in packets)
    clips["parity.ts"] = b"".join(packet + bytes(16) for packet in packets)
    clips["cut.ts"] = clips["h264.ts"][50:]
    first, *others = map(Image.fromarray, numbered(14, (96, 64)))
    for kind in ("GIF", "PNG", "WEBP", "AVIF"):
        stream = io.BytesIO()
        first.save(stream, kind, save_all=True, append_images=others, duration=100)
        clips[f"moving.{kind.lower()}"] = _without_times(stream.getvalue())
    return clips


def _without_times(content: bytes) -> bytes:
    """Return an AVIF without the creation times of its tracks, so that every run makes the same bytes."""
    for box in (b"mvhd", b"tkhd", b"mdhd"):
        if (start := content.find(box) + 8) >= 8:
            content = content[:start] + bytes(16) + content[start + 16 :]
    return content


def mutated(seeds: dict[str, bytes], seed: int, number: int) -> tuple[str, bytes]:
    """Return a description of case ``number`` of a run, with its mutations, and its bytes."""
    random = np.random.default_rng([seed, number])
    names = list(seeds)
    name = names[random.integers(len(names))]
    content, done = bytearray(seeds[name]), []
    for _ in range(random.integers(1, 4)):
        mutator = MUTATORS[random.integers(len(MUTATORS))]
        content = mutator(random, content, list(seeds.values())) if len(content) > 16 else content
        done.append(mutator.__name__)
    return f"{name}: {', '.join(done)}", bytes(content)


def processes() -> set[int]:
    """Return the ids of the running descendants of this process; only on Linux."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            parents[int(stat.parent.name)] = int(parent)
    family = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family - {os.getpid()}


def left_behind(folder: Path) -> list[str]:
    """Return the files in the folder for temporary files of a run, and ours in shared memory."""
    shared = Path("/dev/shm")
    return sorted(map(str, [*folder.iterdir(), *(shared.glob("*faceloupe*") if shared.is_dir() else ())]))


# Signs in a decoder's trace that it was denied something it needs. Refusals by Landlock are error 13; FFmpeg itself
# reports error 1 for some damaged files.
_LACKS = ("ImportError", "ModuleNotFoundError", f"PermissionError {errno.EACCES}")


class _Traces(logging.Handler):
    """Keeps the last message of a decoder about its own failure."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()


@dataclass
class Tally:
    """Results of a run.

    Attributes:
        outcomes: number of cases by outcome.
        longest: seconds and name of the longest case.
        unexpected: one line for each result that no case may have.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    longest: tuple[float, str] = (0.0, "")
    unexpected: list[str] = field(default_factory=list)


class Fuzzer:
    """Runs cases, one after the other."""

    def __init__(self, folder: Path, examine: Callable[[Path], str] | None = None) -> None:
        self._folder, self._examine = folder, examine
        self.tally, self._traces = Tally(), _Traces()
        logging.getLogger("faceloupe").addHandler(self._traces)
        client.start()
        self._before = left_behind(folder)

    def close(self) -> None:
        """Stop listening to the log."""
        logging.getLogger("faceloupe").removeHandler(self._traces)

    def run(self, case: str, content: bytes, *, whole: bool = False) -> str:
        """Run one case, and return how it ended."""
        path = self._folder / f"case-{os.getpid()}"
        path.write_bytes(content)
        self._traces.last, began = "", time.monotonic()
        try:
            ended = self._examine(path) if whole and self._examine else _decoded(path)
        except EvidenceError as problem:
            ended = _kind(str(problem))
            if "\n" in str(problem) or str(self._folder) in str(problem):
                self._note(case, f"a sentence that is none: {problem}")
        except Exception as problem:  # noqa: BLE001 - finding these is what this is for
            ended = "unexpected"
            self._note(case, f"{type(problem).__name__}: {problem}")
        took = time.monotonic() - began
        limit = SETTINGS.max_decoder_s + SLACK_S + 2 * len(content) / 2**20
        if took > limit and not whole:
            self._note(case, f"{took:.1f} s, over the limit")
        if path.read_bytes() != content:
            self._note(case, "the file was changed")
        path.unlink()
        if any(lack in self._traces.last for lack in _LACKS):
            self._note(case, f"the decoder lacked what it needed: {self._traces.last}")
        self.tally.outcomes[ended] += 1
        self.tally.longest = max(self.tally.longest, (took, case))
        return ended

    def check_leftovers(self) -> None:
        """Record processes and files that the cases left behind; one server and its spare process are expected."""
        until, quiet, more = time.monotonic() + 10, 0, 0
        while quiet < _QUIET_LOOKS and time.monotonic() < until:  # the server may still end a process and fork another
            now = len(processes()) - 2
            quiet, more = (0, now) if now > 0 else (quiet + 1, more)
            time.sleep(0.05)
        if quiet < _QUIET_LOOKS:
            self._note("all", f"{more} processes left behind")
        if new := [name for name in left_behind(self._folder) if name not in self._before]:
            self._note("all", f"files left behind: {new}")

    def _note(self, case: str, what: str) -> None:
        self.tally.unexpected.append(f"{case}: {what}")


def _decoded(path: Path) -> str:
    evidence_file = open_evidence(path, max_bytes=SETTINGS.max_bytes)
    if evidence_file.evidence.media_type == "image":
        decode(evidence_file, settings=SETTINGS)
        for item in list_embedded(evidence_file, settings=SETTINGS):
            extract_as_file(evidence_file, item, max_bytes=SETTINGS.max_bytes)
        return "decoded"
    with evidence_file.open() as stream, IsolatedVideo(evidence_file, stream, settings=SETTINGS) as video:
        some = {0, video.count // 2, video.count - 1}
        for wanted, every in ((range(min(video.count, 64)), True), (some, False)):
            for decoded_frame in video.walk(wanted, every=every):
                if decoded_frame.wanted:
                    decoded_frame.rgb()
        return "decoded with losses" if video.unreadable else "decoded"


def _kind(sentence: str) -> str:
    for phrase, kind in (
        ("crashed its decoder", "refused: the decoder crashed"),
        ("Decoding the file was stopped", "refused: out of time"),
        ("more memory", "refused: out of memory"),
        ("invalid data", "refused: the decoder returned invalid data"),
        ("damaged, incomplete", "refused: damaged"),
        ("the limit is", "refused: too large"),
        ("neither a supported image", "refused: no known kind"),
        ("file contains", "refused: several pictures, or no video"),
    ):
        if phrase in sentence:
            return kind
    return "refused: other"


def _analysis() -> Callable[[Path], str]:
    from faceloupe.analysis.pipeline import Networks, analyze  # here: without --analyze, torch is not needed

    settings = replace(SETTINGS, frames=4)
    networks = Networks.load(settings)
    return lambda path: f"analyzed: {analyze(path, networks).outcome}"


def main(arguments: list[str] | None = None) -> int:
    """Run the cases, print a table, and return 1 if any had a result that no case may have."""
    parser = argparse.ArgumentParser(description="Fuzz intake and decoding.")
    parser.add_argument("--images", type=int, default=300, help="mutated pictures")
    parser.add_argument("--videos", type=int, default=100, help="mutated clips")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--analyze", type=int, default=0, metavar="N", help="analyze one in N cases in whole; 0 none")
    parser.add_argument("--only", metavar="KIND:NUMBER", help="one case alone, as named in a record")
    parser.add_argument("--record", type=Path, help="write the outcome to this JSON file")
    options = parser.parse_args(arguments)
    kinds = {"image": (still_seeds(), options.images), "video": (clip_seeds(), options.videos)}
    tallies = {}
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = folder  # all files left there are ours
        examine = _analysis() if options.analyze else None
        for kind, (seeds, count) in kinds.items():
            fuzzer = Fuzzer(Path(folder), examine)
            only = options.only.partition(":") if options.only else None
            for number in range(count) if only is None else [int(only[2])] if only[0] == kind else []:
                name, content = mutated(seeds, options.seed, number)
                whole = bool(options.analyze) and number % options.analyze == 0
                fuzzer.run(f"{kind}:{number} ({name})", content, whole=whole)
            fuzzer.check_leftovers()
            fuzzer.close()
            tallies[kind] = fuzzer.tally
        fuzzer = Fuzzer(Path(folder), examine)
        for name, content in handmade().items() if options.only is None else ():
            fuzzer.run(f"handmade ({name})", content)
        fuzzer.check_leftovers()
        tallies["handmade"] = fuzzer.tally
    tempfile.tempdir = None
    for kind, tally in tallies.items():
        print(f"{kind}: {sum(tally.outcomes.values()):,} cases, seed {options.seed}, longest {tally.longest[0]:.2f} s")
        for outcome, number in tally.outcomes.most_common():
            print(f"  {number:>6,}  {outcome}")
        print(f"  {len(tally.unexpected):>6,}  did what none may")
        for line in tally.unexpected[:20]:
            print(f"          {line[:400]}")
    if options.record:
        record = {"seed": options.seed} | {
            kind: {
                "outcomes": tally.outcomes,
                "longest": tally.longest,
                "unexpected": tally.unexpected,
            }
            for kind, tally in tallies.items()
        }
        options.record.write_text(json.dumps(record, indent=1) + "\n")
    return int(any(tally.unexpected for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
