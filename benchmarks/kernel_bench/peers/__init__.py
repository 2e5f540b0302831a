"""The peers: one process for each, since Keras fixes its backend, and thread pools of two runtimes disturb each other.

A peer's module imports its packages at the top and has `build(problem, settings)`, which returns a Contestant.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from types import ModuleType


@dataclass(frozen=True)
class Peer:
    """Where a peer stands.

    Attributes:
        module: in this package.
        clock: "thread" where all work is done by the calling thread, else "process"; for one thread.
        environment: set before its process starts.
        trains: whether it has gradients.
        avx2_flags: added to XLA_FLAGS to hold it to AVX2.
    """

    module: str
    clock: str = "process"
    environment: dict[str, str] = field(default_factory=dict)
    trains: bool = True
    avx2_flags: str = ""


# What `recurra[bench]` brings; any of them may be missing.
PACKAGES = ("jax", "keras", "onnx", "onnxruntime", "tensorflow")

_XLA_AVX2 = "--xla_cpu_max_isa=AVX2"
# JAX's products go to YNNPACK, which heeds no flag and would take AVX-512; without it XLA's own code does them.
_JAX_AVX2 = f"{_XLA_AVX2} --xla_cpu_experimental_ynn_fusion_type="

PEERS = {
    "torch": Peer("torch_layers", "thread"),
    "onnxruntime": Peer("onnx_runtime", trains=False),
    "jax": Peer("jax_scan", avx2_flags=_JAX_AVX2),
    "keras-jax": Peer("keras_on_jax", environment={"KERAS_BACKEND": "jax"}, avx2_flags=_JAX_AVX2),
    "keras-torch": Peer("keras_on_torch", "thread", {"KERAS_BACKEND": "torch"}),
    "tensorflow": Peer("tensorflow_keras", environment={"KERAS_BACKEND": "tensorflow"}, avx2_flags=_XLA_AVX2),
    "tensorflow-xla": Peer("tensorflow_xla", environment={"KERAS_BACKEND": "tensorflow"}, avx2_flags=_XLA_AVX2),
}


def load(name: str) -> ModuleType:
    """Import a peer's module.

    Raises:
        ImportError: its packages are not installed.
    """
    return importlib.import_module(f"{__name__}.{PEERS[name].module}")
