"""The long short-term memory. Sources: Hochreiter and Schmidhuber (1997); the forget gate: Gers et al. (2000)."""

import numpy as np

from recurra.theory.recurrence import Array, Cell, State, Tape, Weights, products, products_back, sigmoid


class LSTM(Cell):
    """i, f, o = sigma(...), g = tanh(...) of W_ih x + b_ih + W_hh h + b_hh; c' = f c + i g; h' = o tanh(c').

    The rows of the weights stand in the order i, f, g, o; the state is (h, c).
    """

    num_gates = 4
    num_leaves = 2

    def __init__(self, forget_bias: float = 1.0) -> None:
        self.forget_bias = forget_bias

    def initial_weights(self, input_size: int, hidden_size: int, rng: np.random.Generator) -> Weights:
        """The forget gate starts open (Jozefowicz et al., 2015)."""
        w = super().initial_weights(input_size, hidden_size, rng)
        w["bias_ih"][hidden_size : 2 * hidden_size] = self.forget_bias
        return w

    def step(self, x: Array, state: State, w: Weights) -> tuple[State, Tape]:
        """c_t = f_t c_{t-1} + i_t g_t, h_t = o_t tanh(c_t)."""
        h, c = state
        a_i, a_f, a_g, a_o = np.split(sum(products(x, h, w)), 4, -1)
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
        c_new = f * c + i * g
        return (o * np.tanh(c_new), c_new), (x, h, c, i, f, g, o, np.tanh(c_new))

    def back(self, dstate: State, tape: Tape, w: Weights) -> tuple[Array, State, Weights]:
        """dL/dc_t gains dL/dh_t o_t (1 - tanh(c_t)^2), and dL/dc_{t-1} = dL/dc_t f_t: along c no matrix stands."""
        x, h, c, i, f, g, o, tanh_c = tape
        dh, dc = dstate
        dc = dc + dh * o * (1 - tanh_c**2)
        da_i = dc * g * i * (1 - i)
        da_f = dc * c * f * (1 - f)
        da_g = dc * i * (1 - g**2)
        da_o = dh * tanh_c * o * (1 - o)
        da = np.concatenate([da_i, da_f, da_g, da_o], -1)
        dx, dh_before, dw = products_back(da, da, x, h, w)
        return dx, (dh_before, dc * f), dw
