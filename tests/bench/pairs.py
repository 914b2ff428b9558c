"""How fast the default student decides, beside `pair-prompts`, and how its time grows with the items of a session.

    python tests/bench/pairs.py [SESSIONS.jsonl [COUNT]]

By default the sample sessions. Both methods ask the packaged student, untrained, for the log odds of all pairs of
items: `pairs` reads a session twice, through 8 blocks with an adapter and the embedder beside them, and decodes;
`pair-prompts` reads a row an item. In processor time, so that other work on the machine does not show. Loading is
not counted, nor the first round.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rows import Row, conclude

from kdb.io import stream
from kdb.partitions import crf
from kdb.prompts.messages import Query
from kdb.records import Item, Session
from kdb.retrieval.config import ContextConfig
from kdb.student import adapter, weights
from kdb.student.config import LoraConfig, MethodConfig
from kdb.student.methods.pair_prompts import PairPrompts, log_odds
from kdb.student.methods.pairs import EMBEDDER, STUDENT, PairMethod
from kdb.student.model import load
from kdb.student.pairwise.session_encoder import SessionEncoder
from kdb.student.pairwise.stack import PairStack
from kdb.student.pairwise.title_encoder import TitleEncoder

BATCH, ROUNDS, ALIKE = 16, 2, 4
SIZES = (2, 5, 10, 20, 40)
NEAR_LINEAR = 0.8
"""The largest session may take a quarter more than so many of the smallest as have as many items."""
SAMPLES = Path(__file__).parents[2] / "samples" / "sessions.jsonl"


def seconds(work: Callable[[], object]) -> float:
    """The processor time of the last round."""
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        spent = time.process_time() - began
    return spent


def default_method() -> PairMethod:
    """The method of a default student, as it is before training."""
    student, config = load(weights.STUDENT), MethodConfig()
    adapter.attach(student, LoraConfig(), 0, config.encoder_layers)
    method = PairMethod(student, config, ContextConfig())
    learners = {EMBEDDER: TitleEncoder(), STUDENT: SessionEncoder(student, layers=config.encoder_layers)}
    scale = np.array([[0, 0], [1, 1]], dtype=np.float32)
    method.stack = PairStack(None, learners, scale, np.zeros(crf.n_weights(2)))
    return method


def sized(sessions: list[Session], size: int) -> list[Session]:
    """A few sessions of so many items, drawn from all in turn."""
    titles = [item.title for session in sessions for item in session.items]
    drawn = [[titles[(n * size + k) % len(titles)] for k in range(size)] for n in range(ALIKE)]
    return [
        Session(id=str(n), domain="d", items=[Item(str(k), title) for k, title in enumerate(own)])
        for n, own in enumerate(drawn)
    ]


def main() -> None:
    """Measure both, then one size of session after the other."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 16
    read = [line.record for line in stream.read([file], ("session",)) if isinstance(line.record, Session)]
    method, plain = default_method(), load(weights.STUDENT)
    prompts = PairPrompts(plain, 2048)
    encoded = [prompts.encode(Query(session)) for session in read[:count]]

    def decide(sessions: list[Session]) -> None:
        method.predict([[Query(session)] for session in sessions], BATCH)

    own = seconds(lambda: decide(read[:count]))
    other = seconds(lambda: log_odds(plain, prompts, encoded, BATCH))
    grown = {size: seconds(lambda size=size: decide(sized(read, size))) / ALIKE for size in SIZES}
    first, last = SIZES[0], SIZES[-1]
    conclude(
        Row(
            f"{count} sessions decided by pairs",
            "pair-prompts",
            other / own,
            4,
            {"pairs_s_a_session": own / count, "pair_prompts_s_a_session": other / count},
        ),
        Row(
            f"a session of {last} items",
            f"{last // first} sessions of {first}",
            grown[first] * (last // first) / grown[last],
            NEAR_LINEAR,
            {f"s_with_{size}_items": spent for size, spent in grown.items()},
        ),
    )


if __name__ == "__main__":
    main()
