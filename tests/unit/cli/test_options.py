import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from msgspec import Meta, Struct
from typer.main import get_command
from typer.testing import CliRunner

from kdb.cli import main
from kdb.cli.groups import Commands
from kdb.cli.options import Given, command
from kdb.cli.streams import MessageOptions
from kdb.errors import UsageError

NAMES = {"cosine": "x:y", "linear": "x:z"}


class Lora(Struct):
    r: Annotated[int, Meta(ge=1, description="Rank.")] = 16
    lora_dropout: Annotated[float, Meta(ge=0, lt=1, description="Dropout.", extra={"rare": True})] = 0.0
    hidden: int = 5


@dataclass
class Config:
    url: Annotated[str, Meta(description="Where.", extra={"envvar": "TEST_URL"})]
    schedule: Annotated[str, Meta(description="Schedule", extra={"choices": NAMES})] = "linear"
    mode: Annotated[Literal["a", "b"] | None, Meta(description="Mode.", extra={"default": "as trained"})] = None
    size: Annotated[int | None, Meta(ge=1, description="Size.")] = None
    depth: Annotated[float, Meta(le=1, description="Depth.")] | None = None
    formats: Annotated[list[str], Meta(description="Formats", extra={"separator": ",", "choices": ("p", "q")})] = (
        field(default_factory=list)
    )
    kb: Annotated[list[Path], Meta(description="Files; repeatable.")] = field(default_factory=list)
    dry_run: Annotated[bool, Meta(description="Dry.")] = False
    intents: Annotated[bool, Meta(description="Intents.")] = True
    lora: Lora = field(default_factory=lambda: Lora(r=8))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls a command with options of `Config`: exit code, what it was given, stderr."""
    monkeypatch.delenv("TEST_URL", raising=False)
    seen: list[tuple[Config, Given]] = []
    app = typer.Typer(cls=Commands, rich_markup_mode=None)

    @app.command()
    @command
    def train(messages: MessageOptions, config: Config, given: Given) -> None:
        seen.append((config, given))
        given.refuse("size kb", "--mode b") if config.mode == "b" else None

    @app.command()
    def other() -> None: ...

    def call(*argv: str) -> Any:
        seen.clear()
        result = CliRunner().invoke(app, ["train", *argv])
        return result.exit_code, seen[0] if seen else None, result.output

    return call


def test_fields_become_options_and_absent_ones_keep_their_defaults(run: Any) -> None:
    code, (config, given), _ = run(
        "--url", "u", "--r", "4", "--formats", "p, q", "--kb", "x", "--kb", "y", "--no-intents"
    )
    assert code == 0
    assert config == Config(
        "u", formats=["p", "q"], kb=[Path("x"), Path("y")], intents=False, lora=Lora(r=4, lora_dropout=0.0)
    )
    assert config.schedule == "linear" and config.size is None and not config.dry_run
    assert given == {
        "url": "--url",
        "r": "--r",
        "formats": "--formats",
        "kb": "--kb",
        "intents": "--intents",
    }


def test_an_inner_default_of_the_outer_class_is_kept(run: Any) -> None:
    _, (config, _), _ = run("--url", "u", "--set", "lora_dropout=0.5")
    assert config.lora == Lora(r=8, lora_dropout=0.5)


def test_order_environment_file_set_option(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.toml"
    file.write_text('url = "file"\nr = 2\nlora_dropout = 0.25\nkb = ["one"]\n')
    monkeypatch.setenv("TEST_URL", "environment")
    _, (config, given), _ = run()
    assert config.url == "environment" and given == {"url": "TEST_URL"}
    _, (config, given), _ = run("--config", str(file), "--set", "lora_dropout=0.75", "--r", "3")
    assert (config.url, config.lora.r, config.lora.lora_dropout, config.kb) == ("file", 3, 0.75, [Path("one")])
    assert given["url"] == f"{file}: url" and given["lora_dropout"] == "--set lora_dropout"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--r", "0"], "--r 0: expected int >= 1"),
        (["--r", "many"], "--r many: expected int, got str"),
        (["--size", "0"], "--size 0: expected int >= 1"),
        (["--depth", "1.5"], "--depth 1.5: expected float <= 1.0"),
        (
            ["--schedule", "cosin"],
            "--schedule 'cosin' does not exist (did you mean 'cosine'? one of: cosine, linear)",
        ),
        (["--mode", "c"], "--mode 'c' does not exist (one of: a, b)"),
        (["--formats", "p,z"], "--formats 'z' does not exist (one of: p, q)"),
        (["--set", "lora_dropout=1"], "--set lora_dropout 1: expected float < 1.0"),
        (
            ["--set", "lora_droput=1"],
            "--set: setting 'lora_droput' does not exist (did you mean 'lora_dropout'? one of: quiet, debug, "
            "url, schedule, mode, size, depth, formats, kb, dry_run, intents, r, lora_dropout)",
        ),
        (["--set", "r"], "--set r: not NAME=VALUE"),
        (["--set", "r=2", "--r", "3"], "--set r and --r are the same (leave out one of them)"),
        (["--mode", "b", "--size", "3"], "--size has no effect with --mode b (leave out one of them)"),
        (["--shedule", "linear"], "no such option: --shedule (did you mean --schedule? see root train --help)"),
    ],
)
def test_wrong_values_are_one_line_and_exit_2(run: Any, argv: list[str], message: str) -> None:
    code, _, output = run("--url", "u", *argv)
    assert (code, output) == (2, f"kdb: {message}\n")


def test_a_missing_setting_is_named(run: Any) -> None:
    assert run()[::2] == (2, "kdb: missing option '--url' (env var: 'TEST_URL') (see root train --help)\n")


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ("r = 2.5", 2, "r 2.5: expected int, got float"),
        ('r = "2"', 2, "r 2: expected int, got str"),
        ("r =", 1, "not TOML"),
        ("rr = 2", 2, "setting 'rr' does not exist (did you mean 'r'?"),
    ],
)
def test_a_file_is_checked_like_options(run: Any, tmp_path: Path, content: str, code: int, message: str) -> None:
    file = tmp_path / "a.toml"
    file.write_text(content)
    found = run("--url", "u", "--config", str(file))
    assert found[0] == code and message in found[2] and str(file) in found[2]
    assert found[2].count("\n") == 1


def test_given_refuses_only_what_was_given() -> None:
    given = Given(seed="--seed", epochs="--set epochs")
    given.refuse("steps batch", "--dry-run")
    with pytest.raises(UsageError) as error:
        given.refuse("seed steps epochs", "--dry-run")
    assert error.value.message == "--seed, --set epochs have no effect with --dry-run"


# ---- the help of kdb itself


def commands() -> Iterator[tuple[list[str], Any]]:
    def walk(path: list[str], found: Any) -> Iterator[tuple[list[str], Any]]:
        yield path, found
        for name in found.list_commands(None) if hasattr(found, "list_commands") else ():
            yield from walk([*path, name], found.get_command(None, name))

    yield from walk([], get_command(main.app))


COMMANDS = list(commands())


def help_of(path: list[str], columns: int) -> list[str]:
    # click asks the terminal for its width, which a test has none of
    result = CliRunner(env={"COLUMNS": str(columns)}).invoke(main.app, [*path, "--help"], terminal_width=columns)
    assert result.exit_code == 0
    return result.stdout.rstrip("\n").split("\n")


def test_the_commands_stand_in_the_order_of_the_pipe() -> None:
    listed = "\n".join(help_of([], 80)).partition("Commands:")[2]
    found = re.findall(r"(?m)^  ([a-z]+) ", listed)
    pipe = ["import", "extract", "select", "train", "infer", "collect", "eval", "report"]
    assert found == [*pipe, "export", "rate", "why", "grid", "prompts"]


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("path", [path for path, _ in COMMANDS], ids=" ".join)
def test_lines_of_help_are_wrapped_evenly(path: list[str], columns: int) -> None:
    lines = help_of(path, columns)
    assert max(map(len, lines)) <= columns
    text = "\n".join(lines).partition("\n\n")[2].partition("\n\nOptions:")[0].split("\n")
    for line, after in pairwise(text):
        if line.strip() and after.strip() and not re.match(r"  Example:|\w+:|  \S+.*  |      ", line):
            # a line ends where the next word would not fit, so that no short line stands within a paragraph
            assert len(line) + 1 + len(after.split()[0]) > columns - 2, (line, after)


@pytest.mark.parametrize("path", [path for path, _ in COMMANDS], ids=" ".join)
def test_every_help_ends_with_one_example(path: list[str]) -> None:
    text = "\n".join(help_of(path, 80))
    assert text.count("Example: kdb ") == 1
    assert text.rpartition("\n\n")[2].startswith("  Example: kdb ")


def test_short_helps_are_whole() -> None:
    for path, found in COMMANDS:
        if hasattr(found, "commands"):
            listed = "\n".join(help_of(path, 80)).partition("Commands:")[2]
            assert listed and "..." not in listed


STREAMS = {"output", "force", "rejects", "quiet", "debug", "set_", "config_"}


@pytest.mark.parametrize("found", [found for _, found in COMMANDS if not hasattr(found, "commands")])
def test_a_command_has_at_most_20_options_of_its_own(found: Any) -> None:
    own = [p.name for p in found.params if p.param_type_name == "option" and p.name not in STREAMS]
    assert len(own) <= 20, own
