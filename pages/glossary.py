"""Glossary: the terms of the pages and reports, in plain words."""

import streamlit as st

from faceloupe.ui import glossary
from faceloupe.ui.language import tr

st.header(tr("Glossary"))
st.markdown(tr("The terms that pages and reports use, in plain words."))
search = st.text_input(tr("Search"), key="glossary_search", icon=":material/search:", width=420)
terms = glossary.matching(search)
if not terms:
    st.caption(tr("No term matches."))
for term in terms:
    st.markdown(f"**{term.name}**  \\\n{term.meaning}")
