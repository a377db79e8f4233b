"""Claims about lists of items by the state of their review, and about the way from one item to the next."""

import pytest

from faceloupe.cases.records import ReviewState
from faceloupe.errors import CaseError
from tests.cases.conftest import filed

VIEW = {"outcome": "authentic", "reason": "No trace.", "confidence": "high"}


@pytest.fixture
def items(store, case):
    """Three items: the first signed, the second decided again after its signature, the third open."""
    made = [filed(store, case, content, f"{content.decode()}.jpg") for content in (b"a", b"b", b"c")]
    for item in made[:2]:
        store.reviews.decide(case.id, item.sha256, **VIEW, examiner="Bob")
        store.reviews.sign_off(case.id, sha256=item.sha256, reviewer="Cleo")
    store.reviews.decide(case.id, made[1].sha256, **VIEW, examiner="Bob")
    return made


def listed(store, case, **query):
    page = store.items.page(case.id, viewer="Bob", **query)
    assert page.total == len(page.items)
    return [item.name for item in page.items]


def test_items_are_listed_by_the_state_of_their_review(store, case, items):
    assert listed(store, case, state=ReviewState.SIGNED) == ["a.jpg"]
    assert listed(store, case, state=ReviewState.DECIDED) == ["b.jpg"]
    assert listed(store, case, state=ReviewState.UNDECIDED) == ["c.jpg"]
    assert listed(store, case) == ["a.jpg", "b.jpg", "c.jpg"]
    assert listed(store, case, state=ReviewState.UNDECIDED, outcome="authentic") == []
    assert listed(store, case, state=ReviewState.UNDECIDED, outcome="manipulated", search="C.j") == ["c.jpg"]


def test_each_item_knows_those_around_it(store, case, items):
    first, second, third = (item.sha256 for item in items)
    around = store.items.neighbors(case.id, second)
    assert (around.previous, around.following, around.undecided) == (first, third, third)
    around = store.items.neighbors(case.id, third)  # itself is not the next one
    assert (around.previous, around.following, around.undecided) == (second, None, None)
    assert store.items.neighbors(case.id, first).previous is None


def test_the_next_undecided_item_is_sought_from_the_first_again_after_the_last(store, case, items):
    fourth = filed(store, case, b"d", "d.jpg")
    store.reviews.decide(case.id, fourth.sha256, **VIEW, examiner="Bob")
    assert store.items.neighbors(case.id, fourth.sha256).undecided == items[2].sha256


def test_items_of_other_cases_are_not_around(store, case, blind, items):
    filed(store, blind, b"of another case")
    assert store.items.neighbors(case.id, items[2].sha256).following is None
    with pytest.raises(CaseError):
        store.items.neighbors(blind.id, items[0].sha256)
