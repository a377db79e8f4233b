"""The real app in a real browser: how it is started, and what a user does on its pages."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SAMPLES = ROOT / "src" / "faceloupe" / "samples"
SIZE = {"width": 1366, "height": 768}
PATIENCE_MS = 300_000
_CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@contextmanager
def served(*, checked: bool = True, **environment: str) -> Iterator[str]:
    """The app on a port of its own, at the address that is yielded; it ends with the block.

    Args:
        checked: as `make run` starts it, or else also where its self-check fails.
        environment: what it is given besides.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    start = ["faceloupe", "app", "--port"] if checked else ["streamlit", "run", "src/app.py", "--server.port"]
    command = [sys.executable, "-m", *start, str(port)]
    app = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.DEVNULL)
    try:
        _await(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        app.terminate()
        app.wait()


def _await(port: int) -> None:
    for _ in range(600):
        try:
            urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise SystemExit("the app did not start")


@contextmanager
def browser(arguments: Sequence[str] = ()) -> Iterator[Browser]:
    """Debian's chromium, without a window, with arguments of the caller's besides."""
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path="/usr/bin/chromium", args=[*_CHROMIUM, *arguments])
        yield chromium
        chromium.close()


def upload(page: Page, path: Path) -> None:
    page.locator("input[type=file]").first.set_input_files(path)


def shoot(page: Page, name: str, height: int = SIZE["height"], folder: Path = HERE) -> None:
    """Photograph a page, in a window of that height."""
    page.mouse.move(2, 2)  # no tooltip in the picture
    page.set_viewport_size(SIZE | {"height": height})
    if height > SIZE["height"]:  # the whole page, from its top
        page.get_by_test_id("stMain").evaluate("main => main.scrollTo(0, 0)")
    page.wait_for_timeout(1500)
    page.screenshot(path=folder / f"{name}.png")
    page.set_viewport_size(SIZE)
    page.wait_for_timeout(500)


def see(page: Page, text: str) -> None:
    """Wait until a text is on the page."""
    page.get_by_text(text).first.wait_for(timeout=PATIENCE_MS)


def go(page: Page, name: str) -> None:
    """Go to a page by the navigation at the left."""
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True).click()
    heading = "FaceLoupe" if name == "Start" else name
    page.get_by_role("heading", name=heading, exact=True).wait_for(timeout=PATIENCE_MS)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click(timeout=PATIENCE_MS)


def name_examiner(page: Page, examiner: str) -> None:
    go(page, "Cases")
    page.get_by_role("textbox", name="Examiner").fill(examiner)
    page.keyboard.press("Enter")
    see(page, f"Examiner {examiner}")


def create_case(page: Page, name: str, *, blind: bool = False) -> None:
    """Create a case, which is then open; the examiner is named already."""
    go(page, "Cases")
    field = page.get_by_role("textbox", name="Name of the case")
    if not field.is_visible():
        page.get_by_text("New case").click()
    field.fill(name)
    if blind:
        page.get_by_text("Blind mode").click()
    press(page, "Create the case")
    see(page, f"Case {name}")


def choose(page: Page, label: str, option: str) -> None:
    """Choose an option of a list by its first letters."""
    field = page.get_by_role("combobox", name=label)
    field.click()
    field.press_sequentially(option)
    page.get_by_role("option", name=option).first.click(timeout=PATIENCE_MS)


def decide(page: Page, outcome: str, reason: str) -> None:
    """Enter a decision on the chosen item of the page Case."""
    page.get_by_role("radio", name=outcome, exact=True).first.click(timeout=PATIENCE_MS)
    page.get_by_role("textbox", name="Reason").fill(reason)
    press(page, "Enter decision")
    see(page, "recorded in the log")
