"""The page Compare, driven as a user would."""

from tests.conftest import PHOTOGRAPH, SAMPLE
from tests.pages.record import ADA, SHA256, blind_case_with, create, go, name_examiner
from tests.pages.test_pages import page_text


def examined(app, *stems):
    for stem in stems:
        go(app, "start").button(key=f"sample-{stem}").click().run()
        assert not app.exception
    return app


def compared(app):
    return page_text(go(app, "compare")).replace("\\", "")


def test_without_results_it_says_where_they_come_from(app):
    assert "examine a file, or open a case" in compared(app)


def test_two_results_are_shown_with_both_findings_and_what_differs(app):
    text = compared(examined(app, PHOTOGRAPH.stem, SAMPLE.stem))
    assert "| Score | 0." in text
    assert {f"**{SAMPLE.name}**", f"**{PHOTOGRAPH.name}**"} <= set(text.replace("  \n", "\n").splitlines())
    assert len(app.get("image")) == 2
    app.segmented_control(key="compare-mode").set_value("Difference").run()
    assert not app.exception
    text = page_text(app).replace("\\", "")
    assert "of the pixels differ. A difference is not a finding." in text
    assert "resized to the size of the first" in text
    app.slider(key="compare-zoom").set_value(4.0).run()
    app.segmented_control(key="compare-mode").set_value("Blink").run()
    assert not app.exception
    assert len(app.get("image")) == 1


def test_a_result_and_its_item_in_the_case_are_the_same(app):
    create(app)
    go(examined(app, PHOTOGRAPH.stem), "image").button(key="file").click().run()
    go(app, "compare")
    choice = app.selectbox(key="compare-second")
    choice.set_value(next(title for title in choice.options if "(case" in title)).run()
    assert not app.exception
    assert "**Facts**: 0 of 15 differ" in page_text(app)
    app.segmented_control(key="compare-mode").set_value("Difference").run()
    assert "largest 0; 0.0% of the pixels differ" in page_text(app).replace("\\", "")


def test_a_face_is_ranked_against_the_other_faces_of_the_case(app):
    create(app)
    for stem in (PHOTOGRAPH.stem, SAMPLE.stem):
        go(examined(app, stem), "image").button(key="file").click().run()
    go(app, "compare").toggle(key="compare-faces").set_value(True).run()
    assert not app.exception
    assert "Identity is not examined" in page_text(app)
    others = {PHOTOGRAPH.name: SAMPLE.name, SAMPLE.name: PHOTOGRAPH.name}
    for position in (0, 1):
        app.selectbox(key="compare-first").select_index(position).run()
        assert not app.exception
        (table,) = [element.value for element in app.dataframe]
        assert set(table["Item"]) == {others[app.selectbox(key="compare-first").value.name]}


def test_what_a_blind_case_withholds_is_not_offered(app):
    examined(app, PHOTOGRAPH.stem)
    assert any(SHA256[:8] in title for title in go(app, "compare").selectbox(key="compare-first").options)
    blind_case_with(PHOTOGRAPH)
    go(name_examiner(app, ADA), "compare")
    assert not any(SHA256[:8] in title for box in app.selectbox for title in box.options)


def test_a_single_result_is_not_compared_with_itself(app):
    compared(examined(app, PHOTOGRAPH.stem))
    assert app.selectbox(key="compare-second").value is None
    assert not app.get("image")


def test_error_rates_that_both_share_are_stated_once(app):
    assert compared(examined(app, PHOTOGRAPH.stem, SAMPLE.stem)).count("authentic faces were called manipulated") == 1
