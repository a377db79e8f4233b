"""Fixtures of the commands about bundles."""

from tests.bundle.conftest import made, made_in_format_1

__all__ = ["made", "made_in_format_1"]
