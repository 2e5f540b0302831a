"""The worked example of article 004, section 4.3, done right: two steps, one hidden unit, forwards and backwards.

The article takes x_1 = [1, 0], x_2 = [0, 1], h_0 = 0 and W_h = [1, 1]. But [h, x] has three entries, so that W_h must
have three columns: here all are 1, and W_y = 1, biases 0. The label t, which the article leaves out, is 1.
`python -m recurra.theory.worked_example` prints every number; the equations below are what is computed.
"""

import numpy as np

from recurra.theory.recurrence import Array, sigmoid

GIVEN = dict(
    x_1=np.array([1.0, 0.0]),
    x_2=np.array([0.0, 1.0]),
    h_0=np.zeros(1),
    W_h=np.ones(3),
    b_h=0.0,
    W_y=1.0,
    b_y=0.0,
    t=1.0,
)
FORWARD = """
z_1 = join(h_0, x_1)
a_1 = W_h @ z_1 + b_h
h_1 = tanh(a_1)
z_2 = join(h_1, x_2)
a_2 = W_h @ z_2 + b_h
h_2 = tanh(a_2)
s = W_y * h_2 + b_y
y = sigmoid(s)
L = -(t * log(y) + (1 - t) * log(1 - y))
"""
BACKWARD = """
ds = y - t
dW_y = ds * h_2
db_y = ds
dh_2 = ds * W_y
da_2 = dh_2 * (1 - h_2**2)
dh_1 = da_2 * W_h[0]
da_1 = dh_1 * (1 - h_1**2)
dW_h = da_1 * z_1 + da_2 * z_2
db_h = da_1 + da_2
new_W_h = W_h - 0.1 * dW_h
new_W_y = W_y - 0.1 * dW_y
"""
"""Here dv stands for dL/dv. W_h serves both steps, so that its gradient has a term from each."""


def compute() -> dict[str, Array]:
    """Every quantity by name, in the order of the equations."""
    functions = {"join": lambda *parts: np.hstack(parts), "tanh": np.tanh, "sigmoid": sigmoid, "log": np.log}
    values = dict(GIVEN)
    exec(FORWARD + BACKWARD, functions, values)
    return {name: np.asarray(value) for name, value in values.items()}


def main() -> None:
    """Print what is given, and each equation with its value."""
    values = compute()
    for name in GIVEN:
        print(f"{name} = {values[name]}")
    for title, equations in (("forward", FORWARD), ("backward: dv stands for dL/dv", BACKWARD)):
        print(f"\n{title}")
        for equation in equations.strip().splitlines():
            value = values[equation.split(" = ")[0]]
            print(f"  {equation:42} = {np.array2string(value, precision=6, suppress_small=True)}")


if __name__ == "__main__":
    main()
