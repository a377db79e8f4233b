"""The check of a bundle in the browser, and its protocol."""

import hashlib
from datetime import UTC, datetime
from io import BytesIO

import streamlit as st

from faceloupe import __version__
from faceloupe.bundle.verify import Verification, verify
from faceloupe.media.evidence_file import printable_name
from faceloupe.ui.language import tr
from faceloupe.ui.panels import plain


def show(stream: BytesIO, name: str) -> None:
    """Check a bundle, and show what was found, part by part.

    Args:
        stream: of the whole file; can be sought in.
        name: of the file, ready to be shown.

    Raises:
        UsageError: the file is not a ZIP.
    """
    with st.spinner(tr("Verifying")):
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        verification = verify(stream)
    bad = sum(not finding.good for finding in verification.findings)
    if verification.good:
        st.success(tr("{name}: every check passed.", name=name), icon=":material/verified:")
    else:
        st.error(
            tr("{name}: 1 check failed.", name=name)
            if bad == 1
            else tr("{name}: {bad} checks failed.", name=name, bad=bad),
            icon=":material/gpp_bad:",
        )
    st.caption(tr("SHA-256 of the file `{digest}`", digest=digest))
    for finding in verification.findings:
        mark = tr(":green[:material/check_circle:] passed") if finding.good else tr(":red[:material/cancel:] failed")
        st.markdown(f"{mark}: {plain(finding.text)}")
    for sentence in verification.unchecked:
        st.markdown(f"{tr(':gray[:material/do_not_disturb_on:] not checked')}: {plain(sentence)}")
    if verification.fingerprint is not None:
        st.markdown(
            tr(
                "Fingerprint of the key in the bundle: `{fingerprint}`. A valid signature shows that the holder of "
                "this key made the manifest, and with it what passed the checks above; who that is shows only where "
                "the fingerprint is known from elsewhere.",
                fingerprint=verification.fingerprint,
            )
        )
    st.download_button(
        tr("Download the protocol"),
        data=protocol(verification, name=name, sha256=digest, now=datetime.now(UTC)),
        file_name=f"faceloupe-verification-{digest[:12]}.txt",
        mime="text/plain",
        icon=":material/download:",
        on_click="ignore",
        key="download_protocol",
    )


def protocol(verification: Verification, *, name: str, sha256: str, now: datetime) -> str:
    """Return the check as a page of plain text, to be printed."""
    lines = [
        "Verification of a FaceLoupe bundle",
        "",
        f"File         {printable_name(name)}",
        f"SHA-256      {sha256}",
        f"Verified     {now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        f"Program      FaceLoupe {__version__}",
        f"Result       {'every check passed' if verification.good else 'failed'}",
        f"Signing key  {verification.fingerprint or 'cannot be read'}",
        "",
        *(f"{'passed' if finding.good else 'FAILED'}  {finding.text}" for finding in verification.findings),
        *(f"not checked  {sentence}" for sentence in verification.unchecked),
    ]
    return "\n".join(lines) + "\n"
