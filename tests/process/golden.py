"""What the commands print on the samples, without ids, times and versions.

`python tests/process/golden.py` records it anew; `test_golden.py` compares. Moving or renaming code changes nothing
here. What was meant to change is recorded anew, and the difference is read before it is committed.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # as a script, beside `support`

import msgspec
from support.command_line import SAMPLES, run_kdb

GOLDEN = Path(__file__).parent / "golden"
SESSIONS = f"{SAMPLES}/sessions.jsonl"

CASES = {
    "import-folder": f"import {SAMPLES}/kitchen --split-file {SAMPLES}/kitchen/split.json",
    "import-jsonl": f"import {SESSIONS} --format jsonl --split test -o test.jsonl",
    "train-part": f"import {SESSIONS} --format jsonl --split train,validation -o known.jsonl",
    "pattern": "extract pattern known.jsonl -o patterns.jsonl",
    "rule": "extract rule patterns.jsonl --teacher annotations -o rules.jsonl",
    "thought": "extract thought rules.jsonl --teacher annotations -o kb.jsonl",
    "select-random": "select kb.jsonl --strategy random --amount 0.3",
    "select-length": "select kb.jsonl --strategy length --amount 0.3",
    "select-diversity": "select kb.jsonl --strategy diversity --amount 0.3",
    "whole-session": "infer test.jsonl --baseline whole-session -o whole-session.jsonl",
    "clusters": "infer test.jsonl --baseline clusters --kb kb.jsonl -o clusters.jsonl",
    "patterns": "infer test.jsonl --baseline pattern-matching --kb kb.jsonl",
    "pair-classifier": "infer test.jsonl --baseline pair-classifier --kb kb.jsonl",
    "partition": "infer test.jsonl --baseline partition-crf-frozen --kb kb.jsonl -o partition.jsonl",
    "eval": "eval whole-session.jsonl clusters.jsonl partition.jsonl -o metrics.jsonl",
    "eval-scores": "eval clusters.jsonl --per-session",
    "why": "why 5 --domain kitchen --run partition.jsonl --kb kb.jsonl",
    "prompt-thought": f"prompts show thought {SESSIONS}",
    "prompt-rule": f"prompts show rule_generate {SESSIONS}",
    "grid": f"grid {SAMPLES}/grids/smoke.toml --data {SAMPLES}/kitchen --out out",
}

CHANGING = {"run", "runs", "id", "seconds", "versions", "measured", "inputs", "prompt", "hash", "contradicts"}
CHANGING |= {"knowledge", "prompt_hash", "v"}
ITEM_LISTS = {"items", "bundles", "truth"}


def stable(value: object, top: bool = True) -> object:
    """A record without what another version or another run of the same version may change."""
    if isinstance(value, dict):
        session = value.get("kind") in ("session", "prediction", "score")
        return {
            key: value_ if key in ITEM_LISTS else stable(value_, False)
            for key, value_ in value.items()
            if key not in CHANGING or (key == "id" and session)
        }
    return [stable(one, False) for one in value] if isinstance(value, list) else value


def recorded(folder: Path) -> dict[str, str]:
    """What each command prints, in a folder that holds what those before it wrote."""
    found = {}
    for name, line in CASES.items():
        argv = line.split()
        done = run_kdb(*argv, cwd=folder)
        if done.code:
            raise RuntimeError(f"kdb {line}: {done.stderr}")
        out = (folder / argv[-1]).read_text() if "-o" in argv else done.stdout
        found[name] = "\n".join(_shown(text) for text in out.splitlines()) + "\n"
    return found


def _shown(line: str) -> str:
    if line.startswith('{"kind"'):
        encoded = msgspec.json.encode(stable(msgspec.json.decode(line))).decode()
        return re.sub(r'"[0-9a-f]{16}"', '"HASH"', encoded)
    line = re.sub(r"\b[0-9a-f]{12,64}\b|(?<=-)[0-9a-f]{8}\b", "HASH", line).replace(str(SAMPLES), "samples")
    return re.sub(r"\d+\.\d+ s(econds)?\b", "SECONDS", line).replace(sys.executable, "python")


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name, text in recorded(Path(scratch)).items():
            (GOLDEN / f"{name}.txt").write_text(text)
