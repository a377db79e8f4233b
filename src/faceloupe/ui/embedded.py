"""Content that is embedded in a picture file, with buttons to examine it as separate files."""

import streamlit as st

from faceloupe.errors import EvidenceError
from faceloupe.media.embedded import extract_as_file
from faceloupe.media.sandbox.statements import list_embedded
from faceloupe.report.schema import Report
from faceloupe.ui import intake, resources
from faceloupe.ui.caches import AnalysisKey
from faceloupe.ui.elements import plain
from faceloupe.ui.language import tr


def panel(key: AnalysisKey, report: Report) -> None:
    """Show the embedded content; show nothing if there is none.

    Raises:
        FaceLoupeError: the content cannot be extracted, there is no verified model, or too many jobs are waiting.
    """
    evidence_file = resources.analyses().evidence_file(key)
    if not report.evidence.embedded or evidence_file is None:
        return
    settings = resources.settings()
    with st.container(border=True, key="embedded"):
        st.markdown(tr("**Embedded in the file**"))
        try:
            items = list_embedded(evidence_file, settings=settings)
        except EvidenceError as problem:
            st.caption(plain(str(problem)))
            return
        for number, item in enumerate(items):
            content = item.content
            with st.container(horizontal=True, vertical_alignment="center"):
                text = tr(
                    "{kind}, {size:,} bytes from byte {offset:,}",
                    kind=content.kind,
                    size=content.size,
                    offset=content.offset,
                )
                st.markdown(plain(text), width="stretch")
                if item.is_file and st.button(tr("Examine it"), key=f"embedded-{number}"):
                    intake.open_on_its_page(extract_as_file(evidence_file, item, max_bytes=settings.max_bytes))
