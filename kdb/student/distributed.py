"""One training run in several processes, as `torchrun` and `accelerate launch` start them.

Each process computes its share of every batch, and gradients are added up. The first one speaks and writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from kdb.errors import KdbError, UsageError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

TIMEOUT = timedelta(hours=2)
"""So long the others wait while the first one validates. That a process died, they are told at once."""


def count() -> int:
    """How many processes this run has, as the launcher says; without a launcher, one."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1


def rank() -> int:
    """The number of this process, from 0."""
    return int(os.environ["RANK"]) if count() > 1 else 0


def first() -> bool:
    """Whether this process is the one that speaks and writes."""
    return rank() == 0


@contextmanager
def process_group(device: str) -> Iterator[str]:
    """Work together with the other processes inside the block, if there are any; gives the device of this one."""
    if count() == 1:
        yield device
        return
    import torch
    from torch import distributed

    cuda = device.startswith("cuda") or (not device and torch.cuda.is_available())
    if cuda:
        device = f"cuda:{_gpu()}"
        torch.cuda.set_device(device)
    with _peer_errors():
        distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=TIMEOUT)
    try:
        yield device or "cpu"
    finally:
        distributed.destroy_process_group()


def all_reduce(tensors: Sequence[torch.Tensor]) -> None:
    """Put the sum over all processes into each tensor; all of one type, on one device."""
    if count() == 1:
        return
    import torch
    from torch import distributed

    flat = torch.cat([tensor.flatten() for tensor in tensors])  # one message instead of hundreds
    with _peer_errors():
        distributed.all_reduce(flat)
    for tensor, summed in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(summed.view_as(tensor))


def broadcast(value: T) -> T:
    """What the first process has, for all of them."""
    if count() == 1:
        return value
    from torch import distributed

    box = [value]
    with _peer_errors():
        distributed.broadcast_object_list(box, src=0)
    return box[0]


def _gpu() -> int:
    import torch

    own, there = int(os.environ.get("LOCAL_RANK", rank())), torch.cuda.device_count()
    if own >= there:
        raise UsageError(
            f"each process needs a GPU of its own, and there are {there}", "start fewer, or pass --device cpu"
        )
    return own


@contextmanager
def _peer_errors() -> Iterator[None]:
    """Say in one line that the others are not there."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise KdbError(f"another process of this run is gone: {reason}", "run again with --resume") from None
