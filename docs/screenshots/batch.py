"""Photographs the page Batch in every state; part of ``take``."""

import zipfile
from pathlib import Path

import skimage
from docs.screenshots.browser import HERE, PATIENCE_MS, SAMPLES, go, press, see, shoot
from PIL import Image, ImageFilter
from playwright.sync_api import Page

FREE = ("astronaut.png", "coffee.png", "chelsea.png")  # pictures that scikit-image carries; one shows a face


def write_files(folder: Path) -> list[Path]:
    """Free files of every outcome: faces as they are and worked on, no face, a ZIP, no picture."""
    folder.mkdir(parents=True)
    portrait, photograph = SAMPLES / "generated-woman.jpg", SAMPLES / "photograph.png"
    for source in (portrait, photograph):
        (folder / source.name).write_bytes(source.read_bytes())
    (folder / "portrait copy.jpg").write_bytes(portrait.read_bytes())
    Image.open(portrait).resize((512, 512)).save(folder / "portrait small.jpg", quality=80)
    Image.open(portrait).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "portrait mirrored.jpg", quality=95)
    Image.open(photograph).convert("L").save(folder / "photograph gray.png")
    Image.open(portrait).filter(ImageFilter.GaussianBlur(14)).save(folder / "portrait blurred.jpg")
    (folder / "notes.jpg").write_bytes(b"not a picture\n")
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        for name in FREE:
            archive.write(Path(skimage.__file__).parent / "data" / name, f"scans/{name}")
    return sorted(folder.iterdir())


def tour(page: Page, scheme: str, folder: Path) -> None:
    """All states, from an empty shelf on."""
    go(page, "Batch")
    see(page, "Every file is hashed")
    shoot(page, f"batch-empty-{scheme}")
    page.locator("input[type=file]").first.set_input_files(write_files(folder))
    page.wait_for_timeout(1500)
    press(page, "Examine")
    see(page, " files a second")
    page.screenshot(path=HERE / f"batch-working-{scheme}.png")
    page.get_by_role("button", name="Cancel").wait_for(state="detached", timeout=PATIENCE_MS)
    see(page, "Download the CSV")
    shoot(page, f"batch-result-{scheme}")
    shoot(page, f"batch-full-{scheme}", 1250)
    page.get_by_test_id("stButtonGroup").get_by_text("manipulated").click()
    shoot(page, f"batch-filtered-{scheme}")
    press(page, "All batches")
    see(page, "11 rows")
    shoot(page, f"batch-list-{scheme}")
