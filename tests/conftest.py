"""What all tests share: the command line as a real process, and the public data where it is present."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from support.command_line import SAMPLES, Result, run_kdb, run_process
from support.students import make_tiny, make_tiny_embedder
from support.warm_kdb import warm_kdb

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports a Hugging Face library
# Tests run beside each other, and two threads a process on busy processors are several times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault(
    "JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1"
)  # Spark: a third faster where nothing runs for long

# The same examples each time, however busy the machine.
hypothesis.settings.register_profile("kdb", deadline=None, derandomize=True)
hypothesis.settings.load_profile("kdb")


@pytest.fixture(scope="session")
def kdb() -> Callable[..., Result]:
    """The command line in this process: `kdb("import", folder, cwd=...)` gives code, stdout, stderr, records."""
    return run_kdb


@pytest.fixture(scope="session")
def kdb_process() -> Callable[..., Result]:
    """The same as a process of its own."""
    return run_process


@pytest.fixture(scope="session")
def kdb_program() -> Iterator[Path]:
    """What stands for `kdb` in shells and under make: processes of their own that start at once."""
    with warm_kdb() as program:
        yield program


@pytest.fixture(scope="session")
def samples() -> Path:
    """The small catalogue of our own."""
    return SAMPLES


def public_data(domain: str) -> Path:
    folder = os.environ.get("KDB_DATA")
    if not folder:
        pytest.skip(f"needs the public {domain} data: set KDB_DATA to the folder that holds {domain}/")
    if not (Path(folder) / domain / "session_item.csv").is_file():
        pytest.skip(f"needs the public {domain} data: {folder} holds no {domain}/session_item.csv")
    return Path(folder).resolve() / domain


@pytest.fixture(scope="session")
def electronic() -> Path:
    return public_data("electronic")


@pytest.fixture(scope="session")
def clothing() -> Path:
    return public_data("clothing")


@pytest.fixture(scope="session")
def tiny_student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real causal language model of two small layers, with the packaged student's tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    make_tiny(folder)
    return folder


@pytest.fixture(scope="session")
def student(tiny_student: Path) -> Any:
    """It, loaded."""
    from kdb.student.model import load

    return load(str(tiny_student), precision="fp32")


@pytest.fixture(scope="session")
def tiny_embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real sentence encoder of one small layer, with the packaged embedder's tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "tiny-embedder"
    make_tiny_embedder(folder)
    return folder


@pytest.fixture(scope="module")
def tiny_titles(tiny_embedder: Path) -> Iterator[None]:
    """The tiny embedder is fine-tuned in place of the packaged one, whose vectors are read as ever."""
    from kdb.student.pairwise import title_encoder

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(title_encoder, "embedder_path", lambda name: str(tiny_embedder))
        yield
