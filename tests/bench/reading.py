"""How near reading comes to the peak of matrix products in bf16 on this machine, and what the rest goes to.

    python tests/bench/reading.py [SESSIONS.jsonl]

By default the sample sessions. The student reads sessions through its first 8 blocks, as the answer format `pairs`
does; only the products of its linear layers count as work, two operations a weight and token. The peak is that of
square products of the student's largest width. Best of some rounds each. Where the time goes is PyTorch's own
profile of one round.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rows import Row, conclude

from kdb.io import stream
from kdb.records import Session
from kdb.student import weights
from kdb.student.config import MethodConfig
from kdb.student.model import load
from kdb.student.pairwise.session_encoder import SessionEncoder

GOAL, ROUNDS, BATCH = 0.75, 5, 16
SAMPLES = Path(__file__).parents[2] / "samples" / "sessions.jsonl"
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "mkldnn")


def best(work: Callable[[], object]) -> float:
    """The seconds of the fastest round."""
    spent = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return min(spent)


def main() -> None:
    """Measure the peak and reading, and profile reading."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES
    read = [line.record for line in stream.read([file], ("session",)) if isinstance(line.record, Session)]
    layers = MethodConfig().encoder_layers
    student = load(weights.STUDENT, precision="bf16")
    encoder = SessionEncoder(student, layers=layers)
    titles = sorted(([item.title for item in session.items] for session in read), key=encoder.length)
    batches = [titles[n : n + BATCH] for n in range(0, len(titles), BATCH)]
    blocks = student.model.base_model.layers[:layers]
    linear = sum(m.weight.numel() for m in blocks.modules() if isinstance(m, torch.nn.Linear))
    work = 2 * linear * sum(map(encoder.length, titles))

    def reading() -> None:
        with torch.inference_mode():
            for batch in batches:
                encoder.token_states(batch)

    size = student.model.config.intermediate_size
    one = torch.randn(size, size, dtype=torch.bfloat16)
    peak = 2 * size**3 / best(lambda: one @ one)
    rate = work / best(reading)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        reading()
    own = {event.key: event.self_cpu_time_total for event in profile.key_averages()}
    total = sum(own.values())
    products = sum(spent for name, spent in own.items() if name.startswith(PRODUCTS)) / total
    print("\n".join(f"{spent / total:6.1%} {name}" for name, spent in sorted(own.items(), key=lambda x: -x[1])[:8]))
    figures = {
        "peak_gflops": peak / 1e9,
        "reading_gflops": rate / 1e9,
        "tokens_a_s": rate / 2 / linear,
        "share_of_time_in_products": products,
    }
    conclude(Row("reading through 8 blocks", "the peak of bf16 products", rate / peak, GOAL, figures))


if __name__ == "__main__":
    main()
