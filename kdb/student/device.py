"""What devices there are and can do: all that a student knows of them. Tensors are made where its weights lie."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib import util
from typing import TYPE_CHECKING

from kdb.errors import UsageError

if TYPE_CHECKING:
    import torch


def default_device() -> str:
    """The GPU if there is one, else the processor."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def supports_bf16(device: str) -> bool:
    """Whether the device computes in bf16 natively; emulation would be slower than fp32."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported()
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device == "cpu" and any(getattr(torch.cpu, name, lambda: False)() for name in checks)


def supports_4bit(device: str) -> bool:
    """Whether weights can be loaded in four bits: on a CUDA device, by bitsandbytes."""
    import torch

    there = torch.cuda.is_available() and (device or "cuda").startswith("cuda")
    return there and util.find_spec("bitsandbytes") is not None


def bf16_arithmetic(device: str, on: bool) -> AbstractContextManager[object]:
    """Compute on this device in bf16 with weights of fp32, if `on`."""
    import torch

    return torch.autocast(torch.device(device).type, torch.bfloat16) if on else nullcontext()


def device_name(device: torch.device) -> str:
    """What a `run` record calls a device: a GPU by its model."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def shares_gpus(device: str, local_rank: int) -> bool:
    """Whether the processes of a machine compute on GPUs, one each; UsageError where there are fewer."""
    import torch

    there = torch.cuda.device_count()
    if not (device.startswith("cuda") or (not device and there)):
        return False
    if local_rank >= there:
        raise UsageError(
            f"each process needs a GPU of its own, and there are {there}", "start fewer, or --set device=cpu"
        )
    return True
