"""The gated recurrent unit. Source: Cho et al. (2014), section 2.3, arXiv:1406.1078; Chung et al. (2014) swap z."""

import numpy as np

from recurra.theory.recurrence import Array, Cell, State, Tape, Weights, products, products_back, sigmoid


class GRU(Cell):
    """r, z = sigma(...), n = tanh(W_in x + b_in + r (W_hn h + b_hn)), h' = (1 - z) n + z h; rows in the order r, z, n.

    So cuDNN, torch and Keras have it. The paper's (`reset_after=False`): n = tanh(W_in x + b_in + W_hn (r h) + b_hn).
    """

    num_gates = 3

    def __init__(self, reset_after: bool = True) -> None:
        self.reset_after = reset_after

    def step(self, x: Array, state: State, w: Weights) -> tuple[State, Tape]:
        """h_t = (1 - z_t) n_t + z_t h_{t-1}: a mean of old and new, no sum as in the LSTM."""
        (h,) = state
        from_x, from_h = products(x, h, w)
        x_r, x_z, x_n = np.split(from_x, 3, -1)
        h_r, h_z, h_n = np.split(from_h, 3, -1)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        if not self.reset_after:
            weight_hn, bias_hn = (np.split(w[name], 3)[2] for name in ("weight_hh", "bias_hh"))
            h_n = (r * h) @ weight_hn.T + bias_hn
        n = np.tanh(x_n + (r * h_n if self.reset_after else h_n))
        return ((1 - z) * n + z * h,), (x, h, r, z, n, h_n)

    def back(self, dstate: State, tape: Tape, w: Weights) -> tuple[Array, State, Weights]:
        """dL/dh_{t-1} = dL/dh_t z_t + W_hh^T [da_r, da_z, r da_n]: the first part passes through no matrix."""
        x, h, r, z, n, h_n = tape
        (dh,) = dstate
        da_n = dh * (1 - z) * (1 - n**2)
        da_z = dh * (h - n) * z * (1 - z)
        d_reset = da_n @ np.split(w["weight_hh"], 3)[2]  # dL/d(r h), where the reset comes first
        da_r = (da_n * h_n if self.reset_after else d_reset * h) * r * (1 - r)
        x_side = np.concatenate([da_r, da_z, da_n], -1)
        h_side = np.concatenate([da_r, da_z, r * da_n if self.reset_after else 0 * da_n], -1)
        dx, dh_before, dw = products_back(x_side, h_side, x, h, w)
        if not self.reset_after:
            dh_before = dh_before + r * d_reset
            dw["weight_hh"][-h.shape[-1] :] = da_n.T @ (r * h)
            dw["bias_hh"][-h.shape[-1] :] = da_n.sum(0)
        return dx, (dh_before + dh * z,), dw
