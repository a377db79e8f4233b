"""What pages know of the password gate: that it stands, that this session came through it, and how to lock it."""

from functools import cache

import streamlit as st

from faceloupe.config import password_hash
from faceloupe.errors import UsageError
from faceloupe.ui.auth.middleware import Authenticator
from faceloupe.ui.auth.password import PasswordHash
from faceloupe.ui.language import tr
from faceloupe.ui.panels import plain


@cache
def authenticator() -> Authenticator | None:
    """Return the authenticator of this server; None where it was given no password.

    Raises:
        UsageError: what it was given is no hash.
    """
    text = password_hash()
    return Authenticator(PasswordHash.parse(text)) if text else None


def passed() -> bool:
    """Whether this session may see the pages; where not, it is said why.

    The server lets nobody come so far without the password; who did may have locked the session since, or it is over.
    """
    try:
        keeper = authenticator()
    except UsageError as problem:  # a gate that cannot work lets nobody in
        st.error(plain(str(problem)), icon=":material/error:")
        return False
    if keeper is None:
        return True
    if not keeper.stands:
        st.error(
            tr(
                "FACELOUPE_PASSWORD_HASH is set, but this server was started without its password gate; "
                "start it with `faceloupe app`."
            ),
            icon=":material/error:",
        )
        return False
    if keeper.lets_in(st.context.cookies):
        st.sidebar.button(
            tr("Lock"),
            key="lock",
            icon=":material/lock:",
            on_click=keeper.lock,
            args=(st.context.cookies,),
            help=tr("Lock this browser until the password is entered again"),
        )
        return True
    st.info(tr("The workbench is locked; reload this page to enter the password."), icon=":material/lock:")
    return False
