"""Photographs the pages Cases, Case and Report in every state; part of ``take``."""

from docs.screenshots.browser import PATIENCE_MS, create_case, decide, go, name_examiner, press, see, shoot
from playwright.sync_api import Page


def tour(page: Page, address: str, scheme: str) -> None:
    """All states, of a store that is empty at first."""
    page.goto(address)
    go(page, "Cases")
    see(page, "There are no cases yet")
    shoot(page, f"cases-empty-{scheme}")
    name_examiner(page, "A. Weber")
    create_case(page, "Portrait dispute")
    go(page, "Case")
    see(page, "No evidence yet")
    shoot(page, f"case-empty-{scheme}")
    go(page, "Image")
    for sample in ("Photograph", "Generated portrait"):
        sampled(page, sample)
        press(page, "File to the case")
        see(page, "Already filed")
    create_case(page, "Sealed comparison", blind=True)
    go(page, "Image")
    see(page, "is blind")
    sampled(page, "Generated portrait")
    see(page, "File to the case without showing the result")
    shoot(page, f"image-blind-{scheme}")
    press(page, "File to the case without showing the result")
    see(page, "was filed and analyzed")
    go(page, "Case")
    press(page, "generated-woman.jpg")
    see(page, "its result is shown once")
    shoot(page, f"case-blind-{scheme}", 1050)
    decide(page, "manipulated", "The earrings do not match, and the hair melts into the background.")
    see(page, "Error rates")
    sign(page, "B. Lindqvist")
    shoot(page, f"case-decided-{scheme}", 1900)
    go(page, "Cases")
    shoot(page, f"cases-full-{scheme}")
    name_examiner(page, "C. Third")
    press(page, "Close the case")
    go(page, "Image")
    see(page, "is evidence of the blind case")
    shoot(page, f"image-withheld-{scheme}")
    name_examiner(page, "A. Weber")
    press(page, "Portrait dispute")
    see(page, "Case Portrait dispute")
    go(page, "Case")
    press(page, "photograph.png")
    see(page, "Error rates")
    page.get_by_text("The case as a whole").click()
    page.get_by_text("Log", exact=True).click()
    shoot(page, f"case-full-{scheme}", 2500)
    go(page, "Report")
    page.frame_locator("iframe").frame_locator("iframe").get_by_text("Portrait dispute").first.wait_for(
        timeout=PATIENCE_MS
    )
    shoot(page, f"report-{scheme}", 1000)


def sampled(page: Page, title: str) -> None:
    """Choose a sample on the start page, and wait until the page Image has it."""
    go(page, "Start")
    press(page, title)
    see(page, {"Photograph": "photograph.png", "Generated portrait": "generated-woman.jpg"}[title])


def sign(page: Page, reviewer: str) -> None:
    """Sign the chosen item of the page Case."""
    page.get_by_label("Reviewer, a second person").first.fill(reviewer)
    press(page, "Sign off")
    page.get_by_text(f"{reviewer}, 20").wait_for(timeout=PATIENCE_MS)
