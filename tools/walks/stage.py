"""Shared parts of the walks: the app with an empty store, a page to drive it, and the report of each check."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from docs.screenshots.browser import ROOT, SAMPLES, SIZE, browser, served
from PIL import Image
from playwright.sync_api import Page
from tests.clips import write_clip

PICTURES = ROOT / "build" / "walk"


def expect(holds: bool, what: str) -> None:
    """Stop if the app does not do what it should."""
    if not holds:
        raise SystemExit(f"not so: {what}")
    print(f"good  {what}")


def command(*arguments: object) -> tuple[int, str]:
    """Run a command of the command line; return its exit code and output."""
    program = [sys.executable, "-m", "faceloupe", *map(str, arguments)]
    done = subprocess.run(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def clip(path: Path) -> Path:
    """Write a clip: two seconds of the bundled portrait, slowly panned."""
    portrait = np.asarray(Image.open(SAMPLES / "generated-portrait.jpg").convert("RGB").resize((400, 400)))
    return write_clip(path, [portrait[step : step + 360, step : step + 360] for step in range(20)], fps=10)


@contextmanager
def stage(folder: Path, arguments: Sequence[str] = (), **environment: str) -> Iterator[tuple[Page, str]]:
    """Yield a page, and the address of the app with its store in the folder; take a picture if the walk fails."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    os.environ["FACELOUPE_DATA"] = str(folder / "data")  # for the commands, too
    with browser(arguments) as chromium, served(**environment) as address:
        page = chromium.new_page(viewport=SIZE, accept_downloads=True)
        try:
            yield page, address
        except BaseException:
            page.screenshot(path=PICTURES / "stopped.png", full_page=True)
            raise
    print(f"The walk is done; its pictures are in {PICTURES}.")
