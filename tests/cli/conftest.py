"""Fixtures of the commands about bundles."""

from tests.bundle.conftest import made

__all__ = ["made"]
