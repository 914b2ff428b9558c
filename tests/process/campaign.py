"""The fault campaign: commands are killed, doubled, starved of disk and served badly, and end as if nothing was.

    python tests/process/campaign.py --trials 300 --table tests/process/campaign.md

After each fault the same command is run again: it ends in the bytes of an undisturbed run, nothing that was
answered is asked again, and nothing is lost. All chances come from the seed, but not the moments of a busy machine.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # as a script, beside `support`

import msgspec
from golden import stable
from support.command_line import ROOT, SAMPLES
from support.fake_teacher import FakeTeacher, running
from support.killing import answered, kill, messages

SESSIONS = 12
GRID = """
title = "A grid to be killed"
[extract]
thought = "--sessions 12 --concurrency 2 --cache cache"
[[cells]]
name = "pairs"
infer = "--baseline all-pairs"
[[cells]]
name = "SFT"
train = "--student {student} --answer labels --no-intents --set r=4 --set precision=fp32 --max-steps 3"
"""
FAULTS = ("500", "429", "close", "hang", "broken", "empty", "html", "null", "blank", "error", "other model")
WAIT = 600.0


class FullDisksNeedRoot(Exception):
    """No small file system can be mounted here."""


@dataclass
class Lab:
    """A folder with input, a server that counts, and what undisturbed runs gave."""

    folder: Path
    chance: random.Random
    teacher: FakeTeacher
    url: str
    number: int = 0

    def __post_init__(self) -> None:
        lines = (SAMPLES / "sessions.jsonl").read_bytes().splitlines(keepends=True)
        by_split = {split: [o for o in lines if f'"split":"{split}"'.encode() in o] for split in ("train", "test")}
        (self.folder / "train.jsonl").write_bytes(b"".join(by_split["train"][:SESSIONS]))
        (self.folder / "test.jsonl").write_bytes(b"".join(by_split["test"]))
        self.calm: dict[str, tuple[bytes, float]] = {}
        self.calm_grid: tuple[dict[str, object], float] | None = None

    def place(self) -> Path:
        """A new folder for one trial."""
        self.number += 1
        place = self.folder / f"trial-{self.number}"
        place.mkdir()
        return place

    def extract(self, place: Path, *more: str) -> list[str]:
        teacher = ["--teacher", self.url, "--model", "m", "--cache", str(place / "cache"), "--concurrency", "2"]
        return ["extract", "thought", str(self.folder / "train.jsonl"), *teacher, *more, "-o", str(place / "out")]

    def infer(self, place: Path) -> list[str]:
        return ["infer", str(self.folder / "test.jsonl"), "--baseline", "all-pairs", "-o", str(place / "out")]

    def eval(self, place: Path) -> list[str]:
        self.undisturbed("infer", self.infer)
        return ["eval", str(self.folder / "infer-calm"), "--format", "records", "-o", str(place / "out")]

    def undisturbed(self, name: str, command: Callable[[Path], list[str]]) -> tuple[bytes, float]:
        """The output of a run that nothing disturbed, and how long it took."""
        if name not in self.calm:
            place = self.place()
            began = time.monotonic()
            code, said = ended(started(command(place)))
            assert code == 0, said
            out = (place / "out").read_bytes()
            (self.folder / f"{name}-calm").write_bytes(out)
            self.calm[name] = out, time.monotonic() - began
        return self.calm[name]

    def killed(self, argv: list[str], seconds: float) -> None:
        """A run of it, killed at a moment that may lie anywhere up to its end."""
        self.killed_later(started(argv), seconds)

    def killed_later(self, run: subprocess.Popen[bytes], seconds: float) -> None:
        """It and all that it started are killed at such a moment."""
        time.sleep(self.chance.uniform(0.2, 1.0) * seconds)
        kill(run)

    def make(self, place: Path) -> subprocess.Popen[bytes]:
        """A grid becomes rules, and make runs its cells in `place`, whatever was made before."""
        (self.folder / "grid.toml").write_text(GRID.format(student=_tiny_student(self.folder)))
        kdb, data = f"{sys.executable} -m kdb", SAMPLES / "kitchen"
        rules = f"{kdb} grid ../grid.toml --data {data} --out out --quiet --force -o grid.mk"
        script = f"{rules} && make --silent -f grid.mk KDB='{kdb}' cells"
        environment = {**_environment(), "KDB_TEACHER_URL": self.url, "KDB_TEACHER_MODEL": "m"}
        return subprocess.Popen(
            ["bash", "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=place,
            env=environment,
            start_new_session=True,
        )


def started(argv: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "kdb", *argv]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment(), start_new_session=True
    )


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def ended(run: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Its exit code and its words, of which there are few and no traceback."""
    _, said = run.communicate(timeout=WAIT)
    words = said.decode()
    assert "Traceback" not in words and "unexpected" not in words, words
    summary = [line for line in words.splitlines() if not line.startswith("kdb: session ")]
    assert run.returncode == 0 or len(summary) <= 4, words
    return run.returncode, words


def same(found: bytes, wanted: bytes) -> None:
    """The same records, but for the time that a run took."""
    assert _timeless(found) == _timeless(wanted)


def _timeless(held: bytes) -> object:
    """What a file holds; without times where it is a run record, or begins with one."""
    if held.startswith(b'{\n  "kind": "run"'):
        return stable(msgspec.json.decode(held))
    if held.startswith(b'{"kind":"run"'):
        return [stable(msgspec.json.decode(line)) for line in held.splitlines()]
    return held


def knowledge(out: bytes) -> list[bytes]:
    return [line for line in out.splitlines() if not line.startswith(b'{"kind":"run"')]


def _unsigned(lines: list[bytes]) -> list[bytes]:
    """Knowledge without who said it, which its id depends on too."""
    records = [msgspec.json.decode(line) for line in lines]
    names = ("teacher", "id")
    return [
        msgspec.json.encode({k: v for k, v in r.items() if r["kind"] != "knowledge" or k not in names})
        for r in records
    ]


def extract_killed(lab: Lab) -> None:
    """Killed once or twice; what was in the cache by then is not asked again."""
    wanted, seconds = lab.undisturbed("extract", lab.extract)
    place = lab.place()
    for _ in range(lab.chance.randint(1, 2)):
        lab.killed(lab.extract(place, "--force"), seconds)
    known, before = answered(place / "cache"), len(lab.teacher.received)
    code, said = ended(started(lab.extract(place, "--force")))
    assert code == 0, said
    assert (place / "out").read_bytes() == wanted
    asked = messages(lab.teacher.received[before:])
    assert len(asked) == len(set(asked)) and not known & set(asked)


def infer_killed(lab: Lab) -> None:
    """Killed, then finished by --resume where it left anything, else run again."""
    wanted, seconds = lab.undisturbed("infer", lab.infer)
    place = lab.place()
    lab.killed(lab.infer(place), seconds)
    argv = lab.infer(place)
    if (place / "out.kdb-part").exists() and lab.chance.random() < 0.5:
        argv = [*argv[:-2], "--resume", str(place / "out")]
    elif (place / "out").exists():
        argv.append("--force")
    code, said = ended(started(argv))
    assert code == 0, said
    same((place / "out").read_bytes(), wanted)
    assert [path.name for path in place.iterdir()] == ["out"]


def eval_killed(lab: Lab) -> None:
    """Killed, then run again."""
    wanted, seconds = lab.undisturbed("eval", lab.eval)
    place = lab.place()
    lab.killed(lab.eval(place), seconds)
    if not (place / "out").exists():
        code, said = ended(started(lab.eval(place)))
        assert code == 0, said
    assert (place / "out").read_bytes() == wanted


def train_killed(lab: Lab) -> None:
    """Killed at any moment, then gone on with: the same weights."""
    student = _tiny_student(lab.folder)
    names = ("adapter_model.safetensors", "kdb.json")

    def command(place: Path) -> list[str]:
        small = ["--answer", "list", "--no-intents", "--set", "r=4", "--set", "precision=fp32", "--max-steps", "4"]
        return ["train", str(lab.folder / "train.jsonl"), "--student", student, *small, "-o", str(place / "ad")]

    if "train" not in lab.calm:
        place, began = lab.place(), time.monotonic()
        code, said = ended(started(command(place)))
        assert code == 0, said
        lab.calm["train"] = b"".join((place / "ad" / name).read_bytes() for name in names), time.monotonic() - began
    wanted, seconds = lab.calm["train"]
    place = lab.place()
    lab.killed(command(place), seconds)
    if not (place / "ad").exists():
        code, said = ended(started([*command(place), "--resume"]))
        assert code == 0, said
    assert b"".join((place / "ad" / name).read_bytes() for name in names) == wanted
    assert [path.name for path in place.iterdir()] == ["ad"]


def grid_killed(lab: Lab) -> None:
    """make and what it runs are killed once or twice; then it makes the same files, and asks nothing twice."""
    if lab.calm_grid is None:
        place, began = lab.place(), time.monotonic()
        code, said = ended(lab.make(place))
        assert code == 0, said
        lab.calm_grid = _made(place), time.monotonic() - began
    wanted, seconds = lab.calm_grid
    place = lab.place()
    for _ in range(lab.chance.randint(1, 2)):
        lab.killed_later(lab.make(place), seconds)
    known, before = answered(place / "cache"), len(lab.teacher.received)
    code, said = ended(lab.make(place))
    assert code == 0, said
    assert _made(place) == wanted
    asked = messages(lab.teacher.received[before:])
    assert len(asked) == len(set(asked)) and not known & set(asked)


def _made(place: Path) -> dict[str, object]:
    """What a grid made, by file: its bytes; of run records and predictions all but the time that they took."""
    files = [path for path in (place / "out").rglob("*") if path.is_file()]
    return {str(path.relative_to(place)): _timeless(path.read_bytes()) for path in files}


def two_on_one_cache(lab: Lab) -> None:
    """Two runs at once with one cache: each question is asked once, and both have all answers."""
    wanted, _ = lab.undisturbed("extract", lab.extract)
    place, before = lab.place(), len(lab.teacher.received)
    second = [*lab.extract(place)[:-1], str(place / "second")]
    runs = [ended(run) for run in [started(lab.extract(place)), started(second)]]
    assert [code for code, _ in runs] == [0, 0], runs
    assert (place / "out").read_bytes() == (place / "second").read_bytes() == wanted
    asked = messages(lab.teacher.received[before:])
    assert len(asked) == len(set(asked))


def two_on_one_output(lab: Lab) -> None:
    """Two runs at once with one output: one writes it whole, the other is refused or comes after it."""
    wanted, _ = lab.undisturbed("extract", lab.extract)
    place = lab.place()
    runs = [started(lab.extract(place)), started(lab.extract(place))]
    codes = [ended(run)[0] for run in runs]
    assert sorted(codes) in ([0, 1], [0, 2]), codes
    assert (place / "out").read_bytes() == wanted


def full_disk(lab: Lab) -> None:
    """Cache and output on a disk that is full at some byte; with room, the same command goes on."""
    wanted, _ = lab.undisturbed("extract", lab.extract)
    place = lab.place()
    with _small_disk(place, lab.chance.randint(8, 400)) as grow:
        before = len(lab.teacher.received)
        code, said = ended(started(lab.extract(place)))
        assert code in (0, 1), said
        paid = len(lab.teacher.received) - before
        if code == 1:
            assert said.splitlines()[-1].startswith("kdb: "), said
            grow()
            code, said = ended(started(lab.extract(place, "--force")))
            assert code == 0, said
        assert knowledge((place / "out").read_bytes()) == knowledge(wanted)
        lost = len(lab.teacher.received) - before - SESSIONS
        in_flight = 2 + 1  # and the one that could not be kept
        assert lost <= min(paid, in_flight), f"{lost} answers were paid for and lost"


def bad_server(lab: Lab) -> None:
    """The server fails some times in one way; whatever had an answer is not asked again.

    What another model answered is knowledge of that model, and says so.
    """
    wanted, _ = lab.undisturbed("extract", lab.extract)
    place = lab.place()
    lab.teacher.fault, lab.teacher.times = lab.chance.choice(FAULTS), lab.chance.randint(1, 6)
    answers_before = lab.teacher.answered.total()
    fault = (lab.teacher.fault, lab.teacher.times)
    try:
        code, said = ended(started(lab.extract(place, "--timeout", "2", "--retries", "1")))
    finally:
        lab.teacher.times = 0
    known, before = answered(place / "cache"), len(lab.teacher.received)
    if code:
        code, said = ended(started(lab.extract(place, "--force")))
    assert code == 0, (fault, said)
    found = knowledge((place / "out").read_bytes())
    if fault[0] == "other model":
        records = [msgspec.json.decode(line) for line in found]
        teachers = [record["teacher"] for record in records if record["kind"] == "knowledge"]
        assert teachers.count("tiny-fallback-1b") == fault[1] and set(teachers) <= {"m", "tiny-fallback-1b"}, fault
        found, wanted = _unsigned(found), b"\n".join(_unsigned(knowledge(wanted)))
    assert found == knowledge(wanted), fault
    assert not known & set(messages(lab.teacher.received[before:])), fault
    assert lab.teacher.answered.total() - answers_before >= SESSIONS


SCENARIOS: dict[str, Callable[[Lab], None]] = {
    "extract, killed": extract_killed,
    "infer, killed": infer_killed,
    "eval, killed": eval_killed,
    "train, killed": train_killed,
    "grid, killed": grid_killed,
    "two runs, one cache": two_on_one_cache,
    "two runs, one output": two_on_one_output,
    "a full disk": full_disk,
    "a bad server": bad_server,
}
WEIGHTS = {"extract, killed": 6, "infer, killed": 4, "eval, killed": 3}
"""How often a scenario is drawn, against once of the others."""


@contextmanager
def laboratory(folder: Path, seed: int) -> Iterator[Lab]:
    """A lab whose server answers after a moment."""
    teacher = FakeTeacher(latency=0.03)
    with running(teacher) as url:
        yield Lab(folder, random.Random(seed), teacher, url)


@contextmanager
def _small_disk(place: Path, kilobytes: int) -> Iterator[Callable[[], None]]:
    """`place` is a file system of so many kilobytes, which can be made larger."""
    options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)]
    if subprocess.run(["mount", *options], capture_output=True).returncode:
        raise FullDisksNeedRoot
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=50m", str(place)], check=True) and None
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _tiny_student(folder: Path) -> str:
    """A student of two small layers, made once."""
    from support.students import make_tiny

    path = folder / "tiny"
    if not path.exists():
        make_tiny(path)
    return str(path)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=SCENARIOS, help="this fault alone")
    parser.add_argument("--table", type=Path)
    given = parser.parse_args()
    counts = {name: [0, 0, 0] for name in SCENARIOS}  # tried, failed, could not be tried
    with tempfile.TemporaryDirectory() as scratch, laboratory(Path(scratch), given.seed) as lab:
        names = [name for name in SCENARIOS for _ in range(WEIGHTS.get(name, 1))]
        names = [given.only] if given.only else names
        for trial in range(given.trials):
            name = lab.chance.choice(names)
            counts[name][0] += 1
            try:
                SCENARIOS[name](lab)
            except FullDisksNeedRoot:
                counts[name][2] += 1
            except AssertionError as error:
                counts[name][1] += 1
                line = traceback.extract_tb(error.__traceback__)[-1].lineno
                print(f"trial {trial}, {name}, line {line}: {str(error)[:500]}", file=sys.stderr)
    rows = [f"| {name} | {tried} | {failed} | {untried} |" for name, (tried, failed, untried) in counts.items()]
    table = "\n".join(["| Fault | Trials | Failed | Could not be tried |", "|---|---|---|---|", *rows, ""])
    print(table)
    if given.table:
        text = f"`python tests/process/campaign.py --trials {given.trials} --seed {given.seed}` printed:\n\n{table}"
        given.table.write_text(text)
    sys.exit(any(failed for _, failed, _ in counts.values()))


if __name__ == "__main__":
    main()
