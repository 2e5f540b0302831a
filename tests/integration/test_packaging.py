"""What pip makes of this checkout: with a compiler, without one, and told to do without the C++ extension."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
COMPILERS = (os.environ.get("CXX", "c++").split()[0], "g++", "clang++")
CAN_COMPILE = any(map(shutil.which, COMPILERS)) and Path(sysconfig.get_path("include"), "Python.h").is_file()
needs_compiler = pytest.mark.skipif(not CAN_COMPILE, reason="no C++ compiler, or no Python.h")


def wheel(folder: Path, *settings: str, **environment: str) -> ZipFile:
    """The wheel of this checkout, built with the tools of this environment in a build folder of its own."""
    arguments = [f"-Cbuild-dir={folder / 'build'}", *(f"-C{setting}" for setting in settings)]
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    done = subprocess.run(
        [*command, *arguments, str(ROOT)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return ZipFile(path)


def extensions(names: list[str]) -> list[str]:
    return [name for name in names if name.endswith((".so", ".pyd"))]


def assert_whole(names: list[str]) -> None:
    """All of the package, its data files and the lessons too, and nothing else."""
    sources = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "recurra").rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".so", ".pyd")
    }
    assert "recurra/py.typed" in sources
    for language in ("en", "zh"):
        lessons = (ROOT / "docs" / language / "lessons").glob("*.md")
        sources |= {f"recurra/lessons/{language}/lessons/{path.name}" for path in lessons}
    packed = {name for name in names if not name.startswith("recurra-")}
    assert packed - set(extensions(names)) == sources


@needs_compiler
def test_where_a_compiler_is_the_extension_is():
    """A build that failed may not pass unseen, since everything else works without it. The mend: make native."""
    assert importlib.util.find_spec("recurra.kernels._native") is not None


@pytest.mark.skipif(not shutil.which("nm"), reason="no nm")
@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_instruction_sets_share_no_function(isa: str):
    """Of a function that several object files bring along the linker keeps one, which not every processor may run."""
    objects = list((ROOT / "build" / "native" / "CMakeFiles" / f"native_{isa}.dir").rglob("*.o"))
    if not objects:
        pytest.skip("the extension was not built by make native")
    command = ["nm", "--defined-only", "--format=posix", *map(str, objects)]
    symbols = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    weak = [symbol for symbol, kind, *_ in map(str.split, symbols) if kind == "W"]
    assert not [symbol for symbol in weak if f"{len(isa)}{isa}" not in symbol]


@pytest.mark.slow
@needs_compiler
def test_wheel_with_a_compiler(tmp_path: Path):
    with wheel(tmp_path, RECURRA_REQUIRE_NATIVE="1") as packed:
        names = packed.namelist()
    assert_whole(names)
    (name,) = extensions(names)
    assert name.startswith("recurra/kernels/_native.")


def test_wheel_without_a_compiler(tmp_path: Path):
    with wheel(tmp_path, CXX="/no/such/compiler", RECURRA_REQUIRE_NATIVE="") as packed:
        assert Path(packed.filename or "").name.endswith("-py3-none-any.whl")
        names = packed.namelist()
    assert_whole(names)
    assert not extensions(names)


def test_wheel_without_the_extension_on_purpose(tmp_path: Path):
    with wheel(tmp_path, "wheel.cmake=false") as packed:
        names = packed.namelist()
    assert_whole(names)
    assert not extensions(names)


def test_source_distribution_has_what_a_build_needs(tmp_path: Path):
    code = f"import scikit_build_core.build as backend; print(backend.build_sdist({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, timeout=60)
    (path,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "src" / "native").rglob("*.[ch]pp")}
    assert {"CMakeLists.txt", "pyproject.toml", "LICENSE", "src/recurra/py.typed", *sources} <= names
    assert not extensions(sorted(names))
