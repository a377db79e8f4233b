"""Walk from a folder on the page Batch to a CSV, to a row's page and to a case, in a real browser: ``make walk``.

Needs Debian's chromium and playwright, and is not part of the test suite. Its pictures go to ``build/walk``.
"""

import tempfile
from pathlib import Path

import pandas as pd
from docs.screenshots.batch import write_files
from docs.screenshots.browser import (
    PATIENCE_MS,
    create_case,
    go,
    name_examiner,
    press,
    see,
    shoot,
)
from playwright.sync_api import Page

from faceloupe.batch.table import CONTRACT
from tools.walks.stage import PICTURES, clip, command, expect, stage

ROWS = 12  # files in the folder: eleven of ``write_files``, and a clip


def download(page: Page, path: Path) -> pd.DataFrame:
    """Download the CSV, and read it with pandas."""
    with page.expect_download(timeout=PATIENCE_MS) as got:
        press(page, "Download the CSV")
    got.value.save_as(path)
    return pd.read_csv(path)


def walk(page: Page, address: str, folder: Path) -> None:
    """Walk through all steps, in order."""
    page.goto(address)
    name_examiner(page, "Ada Example")
    create_case(page, "Harvest")
    go(page, "Batch")
    page.get_by_role("textbox", name="in the evidence folder").fill("desk")
    page.keyboard.press("Tab")
    press(page, "Examine")
    see(page, f"{ROWS} rows")
    page.get_by_role("button", name="Cancel").wait_for(state="detached", timeout=PATIENCE_MS)
    shoot(page, "batch", 1300, PICTURES)
    rows = download(page, folder / "page.csv")
    expect(
        tuple(rows.columns[: len(CONTRACT)]) == CONTRACT, "the CSV opens in pandas with the contract's columns first"
    )
    expect(len(rows) == ROWS, f"it has {ROWS} rows, one for each file")
    code, _ = command("batch", folder / "evidence" / "desk", "--csv", folder / "line.csv")
    expect(code == 0, "faceloupe batch examines the same folder")
    line = pd.read_csv(folder / "line.csv")
    same = ["sha256", "outcome", "score", "log10_lr", "faces", "reason"]
    expect(rows[same].equals(line[same]), "page and command line give the same rows")
    page.reload()
    see(page, "nothing leaves this machine")
    page.get_by_role("heading", name="desk").wait_for(timeout=PATIENCE_MS)
    expect(download(page, folder / "again.csv").equals(rows), "after a refresh the batch is there, with the same table")
    chosen = rows[rows.outcome == "manipulated"]
    page.get_by_test_id("stButtonGroup").get_by_text("manipulated").click()
    see(page, f"{len(chosen)} rows")
    box = page.get_by_test_id("stDataFrame").bounding_box()
    page.mouse.click(box["x"] + 18, box["y"] + 60)  # the box before the first row; the table is a canvas
    page.wait_for_timeout(2000)
    press(page, "Open the row")
    see(page, "Opacity of the heatmap")
    name = Path(chosen.path.iloc[0]).name
    expect(page.get_by_text(name).first.is_visible(), f"the row of {name} opens on the page Image")
    shoot(page, "batch-opened", folder=PICTURES)
    see(page, "Examiner Ada Example")  # the browser remembers the name, and the address names the case
    go(page, "Batch")
    press(page, f"File all ({ROWS}) to the case")
    see(page, f"{ROWS} of {ROWS} files were filed, {ROWS - 1} of them analyzed")  # notes.jpg is not a picture
    go(page, "Case")
    see(page, name)
    shoot(page, "batch-filed", 1300, PICTURES)
    expect(True, f"{ROWS} files are filed to the case")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder / "evidence" / "desk")
        clip(folder / "evidence" / "desk" / "panned.mp4")
        with stage(folder, FACELOUPE_EVIDENCE=str(folder / "evidence")) as (page, address):
            walk(page, address, folder)


if __name__ == "__main__":
    main()
