"""The `kdb` command line in tests: in this process, or as a process of its own where that is what is tested."""

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"


@dataclass(frozen=True)
class Result:
    """What a finished command left behind."""

    code: int
    out: bytes
    stderr: str

    @property
    def stdout(self) -> str:
        return self.out.decode()

    @property
    def records(self) -> list[dict]:
        """The lines of stdout as JSON objects."""
        return [msgspec.json.decode(line) for line in self.out.splitlines()]


def run_kdb(*argv: object, stdin: str | bytes = b"", cwd: Path | None = None, timeout: float = 300) -> Result:
    """Run `kdb ARGV` in this process. `timeout` is there so that both runners are called alike."""
    from typer.testing import CliRunner

    from kdb.cli.main import app

    data = stdin.encode() if isinstance(stdin, str) else stdin
    with contextlib.chdir(cwd or Path.cwd()):
        done = CliRunner().invoke(app, [str(a) for a in argv], input=data)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Result(done.exit_code, done.stdout_bytes, done.stderr)


def run_process(*argv: object, stdin: str | bytes = b"", cwd: Path | None = None, timeout: float = 300) -> Result:
    """Run `kdb ARGV` as a process, to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "kdb", *map(str, argv)],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        cwd=cwd,
        capture_output=True,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return Result(done.returncode, done.stdout, done.stderr.decode(errors="replace"))
