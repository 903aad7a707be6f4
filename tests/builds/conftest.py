"""Rows, for builds that a test begins in the middle of."""

from tests.db.conftest import pool, rows, shared_pool

__all__ = ["pool", "rows", "shared_pool"]
