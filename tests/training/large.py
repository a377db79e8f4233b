"""A small copy of the large material: pictures in a folder, and others in Git repositories that are made here."""

import csv
import gzip
import io
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

STILLS = ("split", "source", "label", "group", "path")
INDEX = (
    *("split", "source", "label", "method", "group", "pair", "repository", "ref", "blob", "path"),
    *("x0", "y0", "x1", "y1"),
)
_IDENTITY = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def picture(seed: int, size: tuple[int, int] = (48, 40)) -> np.ndarray:
    """(H, W, 3) RGB; pictures of two seeds are not alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def coded(image: Image.Image, kind: str, **options: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(rgb: np.ndarray) -> bytes:
    return coded(Image.fromarray(rgb), "PNG")


def git(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    own = environment | _IDENTITY | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", "-C", str(folder), *arguments], env=own, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def repository(folder: Path, files: dict[str, bytes], *, bare: bool = False) -> dict[str, str]:
    """Make a repository with one commit; path -> blob. A bare one has no work tree."""
    work = folder.with_name(f"{folder.name}.work") if bare else folder
    work.mkdir(parents=True)
    git(work, "init", "-q")
    for name, content in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(content)
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "pictures")
    blobs = {name: git(work, "rev-parse", f"HEAD:{name}") for name in files}
    if bare:
        git(work.parent, "clone", "-q", "--bare", work.name, folder.name)
    return blobs


@dataclass
class Material:
    """Folders of the material, and the rows of its lists, which a test may change before it writes them."""

    data: Path
    snapshots: Path
    stills: list[dict[str, str]]
    index: list[dict[str, str]]

    def write(self) -> None:
        with (self.data / "stills.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, STILLS)
            writer.writeheader()
            writer.writerows(self.stills)
        with gzip.open(self.data / "index.csv.gz", "wt", newline="") as stream:
            writer = csv.DictWriter(stream, INDEX, restval="")
            writer.writeheader()
            writer.writerows(self.index)

    def still(self, split: str, label: str, path: str, rgb: np.ndarray, **more: str) -> None:
        (self.data / path).write_bytes(png(rgb))
        self.stills.append({"split": split, "source": "own", "label": label, "group": "", "path": path} | more)

    def listed(self, split: str, label: str, owner: str, path: str, blob: str, **more: str) -> dict[str, str]:
        row = {"split": split, "source": "web", "label": label, "repository": owner, "blob": blob, "path": path} | more
        self.index.append(row)
        return row


def make(folder: Path) -> Material:
    """Four stills, and seven pictures of two repositories, one of them bare; seeds 0..3 and 10..16."""
    material = Material(folder / "data", folder / "snapshots", [], [])
    material.data.mkdir(parents=True)
    for number, (split, label) in enumerate((s, k) for s in ("train", "val") for k in ("real", "fake")):
        material.still(split, label, f"{number}.png", picture(number))
    first = {f"p/{number}.png": png(picture(number)) for number in range(10, 14)}
    second = {f"{number}.png": png(picture(number)) for number in range(14, 17)}
    first = repository(material.snapshots / "anna+photos" / "repo", first)
    second = repository(material.snapshots / "bert+made" / "repo", second, bare=True)
    for (path, blob), split in zip(first.items(), ("train", "train", "val", "cross"), strict=True):
        material.listed(split, "real", "anna/photos", path, blob, source="anna", method="photo")
    for (path, blob), split in zip(second.items(), ("train", "val", "cross"), strict=True):
        material.listed(split, "fake", "bert/made", path, blob, source="bert", method="made")
    material.write()
    return material
