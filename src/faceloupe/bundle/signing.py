"""The key that signs bundles: made on first use, kept in the data folder, for its owner's eyes only."""

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
    """Return the key of a data folder.

    Raises:
        UsageError: it cannot be made or read, or is of another kind.
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
    """Write a new key under its name at once and whole; where another process was faster, its key stays."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with contextlib.suppress(FileExistsError), creating(path, mode=0o600) as temporary, temporary.open("wb") as stream:
        stream.write(pem)
        stream.flush()
        os.fsync(stream.fileno())


def public_pem(key: Ed25519PublicKey) -> bytes:
    """Return a public key as it is handed out, PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_public(pem: bytes, name: str) -> Ed25519PublicKey:
    """Return a public key.

    Args:
        pem: content of the key file.
        name: of the file, for the sentence.

    Raises:
        BundleError: this is not one.
    """
    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise BundleError(f"{name} is not an Ed25519 public key in PEM format.")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of a public key, DER; that of ``openssl pkey -pubin -in public_key.pem -outform DER | sha256sum``."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def signed_by(key: Ed25519PublicKey, signature: bytes, content: bytes) -> bool:
    """Whether a signature over some content is of this key."""
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True
