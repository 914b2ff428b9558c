"""The pair learners on another device than the processor: `meta`, held to what a GPU refuses."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers.utils.generic import maybe_autocast

from kdb.student import adapter
from kdb.student.config import LoraConfig
from kdb.student.model import load
from kdb.student.pairwise.learner import PairLearner
from kdb.student.pairwise.session_encoder import SessionEncoder
from kdb.student.pairwise.title_encoder import TitleEncoder
from kdb.student.pairwise.training import PairTargets, _initialise, _loss

SESSIONS = [["kettle", "tea pot", "hose"], ["rake", "spade"]]
TAUGHT = PairTargets(SESSIONS, [np.ones((len(own), len(own)), dtype=np.float32) for own in SESSIONS], [1.0, 0.5])
COPIES = ("aten._to_copy", "aten.to", "aten.copy_")
READ_BACK = ("aten.is_nonzero", "aten.item", "aten._local_scalar_dense")
INDEXED = ("aten.index", "aten.index_put", "aten._index_put_impl")
"""A GPU takes indices from the processor."""
PRODUCTS = ("aten.mm", "aten.addmm", "aten.bmm", "aten.linear", "aten.matmul")


class OneDevice(TorchDispatchMode):
    """Refuses operations on several devices, and products of several types; what is read back is zeros."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = str(func.overloadpacket), kwargs or {}
        if name in READ_BACK and args[0].device.type == "meta":
            return torch.zeros((), dtype=args[0].dtype).item()
        to_processor = name in COPIES[:2] and torch.device("cpu") in (*args[1:], kwargs.get("device"))
        if to_processor and args[0].device.type == "meta":
            return torch.zeros(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        if name not in COPIES:
            checked = args[:1] if name in INDEXED else (args, kwargs)
            tensors = [own for own in tree_leaves(checked) if isinstance(own, torch.Tensor) and own.dim()]
            if len({own.device.type for own in tensors}) > 1:
                raise RuntimeError(f"{name}: tensors on several devices")
            if name in PRODUCTS and len({own.dtype for own in tensors}) > 1:
                raise RuntimeError(f"{name}: tensors of several types")
        return func(*args, **kwargs)


@pytest.fixture
def device() -> Iterator[OneDevice]:
    with OneDevice() as mode:
        yield mode


@pytest.fixture(scope="module", params=["student", "embedder"])
def learner(request, tiny_student) -> PairLearner:
    if request.param == "embedder":
        return TitleEncoder(device="meta")
    try:
        maybe_autocast("meta", enabled=False)
    except RuntimeError:
        pytest.skip("the first versions of Transformers 5 read nothing on meta")
    student = load(str(tiny_student), precision="bf16", device="cpu")
    adapter.attach(student, LoraConfig(r=4), 0, 1)
    student.model.to("meta")
    return SessionEncoder(student, layers=1)


def test_learners_read_and_learn_on_the_device_of_their_weights(learner: PairLearner, device: OneDevice) -> None:
    assert {own.device.type for own in learner.tensors().values()} == {"meta"}
    assert [states.device.type for states in learner.states(SESSIONS)] == ["meta"] * 2
    assert [odds.shape for odds in learner.log_odds(SESSIONS)] == [(3, 3), (2, 2)]
    _initialise(learner, TAUGHT)
    learner.set_training(True)
    _loss(learner, TAUGHT, [(0, [2, 0, 1]), (1, [0, 1])]).backward()
    for weight in [*learner.encoder_weights().values(), *learner.head.layers.parameters()]:
        assert weight.grad is not None and weight.grad.device.type == "meta" and weight.grad.dtype == weight.dtype


def test_the_stand_in_catches_what_a_gpu_refuses(device: OneDevice) -> None:
    here, there = torch.ones(2, 2), torch.ones(2, 2, device="meta")
    with pytest.raises(RuntimeError, match="several devices"):
        here + there
    with pytest.raises(RuntimeError, match="several types"):
        there @ there.bfloat16()
    assert there[torch.tensor([0])].shape == (1, 2)
    assert there.cpu().tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("fault", ["head", "dtype"])
def test_a_learner_with_a_fault_is_caught(tiny_student, device: OneDevice, fault: str) -> None:
    student = load(str(tiny_student), precision="bf16", device="cpu")
    student.model.to("meta")
    encoder = SessionEncoder(student, layers=1)
    if fault == "head":
        encoder.head.layers.to_empty(device="cpu")
    else:
        encoder.head.layers.bfloat16()
    with pytest.raises(RuntimeError):
        encoder.log_odds(SESSIONS)
