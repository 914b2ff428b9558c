"""`kdb --help` lists the commands without importing any of them, or what they need."""

import subprocess
import sys

from kdb.cli.main import COMMANDS

PROGRAM = """\
import sys
from kdb.cli.main import main
sys.argv = ["kdb", *sys.argv[1:]]
try:
    main()
finally:
    print("\\n".join(sys.modules), file=sys.stderr)
"""


def modules(*argv: str) -> tuple[str, set[str]]:
    """What a fresh process prints, and the modules that it has imported then."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, *argv], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout, set(done.stderr.splitlines())


def test_help_imports_no_command() -> None:
    printed, imported = modules("--help")
    places = {where.partition(":")[0] for where, _ in COMMANDS.values()}
    assert all(f"  {name} " in printed for name in COMMANDS)
    assert "kdb.cli.main" in imported
    assert not imported & (places | {"kdb.stages", "kdb.io", "kdb.records", "numpy", "polars", "torch"})


def test_the_help_of_a_command_imports_no_other() -> None:
    _, imported = modules("collect", "--help")
    places = {where.partition(":")[0] for where, _ in COMMANDS.values()}
    assert imported & places == {"kdb.cli.collect"}
