"""ONNX Runtime's LSTM, GRU and RNN: one node with the weights as constants. Inference only, time-major as it wants."""

from __future__ import annotations

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from ..cases import GATES, Arrays, Problem, Settings
from ..clock import Call
from ..contest import Contestant

OPSET, IR_VERSION = 17, 8
# Rows of torch's gates in ONNX's order: LSTM i o f c, GRU z r h.
_ORDERS = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "elman": (0,), "elman-relu": (0,)}
_OPERATORS = {"lstm": "LSTM", "gru": "GRU", "elman": "RNN", "elman-relu": "RNN"}


def build(problem: Problem, settings: Settings) -> Contestant:
    """The session's `run` on a NumPy array."""
    session = make_session(problem, settings.threads)
    inputs = {"X": np.ascontiguousarray(problem.x.swapaxes(0, 1))}

    def infer() -> list[np.ndarray]:
        return session.run(None, inputs)

    return Contestant("onnxruntime", {"inference": Call(infer)}, {"inference": _read})


def make_session(problem: Problem, threads: int, with_state: bool = False) -> onnxruntime.InferenceSession:
    """A session for X (T, B, I) -> Y (T, 1, B, H); with the state also H0 [C0] (1, B, H) -> HN [CN]."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    model = _model(problem, with_state).SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _model(problem: Problem, with_state: bool):
    case = problem.case
    leaves = (["H", "C"] if case.kind == "lstm" else ["H"]) if with_state else []
    attributes = {"hidden_size": case.hidden_size}
    if case.kind == "gru":
        attributes["linear_before_reset"] = 1
    if case.kind == "elman-relu":
        attributes["activations"] = ["Relu"]
    inputs = ["X", "W", "R", "B", *(["", *(f"{leaf}0" for leaf in leaves)] if leaves else [])]
    outputs = ["Y", *(f"{leaf}N" for leaf in leaves)]
    node = helper.make_node(_OPERATORS[case.kind], inputs, outputs, **attributes)
    sizes = [case.num_steps, 1, case.batch_size, case.hidden_size]
    graph = helper.make_graph(
        [node],
        "layer",
        [_value("X", [case.num_steps, case.batch_size, case.input_size])]
        + [_value(f"{leaf}0", sizes[1:]) for leaf in leaves],
        [_value("Y", sizes)] + [_value(f"{leaf}N", sizes[1:]) for leaf in leaves],
        [numpy_helper.from_array(array, name) for name, array in _weights(problem).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _weights(problem: Problem) -> Arrays:
    order, gates = _ORDERS[problem.case.kind], GATES[problem.case.kind]

    def reordered(name: str) -> np.ndarray:
        blocks = np.split(problem.weights[name], gates)
        return np.concatenate([blocks[index] for index in order])

    biases = np.concatenate([reordered("bias_ih"), reordered("bias_hh")])
    return {"W": reordered("weight_ih")[None], "R": reordered("weight_hh")[None], "B": biases[None]}


def _value(name: str, shape: list[int]):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _read(outputs: list[np.ndarray]) -> Arrays:
    return {"y": outputs[0][:, 0].swapaxes(0, 1)}
