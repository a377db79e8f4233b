"""Shared parts of the property tests: a profile that makes every run try the same inputs, and JSON values."""

from hypothesis import settings
from hypothesis import strategies as st

repeatable = settings(database=None, derandomize=True, deadline=None, max_examples=50)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
