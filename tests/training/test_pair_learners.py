"""Pair learners: the head, both encoders, the training loop, cross-fitting."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdb.errors import KdbError
from kdb.student import adapter
from kdb.student.config import LoraConfig
from kdb.student.model import load
from kdb.student.pairwise import cross_fitting
from kdb.student.pairwise.head import PairHead
from kdb.student.pairwise.learner import PairLearner
from kdb.student.pairwise.session_encoder import SessionEncoder
from kdb.student.pairwise.title_encoder import TitleEncoder
from kdb.student.pairwise.training import FitSettings, PairTargets, fit

THEMES = (("copper kettle", "copper pan", "copper lid"), ("garden hose", "garden rake", "garden glove"))
SESSIONS = [[THEMES[0][n % 3], THEMES[1][n % 3], THEMES[0][(n + 1) % 3], THEMES[1][(n + 2) % 3]] for n in range(12)]
TOGETHER = [
    np.array([[a != b and a.split()[0] == b.split()[0] for b in s] for a in s], dtype=np.float32) for s in SESSIONS
]


def taught(targets: list[np.ndarray] = TOGETHER, weights: tuple[float, ...] = (1.0,) * 12) -> PairTargets:
    return PairTargets(SESSIONS, targets, weights)


def encoder(tiny_student: Path, seed: int = 0) -> SessionEncoder:
    student = load(str(tiny_student), precision="fp32", device="cpu")
    adapter.attach(student, LoraConfig(), seed, blocks=1)
    return SessionEncoder(student, seed, dropout=0.0, layers=1)


@pytest.fixture(scope="module", params=["session", "titles"])
def learner(request: pytest.FixtureRequest, tiny_student: Path) -> PairLearner:
    return encoder(tiny_student) if request.param == "session" else TitleEncoder(dropout=0.0, device="cpu")


def test_head_is_symmetric_and_begins_at_the_base_rate() -> None:
    import torch

    torch.manual_seed(0)
    head = PairHead(16, 0.0)
    states = torch.randn(40, 16) * 0.1 + 5  # nearly one direction, as a language model's
    head.initialise(states, 0.3)
    head.layers.eval()
    first, second = np.triu_indices(40, 1)
    with torch.no_grad():
        there, back = head.log_odds(states, first, second), head.log_odds(states, second, first)
    assert torch.allclose(there, back, atol=1e-5)
    assert abs(torch.sigmoid(there).mean().item() - 0.3) < 0.05


def test_log_odds_are_symmetric_whatever_the_batch_and_the_order(learner: PairLearner) -> None:
    both = learner.log_odds([SESSIONS[0], SESSIONS[1][:2]])
    alone = learner.log_odds([SESSIONS[0]])[0]
    turned = learner.log_odds([SESSIONS[0][::-1]])[0]
    assert np.allclose(both[0], both[0].T) and not both[0].diagonal().any()
    assert both[1].shape == (2, 2)
    assert np.allclose(both[0], alone, atol=0.05)  # bf16 where the processor has it
    assert np.allclose(alone, turned[::-1, ::-1], atol=0.05)


@pytest.mark.parametrize("titles", [["a"], ["", " \n"], ["same", "same"], ["x" * 100_000, "y"], ["日本", "🙂"]])
def test_odd_titles_have_log_odds(learner: PairLearner, titles: list[str]) -> None:
    found = learner.log_odds([titles])[0]
    assert found.shape == (len(titles), len(titles)) and np.isfinite(found).all()


def test_many_items_have_log_odds(learner: PairLearner) -> None:
    found = learner.log_odds([[f"thing {n}" for n in range(60)]])[0]
    assert found.shape == (60, 60) and np.isfinite(found).all()


def test_training_tells_pairs_apart_and_repeats_itself() -> None:
    found = []
    for _ in range(2):
        learner = TitleEncoder(dropout=0.1, device="cpu")
        report = fit(learner, taught(), FitSettings(steps=12, seed=3))
        found.append((report.losses, learner.log_odds(SESSIONS)))
    losses, odds = found[0]
    assert losses[-1] < losses[0]
    right = np.concatenate([o[t > 0] for o, t in zip(odds, TOGETHER, strict=True)])
    wrong = np.concatenate([o[(t == 0) & (o != 0)] for o, t in zip(odds, TOGETHER, strict=True)])
    assert right.mean() > wrong.mean() + 1
    assert found[1][0] == losses
    assert all((a == b).all() for a, b in zip(odds, found[1][1], strict=True))


def test_session_encoder_learns_and_only_its_adapter_changes(tiny_student: Path) -> None:
    learner = encoder(tiny_student)
    weights = {n: p.detach().clone() for n, p in learner.student.model.named_parameters()}
    report = fit(learner, taught(), FitSettings(steps=40))
    assert report.losses[-1] < report.losses[0]
    changed = {n for n, p in learner.student.model.named_parameters() if not (p == weights[n]).all()}
    assert changed and all("lora_" in name for name in changed)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_without_positive_or_negative_pairs_training_goes_on(tiny_embedder: Path, value: float) -> None:
    learner = TitleEncoder(str(tiny_embedder), device="cpu")
    fit(learner, taught([np.full((4, 4), value, dtype=np.float32)] * 12), FitSettings(steps=4))
    odds = learner.log_odds(SESSIONS[:1])[0]
    assert np.isfinite(odds).all()
    assert (odds[0, 1] > 0) == bool(value)


def test_soft_targets_are_learnt_as_probabilities(tiny_embedder: Path) -> None:
    learner = TitleEncoder(str(tiny_embedder), dropout=0.0, device="cpu")
    report = fit(learner, taught([np.full((4, 4), 0.25, dtype=np.float32)] * 12), FitSettings(steps=10))
    odds = np.concatenate([own[np.triu_indices(4, 1)] for own in learner.log_odds(SESSIONS)])
    assert np.allclose(1 / (1 + np.exp(-odds)), 0.25, atol=0.1)
    assert report.losses[-1] == pytest.approx(0.5623, abs=0.02)  # the entropy of 0.25


def test_sessions_count_by_their_weights(tiny_embedder: Path) -> None:
    """The same titles with opposite targets: the heavier ones win, and sessions without weight teach nothing."""
    found = []
    for weights in ((1.0, 0.0), (0.0, 1.0)):
        learner = TitleEncoder(str(tiny_embedder), dropout=0.0, device="cpu")
        both = PairTargets(
            SESSIONS * 2, [*TOGETHER, *(1 - own for own in TOGETHER)], [w for w in weights for _ in range(12)]
        )
        fit(learner, both, FitSettings(steps=40, learning_rate=3e-3))
        odds = learner.log_odds(SESSIONS)
        right = np.concatenate([o[t > 0] for o, t in zip(odds, TOGETHER, strict=True)])
        wrong = np.concatenate([o[(t == 0) & (o != 0)] for o, t in zip(odds, TOGETHER, strict=True)])
        found.append(right.mean() - wrong.mean())
    assert found[0] > 1 > -1 > found[1]


def test_saved_weights_say_the_same(tmp_path: Path, tiny_embedder: Path) -> None:
    learner = TitleEncoder(str(tiny_embedder), dropout=0.0, device="cpu")
    fit(learner, taught(), FitSettings(steps=3))
    file = tmp_path / "embedder.safetensors"
    learner.save(file)
    again = TitleEncoder(str(tiny_embedder), seed=9, dropout=0.0, device="cpu")
    again.load(file)
    assert (again.log_odds(SESSIONS[:2])[0] == learner.log_odds(SESSIONS[:2])[0]).all()
    file.write_bytes(b"broken")
    with pytest.raises(KdbError, match=r"embedder\.safetensors"):
        again.load(file)


class Counting:
    """Makes title encoders, and counts how many."""

    def __init__(self, embedder: Path) -> None:
        self.embedder, self.made = embedder, 0

    def __call__(self) -> Any:
        self.made += 1
        return TitleEncoder(str(self.embedder), dropout=0.0, device="cpu")


def test_cross_fitting_holds_out_and_resumes(tmp_path: Path, tiny_embedder: Path) -> None:
    make, settings = Counting(tiny_embedder), FitSettings(steps=3)
    folds = cross_fitting.fold_numbers([f"shop/{n}" for n in range(12)], 3)
    assert sorted(folds) == [0] * 4 + [1] * 4 + [2] * 4
    arguments = ("embedder", make, taught(), folds, settings, tmp_path)
    odds = cross_fitting.cross_fit(*arguments)
    assert make.made == 3
    (tmp_path / "embedder-1.npz").unlink()
    again = cross_fitting.cross_fit(*arguments)
    assert make.made == 4
    assert all((a == b).all() for a, b in zip(odds, again, strict=True))
    # The labels of a session do not count in what is said of it.
    other = [1 - own if fold == 0 else own for own, fold in zip(TOGETHER, folds, strict=True)]
    changed = cross_fitting.cross_fit("other", make, taught(other), folds, settings, tmp_path)
    for n, fold in enumerate(folds):
        assert (changed[n] == odds[n]).all() == (fold == 0)


def test_one_session_is_refused() -> None:
    with pytest.raises(KdbError, match="one training session"):
        cross_fitting.fold_numbers(["shop/1"], 3)
