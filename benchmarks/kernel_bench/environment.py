"""One thread and one instruction set for everybody, by environment variables; and the machine, for the report."""

from __future__ import annotations

import datetime
import importlib
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
ISAS = ("auto", "avx2", "avx512")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC")
_FLAGS = ("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd", "sve")
_ISA_VARIABLES = ("RECURRA_ISA", "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "XLA_FLAGS")
_PACKAGES = ("torch", "numpy", "onnxruntime", "jax", "keras", "tensorflow", "tensorflow-cpu")
_NUM_PEAK_REPEATS, _PEAK_SIZE = 15, 1024


def variables(threads: int, isa: str) -> dict[str, str]:
    """What must stand in the environment before torch, XLA or TensorFlow is imported.

    oneDNN would use AVX-512 where MKL's products and our AVX2 build do not, so an AVX2 run restrains all that can be
    restrained: recurra, oneDNN, torch's own loops and XLA (see `peers`). ONNX Runtime has no such switch.
    """
    found = dict.fromkeys(_THREAD_VARIABLES, str(threads))
    found |= {"TF_NUM_INTRAOP_THREADS": str(threads), "TF_NUM_INTEROP_THREADS": "1"}
    found |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"}
    if isa != "auto":
        found |= {"RECURRA_ISA": isa}
    if isa == "avx2":
        found |= {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
    # NPROC above sizes XLA's pool; this keeps single products out of it.
    found["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'false' if threads == 1 else 'true'}"
    return found


def describe(isa: str) -> dict:
    """The machine, the versions and the commit."""
    import torch

    info = _cpu_info()
    flags = info.get("flags", info.get("Features", "")).split()
    return {
        "cpu": info.get("model name") or platform.processor() or platform.machine(),
        "family_and_model": f"{info.get('cpu family', '?')}/{info.get('model', '?')}",
        "flags": [flag for flag in _FLAGS if flag in flags],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
        "isa": native_isa(isa),
        "torch_isa": torch.backends.cpu.get_cpu_capability(),
        "variables": {name: os.environ[name] for name in _ISA_VARIABLES if name in os.environ},
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "load": [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else [],
    }


def native_isa(asked: str) -> str:
    """The instruction set that recurra's kernels use; what was asked for, where they do not say."""
    native = _native()
    return str(native.isa()) if native is not None and hasattr(native, "isa") else asked


def peaks(clock: Callable[[], float], name: str, peer: ModuleType) -> dict[str, float]:
    """GF/s of square float32 products of 1024: torch's, the peer's where its module has `make_product`, and that of
    recurra's kernels if they come to offer `sgemm(a, b)`."""
    import torch

    a, b = torch.randn(_PEAK_SIZE, _PEAK_SIZE), torch.randn(_PEAK_SIZE, _PEAK_SIZE)
    products = {"torch": lambda: torch.mm(a, b)}
    if hasattr(_native(), "sgemm"):
        products["recurra"] = lambda: _native().sgemm(a, b)
    if hasattr(peer, "make_product"):
        products[name] = peer.make_product(a.numpy(), b.numpy())
    found = {}
    for owner, product in products.items():
        product()
        times = []
        for _ in range(_NUM_PEAK_REPEATS):
            began = clock()
            product()
            times.append(clock() - began)
        found[owner] = round(2 * _PEAK_SIZE**3 / min(times) / 1e9, 1)
    return found


def command() -> str:
    """What the user typed."""
    return " ".join(["python", "benchmarks/kernels.py", *sys.argv[1:]])


def _native():
    try:
        return importlib.import_module("recurra.kernels._native")
    except ImportError:
        return None


def _cpu_info() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    first = path.read_text(encoding="utf-8").split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _commit() -> str:
    """Of the recurra that is imported, wherever it lies."""
    import recurra

    folder = Path(recurra.__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + (" with changes in src" if git("status", "-s", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
