import pytest

from faceloupe.errors import Cancelled
from faceloupe.forensics.registry import LENSES, examine
from tests.conftest import GENERATED
from tests.forensics.conftest import source


def test_cancelling_is_heard_between_two_lenses_and_progress_names_each():
    titles = list[str]()
    with pytest.raises(Cancelled):
        examine(
            source(GENERATED.read_bytes()),
            progress=lambda title, _: titles.append(title),
            cancel=lambda: len(titles) == 3,
        )
    assert titles == [lens.title for lens in LENSES[:3]]
