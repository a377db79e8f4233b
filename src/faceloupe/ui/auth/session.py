"""The password gate as pages use it: whether this session passed it, and a button to lock the session again."""

from functools import cache

import streamlit as st

from faceloupe.config import password_hash
from faceloupe.errors import UsageError
from faceloupe.ui.auth.middleware import Authenticator
from faceloupe.ui.auth.password import PasswordHash
from faceloupe.ui.elements import plain
from faceloupe.ui.language import tr


@cache
def authenticator() -> Authenticator | None:
    """Return the authenticator of this server, or None if no password is set.

    Raises:
        UsageError: the value of ``FACELOUPE_PASSWORD_HASH`` is not a valid hash.
    """
    text = password_hash()
    return Authenticator(PasswordHash.parse(text)) if text else None


def passed() -> bool:
    """Return whether this session may see the pages; if not, show the reason.

    The middleware has already checked the session, but it may have been locked or may have expired since.
    """
    try:
        keeper = authenticator()
    except UsageError as problem:  # a gate that does not work lets nobody in
        st.error(plain(str(problem)), icon=":material/error:")
        return False
    if keeper is None:
        return True
    if not keeper.is_installed:
        st.error(
            tr(
                "FACELOUPE_PASSWORD_HASH is set, but this server was started without its password gate; "
                "start it with `faceloupe app`."
            ),
            icon=":material/error:",
        )
        return False
    if keeper.is_admitted(st.context.cookies):
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
