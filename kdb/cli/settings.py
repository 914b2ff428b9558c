"""The fields of a dataclass or Struct as settings: their types, bounds and texts, and how the object is built.

A field is annotated once, where it is defined, with msgspec's own `Meta`, which also checks what a file gives:

    learning_rate: Annotated[float, Meta(ge=0, description="Peak learning rate.")] = 5e-4
    lora_dropout: Annotated[float, Meta(ge=0, lt=1, description="...", extra={"rare": True})] = 0.0

Keys of `extra`, all of them optional: `rare` (no option of its own: `--set` and `--config` reach it), `flags`
(`("-o", "--output")`), `argument` (positional), `choices` (the names that are valid, such as a registry), `open`
(other names are valid too), `separator` (the values of a list stand in one text), `envvar`, and `default` (what the
help shows as the default).
Fields that are dataclasses or Structs themselves are opened up; a field without a description is no setting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Meta, Struct

from kdb import registry
from kdb.errors import UsageError


@dataclass(frozen=True)
class Setting:
    """One field: the path of attributes that leads to it, its type, what `Meta` says about it, its default."""

    path: tuple[str, ...]
    type: Any
    meta: Meta
    default: Any
    demoted: bool = False
    """Whether one command treats it as rare."""

    @property
    def name(self) -> str:
        """The name of the field, the same in `--set`, in a file and as a parameter."""
        return self.path[-1]

    @property
    def extra(self) -> dict[str, Any]:
        """What `Meta` has no word for."""
        return self.meta.extra or {}

    @property
    def is_rare(self) -> bool:
        """Whether it has no option of its own."""
        return self.demoted or bool(self.extra.get("rare"))

    @property
    def plain(self) -> Any:
        """The type without bounds and without None."""
        kinds = [kind for kind in _members(self.type) if kind is not NoneType]
        return kinds[0] if len(kinds) == 1 else str

    @property
    def element(self) -> Any:
        """The type of the values of a list that is given value by value, else None."""
        is_list = get_origin(self.plain) is list and "separator" not in self.extra
        return get_args(self.plain)[0] if is_list else None

    @property
    def flag(self) -> str:
        """The option, as messages name it."""
        own = self.extra.get("flags")
        return own[-1].partition("/")[0] if own else "--" + self.name.replace("_", "-")

    @property
    def choices(self) -> list[str]:
        """The names that are known, or none where it is not a name."""
        if get_origin(self.plain) is Literal:
            return [str(value) for value in get_args(self.plain)]
        return list(self.extra.get("choices", ()))

    @property
    def is_open(self) -> bool:
        """Whether names that are not known are valid too."""
        return bool(self.extra.get("open"))

    @property
    def named_choices(self) -> str:
        """The names of a registry, as help lists them; nothing where it is not one of those."""
        names = ", ".join(self.choices) if "choices" in self.extra else ""
        return f"{names} and others" if self.is_open else names

    def convert(self, value: Any, shown: str, strict: bool = False) -> Any:
        """The value in the type of the field; UsageError where it does not fit, `shown` says how it was given."""
        if isinstance(value, str) and "separator" in self.extra:
            value = [part.strip() for part in value.split(self.extra["separator"]) if part.strip()]
        elif isinstance(value, str) and self.element:
            value = [value]
        if not self.is_open and self.choices:
            for name in value if isinstance(value, list) else [value]:
                registry.check(self.choices, name, shown)
        if value is None or (value in ("none", "null") and not strict and NoneType in _members(self.type)):
            return None
        try:
            # Bounds around `int | None` are no type that msgspec knows: those of `int` are.
            return msgspec.convert(value, Annotated[self.plain, self.meta], strict=strict, dec_hook=_path)
        except msgspec.ValidationError as error:
            message = re.sub(r" - at `\$.*", "", str(error)).replace("`", "")
            raise UsageError(f"{shown} {text_of(value)}: {message[0].lower()}{message[1:]}") from None


def is_settings(kind: Any) -> bool:
    """Whether a type is one whose fields are settings."""
    return isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, Struct))


def settings(kind: type, path: tuple[str, ...] = ()) -> Iterator[Setting]:
    """The settings that a dataclass or Struct holds, those of inner ones in their place."""
    hints = get_type_hints(kind, include_extras=True)
    for name, default in _defaults(kind):
        hint = hints[name]
        inner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        if is_settings(inner):
            yield from settings(inner, (*path, name))
            continue
        for meta in _metas(hint)[:1]:
            yield Setting((*path, name), hint, meta, default)


def build(kind: type, values: Mapping[tuple[str, ...], Any]) -> Any:
    """The object: the values by their paths, and for all others the defaults of the class."""
    own = {path[0]: value for path, value in values.items() if len(path) == 1}
    hints = get_type_hints(kind)
    for name, default in _defaults(kind):
        below = {path[1:]: value for path, value in values.items() if path[0] == name and len(path) > 1}
        if below:
            inner = build(hints[name], below)
            own[name] = inner if default is NODEFAULT else _changed(default, inner, {path[0] for path in below})
    return kind(**own)


def text_of(value: Any) -> str:
    """A value as it would be typed."""
    if isinstance(value, list | tuple):
        return ",".join(map(text_of, value))
    return "" if value is None else str(value)


def _changed(default: Any, given: Any, names: set[str]) -> Any:
    change = {name: getattr(given, name) for name in names}
    return msgspec.structs.replace(default, **change) if isinstance(default, Struct) else replace(default, **change)


def _defaults(kind: Any) -> Iterator[tuple[str, Any]]:
    """The fields that a constructor takes, each with its default, or NODEFAULT."""
    if issubclass(kind, Struct):
        for one in msgspec.structs.fields(kind):
            made: Any = one.default_factory
            yield one.name, one.default if made is NODEFAULT else made()
        return
    for field in fields(kind):
        if field.init:
            default = field.default if field.default_factory is MISSING else field.default_factory()
            yield field.name, NODEFAULT if default is MISSING else default


def _members(kind: Any) -> list[Any]:
    if get_origin(kind) is Annotated:
        return _members(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [member for one in get_args(kind) for member in _members(one)]
    return [kind]


def _metas(kind: Any) -> list[Meta]:
    """The `Meta` of a type with a description, also one within `X | None`."""
    if get_origin(kind) in (Union, UnionType):
        return [meta for one in get_args(kind) for meta in _metas(one)]
    return [m for m in getattr(kind, "__metadata__", ()) if isinstance(m, Meta) and m.description]


def _path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise NotImplementedError(f"a setting of type {kind}")
