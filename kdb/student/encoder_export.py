"""The blocks that a session encoder reads, as a model of their own: what a server of token states is given."""

from __future__ import annotations

from typing import Any

from kdb.errors import KdbError, UsageError
from kdb.student.config import StudentConfig
from kdb.student.methods.build import answer_class


def cut(model: Any, config: StudentConfig) -> None:
    """Leave the first blocks alone, under a last norm that changes nothing but the length of states.

    UsageError where the student is no session encoder, or was trained on states of any length.
    """
    if answer_class(config.method).served_as != "states":
        raise UsageError(f"a student of the answer format {config.method.answer} is no encoder", "leave it whole")
    if not config.method.normalised_states:
        raise UsageError(
            "the adapter was trained on states as they leave a block, which no server gives", "train it anew"
        )
    layers, base = config.method.encoder_layers, model.base_model
    if not 0 < layers < len(base.layers):
        return
    base.layers = base.layers[:layers]
    model.config.num_hidden_layers = layers
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = model.config.layer_types[:layers]
    _make_plain(base.norm)


def _make_plain(norm: Any) -> None:
    """Weights that let a norm bring each state to a root mean square of 1: ones, or zeros where one is added."""
    import torch

    weight = norm.weight
    states = torch.randn(2, len(weight), generator=torch.Generator().manual_seed(0)).to(weight)
    for value in (1.0, 0.0):
        with torch.no_grad():
            weight.fill_(value)
            if torch.allclose(norm(states), torch.nn.functional.rms_norm(states, states.shape[-1:]), atol=0.02):
                return
    raise KdbError("the last norm of this student is not a root mean square", "serve it whole")
