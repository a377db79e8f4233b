"""The key that signs bundles: created on first use, and kept in the data folder, where only its owner can read it."""

import contextlib
import hashlib
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from faceloupe.errors import BundleError, UsageError
from faceloupe.system.files import creating

_FILE = "signing_key.pem"


def signing_key(folder: Path) -> Ed25519PrivateKey:
    """Return the signing key of a data folder, and create it if it does not exist.

    Raises:
        UsageError: the key cannot be created or read, or is not an Ed25519 key.
    """
    path = folder / _FILE
    try:
        if not path.exists():
            _make(path)
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as problem:
        raise UsageError(
            f"The signing key {path} cannot be used ({problem.strerror or problem}); check its permissions."
        ) from problem
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path} is not an Ed25519 key; restore it from a backup, or remove it to create a new one.")
    return key


def _make(path: Path) -> None:
    """Create a key file, either completely or not at all; if another process was faster, its key stays."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with contextlib.suppress(FileExistsError), creating(path, mode=0o600) as temporary, temporary.open("wb") as stream:
        stream.write(pem)
        stream.flush()
        os.fsync(stream.fileno())


def public_pem(key: Ed25519PublicKey) -> bytes:
    """Return a public key in PEM format."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_public(pem: bytes, name: str) -> Ed25519PublicKey:
    """Parse a public key.

    Args:
        pem: content of the key file.
        name: name of the file, for the error message.

    Raises:
        BundleError: the content is not an Ed25519 public key in PEM format.
    """
    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise BundleError(f"{name} is not an Ed25519 public key in PEM format.")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return the SHA-256 of a public key in DER format.

    It equals the output of ``openssl pkey -pubin -in public_key.pem -outform DER | sha256sum``.
    """
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def signed_by(key: Ed25519PublicKey, signature: bytes, content: bytes) -> bool:
    """Return whether a signature over some content was made with this key."""
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True
