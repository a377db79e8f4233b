"""Run many browser sessions at once on the real server; check for errors, a single user's answers, constant memory.

Run by `make soak`; drives Debian's chromium with playwright. Not part of the test suite: ten minutes on two cores.
"""

import argparse
import asyncio
import io
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import numpy as np
from PIL import Image
from playwright.async_api import Page, async_playwright
from tests.clips import write_clip
from tests.conftest import GENERATED, PHOTOGRAPH, skimage_picture

from faceloupe.analysis import pipeline
from faceloupe.config import Settings
from faceloupe.installation import ROOT
from faceloupe.media.evidence_file import evidence_from_bytes
from faceloupe.report.drawing import overlays

CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
# Twenty users bring twenty machines. Here their browsers share two cores with the server, and would take most of the
# time if pages were animated while they wait.
STILL = """addEventListener("DOMContentLoaded", () => document.head.append(Object.assign(
    document.createElement("style"),
    {textContent: "*,*::before,*::after{animation:none!important;transition:none!important}"}
)))"""
PATIENCE_MS = 240_000
SAMPLE_S = 5.0  # between two samples of the server's memory
FLAT = 1.10  # largest ratio of memory in the last fifth to that in the middle fifth
NUMBERS = re.compile(r"log10 LR\s*([+-]\d\.\d\d)")


@dataclass(frozen=True, slots=True)
class Question:
    """A file, and the answer that a single user gets.

    Attributes:
        page: page on which it is examined.
        ending: extension of its name.
        expected: text of the outcome on the page.
        log10_lr: as the page shows it; empty without a score.
    """

    page: str
    ending: str
    content: bytes = field(repr=False)
    expected: str
    log10_lr: str


@dataclass(slots=True)
class Tally:
    """Observations of all sessions."""

    answers: Counter = field(default_factory=Counter)
    waits_s: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)  # seconds since the start, bytes


def jpeg(picture: Image.Image, quality: int = 92) -> bytes:
    stream = io.BytesIO()
    picture.convert("RGB").save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def files(folder: Path) -> list[tuple[str, str, bytes]]:
    """Return page, extension and content of each file: large and small faces, no face, a damaged picture, a clip."""
    portrait, photograph = Image.open(GENERATED).convert("RGB"), Image.open(PHOTOGRAPH).convert("RGB")
    wall = Image.new("RGB", (3600, 2400), (120, 120, 120))
    for number, size in enumerate((900, 600, 400, 90)):
        wall.paste(
            (portrait, photograph)[number % 2].resize((size, size)), (80 + 880 * number, 200 + 300 * (number % 2))
        )
    frames = [np.asarray(photograph.resize((320, 320)).rotate(angle)) for angle in range(-10, 10)]
    clip = write_clip(folder / "clip.mp4", frames, fps=10)
    return [
        ("Image", "jpg", jpeg(portrait)),
        ("Image", "jpg", jpeg(photograph, 70)),
        ("Image", "jpg", jpeg(wall)),
        ("Image", "jpg", jpeg(Image.open(skimage_picture("coffee.png")))),
        ("Image", "jpg", jpeg(portrait)[:20_000]),
        ("Video", "mp4", clip.read_bytes()),
    ]


def alone(folder: Path) -> list[Question]:
    """Return the answers that a single user gets, from the same pipeline without a server."""
    settings = Settings.from_environment()
    networks = pipeline.Networks.load(settings)
    questions = []
    for page, ending, content in files(folder):
        evidence_file = evidence_from_bytes(content, f"alone.{ending}", max_bytes=settings.max_bytes)
        analysis = pipeline.analyze(evidence_file, networks)
        ratio = "" if analysis.log10_lr is None else f"{analysis.log10_lr:+.2f}"
        questions.append(Question(page, ending, content, overlays.outcome_words(analysis.outcome), ratio))
    return questions


async def ask(page: Page, question: Question, name: str) -> str:
    """Upload a file under a new name, and return the text of its verdict."""
    heading = page.get_by_role("heading", name=question.page, exact=True)
    if not await heading.count():
        await page.get_by_test_id("stSidebarNavLink").filter(has_text=question.page).first.click()
    await heading.wait_for(timeout=PATIENCE_MS)
    chooser = page.locator("input[type=file]").first
    await chooser.wait_for(state="attached", timeout=PATIENCE_MS)
    await chooser.set_input_files({"name": name, "mimeType": "application/octet-stream", "buffer": question.content})
    verdict = page.locator(".st-key-verdict").filter(has_text=name)
    await verdict.wait_for(timeout=PATIENCE_MS)
    if question.log10_lr:  # the numbers are drawn after the name
        await verdict.filter(has_text=NUMBERS).wait_for(timeout=PATIENCE_MS)
    await page.wait_for_timeout(300)
    if await page.get_by_test_id("stException").count():
        raise AssertionError("the page shows a trace")
    return await verdict.inner_text()


async def session(
    number: int, page: Page, address: str, *, questions: list[Question], ends: float, tally: Tally
) -> None:
    """Act as one user, who asks one question after another; user 0 only asks about clips."""
    dice = random.Random(number)
    await page.goto(address, timeout=PATIENCE_MS)
    asked = 0
    while time.monotonic() < ends:
        clips = [question for question in questions if question.page == "Video"]
        stills = [question for question in questions if question.page == "Image"]
        question = dice.choice(clips if number == 0 else stills)
        name, began = f"s{number}-{asked}.{question.ending}", time.monotonic()
        asked += 1
        try:
            text = await ask(page, question, name)
        except Exception as problem:  # noqa: BLE001 - whatever goes wrong is a finding
            await page.screenshot(path=Path(tempfile.gettempdir()) / f"faceloupe-soak-{name}.png")
            tally.problems.append(f"{name}: {type(problem).__name__}: {str(problem).splitlines()[0][:200]}")
            await page.goto(address, timeout=PATIENCE_MS)
            continue
        tally.waits_s.append(time.monotonic() - began)
        numbers = NUMBERS.search(text)
        ratio = numbers[1] if numbers else ""
        tally.answers[question.expected] += 1
        if question.expected not in text or ratio != question.log10_lr:
            expected = f"{question.expected} {question.log10_lr}"
            tally.problems.append(f"{name}: expected {expected}, the page says {text[:200]!r}")


def resident(pid: int) -> int:
    """Return the bytes of memory that a process and its descendants hold."""
    total = 0
    for process in (pid, *children(pid)):
        try:
            status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
        except OSError:
            continue
        match = re.search(r"VmRSS:\s+(\d+) kB", status)
        total += int(match[1]) * 1024 if match else 0
    return total


def children(pid: int) -> list[int]:
    listed = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return [process for child in map(int, listed) for process in (child, *children(child))]


async def watch(pid: int, ends: float, tally: Tally) -> None:
    began = time.monotonic()
    while time.monotonic() < ends:
        tally.memory.append((time.monotonic() - began, resident(pid)))
        await asyncio.sleep(SAMPLE_S)


async def crowd(sessions: int, address: str, pid: int, questions: list[Question], seconds: float) -> Tally:
    """Run all sessions at once."""
    tally, ends = Tally(), time.monotonic() + seconds
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        contexts = [await browser.new_context(reduced_motion="reduce") for _ in range(sessions)]
        for context in contexts:
            await context.add_init_script(STILL)
        pages = [await context.new_page() for context in contexts]
        shared = {"questions": questions, "ends": ends, "tally": tally}
        work = [session(number, page, address, **shared) for number, page in enumerate(pages)]
        await asyncio.gather(watch(pid, ends, tally), *work)
        await browser.close()
    return tally


def serve(port: int, folder: Path) -> subprocess.Popen:
    """Start the app, and wait until it answers."""
    command = [sys.executable, "-m", "faceloupe", "app", "--port", str(port)]
    environment = os.environ | {"FACELOUPE_DATA": str(folder / "data")}
    app = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    for _ in range(240):
        try:
            urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1).close()
        except OSError:
            time.sleep(0.5)
        else:
            return app
    app.kill()
    raise SystemExit("the app did not start")


def summary(tally: Tally, sessions: int, seconds: float) -> dict:
    """Summarize a run: counts, waits, and memory in each fifth of its time."""
    fifths = [[size for at, size in tally.memory if int(5 * at / seconds) == part] for part in range(5)]
    memory = [round(statistics.median(part) / 2**20) if part else 0 for part in fifths]
    waits = sorted(tally.waits_s) or [0.0]
    return {
        "sessions": sessions,
        "seconds": seconds,
        "answers": dict(tally.answers),
        "wait_s": {"median": round(statistics.median(waits), 1), "95 %": round(waits[int(0.95 * len(waits))], 1)},
        "memory_mib_by_fifths": memory,
        "growth": round(memory[4] / memory[2], 3) if memory[2] else None,
        "problems": tally.problems,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--port", type=int, default=8599)
    options = parser.parse_args()
    seconds = 60.0 * options.minutes
    with tempfile.TemporaryDirectory() as named:
        questions = alone(Path(named))
        app = serve(options.port, Path(named))
        try:
            address = f"http://127.0.0.1:{options.port}"
            tally = asyncio.run(crowd(options.sessions, address, app.pid, questions, seconds))
        finally:
            app.terminate()
            app.wait(30)
    result = summary(tally, options.sessions, seconds)
    print(json.dumps(result, indent=1))
    return int(bool(result["problems"]) or not result["answers"] or (result["growth"] or 0.0) > FLAT)


if __name__ == "__main__":
    sys.exit(main())
