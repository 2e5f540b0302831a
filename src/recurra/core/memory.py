"""Whether something failed because it did not fit into memory; torch and NumPy have no common class for it."""

from __future__ import annotations

_SIGNS = (
    *("out of memory", "can't allocate memory", "not enough memory", "Storage size calculation", "Overflow when"),
    "too large to convert",
)


def is_too_large(error: BaseException) -> bool:
    """Whether torch or NumPy could not make a tensor of the size asked for."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in _SIGNS)
