"""Frequent itemsets by Spark MLlib's FP-growth: on this machine, or on the cluster whose master is given."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from kdb.errors import KdbError
from kdb.retrieval.itemsets import Engine, Itemsets, T, Transactions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOCAL = "local[*]"
"""The master that is this machine, with all of its processors."""


def require() -> None:
    """Stop where Spark cannot run, saying what to install."""
    if not find_spec("pyspark"):
        raise KdbError("--spark needs PySpark", "pip install 'kdb[spark]'")
    if not java():
        raise KdbError("--spark needs Java", "install version 17 or later, or set JAVA_HOME")


@contextmanager
def engine(master: str = LOCAL) -> Iterator[Engine[Any]]:
    """What `kdb.retrieval.itemsets.frequent` is, computed by Spark, which runs until the block ends."""
    require()
    # Half of Spark's messages are on things that nobody asked for; the one that matters is picked from the log.
    with tempfile.TemporaryFile() as log, warnings.catch_warnings(action="ignore"):
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        try:
            with _started(master, log) as session:
                yield lambda transactions, fewest, most: _frequent(session, transactions, fewest, most)
        except (Py4JError, PySparkException) as error:
            hint = (
                "" if master.startswith("local") else "is that a master that runs, and can it reach this machine?"
            )
            raise KdbError(f"Spark at {master}: {_reason(error, log)}", hint) from None


def java() -> str | None:
    """Where Java is, as Spark looks for it."""
    home = os.environ.get("JAVA_HOME")
    return shutil.which("java", path=str(Path(home, "bin")) if home else None)


def _started(master: str, log: IO[bytes]) -> SparkSession:
    """A session with the master; what Java prints, on stdout too, goes into the log."""
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    conf = SparkConf().setAppName("kdb extract pattern").setMaster(master).set("spark.ui.enabled", "false")
    if master.startswith("local"):
        conf.set("spark.driver.host", "localhost").set("spark.driver.bindAddress", "127.0.0.1")
    gateway = launch_gateway(conf, popen_kwargs={"stdout": log, "stderr": log})
    return SparkSession(SparkContext(conf=conf, gateway=gateway))


def _frequent(session: SparkSession, transactions: Transactions[T], fewest: int, most: int) -> Itemsets[T]:
    from pyspark.ml.fpm import FPGrowth

    if fewest > len(transactions):
        return {}
    numbers: dict[T, int] = {}
    rows = [([numbers.setdefault(thing, len(numbers)) for thing in t],) for t in transactions]
    # Spark takes a share, and rounds the count that this amounts to up: from half a transaction less to `fewest`.
    growth = FPGrowth(itemsCol="things", minSupport=(fewest - 0.5) / len(rows))
    found = growth.fit(session.createDataFrame(rows, "things array<int>")).freqItemsets
    things = list(numbers)
    # Spark mines itemsets of all sizes.
    few = found.where(f"size(items) <= {most}").collect()
    return {frozenset(things[n] for n in row["items"]): row["freq"] for row in few}


def _reason(error: Exception, log: IO[bytes]) -> str:
    """The line that says what went wrong, of the error or, where Java did not even start, of the log."""
    log.seek(0)
    lines = [*str(error).splitlines(), *log.read().decode(errors="replace").splitlines()]
    told = (re.search(r"(?:Exception|Error): (.*)", line) for line in lines)
    return next((match[1] for match in told if match), lines[0])
