"""Predict bundles on a Spark cluster: each partition of the sessions is one `kdb infer`.

    spark-submit samples/spark/infer.py SESSIONS OUT PARTITIONS [OPTION ...]

SESSIONS are JSON lines, each a session record; OUT becomes a folder with a stream for each partition, in the order
of the input: `cat OUT/part-* | kdb eval`. Each OPTION is one of `kdb infer`, with paths that every worker can read.
A partition loads the model once, and downloads nothing. Where `kdb infer` fails, so does the job, with its exit
code and its message. The executors need the package kdb.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from threading import Thread
from typing import BinaryIO

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession


def piped(options: list[str]) -> Callable[[Iterator[str]], Iterator[str]]:
    """What `kdb infer` makes of the lines of a partition; RuntimeError with its exit code and its last message."""

    def run(lines: Iterator[str]) -> Iterator[str]:
        if (first := next(lines, None)) is None:
            return  # no model is loaded for an empty partition
        # With --window, memory does not grow with the partition, and all of them have one run id.
        argv = [sys.executable, "-m", "kdb", "infer", "--window", "64", *options]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
        with (
            tempfile.TemporaryFile() as said,
            subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=environment
            ) as kdb,
        ):
            Thread(target=feed, args=(chain([first], lines), kdb.stdin), daemon=True).start()
            yield from (line.decode().rstrip("\n") for line in kdb.stdout)
            code = kdb.wait()
            said.seek(0)
            messages = said.read().decode()
        if code:
            raise RuntimeError(f"exit {code}: {messages.splitlines()[-1] if messages else 'no message'}")
        sys.stderr.write(messages)

    return run


def feed(lines: Iterable[str], file: BinaryIO) -> None:
    """Write the lines and close; who no longer reads says why itself."""
    with suppress(BrokenPipeError), file:
        for line in lines:
            file.write(line.encode() + b"\n")


def main(sessions: str, out: str, partitions: str, *options: str) -> None:
    spark = SparkSession.builder.appName("infer").getOrCreate()
    try:
        lines = spark.sparkContext.textFile(sessions, int(partitions))
        lines.mapPartitions(piped(list(options))).saveAsTextFile(out)
    except Py4JJavaError as error:
        found = re.search(r"RuntimeError: exit (\d+): (.*)", str(error))
        if not found:
            raise
        print(found[2], file=sys.stderr)
        sys.exit(int(found[1]))
    finally:
        spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
