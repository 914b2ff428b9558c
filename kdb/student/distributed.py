"""One run in several processes, as `torchrun` and `accelerate launch` start them.

In training each process computes its share of every batch, and gradients are added up; in inference each answers
its share of the sessions. The main one speaks and writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar, cast

from kdb.errors import KdbError
from kdb.student.device import shares_gpus

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

TIMEOUT = timedelta(hours=2)
"""So long the others wait while the main one validates. That a process died, they are told at once."""


def world_size() -> int:
    """How many processes this run has, as the launcher says; without a launcher, one."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1


def rank() -> int:
    """The number of this process, from 0."""
    return int(os.environ["RANK"]) if world_size() > 1 else 0


def is_main() -> bool:
    """Whether this process is the one that speaks and writes."""
    return rank() == 0


@contextmanager
def process_group(device: str) -> Iterator[str]:
    """Work together with the other processes inside the block, if there are any; gives the device of this one."""
    if world_size() == 1:
        yield device
        return
    from accelerate import PartialState

    on_gpus = shares_gpus(device, int(os.environ.get("LOCAL_RANK", rank())))
    with _peer_errors():
        state = PartialState(cpu=not on_gpus, timeout=TIMEOUT)
    try:
        yield str(state.device)
    finally:
        state.destroy_process_group()
        state._reset_state()


def all_reduce(tensors: Sequence[torch.Tensor]) -> None:
    """Put the sum over all processes into each tensor; all of one type, on one device."""
    if world_size() == 1:
        return
    import torch
    from accelerate.utils import reduce

    flat = torch.cat([tensor.flatten() for tensor in tensors])  # one message instead of hundreds
    with _peer_errors():
        flat = reduce(flat, "sum")
    for tensor, summed in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(summed.view_as(tensor))


def broadcast(value: T) -> T:
    """What the main process has, for all of them."""
    if world_size() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    box = [value]
    with _peer_errors():
        broadcast_object_list(box)
    return box[0]


def gather(value: T) -> list[T]:
    """What each process has, in their order, for the main one; nothing for the others."""
    if world_size() == 1:
        return [value]
    from torch import distributed

    found: list[T | None] | None = [None] * world_size() if is_main() else None
    with _peer_errors():
        distributed.gather_object(value, found)
    return cast("list[T]", found or [])


def wait_for_all() -> None:
    """Return when every process has come this far."""
    if world_size() == 1:
        return
    from torch import distributed

    with _peer_errors():
        distributed.barrier()


@contextmanager
def _peer_errors() -> Iterator[None]:
    """Say in one line that the others are not there."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise KdbError(f"another process of this run is gone: {reason}", "run again with --resume") from None
