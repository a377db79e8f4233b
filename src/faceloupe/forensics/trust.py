"""The list of signers whose Content Credentials count as trusted."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography import x509

from faceloupe.errors import UsageError

_BUNDLED = Path(__file__).parent / "data" / "c2pa-trust-list.pem"
_BUNDLED_DATE = "2026-08-21"
_LARGEST = 512 << 10  # bytes; the list of the C2PA has 37 KB


@dataclass(frozen=True, slots=True)
class TrustList:
    """Certificates of the authorities whose signers are trusted.

    Attributes:
        anchors: the certificates, PEM.
        name: name of the list, for people.
        sha256: hash of the file.
        certificates: number of certificates.
    """

    anchors: str
    name: str
    sha256: str
    certificates: int

    @classmethod
    @cache
    def bundled(cls) -> "TrustList":
        """Read the C2PA trust list that comes with FaceLoupe."""
        return cls._of(_BUNDLED.read_bytes(), f"C2PA trust list of {_BUNDLED_DATE}")

    @classmethod
    def named(cls, path: Path) -> "TrustList":
        """Read a trust list from a file that the examiner chose.

        Raises:
            UsageError: the file cannot be read, or is not a list of certificates.
        """
        try:
            if path.stat().st_size > _LARGEST:
                raise UsageError(f"{path.name} is larger than {_LARGEST:,} bytes and is not a trust list.")
            content = path.read_bytes()
        except OSError as problem:
            raise UsageError(f"The trust list {path.name} cannot be read ({problem.strerror}).") from problem
        return cls._of(content, path.name)

    @classmethod
    def _of(cls, content: bytes, name: str) -> "TrustList":
        try:
            certificates = x509.load_pem_x509_certificates(content)
        except ValueError as problem:
            raise UsageError(f"{name} is not a list of certificates in PEM format.") from problem
        return cls(content.decode("ascii", "replace"), name, hashlib.sha256(content).hexdigest(), len(certificates))
