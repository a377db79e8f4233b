"""Checking a bundle: from nothing but its own bytes, and the key, where somebody has it from elsewhere."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from faceloupe.bundle import format
from faceloupe.bundle.consistency import case_problems, log_problems
from faceloupe.bundle.format import Manifest
from faceloupe.bundle.reader import Archive
from faceloupe.bundle.signing import fingerprint, read_public, signed_by
from faceloupe.errors import BundleError
from faceloupe.media.evidence_file import printable_name
from faceloupe.types import Step


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, one sentence."""

    good: bool
    text: str


_MEMBERS_UNCHECKED = "Whether the members are those of the manifest."
_CONTENT_UNCHECKED = (
    "Whether the chain of the log is intact.",
    "Whether case, items, log, reports, pictures and evidence are consistent.",
)


@dataclass(frozen=True, slots=True)
class Verification:
    """What the check of a bundle found.

    Attributes:
        findings: in the order of the checks.
        unchecked: what was not checked, as an earlier check took its ground away, a sentence each.
        fingerprint: of the key in the bundle, see ``signing.fingerprint``; None where none can be read.
    """

    findings: tuple[Finding, ...]
    fingerprint: str | None
    unchecked: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether every check passed."""
        return all(finding.good for finding in self.findings)


def verify(stream: BinaryIO, *, key: bytes | None = None, step: Step | None = None) -> Verification:
    """Check a bundle.

    A signature shows that the holder of the key made the bundle. Who that is shows only where the key, or its
    fingerprint, is known from elsewhere.

    Args:
        stream: of the whole file; can be sought in.
        key: PEM of the public key that it should be signed with; whichever the bundle brings where None.
        step: called with the share that is hashed, 0..1; what it raises ends the work.

    Raises:
        UsageError: the file is not a ZIP.
        BundleError: ``key`` is not a public key.
    """
    expected = None if key is None else fingerprint(read_public(key, "The given key"))
    findings: list[Finding] = []

    def checked(good: str, problems: Iterable[str]) -> bool:
        failures = [Finding(good=False, text=problem) for problem in _caught(problems)]
        findings.extend(failures or [Finding(good=True, text=good)])
        return not failures

    try:
        archive = Archive(stream)
    except BundleError as problem:
        return Verification((Finding(good=False, text=str(problem)),), None, (_MEMBERS_UNCHECKED, *_CONTENT_UNCHECKED))
    findings.append(Finding(good=True, text=f"The ZIP is valid and has {len(archive.sizes):,} members."))
    mark, problems = _signature(archive, expected)
    checked(f"{format.MANIFEST} is signed by the key {mark}.", problems)
    try:
        manifest = Manifest.from_bytes(archive.read(format.MANIFEST))
    except BundleError as problem:
        _add_once(findings, str(problem))
        return Verification(tuple(findings), mark, (_MEMBERS_UNCHECKED, *_CONTENT_UNCHECKED))
    whole = checked("The manifest lists exactly the members of the ZIP.", _listing(archive, manifest))
    whole &= checked("Every member has the size and SHA-256 in the manifest.", _hashes(archive, manifest, step))
    if whole:
        head = manifest.log_head_sha256
        checked(
            f"The chain of the log is intact: {manifest.log_entries:,} entries, head {head}.",
            log_problems(archive, manifest),
        )
        checked("Case, items, log, reports, pictures and evidence are consistent.", case_problems(archive, manifest))
    return Verification(tuple(findings), mark, () if whole else _CONTENT_UNCHECKED)


def _caught(problems: Iterable[str]) -> Iterator[str]:
    """Problems, the last of which may be that the check could not go on; names in them could hold line breaks."""
    try:
        yield from map(printable_name, problems)
    except BundleError as problem:
        yield printable_name(str(problem))


def _add_once(findings: list[Finding], text: str) -> None:
    if text not in {finding.text for finding in findings}:
        findings.append(Finding(good=False, text=text))


def _signature(archive: Archive, expected: str | None) -> tuple[str | None, list[str]]:
    """Return the fingerprint of the bundle's key, and what is wrong with its signature."""
    mark = None
    try:
        public = read_public(archive.read(format.PUBLIC_KEY), format.PUBLIC_KEY)
        mark = fingerprint(public)
        content = archive.read(format.MANIFEST)
        if format.SIGNATURE not in archive.sizes:
            return mark, [f"The bundle is not signed: {format.SIGNATURE} is missing."]
        if not signed_by(public, archive.read(format.SIGNATURE), content):
            names = f"{format.MANIFEST}, {format.SIGNATURE} or {format.PUBLIC_KEY}"
            return mark, [f"The signature does not match: {names} was altered."]
    except BundleError as problem:
        return mark, [str(problem)]
    if expected not in (None, mark):
        return mark, [f"The bundle is signed by the key {mark}, not by the given key {expected}."]
    return mark, []


def _listing(archive: Archive, manifest: Manifest) -> Iterator[str]:
    names = [member.name for member in manifest.members]
    if names != sorted(set(names)):
        yield f"{format.MANIFEST} lists a member twice or out of order."
    present = set(archive.sizes) - set(format.UNLISTED)
    for name in sorted(present - set(names)):
        yield f"{name} is not listed in {format.MANIFEST}."
    for name in sorted(set(names) - present):
        yield f"{name} is missing."
    required = {format.CASE, format.ITEMS, format.LOG, format.TABLE, format.PUBLIC_KEY}
    if manifest.format == "1":
        required.remove(format.ITEMS)
        if format.ITEMS in names:
            yield f"{format.ITEMS} does not belong in a bundle of format 1."
    for name in sorted(required - set(names)):
        yield f"{format.MANIFEST} does not list {name}, which every bundle must have."


def _hashes(archive: Archive, manifest: Manifest, step: Step | None) -> Iterator[str]:
    total, done = sum(archive.sizes.values()), 0
    for member in manifest.members:
        if member.name not in archive.sizes:
            continue  # said already
        size = archive.sizes[member.name]
        if size != member.size:  # before it is read: it could be of any size
            yield f"{member.name} has {size:,} bytes instead of {member.size:,} as in {format.MANIFEST}."
            continue
        digest = hashlib.sha256()
        try:
            for chunk in archive.chunks(member.name):
                digest.update(chunk)
                done += len(chunk)
                if step:
                    step(done / max(total, 1))
        except BundleError as problem:
            yield str(problem)
            continue
        if digest.hexdigest() != member.sha256:
            yield f"{member.name} was altered: its SHA-256 differs from {format.MANIFEST}."
