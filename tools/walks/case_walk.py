"""Walk from the creation of a case to a bundle that a third party checks, in a real browser: ``make walk``.

Needs Debian's chromium and playwright, and is not part of the test suite. Its pictures go to ``build/walk``.
"""

import hashlib
import json
import re
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from docs.screenshots.browser import (
    PATIENCE_MS,
    SAMPLES,
    choose,
    create_case,
    decide,
    go,
    name_examiner,
    press,
    see,
    shoot,
    upload,
)
from playwright.sync_api import Page

from faceloupe.cases.store import CaseStore
from tools.walks.stage import PICTURES, clip, command, expect, stage

NAME, ADA, BO = "Harbor", "Ada Example", "Bo Second"
_MOST_DIFFERENT = 1e-5  # of scores and logits; the last digits depend on the number of threads


def file_unseen(page: Page, name: str, path: Path) -> None:
    """File a file to the open blind case, from a page that examines it."""
    go(page, name)
    see(page, "is blind")
    upload(page, path)
    press(page, "File to the case without showing the result")
    see(page, f"{path.name} was filed and analyzed")
    expect(page.get_by_text("log10 LR").count() == 0, f"page {name} files {path.name} and shows no score")
    shoot(page, f"filed-{path.stem}", folder=PICTURES)


def review(page: Page, item: str, outcome: str) -> None:
    """Review the item that is shown instead of the list: decide, see its score, and have it signed."""
    page.get_by_role("heading", name=item).wait_for(timeout=PATIENCE_MS)
    see(page, "its result is shown once")
    expect(page.get_by_text("log10 LR").count() == 0, f"the score of {item} is hidden before the decision")
    shoot(page, f"hidden-{Path(item).stem}", 1300, PICTURES)
    decide(page, outcome, "Looked at it closely.")
    see(page, "no earlier view of the score in the log")
    page.get_by_text("log10 LR").first.wait_for(timeout=PATIENCE_MS)
    expect(True, f"the score of {item} is shown after it")
    for reviewer, answer in ((ADA, "cannot review it"), (BO, f"{BO}, 20")):
        page.get_by_label("Reviewer, a second person").first.fill(reviewer)
        press(page, "Sign off")
        see(page, answer)
        expect(True, f"{reviewer} signs {item}: {answer!r}")
    shoot(page, f"signed-{Path(item).stem}", 2200, PICTURES)


def sign_open_case(page: Page, item: str) -> None:
    """Filter the list for the only undecided item, and sign the case despite it, which requires a reason."""
    choose(page, "Review", "undecided")
    page.get_by_role("button", name="photograph.png", exact=True).wait_for(state="detached", timeout=PATIENCE_MS)
    see(page, item)
    expect(True, f"the filter for undecided items lists {item} alone")
    page.get_by_text("The case as a whole").click()
    page.get_by_label("Reviewer, a second person").fill(BO)
    press(page, "Sign off")
    see(page, "state why the case")
    page.get_by_label("Why the case is signed").fill("The video is not in dispute.")
    press(page, "Sign off")
    see(page, "1 item had no decision")
    expect(True, "a case with an undecided item is signed only with a reason")
    shoot(page, "signed-open", 1300, PICTURES)


def verify_in_browser(page: Page, bundle: Path, answer: str, failed: int) -> None:
    """Check a bundle on the page Verify."""
    go(page, "Verify")
    upload(page, bundle)
    see(page, answer)
    page.get_by_role("button", name="Download the protocol").wait_for(timeout=PATIENCE_MS)
    expect(page.get_by_text("failed:").count() == failed, f"page Verify says of {bundle.name}: {answer!r}")
    shoot(page, f"verify-{bundle.stem}", 1300, PICTURES)


def download(page: Page, label: str, folder: Path) -> Path:
    """Download a file from the page Report."""
    with page.expect_download(timeout=PATIENCE_MS) as waiting:
        page.get_by_role("button", name=label, exact=True).click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def walk(page: Page, address: str, folder: Path) -> None:
    still = folder / "photograph.png"
    still.write_bytes((SAMPLES / "photograph.png").read_bytes())
    moving = clip(folder / "panned.mp4")
    page.goto(address)
    name_examiner(page, ADA)
    create_case(page, NAME, blind=True)
    file_unseen(page, "Image", still)
    file_unseen(page, "Video", moving)
    page.reload()  # a reload is a new visit: no filed item may be lost
    see(page, f"Examiner {ADA}")  # the browser remembers the name
    see(page, f"Case {NAME}")  # it is still open: the address names it
    expect(True, "after a refresh the case is still open, and the examiner is still named")
    go(page, "Case")
    press(page, still.name)
    review(page, still.name, "authentic")
    page.get_by_role("button", name="All items").click(timeout=PATIENCE_MS)  # its name ends with its key
    sign_open_case(page, moving.name)
    press(page, moving.name)
    review(page, moving.name, "inconclusive")
    go(page, "Report")
    page.frame_locator("iframe").frame_locator("iframe").get_by_text(NAME).first.wait_for(timeout=PATIENCE_MS)
    shoot(page, "report", 1000, PICTURES)
    files = [download(page, label, folder) for label in ("HTML", "PDF", "Case JSON", "Export bundle")]
    (case,) = CaseStore(folder / "data").cases()
    log = CaseStore(folder / "data").log.entries(case.id)
    exported = {json.loads(entry.parameters)["file_sha256"] for entry in log if entry.action == "export"}
    expect(exported == {sha256(path) for path in files}, "each of the four downloads is in the log, by its SHA-256")
    verify_in_browser(page, files[-1], "every check passed", 0)
    member, damaged = damage(files[-1], folder / "damaged.zip")
    verify_in_browser(page, damaged, member, 1)
    check(folder, files[-1], case.id, damaged, member)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def damage(bundle: Path, copy: Path) -> tuple[str, Path]:
    """Copy a bundle with one byte of a report flipped; return the name of that member, and the copy."""
    with zipfile.ZipFile(bundle) as archive:
        member = next(name for name in archive.namelist() if name.startswith("reports/"))
        content = archive.read(member)
    whole = bundle.read_bytes()
    flipped = whole.index(content) + len(content) // 2
    copy.write_bytes(whole[:flipped] + bytes([whole[flipped] ^ 1]) + whole[flipped + 1 :])
    return member, copy


def check(folder: Path, bundle: Path, case_id: str, damaged: Path, member: str) -> None:
    """Check the bundle as a third party would, who has the bundle and gets the evidence from elsewhere."""
    outcome("faceloupe verify passes the downloaded bundle", lambda code, _: code == 0, "verify", bundle)
    same = re.compile(r"Largest difference over 2 of 2 examined items: score (\S+), logit (\S+)")
    evidence = folder / "evidence"
    evidence.mkdir()
    for name in ("photograph.png", "panned.mp4"):
        (folder / name).rename(evidence / name)
    outcome(
        f"faceloupe reproduce finds differences of {_MOST_DIFFERENT:g} at most over 2 of 2 items",
        lambda code, output: (
            code == 0
            and (differences := same.search(output)) is not None
            and max(map(float, differences.groups())) <= _MOST_DIFFERENT
        ),
        *("reproduce", bundle, "--evidence", evidence),
    )
    named = lambda code, output: code == 1 and member in output  # noqa: E731
    outcome(
        f"faceloupe verify exits with 1 and names {member}, one byte of which was flipped", named, "verify", damaged
    )
    good = f"{case_id}: "
    outcome(
        "the log of the case is whole", lambda code, output: code == 0 and good in output, "case", "verify-log", case_id
    )


def outcome(what: str, holds: Callable[[int, str], bool], *arguments: object) -> None:
    """Check the exit code and the output of a command."""
    code, output = command(*arguments)
    if not holds(code, output):
        print(output)
    expect(holds(code, output), what)


def main() -> None:
    with tempfile.TemporaryDirectory() as name, stage(Path(name)) as (page, address):
        walk(page, address, Path(name))


if __name__ == "__main__":
    main()
