"""How hard sessions are for a student: its loss on the true answer."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kdb.prompts.messages import Query
from kdb.records import Session, SessionKey
from kdb.student import config as configs
from kdb.student.config import MethodConfig, StudentConfig
from kdb.student.methods.build import build_method
from kdb.student.model import load
from kdb.student.trainer import example_losses

BATCH = 8


def session_losses(sessions: Iterable[Session], name: str, adapter: Path | None) -> dict[SessionKey, float]:
    """The loss per answer token on each annotated session, shown without demonstrations or knowledge.

    With an adapter, merged or not, the answer is in its format; without, it is a list. `name` does not matter
    beside an adapter. Per token, because otherwise long sessions would be the hard ones.
    """
    folder = configs.config_folder(name, adapter)
    config = configs.read(folder) if folder else StudentConfig(student=name, method=MethodConfig(answer="list"))
    student = load(config.student if adapter else name, adapter)
    config.context.max_prompt_tokens = student.context_length
    method = build_method(student, config)
    keys, examples = [], []
    for session in sessions:
        if session.truth is not None and len(session.items) > 1:
            own = method.examples(Query(session))
            keys += [session.key] * len(own)
            examples += own
    totals: dict[SessionKey, tuple[float, int]] = {}
    for key, example, loss in zip(keys, examples, example_losses(student, examples, BATCH), strict=True):
        lost, count = totals.get(key, (0.0, 0))
        totals[key] = (lost + loss, count + len(example.answer_positions))
    return {key: lost / count for key, (lost, count) in totals.items()}
