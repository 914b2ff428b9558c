"""`kdb extract pattern --spark MASTER` finds what the embedded engine finds, and is as quiet."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import msgspec
import numpy as np
import pytest

from kdb.errors import KdbError
from kdb.extraction import spark
from kdb.records import Session
from kdb.retrieval import itemsets
from kdb.retrieval.association_rules import MiningConfig, Transaction, association_rules, mine, transactions
from kdb.retrieval.itemsets import Engine

needs_pyspark = pytest.mark.skipif(not find_spec("pyspark"), reason="needs PySpark: pip install 'kdb[spark]'")
needs_spark = pytest.mark.skipif(not find_spec("pyspark") or not spark.java(), reason="needs kdb[spark] and Java")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with spark.engine() as frequent:
        yield frequent


@pytest.fixture(scope="module")
def generated() -> list[Transaction]:
    """50,000 bundles of up to six of 200 categories, some twice, of falling popularity."""
    rng = np.random.default_rng(0)
    popularity = 1 / np.arange(1, 201)
    drawn = rng.choice(200, (50_000, 6), p=popularity / popularity.sum())
    sizes = rng.integers(2, 7, len(drawn))
    return [
        Transaction(str(n), frozenset(((str(c),), row[:k].count(c)) for k, c in enumerate(row, 1)))
        for n, row in enumerate(values[:size] for values, size in zip(drawn.tolist(), sizes.tolist(), strict=True))
    ]


@needs_spark
def test_itemsets_and_rules_are_the_same(engine, generated) -> None:
    things, mining = [bundle.things for bundle in generated], MiningConfig(1, 0.003, 0.1, 3)
    ours, theirs = itemsets.frequent(things, 150, 3), engine(things, 150, 3)
    assert len(ours) > 300
    assert theirs == ours
    rules = set(association_rules(ours, mining))
    assert len(rules) > 100
    assert set(association_rules(theirs, mining)) == rules


@needs_spark
def test_a_support_that_is_met_exactly_counts(engine, generated) -> None:
    """7 of 100 is a little more than a share of 0.07 in floating point."""
    things = [bundle.things for bundle in generated[:100]]
    ours = itemsets.frequent(things, 7, 2)
    assert 7 in ours.values()
    assert engine(things, 7, 2) == ours
    assert engine(things, 8, 2) == {itemset: count for itemset, count in ours.items() if count > 7}


@needs_spark
def test_rules_are_the_same_on_electronic(kdb, electronic, engine) -> None:
    options = ["--titles", electronic / "item_titles_extra.csv", "--split-file", electronic / "split.json"]
    lines = kdb("import", electronic, *options, "--split", "train", "--empty", "drop").out.splitlines()
    bundles = [b for line in lines for b in transactions(msgspec.json.decode(line, type=Session), 4)]
    for mining in (MiningConfig(4, 0.005, 0.2, 3), MiningConfig(4, 0.002, 0.0, 4)):
        ours = mine("electronic", bundles, mining)
        assert len(ours) > 200
        assert mine("electronic", bundles, mining, engine) == ours


@needs_spark
def test_spark_is_not_heard(kdb, samples, tmp_path) -> None:
    ours = kdb("extract", "pattern", samples / "sessions.jsonl")
    theirs = kdb("extract", "pattern", "--spark", "local[*]", samples / "sessions.jsonl", cwd=tmp_path)
    assert theirs == ours
    assert not list(tmp_path.iterdir())


@needs_spark
def test_a_master_that_is_none_is_one_line(kdb) -> None:
    done = kdb("extract", "pattern", "--spark", "nonsense")
    assert (done.code, done.stdout) == (1, "")
    assert "kdb: Spark at nonsense: " in done.stderr.splitlines()[-1]


@needs_pyspark
def test_without_java_it_says_what_to_install() -> None:
    environ = {**os.environ, "JAVA_HOME": "/nowhere"}
    command = [sys.executable, "-m", "kdb", "extract", "pattern", "--spark", "local[*]"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "kdb: --spark needs Java (install version 17 or later, or set JAVA_HOME)\n"


def test_without_pyspark_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(spark, "find_spec", lambda name: None)
    with pytest.raises(KdbError, match=r"needs PySpark \(pip install 'kdb\[spark\]'\)"), spark.engine():
        pass


def submit(samples: Path, script: str, *options: object) -> subprocess.CompletedProcess[str]:
    """Run a script of the samples on two local cores."""
    tool = Path(sys.executable).with_name("spark-submit")
    argv = [tool, "--master", "local[2]", samples / "spark" / script, *options]
    environment = os.environ | {
        "PATH": f"{tool.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(samples.parent),
        "PYSPARK_PYTHON": sys.executable,
    }
    return subprocess.run([*map(str, argv)], env=environment, capture_output=True, text=True)


def parts(folder: Path) -> list[bytes]:
    """The lines of all partitions, in order."""
    return [line for part in sorted(folder.glob("part-*")) for line in part.read_bytes().splitlines()]


@needs_spark
def test_sessions_of_a_log_are_those_of_import(kdb, samples: Path, tmp_path: Path) -> None:
    log, items = samples / "shop" / "clicks.csv", samples / "shop" / "items.csv"
    done = submit(samples, "sessions.py", log, items, tmp_path / "out", "shop", "1800", "view,cart")
    assert done.returncode == 0, done.stderr
    lines = parts(tmp_path / "out")
    by_spark = {session["id"]: session for session in map(msgspec.json.decode, lines)}
    argv = ["--catalogue", items, "--events", "view,cart", "--domain", "shop"]
    ours = kdb("import", "--format", "events", log, *argv).records
    assert len(lines) == len(ours) == 160
    for session in ours:
        del session["imported"]
        assert by_spark[session["id"]] == session


@needs_spark
def test_partitions_are_predicted_as_by_one_process(kdb, samples: Path, tmp_path: Path) -> None:
    source = samples / "sessions.jsonl"
    done = submit(samples, "infer.py", source, tmp_path / "out", 2, "--baseline", "all-pairs")
    assert done.returncode == 0, done.stderr
    records = [msgspec.json.decode(line) for line in parts(tmp_path / "out")]
    assert [r["kind"] for r in records].count("run") == 2
    assert len({r["id"] for r in records if r["kind"] == "run"}) == 1
    same = {"run": "", "seconds": 0}
    predictions = [{**r, **same} for r in records if r["kind"] == "prediction"]
    ours = [{**r, **same} for r in kdb("infer", source, "--baseline", "all-pairs").records]
    assert predictions == ours[1:-1]
    assert kdb("eval", "-", stdin=b"\n".join(parts(tmp_path / "out"))).code == 0


@needs_spark
def test_a_failure_reaches_the_driver(samples: Path, tmp_path: Path) -> None:
    done = submit(samples, "infer.py", samples / "sessions.jsonl", tmp_path / "out", 2, "--baseline", "none")
    assert done.returncode == 2
    said = (done.stdout + done.stderr).splitlines()  # spark-submit puts both of a script's on one
    assert any(line.startswith("kdb: baseline 'none' does not exist") for line in said)
