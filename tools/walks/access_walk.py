"""Check every page against axe-core's rules, and reach a finding by keyboard only: ``make walk``.

Pages are checked empty and full, light and dark, in the window of a laptop, of a phone, and of a laptop zoomed to
200 %. Needs Debian's chromium, playwright and axe-playwright-python, and is not part of the test suite. Pictures go to
``build/walk``.
"""

import tempfile
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from docs.screenshots.browser import PATIENCE_MS, SAMPLES, SIZE, create_case, go, name_examiner, press, see, upload
from PIL import Image
from playwright.sync_api import Browser, Page

from tools.walks.stage import PICTURES, clip, expect, stage

PAGES = (
    *("", "image", "video", "batch", "lenses", "live", "compare"),
    *("cases", "case", "report", "verify", "models", "glossary", "settings", "about"),
)
WINDOWS = {
    "laptop": {"viewport": SIZE},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
    "zoomed": {"viewport": {side: length // 2 for side, length in SIZE.items()}},
}
SCHEMES = ("light", "dark")
SERIOUS = frozenset({"critical", "serious"})
TABS = 60  # most presses of Tab from the head of a page to a control


def group(path: Path) -> Path:
    """Write a picture with three faces."""
    canvas = Image.new("RGB", (1600, 600), "gray")
    for number, name in enumerate(("photograph.png", "generated-portrait.jpg", "photograph.png")):
        face = Image.open(SAMPLES / name).convert("RGB").resize((500, 500))
        canvas.paste(face, (20 + 530 * number, 40))
    canvas.save(path, quality=95)
    return path


def settle(page: Page) -> None:
    """Wait until the page is drawn completely."""
    page.get_by_test_id("stMain").wait_for(timeout=PATIENCE_MS)
    for busy in ("stStatusWidget", "stSkeleton"):
        page.get_by_test_id(busy).first.wait_for(state="detached", timeout=PATIENCE_MS)
    # The last part of a page, which fixes Streamlit's menu for screen readers, see ``ui.browser``.
    page.locator('[data-testid="stSidebarNavItems"][role="presentation"]').first.wait_for(
        state="attached", timeout=PATIENCE_MS
    )
    page.wait_for_timeout(1000)


def faults(page: Page) -> list[str]:
    """Return the critical and serious violations that axe-core finds on a page."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}, {len(fault['nodes'])} times: {fault['nodes'][0]['html'][:160]}"
        for fault in violations
        if fault["impact"] in SERIOUS
    ]


def look(
    chromium: Browser, address: str, filled: dict[str, str], state: object = None, picture: Path | None = None
) -> list[str]:
    """Check all pages in all windows and themes; pages with content are opened at the address that shows it.

    Args:
        filled: addresses by page name; empty for a fresh store.
        state: cookies and storage of the browser that filled the store, for playwright.
        picture: picture for the page Lenses, which has no address for it.
    """
    results = []
    for window, settings in WINDOWS.items():
        for scheme in SCHEMES:
            context = chromium.new_context(**settings, color_scheme=scheme, storage_state=state)  # type: ignore[arg-type]
            page = context.new_page()
            for name in PAGES:
                label = f"{name or 'start'}-{'full' if filled else 'empty'}-{window}-{scheme}"
                page.goto(filled.get(name, f"{address}/{name}"))
                if name == "lenses" and picture is not None:
                    upload(page, picture)
                    see(page, "Error level")
                settle(page)
                page.screenshot(path=PICTURES / f"access-{label}.png")
                wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                here = [f"{label}: {fault}" for fault in faults(page)]
                here += [f"{label}: {wide} px wider than the window"] if wide > 0 else []
                print(*here, sep="\n", end="\n" if here else "", flush=True)
                results += here
            context.close()
    return results


def fill(page: Page, folder: Path) -> dict[str, str]:
    """Examine and file a picture and a clip; return the address of each page that then shows content."""
    addresses = {}
    name_examiner(page, "Ada Example")
    create_case(page, "Harbor")
    for name, path in (("Image", group(folder / "group.jpg")), ("Video", clip(folder / "panned.mp4"))):
        go(page, name)
        upload(page, path)
        press(page, "File to the case")
        see(page, "Already filed")
        settle(page)
        addresses[name.lower()] = page.url
    go(page, "Batch")
    page.locator("input[type=file]").first.set_input_files(list(SAMPLES.glob("*.jpg")) + list(SAMPLES.glob("*.png")))
    page.wait_for_timeout(1500)
    press(page, "Examine")
    page.get_by_role("button", name="Cancel").wait_for(state="detached", timeout=PATIENCE_MS)
    see(page, "Download the CSV")
    addresses["batch"] = page.url
    for name in ("Start", "Compare", "Cases"):
        go(page, name)
        settle(page)
        addresses["" if name == "Start" else name.lower()] = page.url
    go(page, "Case")
    press(page, "group.jpg")
    see(page, "Enter decision")
    settle(page)
    addresses["case"] = page.url
    go(page, "Report")
    page.frame_locator("iframe").frame_locator("iframe").get_by_text("Harbor").first.wait_for(timeout=PATIENCE_MS)
    addresses["report"] = page.url
    return addresses


def tab_to(page: Page, name: str) -> None:
    """Press Tab until a control with that name is in focus; a button's text begins with the name of its icon."""
    for _ in range(TABS):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.innerText")
        if (focused or "").split("\n")[-1].strip().startswith(name):
            return
    raise SystemExit(f"not so: {name!r} is reached by {TABS} presses of Tab")


def by_keyboard(page: Page, start: str, case: str) -> None:
    """Go from a sample to a finding, to the case and to a decision, without a mouse."""
    page.goto(start)
    see(page, "Clip of two shots")
    tab_to(page, "Generated portrait")
    page.keyboard.press("Enter")
    see(page, "What next")
    expect(True, "a sample is examined by keyboard alone")
    tab_to(page, "File to the case")
    page.keyboard.press("Enter")
    see(page, "Already filed")
    page.goto(case)
    see(page, "Enter decision")
    tab_to(page, "manipulated")
    page.keyboard.press("Space")
    tab_to(page, "Reason")
    page.keyboard.type("The light does not fall from one side.")
    tab_to(page, "Enter decision")
    page.keyboard.press("Enter")
    see(page, "recorded in the log")
    expect(True, "filed, and an item of the case decided")


def main() -> None:
    with tempfile.TemporaryDirectory() as name, stage(Path(name)) as (page, address):
        page.goto(address)
        see(page, "Clip of two shots")
        chromium = page.context.browser
        assert chromium is not None
        problems = look(chromium, address, {})
        addresses = fill(page, Path(name))
        problems += look(chromium, address, addresses, page.context.storage_state(), Path(name) / "group.jpg")
        by_keyboard(page, addresses[""], addresses["case"])
        count = len(PAGES) * len(WINDOWS) * len(SCHEMES) * 2
        expect(not problems, f"nothing serious on {count} looks at pages, and none is wider than its window")


if __name__ == "__main__":
    main()
