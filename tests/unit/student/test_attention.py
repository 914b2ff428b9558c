"""The attention that a processor computes in bf16, beside the one that Transformers takes."""

import pytest
import torch

from kdb.student import attention
from kdb.student.examples import Example
from kdb.student.model import answer_logits, load, read_prefix

BATCH = [Example(list(range(5, 5 + n)), [n - 2, n - 1], [7, 8]) for n in (40, 23, 31)]


@pytest.mark.parametrize("most", [attention.MOST_SCORES, 0])
@pytest.mark.parametrize("before", [0, 12])
def test_few_scores_or_many_say_the_same(tiny_student, monkeypatch, most, before) -> None:
    monkeypatch.setattr(attention, "MOST_SCORES", most)
    student = load(str(tiny_student), precision="bf16", device="cpu")
    assert student.model.config._attn_implementation == attention.NAME
    found = []
    for name in (attention.NAME, "sdpa"):
        student.model.set_attn_implementation(name)
        prefix = read_prefix(student, range(100, 100 + before)) if before else None
        found.append(answer_logits(student, BATCH, prefix))
    assert found[0].std() > 0.1
    assert (found[0] - found[1]).abs().max() < 0.02


def test_in_full_precision_the_model_is_left_as_it_is(student) -> None:
    assert student.model.config._attn_implementation == "sdpa"


def test_a_token_at_a_time_says_the_same(tiny_student) -> None:
    student = load(str(tiny_student), precision="bf16", device="cpu")
    ids = torch.arange(10, 34).reshape(2, 12)
    mask = torch.ones_like(ids)
    mask[1, :5] = 0  # padded on the left, as answers are generated
    found = []
    for name in (attention.NAME, "sdpa"):
        student.model.set_attn_implementation(name)
        with torch.inference_mode():
            read = student.model(ids[:, :10], attention_mask=mask[:, :10], use_cache=True)
            last = [
                student.model(
                    ids[:, n : n + 1], attention_mask=mask[:, : n + 1], past_key_values=read.past_key_values
                )
                for n in (10, 11)
            ]
        found.append(torch.cat([own.logits.float() for own in last]))
    assert found[0].std() > 0.1
    assert (found[0] - found[1]).abs().max() < 0.02
