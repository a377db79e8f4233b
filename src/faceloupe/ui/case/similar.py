"""Filed items that are the same file as the shown one, or a similar image."""

import streamlit as st

from faceloupe.cases.store import CaseStore
from faceloupe.config import data_folder
from faceloupe.ui import resources
from faceloupe.ui.case import open_case
from faceloupe.ui.elements import plain
from faceloupe.ui.language import tr

_MOST = 5  # items in the list


def panel(sha256: str, *, image_hash: str = "") -> None:
    """List similar items that were filed before; never those of blind cases, and none while a blind case is open.

    Args:
        sha256: hash of the shown evidence.
        image_hash: its perceptual hash; if empty, the one in the store is used.

    Raises:
        CaseError: the cases cannot be read.
    """
    if not CaseStore.is_in(data_folder()):  # do not create a store only to show a result
        return
    opened = open_case.case()
    if opened is not None and opened.blind:
        return
    similar = [
        item
        for item in resources.cases().items.similar(sha256, image_hash=image_hash)
        if opened is None or (item.case.id, item.sha256) != (opened.id, sha256)
    ]
    for item in similar[:_MOST]:
        how = (
            tr("the same file")
            if item.differing_bits is None
            else tr("{differing_bits} of 64 bits of its hash differ", differing_bits=item.differing_bits)
        )
        st.caption(
            tr(
                ":material/content_copy: An item like this was examined in case {name} (`{id}`): {name2}, "
                "`{sha256}`, {how}.",
                name=plain(item.case.name),
                id=item.case.id,
                name2=plain(item.name),
                sha256=item.sha256[:12],
                how=how,
            )
        )
    if len(similar) > _MOST:
        st.caption(tr("{count:,} further items like this are not listed.", count=len(similar) - _MOST))
