"""Photographs every page of the real app, light and dark: empty, working, with a result, and failing.

Starts the app itself, and drives Debian's chromium with playwright: see `make screenshots`.
"""

import secrets
import tempfile
from pathlib import Path

import av
import numpy as np
from docs.screenshots import batch, record
from docs.screenshots.browser import HERE, PATIENCE_MS, SAMPLES, SIZE, browser, choose, go, served, shoot, upload
from PIL import Image
from playwright.sync_api import Page

from faceloupe.training.settings import CARD_CORE
from faceloupe.ui.auth.password import PasswordHash

FPS, SHOT_S, FRAME = 25, 6, (640, 480)  # frames a second, seconds a shot, pixels


def write_video(path: Path) -> Path:
    """Write a free video: slow moves over the two bundled samples, with a cut between them."""
    shots = [Image.open(SAMPLES / name).convert("RGB") for name in ("photograph.png", "generated-portrait.jpg")]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = *FRAME, "yuv420p"
        for picture in shots:
            for share in np.linspace(0.0, 1.0, SHOT_S * FPS):
                width = picture.width * (1.0 - 0.2 * share)
                left, height = picture.width * 0.2 * share, width * FRAME[1] / FRAME[0]
                seen = picture.resize(FRAME, Image.Resampling.BICUBIC, (left, 0.0, left + width, height))
                container.mux(stream.encode(av.VideoFrame.from_image(seen)))
        container.mux(stream.encode(None))
    return path


def tour(page: Page, address: str, scheme: str) -> None:
    """Every page in every state."""
    page.goto(address)
    page.get_by_text("Faces are detected").wait_for(timeout=PATIENCE_MS)
    shoot(page, f"start-empty-{scheme}")
    go(page, "Image")
    shoot(page, f"image-empty-{scheme}")
    upload(page, SAMPLES / "generated-woman.jpg")
    page.get_by_role("button", name="Cancel").wait_for(timeout=PATIENCE_MS)
    page.screenshot(path=HERE / f"image-working-{scheme}.png")
    page.get_by_text("Opacity of the heatmap").wait_for(timeout=PATIENCE_MS)
    shoot(page, f"image-result-{scheme}")
    shoot(page, f"image-full-{scheme}", 1500)
    with tempfile.TemporaryDirectory() as folder:
        bad = Path(folder, "holiday.jpg")
        bad.write_bytes((SAMPLES / "generated-portrait.jpg").read_bytes()[:30_000])
        page.get_by_text("Another file").click()
        upload(page, bad)
        page.get_by_text("damaged, incomplete").wait_for(timeout=PATIENCE_MS)
        shoot(page, f"image-failing-{scheme}")
    video(page, scheme)
    go(page, "Start")
    shoot(page, f"start-recent-{scheme}", 1000)
    page.get_by_role("link", name="Models").click()
    page.get_by_role("tab", name="Sources left out of training").wait_for(timeout=PATIENCE_MS)
    shoot(page, f"models-{scheme}", 1750)
    choose(page, "Choose a model", CARD_CORE)
    page.get_by_text("Error rates at every threshold").wait_for(timeout=PATIENCE_MS)
    shoot(page, f"models-core-{scheme}", 1750)
    for tab in ("By source", "After recompression", "Card"):
        page.get_by_role("tab", name=tab).click()
        shoot(page, f"models-{tab.lower().replace(' ', '-')}-{scheme}", 1400)
    page.get_by_role("link", name="About").click()
    page.get_by_role("heading", name="Versions").wait_for(timeout=PATIENCE_MS)
    shoot(page, f"about-{scheme}", 2300)


def video(page: Page, scheme: str) -> None:
    """The page Video in every state."""
    page.get_by_role("link", name="Video").click()
    page.get_by_text("Frames are sampled").wait_for(timeout=PATIENCE_MS)
    shoot(page, f"video-empty-{scheme}")
    with tempfile.TemporaryDirectory() as folder:
        page.get_by_text("Options").click()
        page.get_by_label("Number of frames to analyze").fill("64")  # enough to be seen at work
        page.keyboard.press("Enter")
        # The second scheme's file has a name of its own: what was examined already is shown at once.
        upload(page, write_video(Path(folder, f"two-shots-{scheme}.mp4")))
        page.get_by_text("% done").first.wait_for(timeout=PATIENCE_MS)
        page.screenshot(path=HERE / f"video-working-{scheme}.png")
        page.get_by_text("Facts of the file").wait_for(timeout=PATIENCE_MS)
    shoot(page, f"video-result-{scheme}")
    points = page.locator(".scatterlayer .point")
    point = points.nth(points.count() // 4).bounding_box()
    page.mouse.click(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    shoot(page, f"video-clicked-{scheme}", 1500)
    page.get_by_text("Analyze a segment").click()
    page.get_by_text("Facts of the file").click()
    shoot(page, f"video-full-{scheme}", 2300)


def main() -> None:
    with browser() as chromium, tempfile.TemporaryDirectory() as folder:
        for scheme in ("light", "dark"):
            page = chromium.new_page(viewport=SIZE, color_scheme=scheme)
            with served(FACELOUPE_DATA=f"{folder}/{scheme}") as address:
                tour(page, address, scheme)
                batch.tour(page, scheme, Path(folder, f"files-{scheme}"))
                record.tour(page, address, scheme)
            with served(checked=False, FACELOUPE_DATA=f"{folder}/{scheme}", FACELOUPE_WEIGHTS=folder) as address:
                page.goto(address)
                page.get_by_text("nothing can be scored").first.wait_for(timeout=PATIENCE_MS)
                shoot(page, f"no-weights-{scheme}")
            with served(FACELOUPE_PASSWORD_HASH=str(PasswordHash.of(secrets.token_hex()))) as address:
                page.goto(address)
                page.get_by_label("Password", exact=True).fill("a guess")
                page.get_by_role("button", name="Open").click()
                page.get_by_text("The password is wrong").wait_for(timeout=PATIENCE_MS)
                shoot(page, f"gate-{scheme}")
            page.close()


if __name__ == "__main__":
    main()
