"""Attention in bf16 on a processor, where matrix products beat PyTorch's fused kernel while scores are few.

Not where one token is asked about at a time: there they would repeat all keys and values for each group of heads.
"""

from __future__ import annotations

from typing import Any

NAME = "kdb"
MOST_SCORES = 2**24
"""A call with more scores would take more memory than its speed is worth: the fused kernel never holds them all."""


def use(model: Any) -> None:
    """Let a model that uses the fused kernel choose by size; the others stay as they are."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, eager_mask

    if model.config._attn_implementation == "sdpa":
        AttentionInterface.register(NAME, _attention)
        AttentionMaskInterface.register(NAME, eager_mask)  # a mask that both read
        model.set_attn_implementation(NAME)


def _attention(module: Any, query: Any, key: Any, *rest: Any, **more: Any) -> Any:
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.models.llama.modeling_llama import eager_attention_forward

    sequences, heads, asked, _ = query.shape
    by_products = asked > 1 and sequences * heads * asked * key.shape[2] <= MOST_SCORES
    return (eager_attention_forward if by_products else sdpa_attention_forward)(module, query, key, *rest, **more)
