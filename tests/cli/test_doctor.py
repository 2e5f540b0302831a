"""What `recurra doctor` says of the C++ extension: there, missing, broken, and told to use what this CPU lacks."""

from __future__ import annotations

import json
import sys
from types import ModuleType

import pytest

from recurra.cli.doctor import NATIVE_COST, NATIVE_MEND, run_doctor

NAME = "recurra.kernels._native"


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A stand-in of the extension in its place."""
    module = ModuleType(NAME)
    module.__file__ = "_native.so"
    vars(module).update(isa=lambda: "avx2", isas=lambda: ["avx2", "baseline"], shares_pool=lambda: True)
    monkeypatch.setitem(sys.modules, NAME, module)
    monkeypatch.setattr("recurra.kernels._native", module, raising=False)
    return module


def kernels(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    run_doctor(as_json=True)
    return json.loads(capsys.readouterr().out)["kernels"]


def test_the_extension_is_there(native: ModuleType, capsys: pytest.CaptureFixture[str]):
    assert kernels(capsys) == {
        "C++ extension": "_native.so",
        "instruction set": "avx2; this CPU can run avx2, baseline",
        "threads": "torch's pool",
    }


def test_threads_of_its_own(native: ModuleType, capsys: pytest.CaptureFixture[str]):
    vars(native)["shares_pool"] = lambda: False
    assert kernels(capsys)["threads"].startswith("its own")


def test_an_instruction_set_that_this_cpu_lacks(native: ModuleType, capsys: pytest.CaptureFixture[str]):
    def isa() -> str:
        raise RuntimeError("RECURRA_ISA=avx512: this CPU lacks it")

    vars(native)["isa"] = isa
    assert kernels(capsys) == {"C++ extension": "_native.so, not in use: RECURRA_ISA=avx512: this CPU lacks it"}


def test_a_missing_extension_is_named_with_cost_and_mend(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, NAME, None)  # Python's own way to say: there is no such module
    assert kernels(capsys) == {"C++ extension": "missing", "without it": NATIVE_COST, "to get it": NATIVE_MEND}


def test_an_extension_that_does_not_load_says_why(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == NAME:
                raise ImportError("undefined symbol: GOMP_parallel")

    monkeypatch.delitem(sys.modules, NAME, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    assert kernels(capsys)["C++ extension"] == "does not load: undefined symbol: GOMP_parallel"
