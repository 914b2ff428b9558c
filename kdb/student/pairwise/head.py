"""The pair head: from the states of two items to the log odds that they share a bundle."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

WIDTH = 128
HIDDEN = 64


class PairHead:
    """LayerNorm, a linear map to WIDTH, a scaled cosine plus a two-layer network over product and |difference|.

    Symmetric in the two items. `layers` holds the weights, in fp32.
    """

    def __init__(self, size: int, dropout: float, device: Any = "cpu") -> None:
        from torch.nn import GELU, Dropout, LayerNorm, Linear, ModuleDict, Sequential

        network = Sequential(Linear(2 * WIDTH, HIDDEN), GELU(), Dropout(dropout), Linear(HIDDEN, 1))
        project = Sequential(LayerNorm(size), Dropout(dropout), Linear(size, WIDTH))
        self.layers: Any = ModuleDict({"project": project, "network": network, "cosine": Linear(1, 1)}).to(device)

    def initialise(self, states: torch.Tensor, rate: float) -> None:
        """Begin where the head says `rate` of all pairs, knowing the states (items, size) of some sessions.

        A language model's states point in nearly one direction, so that all cosines are near 1 until the mean is
        taken out: the LayerNorm begins with the weights that standardise each dimension.
        """
        import torch

        norm, network, cosine = self.layers["project"][0], self.layers["network"], self.layers["cosine"]
        with torch.no_grad():
            plain = torch.nn.functional.layer_norm(states.float(), norm.normalized_shape)
            spread = plain.std(0).clamp(min=1e-3) if len(plain) > 1 else torch.ones_like(plain[0])
            norm.weight.copy_(1 / spread)
            norm.bias.copy_(-plain.mean(0) / spread)
            network[-1].weight.mul_(0.1)
            network[-1].bias.zero_()
            cosine.weight.fill_(2.0)
            cosine.bias.fill_(math.log(rate / (1 - rate)))

    def log_odds(self, states: torch.Tensor, first: Any, second: Any) -> torch.Tensor:
        """For each pair of rows of `states` (n, size), named by their numbers (p,): (p,)."""
        import torch
        from torch.nn.functional import cosine_similarity

        projected = self.layers["project"](states.float())
        a, b = projected[first], projected[second]
        cosine = cosine_similarity(a, b, dim=-1)[:, None]
        both = torch.cat([a * b, (a - b).abs()], -1)
        found: torch.Tensor = (self.layers["cosine"](cosine) + self.layers["network"](both)).squeeze(-1)
        return found
