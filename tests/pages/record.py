"""Actions on the pages that the tests of cases share."""

import hashlib
import time

from faceloupe.cases.records import Case
from faceloupe.media.evidence_file import open_evidence
from faceloupe.ui import resources, state
from tests.conftest import PHOTOGRAPH

TIMEOUT = 60
SHA256 = hashlib.sha256(PHOTOGRAPH.read_bytes()).hexdigest()
ITEM = f"item-{SHA256[:12]}"
ADA = "Ada Example"


def go(at, page):
    at.switch_page(f"../pages/{page}.py").run()
    assert not at.exception
    return at


def click(at, key):
    at.button(key=key).click().run()
    assert not at.exception
    return at


def press(at, label):
    next(button for button in at.button if button.label == label).click().run()
    assert not at.exception
    return at


def name_examiner(at, examiner=ADA):
    go(at, "cases")
    at.text_input(key="examiner_input").set_value(examiner).run()
    return at


def create(at, name="Harbor", examiner=ADA, *, blind=False):
    name_examiner(at, examiner)
    at.text_input(key="new_case_name").set_value(name)
    at.checkbox(key="new_case_blind").set_value(blind)
    return press(at, "Create the case")


def decide(at, reason="The edge of the jaw is whole."):
    at.button_group(key=f"outcome-{SHA256[:12]}-0").set_value("authentic")
    at.text_area(key=f"reason-{SHA256[:12]}-0").set_value(reason)
    return press(at, "Enter decision")


def sign(at, reviewer):
    at.text_input(key=f"reviewer-{SHA256[:12]}-0").set_value(reviewer)
    return press(at, "Sign off")


def blind_case_with(path=PHOTOGRAPH) -> Case:
    """A blind case of Ada's that has the file, made without the pages."""
    store = resources.cases()
    case = store.create_case("Sealed", examiner=ADA, blind=True)
    store.items.file(case.id, open_evidence(path, max_bytes=10**9), actor=ADA)
    return case


def ended(job):
    """Wait for a job, if there is one."""
    deadline = time.monotonic() + TIMEOUT
    while job is not None and job.live and time.monotonic() < deadline:
        time.sleep(0.02)


def settled(at, key=state.FILING_JOB):
    """The page, once the job that it waits for has ended."""
    ended(resources.long_jobs().get(at.session_state[key]) if at.session_state[key] else None)
    at.run()
    assert not at.exception
    return at
