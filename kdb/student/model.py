"""Loading a student: weights, precision, device, adapter; and the one forward pass that all uses share."""

from __future__ import annotations

import copy
import inspect
import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdb.errors import KdbError, UsageError
from kdb.student import attention, weights
from kdb.student import config as configs
from kdb.student.adapter import check_base, load_adapter
from kdb.student.device import default_device, supports_4bit, supports_bf16
from kdb.student.examples import Example
from kdb.student.tensors import first_line, weights_hash

if TYPE_CHECKING:
    import torch


@dataclass
class Student:
    """A causal language model with its tokenizer."""

    name: str
    model: Any
    tokenizer: Any

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.model.device

    @property
    def parameters(self) -> int:
        """The number of all weights, an adapter's included."""
        return int(self.model.num_parameters())

    @property
    def is_routed(self) -> bool:
        """Whether several adapters are weighed for each prompt (see `router`)."""
        return hasattr(self.model, "router")

    def mean_expert_weights(self, prompts: Sequence[Sequence[int]], batch_size: int = 16) -> list[float]:
        """The mean weight of each expert over many prompts; only where the model is routed."""
        import torch

        parts, pad = [], self.tokenizer.pad_token_id
        with torch.inference_mode():
            for start in range(0, len(prompts), batch_size):
                own = prompts[start : start + batch_size]
                width = max(map(len, own))
                ids = torch.tensor([[pad] * (width - len(p)) + list(p) for p in own], device=self.device)
                mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in own], device=self.device)
                parts.append(self.model.weights(ids, mask))
            found: list[float] = torch.cat(parts).mean(0).tolist()
        return found

    @property
    def context_length(self) -> int:
        """The most tokens that the model can read."""
        return _context_length(self.model.config)


def load(
    name: str,
    adapter: Path | None = None,
    precision: str = "auto",
    device: str = "",
    load_in_4bit: bool = False,
) -> Student:
    """Load the weights of `name` (see `weights`), and an adapter over them.

    `precision` auto is bf16 where the processor or GPU computes in it, else fp32; the device is the GPU if
    there is one. KdbError where the weights or the adapter cannot be loaded, or do not belong together.

    `load_in_4bit` keeps the linear layers in four bits, as QLoRA does (Dettmers et al., arXiv 2305.14314);
    UsageError where that cannot be.
    """
    _quieten()
    import torch

    device = device or default_device()
    dtype = (
        torch.bfloat16 if precision == "bf16" or (precision == "auto" and supports_bf16(device)) else torch.float32
    )
    if load_in_4bit and not supports_4bit(device):
        raise UsageError("4 bits need bitsandbytes and a CUDA device", "leave load_in_4bit out, or kdb[4bit] there")
    tokenizer, model = _pretrained(name, dtype, _four_bits(dtype, device) if load_in_4bit else {})
    if device == "cpu" and dtype == torch.bfloat16:
        attention.use(model)
    if adapter is not None:
        model = _with_adapter(model, name, adapter, dtype)
    if not load_in_4bit:  # what is quantised lies where it should, and cannot be moved
        model = model.to(device)
    return Student(name, model.eval(), tokenizer)


@dataclass(frozen=True)
class StudentTokenizer:
    """What there is here of a student whose weights are elsewhere."""

    tokenizer: Any
    context_length: int


def load_tokenizer(name: str) -> StudentTokenizer:
    """The tokenizer of `name`, and how much the student reads; KdbError where they cannot be read."""
    _quieten()
    from transformers import AutoConfig, AutoTokenizer

    path = weights.student_path(name)
    try:
        return StudentTokenizer(
            AutoTokenizer.from_pretrained(path), _context_length(AutoConfig.from_pretrained(path))
        )
    except (OSError, ValueError, KeyError) as error:
        raise KdbError(f"student {name!r}: {first_line(error)}", "give a local model folder or a hub id") from None


def _context_length(config: Any) -> int:
    return int(getattr(config, "max_position_embeddings", 0) or 2048)


def base_hash(name: str) -> str:
    """The hash of a student's weights, wherever they lie; empty where they are not in safetensors files."""
    path = Path(weights.student_path(name))
    if path.is_dir():
        return weights_hash(path)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return weights_hash(Path(snapshot_download(name, local_files_only=True, allow_patterns="*.safetensors")))
    except (OSError, ValueError, HfHubHTTPError, LocalEntryNotFoundError):
        return ""


def _pretrained(name: str, dtype: torch.dtype, how: dict[str, Any]) -> tuple[Any, Any]:
    """Tokenizer and model; whatever is wrong with them is one line."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path, hint = weights.student_path(name), "give a local model folder or a hub id"
    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
        model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, use_safetensors=True, **how)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise KdbError(f"student {name!r}: {first_line(error)}", hint) from None
    except Exception as error:
        # tokenizers raises a bare Exception where tokenizer.json is broken.
        if type(error) is not Exception:
            raise
        raise KdbError(f"student {name!r}: its tokenizer: {first_line(error)}", hint) from None
    if tokenizer.eos_token_id is None:
        raise KdbError(f"student {name!r}: its tokenizer has no end token", hint)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token_id = tokenizer.eos_token_id
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        raise KdbError(f"student {name!r}: {len(tokenizer)} tokens, but embeddings for {rows}", "resize them")
    return tokenizer, model


def _with_adapter(model: Any, name: str, folder: Path, dtype: torch.dtype) -> Any:
    """The model with an adapter or a router of ours on it, if it was trained on this model."""
    import torch

    from kdb.student import router

    config = configs.read(folder)
    if config.base:
        check_base(folder, config, base_hash(name), name)
    if (folder / router.FILE).exists():
        return router.read(model, folder)
    model = load_adapter(model, folder)
    # Weights only: the rotary frequencies are buffers, and stay in the fp32 in which they were in training.
    for weight in filter(torch.is_floating_point, model.parameters()):
        weight.data = weight.data.to(dtype)
    return model


def _four_bits(dtype: torch.dtype, device: str) -> dict[str, Any]:
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return {"quantization_config": config, "device_map": {"": device}}


@dataclass(frozen=True)
class Prefix:
    """What a model has read before a batch, the same for each of its sequences: the keys and values of that.

    None are kept where experts are weighed by all that is read.
    """

    ids: Sequence[int]
    cache: Any = None


def read_prefix(student: Student, ids: Sequence[int]) -> Prefix:
    """Let the model read a prefix once, for any number of batches."""
    import torch
    from transformers import DynamicCache

    if student.is_routed:
        return Prefix(ids)
    model = student.model
    cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        model(
            input_ids=torch.tensor([list(ids)], device=model.device),
            use_cache=True,
            logits_to_keep=1,
            **{_cache_argument(model): cache},
        )
    return Prefix(ids, cache)


def answer_logits(student: Student, batch: Sequence[Example], prefix: Prefix | None = None) -> torch.Tensor:
    """The logits at the answer positions of all examples, example by example: (positions, vocabulary), fp32.

    Only these positions go through the output layer, whose logits at all positions would take most of the
    memory. With a `prefix`, each example goes on where that ends.
    """
    import torch

    if prefix and prefix.cache is None:
        batch, prefix = [example.with_prefix(prefix.ids) for example in batch], None
    model, pad = student.model, student.tokenizer.pad_token_id
    width = max(map(len, batch))
    shifts = [width - len(example) for example in batch]
    ids = [[pad] * shift + example.input_ids for shift, example in zip(shifts, batch, strict=True)]
    before = len(prefix.ids) if prefix else 0
    mask = torch.tensor([[1] * before + [0] * shift + [1] * (width - shift) for shift in shifts])
    rows, columns = [], []
    for row, (shift, example) in enumerate(zip(shifts, batch, strict=True)):
        rows += [row] * len(example.answer_positions)
        columns += [shift + p for p in example.answer_positions]
    more: dict[str, Any] = {_cache_argument(model): _repeated(prefix, len(batch))} if prefix else {}
    if student.is_routed:
        prompts = [[shift, len(e.prompt), len(e) - len(e.prompt)] for shift, e in zip(shifts, batch, strict=True)]
        prompt_mask = [[0] * shift + [1] * read + [0] * answer for shift, read, answer in prompts]
        more["prompt_mask"] = torch.tensor(prompt_mask, device=model.device)
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, hidden: (hidden[0][rows, columns][None],))
    try:
        logits = model(
            input_ids=torch.tensor(ids, device=model.device),
            attention_mask=mask.to(model.device),
            position_ids=(mask.cumsum(1) - 1).clamp(min=0)[:, before:].to(model.device),
            use_cache=bool(prefix),
            **more,
        ).logits
    finally:
        hook.remove()
    return logits[0].float()


def _cache_argument(model: Any) -> str:
    """What the model calls its cache: Transformers 5.24 renamed it, and 5.40 ends the old name."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "cache" if "cache" in inspect.signature(inner.forward).parameters else "past_key_values"


def _repeated(prefix: Prefix, count: int) -> Any:
    """The prefix for each sequence of a batch; a copy, because the model adds to it what it reads."""
    cache = copy.deepcopy(prefix.cache)
    cache.batch_repeat_interleave(count)
    return cache


def _quieten() -> None:
    """No bars and notes of the libraries on stderr: kdb says itself what a person should know."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("torch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)
