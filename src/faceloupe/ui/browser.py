"""The browser's part: cookies for the examiner, sign-in, language and recent results, and the menu on a phone.

Cookies survive a reload and a restart. They are used for what belongs to one browser, because an address may be sent
to somebody else.
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote

import streamlit as st

from faceloupe.media.evidence_file import printable_name
from faceloupe.ui import language, resources, state

MOST_NAME = 100  # characters of an examiner's name
_EXAMINER, _RECENT, _DAYS = "faceloupe_examiner", "faceloupe_recent", 30
_SIGN_IN, _LANGUAGE = "faceloupe_sign_in", "faceloupe_language"
_NARROW = 768  # pixels: in windows up to this width the menu covers the page
_IDENTITY = re.compile(r"[0-9a-f]{32}")
_TOKEN = re.compile(r"[\w-]{43}", re.ASCII)
_READ, _CHANGED = "cookies_read", "cookies_changed"  # cookies at the start of the session; whether they have changed
# Values are passed to the component as data and never become part of its code.
_component = st.components.v2.component(
    "faceloupe_browser",
    js="""
export default function ({ data }) {
  const secure = location.protocol === "https:" ? "; Secure" : ""
  for (const [name, { value, seconds }] of Object.entries(data.cookies)) {
    document.cookie = `${name}=${encodeURIComponent(value)}; path=/; max-age=${seconds}; SameSite=Strict${secure}`
  }
  const menu = document.querySelector('[data-testid="stSidebar"]')
  const chosen = window.faceloupePage !== undefined && window.faceloupePage !== data.page
  if (chosen && window.innerWidth <= data.narrow && menu?.getBoundingClientRect().right > 0) {
    menu.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click()
  }
  window.faceloupePage = data.page
  // Streamlit's menu has headings between the items of its list, which a screen reader takes for a broken one.
  const items = '[data-testid="stSidebarNavItems"], [data-testid="stSidebarNavItems"] li'
  const mend = () =>
    document
      .querySelectorAll(items)
      .forEach((element) => element.role === "presentation" || element.setAttribute("role", "presentation"))
  mend()
  if (!window.faceloupeMenu) {  // Streamlit draws its menu anew now and then
    window.faceloupeMenu = new MutationObserver(mend)
    window.faceloupeMenu.observe(document.body, { childList: true, subtree: true })
  }
}
""",
)


def restore(cookies: Mapping[str, str]) -> None:
    """Load the values of the cookies, once at the start of a session; invalid values are ignored."""
    if _READ in st.session_state:
        return
    name = unquote(cookies.get(_EXAMINER, "")).strip()
    identities = unquote(cookies.get(_RECENT, "")).split(".")
    st.session_state[state.EXAMINER] = printable_name(name)[:MOST_NAME]
    st.session_state[state.RECENT] = tuple(filter(_IDENTITY.fullmatch, identities))
    token = unquote(str(cookies.get(_SIGN_IN, "")))
    st.session_state[state.SIGN_IN] = token if _TOKEN.fullmatch(token) else ""
    chosen = str(cookies.get(_LANGUAGE, ""))
    st.session_state[state.APP_LANGUAGE] = chosen if chosen in language.LANGUAGES else ""
    st.session_state[_READ], st.session_state[_CHANGED] = _cookies(), False


def update(page: str) -> None:
    """Write the cookies, and close the menu on a phone when the page has changed.

    A session that changed nothing writes no cookies, so that it does not overwrite those of another tab.

    Args:
        page: URL path of the current page.
    """
    st.session_state[_CHANGED] |= st.session_state[_READ] != _cookies()
    cookies = _cookies() if st.session_state[_CHANGED] else {}
    timed = {name: {"value": value, "seconds": _seconds(name, value)} for name, value in cookies.items()}
    data = {"cookies": timed, "page": page, "narrow": _NARROW}
    _component(key="browser", data=data)


def _seconds(name: str, value: str) -> int:
    """Return the lifetime of a cookie in seconds, 0 to delete it; a sign-in expires together with its token."""
    return int(resources.sign_ins().seconds_left(value)) if name == _SIGN_IN else _DAYS * 24 * 3600


def _cookies() -> dict[str, str]:
    return {
        _EXAMINER: st.session_state[state.EXAMINER],
        _RECENT: ".".join(st.session_state[state.RECENT]),
        _SIGN_IN: st.session_state[state.SIGN_IN],
        _LANGUAGE: st.session_state[state.APP_LANGUAGE],
    }
