"""Floor 8: saved models against each other, and a model on the parts of its data."""

from recurra.comparison.comparing import compare
from recurra.comparison.findings import Comparison, Row
from recurra.comparison.page import comparison_page
from recurra.comparison.significance import bootstrap, interval, mcnemar, p_value
from recurra.comparison.slices import Slice, Slicing, slice_by
from recurra.comparison.table import comparison_lines, slicing_lines

__all__ = [
    "Comparison",
    "Row",
    "Slice",
    "Slicing",
    "bootstrap",
    "compare",
    "comparison_lines",
    "comparison_page",
    "interval",
    "mcnemar",
    "p_value",
    "slice_by",
    "slicing_lines",
]
