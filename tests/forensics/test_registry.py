import pytest

from faceloupe.errors import Cancelled
from faceloupe.forensics.registry import LENSES, examine
from tests.conftest import GENERATED
from tests.forensics.conftest import source


@pytest.mark.shared
@pytest.mark.parametrize("folder", ["formats", "samples"])
def test_all_lenses_look_at_every_public_file_without_an_error(folder, shared_data):
    for path in sorted((shared_data / folder).iterdir()):
        report = examine(source(path.read_bytes())).report
        assert [(path.name, lens.id, lens.problem) for lens in report.lenses if lens.problem] == []


def test_cancelling_is_heard_between_two_lenses_and_progress_names_each():
    titles = list[str]()
    with pytest.raises(Cancelled):
        examine(
            source(GENERATED.read_bytes()),
            progress=lambda title, _: titles.append(title),
            cancel=lambda: len(titles) == 3,
        )
    assert titles == [lens.title for lens in LENSES[:3]]
