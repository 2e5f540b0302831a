"""The linear recurrence h_t = a_t h_{t-1} + b_t, for cells whose step is one."""

from recurra.kernels.linear.scan import linear_path, linear_scan

__all__ = ["linear_path", "linear_scan"]
