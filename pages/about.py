"""About: method, scope, model card and versions."""

import streamlit as st

from faceloupe.config import is_demo
from faceloupe.errors import FaceLoupeError
from faceloupe.report.build import NOT_A_POSTERIOR, tool
from faceloupe.report.translation import translated
from faceloupe.samples import SAMPLES
from faceloupe.ui import elements, language, resources
from faceloupe.ui.language import tr

st.header(tr("About"))
st.markdown(
    tr(
        "FaceLoupe examines faces in photographs and videos: was this face generated or manipulated, how"
        " sure is the finding, and why? It runs on one machine, on a CPU, and sends nothing anywhere."
    )
)
st.subheader(tr("Method"))
st.markdown(
    tr(
        "1. The file is hashed (SHA-256) before it is decoded; it is never changed.\n"
        "2. MTCNN looks for all faces. Faces that are too small, too blurred or too uncertain are listed but "
        "not scored.\n"
        "3. The default model has five members: a MobileNetV3-small (the core) and four heads of an expert network. "
        "They score each face. Their output is calibrated to a probability at even prior odds and to a likelihood "
        "ratio, limited to the range that the validation data support.\n"
        "4. Two thresholds make three outcomes: manipulated, authentic, and inconclusive between them. The "
        "picture's outcome is that of its most suspicious face.\n"
        "5. A heatmap shows which parts of the picture raised the score, on a fixed scale."
    )
)
st.subheader(tr("Scope"))
try:
    record = resources.record()
    limits = (translated(line, language.current()) for line in (NOT_A_POSTERIOR, *record.limits))
    st.markdown("\n".join(f"- {elements.plain(line)}" for line in limits))
    if not is_demo():
        st.caption(tr("The page Models shows the error rates of each model by source."))
except FaceLoupeError as problem:
    st.error(elements.plain(str(problem)), icon=":material/error:")
st.subheader(tr("Versions"))
facts = tool()
versions = {"FaceLoupe": facts.version, "commit": facts.git_commit or tr("not known")} | facts.libraries
st.dataframe({tr("part"): list(versions), tr("version"): list(versions.values())}, hide_index=True, width=520)
st.subheader(tr("Samples"))
st.markdown(
    "\n".join(f"- {elements.plain(tr(sample.title))}: {elements.plain(tr(sample.origin))}" for sample in SAMPLES)
)
