"""Start: one drop zone for all kinds of files, samples, and the results that this browser showed last."""

import streamlit as st

from faceloupe.errors import FaceLoupeError
from faceloupe.ui import elements, intake, recent, state
from faceloupe.ui.language import tr

_, middle, _ = st.columns([1, 4, 1])
with middle:
    intake.title()
    try:
        elements.notice(state.NOTICE)
        intake.drop_zone(tr("Any photos, videos or ZIPs, one or several"))
        intake.clipboard()
        intake.samples()
        recent.panel()
        intake.promises()
    except FaceLoupeError as problem:
        st.error(elements.plain(str(problem)), icon=":material/error:")
