"""The one way by which settings become options: a command takes a dataclass, and its fields are the options."""

from __future__ import annotations

import functools
import inspect
import tomllib
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from msgspec import NODEFAULT, Meta
from typer.models import OptionInfo

from kdb import console, registry
from kdb.cli.exit_codes import guard
from kdb.cli.help_text import reflowed
from kdb.cli.settings import Setting, build, is_settings, settings, text_of
from kdb.cli.streams import MessageOptions
from kdb.errors import KdbError, UsageError
from kdb.io.files import os_errors

METAVARS = {int: "N", float: "X", Path: "PATH"}
LONGEST_METAVAR = 20


class Given(dict[str, str]):
    """What the caller gave: the names of settings and parameters, and how (`--seed`, `--set seed`)."""

    def refuse(self, names: str, because: str) -> None:
        """UsageError if any of these (names with blanks between) was given: it has no effect with `because`.

        What the environment says is meant for other commands too, and refused by none.
        """
        flags = [flag for name in names.split() if (flag := self.get(name, "")) and not flag.isupper()]
        if flags:
            verb = "has" if len(flags) == 1 else "have"
            raise UsageError(f"{', '.join(flags)} {verb} no effect with {because}", "leave out one of them")


def command(function: Callable[..., Any] | None = None, *, rare: str = "") -> Any:
    """The command of `function`: parameters that are settings become options, and errors become exit codes.

    A parameter of type `Given` is handed what the caller gave. All other parameters are Typer's own. `rare` names
    settings (with blanks between) that have no option of their own in this command.
    """
    if function is None:
        return functools.partial(command, rare=rare)
    parameters = inspect.signature(function, eval_str=True).parameters
    kinds = {name: p.annotation for name, p in parameters.items()}
    groups = {
        name: [replace(s, demoted=s.name in rare.split()) for s in settings(kind)]
        for name, kind in kinds.items()
        if is_settings(kind)
    }
    every = {setting.name: setting for group in groups.values() for setting in group}

    @functools.wraps(function)
    def run(ctx: typer.Context, **values: Any) -> None:
        console.configure(quiet=bool(values.get("quiet")))
        with guard(bool(values.get("debug"))):
            given, found = _collect(ctx, values, every)
            arguments: dict[str, Any] = {}
            for name, kind in kinds.items():
                if name in groups:
                    arguments[name] = build(kind, {s.path: found[s.name] for s in groups[name] if s.name in found})
                else:
                    arguments[name] = given if kind is Given else values[name]
            function(**arguments)

    del run.__wrapped__
    shown = [inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    shown += _parameters(parameters, groups)
    run.__doc__ = reflowed(function.__doc__ or "")
    run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in shown}
    return run


def _parameters(
    parameters: Mapping[str, inspect.Parameter], groups: Mapping[str, Sequence[Setting]]
) -> list[inspect.Parameter]:
    """What Typer is shown: options in the order of the command, those that all commands share at the end."""
    own: list[inspect.Parameter] = []
    shared: list[inspect.Parameter] = []
    for name, parameter in parameters.items():
        if name in groups:
            options = [_parameter(s) for s in groups[name] if not s.is_rare]
            (shared if issubclass(parameter.annotation, MessageOptions) else own).extend(options)
        elif parameter.annotation is not Given:
            own.append(_with_metavar(parameter))
    settings_ = [s for group in groups.values() for s in group if s.is_rare]
    rare = [s.name + (f" ({s.named_choices})" if s.named_choices else "") for s in settings_]
    if rare:
        text = f"Set {', '.join(rare)}, or what any option sets; repeatable."
        own.append(_option("set_", list[str], "--set", metavar="NAME=VALUE", help=text))
        text = "Read settings from a TOML file; --set and options go before it."
        own.append(_option("config_", str, "--config", metavar="FILE", help=text))
    return own + sorted(shared, key=lambda p: p.name in MessageOptions.__annotations__)


def _with_metavar(parameter: inspect.Parameter) -> inspect.Parameter:
    """An option that is written for Typer, its value called as that of a setting is."""
    kind, *more = get_args(parameter.annotation)
    setting = Setting((parameter.name,), kind, Meta(), parameter.default)
    if setting.plain is not bool and isinstance(more[0], OptionInfo) and not more[0].metavar:
        info = copy(more[0])
        info.metavar = "|".join(setting.choices) or METAVARS.get(setting.element or setting.plain, "TEXT")
        parameter = parameter.replace(annotation=Annotated[kind, info])
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)


def _option(name: str, kind: Any, *flags: str, default: Any = None, **more: Any) -> inspect.Parameter:
    """A parameter that Typer makes an option of, or without a flag an argument."""
    info: Any = typer.Option(*flags, **more) if flags else typer.Argument(**more)
    optional: Any = kind | None if default is None else kind
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is NODEFAULT else default,
        annotation=Annotated[optional, info],
    )


def _parameter(setting: Setting) -> inspect.Parameter:
    """The option or argument of a setting; what is typed stays text until `Setting.convert`."""
    extra, default = setting.extra, setting.default
    text, metavar = setting.meta.description or "", METAVARS.get(setting.element or setting.plain, "TEXT")
    if choices := setting.choices:
        metavar = "|".join(choices)
        if len(metavar) > LONGEST_METAVAR or "separator" in extra or setting.is_open:
            metavar, text = "NAME", f"{text.rstrip('.')}: {setting.named_choices or ', '.join(choices)}."
    if "default" in extra:
        text += f"  [default: {extra['default']}]"
    shown = "default" not in extra and default not in (NODEFAULT, None, False, "", [])
    more = {"help": text, "show_default": shown, "envvar": extra.get("envvar")}
    if setting.plain is bool:
        flags = extra.get("flags", (setting.flag,))
        if "flags" not in extra and default is not False:
            flags = (f"{setting.flag}/--no-{setting.flag[2:]}",)
        return _option(setting.name, bool, *flags, default=default, **more)
    kind: Any = list[str] if setting.element else str
    if default is not NODEFAULT:
        default = None if setting.element else text_of(default) or None
    flags = () if extra.get("argument") else extra.get("flags", (setting.flag,))
    return _option(setting.name, kind, *flags, default=default, metavar=metavar if flags else None, **more)


def _collect(
    ctx: typer.Context, values: Mapping[str, Any], every: Mapping[str, Setting]
) -> tuple[Given, dict[str, Any]]:
    """How each setting was given, and the values: by the environment, a file, `--set`, or as options."""
    given, found, typed = Given(), {}, {}
    flags = {parameter.name: parameter.opts[-1] for parameter in ctx.command.params}
    for name in values:
        source = getattr(ctx.get_parameter_source(name), "name", "")
        if source == "COMMANDLINE":
            typed[name] = flags[name]
        elif source == "ENVIRONMENT" and name in every:
            given[name] = str(every[name].extra["envvar"])
            found[name] = every[name].convert(values[name], given[name])
    for name, value in _toml(values.get("config_")).items():
        given[name] = f"{values['config_']}: {name}"
        registry.check(every, name, f"{values['config_']}: setting")
        found[name] = every[name].convert(value, given[name], strict=True)
    for name, text in _pairs(values.get("set_") or ()):
        given[name] = f"--set {name}"
        registry.check(every, name, "--set: setting")
        if name in typed:
            raise UsageError(f"{given[name]} and {typed[name]} are the same", "leave out one of them")
        found[name] = every[name].convert(text, given[name])
    found |= {name: every[name].convert(values[name], flag) for name, flag in typed.items() if name in every}
    given.update(typed)
    return given, found


def _pairs(texts: Sequence[str]) -> list[tuple[str, str]]:
    pairs = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set {text}: not NAME=VALUE")
        pairs.append((name.strip(), value.strip()))
    return pairs


def _toml(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    with os_errors(Path(path)):
        data = Path(path).read_bytes()
    try:
        return tomllib.loads(data.decode())
    except ValueError as error:
        raise KdbError(f"{path}: not TOML: {error}") from None
