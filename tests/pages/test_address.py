"""Addresses of pages: they survive a reload, and open only results that their reader may see."""

import time

import pytest
from streamlit.testing.v1 import AppTest

from faceloupe.installation import APP
from faceloupe.ui import browser, resources, state
from tests.conftest import GENERATED
from tests.pages.record import ITEM, SHA256, TIMEOUT, click, create, go
from tests.pages.test_lenses_page import looked
from tests.pages.test_pages import page_text


def opened(query):
    """The app as a browser opens it at an address."""
    at = AppTest.from_file(str(APP), default_timeout=TIMEOUT)
    for name, value in query.items():
        at.query_params[name] = value
    return at.run()


def query_of(at):
    return {name: value[0] if isinstance(value, list) else value for name, value in at.query_params.items()}


def test_a_result_and_a_case_are_found_again_by_their_address(app):
    go(create(app), "image")
    click(app, "sample-photograph")
    query = query_of(app)
    assert set(query) == {"case", "result", "evidence"}
    again = opened(query)
    assert not again.exception
    assert again.session_state[state.RESULT] == app.session_state[state.RESULT]
    assert again.session_state[state.CASE] == app.session_state[state.CASE]
    assert again.session_state[state.EXAMINER] == ""  # whoever opens the address is not taken for its sender
    assert "authentic faces were called manipulated" in page_text(again)


def test_an_item_is_found_again_by_its_address(app):
    go(create(app), "image")
    click(app, "sample-photograph")
    click(app, "file")
    click(go(app, "case"), ITEM)
    query = query_of(app)
    assert query["item"] == SHA256
    assert opened(query).session_state[state.CASE_ITEM] == SHA256


def test_what_the_lenses_saw_is_found_again_by_its_address(app):
    looked(app, GENERATED.read_bytes(), "a.jpg")
    query = query_of(app)
    assert set(query) == {"lenses"}
    again = opened(query)
    assert not again.exception
    assert [header.value for header in again.header] == ["Lenses"]
    assert "**Content Credentials** none" in page_text(again)
    resources.lens_views.clear()  # as a restart of the server does
    gone = opened(query)
    assert not gone.exception
    assert "no longer in memory" in page_text(gone)


def test_an_address_of_what_is_gone_or_was_never_there_is_reported_in_one_sentence():
    gone = opened({"result": "0" * 32})
    assert not gone.exception
    assert "no longer in memory" in page_text(gone)
    for name, value in (("case", "0" * 12), ("case", "../../etc"), ("case", "<b>x</b>"), ("batch", "0" * 12)):
        at = opened({name: value})
        assert not at.exception
        assert (at.session_state[state.CASE], at.session_state[state.BATCH]) == (None, None)
        assert "The address cannot be opened" in page_text(at)
        assert "<b>x" not in page_text(at)


def test_a_result_that_is_gone_leads_to_the_item_that_its_file_was_filed_as(app):
    go(create(app), "image")
    click(app, "sample-photograph")
    click(app, "file")
    query = query_of(app)
    resources.analyses.clear()  # as a restart of the server does
    again = opened({"result": query["result"], "evidence": query["evidence"]})
    assert not again.exception
    assert [header.value for header in again.header] == ["Case"]
    assert again.session_state[state.CASE_ITEM] == SHA256


def test_a_browser_remembers_examiner_and_results_and_no_markup_or_foreign_text():
    results = ("ab" * 16, "cd" * 16)
    script = AppTest.from_function(_restored)
    script.session_state["cookies"] = {
        "faceloupe_examiner": "%20Ada%20%3Cb%3E%0A",
        "faceloupe_recent": ".".join((*results, "../etc", "zz")),
    }
    script.run()
    assert not script.exception
    assert script.session_state[state.RECENT] == results
    assert script.session_state[state.EXAMINER] == "Ada <b>"


def test_the_cookie_of_a_sign_in_lasts_as_long_as_the_server_takes_it_and_goes_at_sign_out(monkeypatch):
    set_cookies: list[dict[str, dict[str, str | int]]] = []
    monkeypatch.setattr(browser, "_component", lambda *, key, data: set_cookies.append(data["cookies"]))
    tokens = resources.sign_ins()._tokens
    script = AppTest.from_function(_updated).run()
    token = script.session_state[state.SIGN_IN] = resources.sign_ins().sign_in("Ada")
    script.run()
    begun = time.monotonic()
    monkeypatch.setattr(tokens, "_clock", lambda: begun + 3600.0)
    script.run()
    resources.sign_ins().sign_out(token)
    script.session_state[state.SIGN_IN] = ""
    script.run()
    assert not script.exception
    nothing, first, later, last = (cookies.get("faceloupe_sign_in") for cookies in set_cookies)
    assert nothing is None
    assert first["value"] == later["value"] == token
    assert first["seconds"] == pytest.approx(12 * 3600, abs=60)
    assert later["seconds"] == pytest.approx(11 * 3600, abs=60)
    assert last == {"value": "", "seconds": 0}
    assert {cookies["faceloupe_examiner"]["seconds"] for cookies in set_cookies[1:]} == {30 * 24 * 3600}


def _updated():
    from faceloupe.ui import browser, state

    state.start()
    browser.restore({})
    browser.update("cases")


def _restored():
    import streamlit as st

    from faceloupe.ui import browser

    browser.restore(st.session_state["cookies"])


def test_a_blind_result_is_not_shown_to_who_has_only_its_address(app):
    click(app, "sample-photograph")
    query = query_of(app)
    case = resources.cases().create_case("Blind", examiner="Ann", blind=True)
    evidence_file = resources.analyses().evidence_file(app.session_state[state.RESULT])
    resources.cases().items.file(case.id, evidence_file, actor="Ann")
    text = page_text(opened(query))
    assert "authentic faces were called manipulated" not in text
    assert "its result is shown once" in text
