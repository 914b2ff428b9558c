"""What all tests share: the command line as a real process, and the public data where it is present."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import msgspec
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports a Hugging Face library

# The same examples each time, however busy the machine.
hypothesis.settings.register_profile("kdb", deadline=None, derandomize=True)
hypothesis.settings.load_profile("kdb")

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "samples"


@dataclass(frozen=True)
class Result:
    """What a finished command left behind."""

    code: int
    out: bytes
    stderr: str

    @property
    def stdout(self) -> str:
        return self.out.decode()

    @property
    def records(self) -> list[dict]:
        """The lines of stdout as JSON objects."""
        return [msgspec.json.decode(line) for line in self.out.splitlines()]


def run_kdb(*argv: object, stdin: str | bytes = b"", cwd: Path | None = None, timeout: float = 300) -> Result:
    """Run `kdb ARGV` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "kdb", *map(str, argv)],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        cwd=cwd,
        capture_output=True,
        timeout=timeout,
    )
    return Result(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


@pytest.fixture(scope="session")
def kdb() -> Callable[..., Result]:
    """The command line: `kdb("import", folder, stdin=b"", cwd=...)` gives code, stdout, stderr, records."""
    return run_kdb


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
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from kdb import models

    folder = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = AutoTokenizer.from_pretrained(models.student_path(models.STUDENT))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def student(tiny_student: Path) -> Any:
    """It, loaded."""
    from kdb.student.model import load

    return load(str(tiny_student), precision="fp32")
