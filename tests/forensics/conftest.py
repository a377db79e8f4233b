"""A signing authority, and taking a file under the lenses from memory."""

import pytest

from faceloupe.config import Settings
from faceloupe.forensics.source import LensSource
from faceloupe.forensics.trust import TrustList
from faceloupe.media.evidence_file import evidence_from_bytes
from tests.forensics.signed import Authority


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.make()


@pytest.fixture(scope="session")
def authority_list(authority, tmp_path_factory) -> TrustList:
    """A trust list with only the authority of the tests."""
    path = tmp_path_factory.mktemp("trust") / "own.pem"
    path.write_bytes(authority.root)
    return TrustList.named(path)


def source(content: bytes, **options) -> LensSource:
    settings = Settings()
    evidence_file = evidence_from_bytes(content, "file", max_bytes=settings.max_bytes)
    return LensSource(evidence_file, settings=settings, **options)
