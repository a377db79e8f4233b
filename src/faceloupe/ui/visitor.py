"""What a browser remembers by itself, so that it survives a reload and a restart: its examiner and its last results.

Cookies hold both: they are of this browser alone, whereas an address may be sent to somebody else.
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote

import streamlit as st

from faceloupe.media.evidence_file import printable_name
from faceloupe.ui import state

MOST_NAME = 100  # characters of an examiner's name
_EXAMINER, _RECENT, _DAYS = "faceloupe_examiner", "faceloupe_recent", 30
_IDENTITY = re.compile(r"[0-9a-f]{32}")
_READ, _CHANGED = "cookies_read", "cookies_changed"  # what the session began with; whether it is different by now
# The values are data of the component and never part of its code.
_component = st.components.v2.component(
    "faceloupe_cookies",
    js="""
export default function ({ data }) {
  const secure = location.protocol === "https:" ? "; Secure" : ""
  for (const [name, value] of Object.entries(data.cookies)) {
    document.cookie = `${name}=${encodeURIComponent(value)}; path=/; max-age=${data.seconds}; SameSite=Strict${secure}`
  }
}
""",
)


def restore(cookies: Mapping[str, str]) -> None:
    """Take up what the browser remembers, once at the begin of a session."""
    if _READ in st.session_state:
        return
    name = unquote(cookies.get(_EXAMINER, "")).strip()
    identities = unquote(cookies.get(_RECENT, "")).split(".")
    st.session_state[state.EXAMINER] = printable_name(name)[:MOST_NAME]
    st.session_state[state.RECENT] = tuple(filter(_IDENTITY.fullmatch, identities))
    st.session_state[_READ], st.session_state[_CHANGED] = _cookies(), False


def remember() -> None:
    """Have the browser remember the examiner and the last results, once they changed in this session.

    A session that changed nothing writes nothing, so that it does not undo what another tab wrote.
    """
    st.session_state[_CHANGED] |= st.session_state[_READ] != _cookies()
    if st.session_state[_CHANGED]:
        _component(key="cookies", data={"cookies": _cookies(), "seconds": _DAYS * 24 * 3600})


def _cookies() -> dict[str, str]:
    return {_EXAMINER: st.session_state[state.EXAMINER], _RECENT: ".".join(st.session_state[state.RECENT])}
