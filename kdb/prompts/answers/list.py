"""The format `list`: one line a bundle, its item numbers in brackets, then its intent: `[1, 3] camera kit`."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

from kdb.prompts.answers import AnswerError, ItemPositions, TextFormat
from kdb.prompts.answers.intent_text import MAX_CHARS, WORD, plain_intent

NOTHING = "none"
MOST_BUNDLES = 6
_INTENT = f'" " {WORD} ({WORD} | " "){{0,{MAX_CHARS - 1}}}'
_LINE = re.compile(r"\[(\d+(?:, \d+)+)\](?: (.+))?")
_LOOSE = re.compile(r"[\[(]\s*(\d+(?:\s*(?:,|and|&|\s)\s*\d+)+)\s*[\])]")


class BundleJson(Struct):
    """A bundle in JSON, its products by their numbers."""

    products: list[int]
    intent: str = ""


class AnswerJson(Struct):
    """An answer in JSON."""

    bundles: list[BundleJson]


_ANSWER = msgspec.json.Decoder(AnswerJson)


class ListFormat(TextFormat):
    """A list of item-number lists."""

    name = "list"
    has_intents = True

    def render(self, groups: list[ItemPositions], intents: list[str], items: int) -> str:
        """See `TextFormat`; the largest bundles first, at most MOST_BUNDLES."""
        ordered = sorted(zip(groups, intents, strict=True), key=lambda pair: (-len(pair[0]), pair[0]))
        lines = [self._line(group, intent) for group, intent in ordered[:MOST_BUNDLES]]
        return "\n".join(lines) or NOTHING

    def _line(self, group: ItemPositions, intent: str) -> str:
        numbers = f"[{', '.join(str(i + 1) for i in group)}]"
        return f"{numbers} {plain_intent(intent)}" if self.intents else numbers

    def grammar(self, items: int) -> str:
        """See `TextFormat`; ascending numbers make an item stand at most once in a bundle."""
        if items < 2:
            return f'root ::= "{NOTHING}"'
        most = min(items, MOST_BUNDLES)
        intent = _INTENT if self.intents else ""
        firsts = [f'"{i}" more{i}' for i in range(1, items)]
        rules = [
            f'root ::= "{NOTHING}" | bundle ("\\n" bundle){{0,{most - 1}}}',
            f'bundle ::= "[" ({" | ".join(firsts)}) "]" {intent}',
        ]
        for i in range(1, items):
            nexts = [f'", {j}" rest{j}' for j in range(i + 1, items + 1)]
            rules.append(f"more{i} ::= {' | '.join(nexts)}")
        for i in range(2, items):
            rules.append(f'rest{i} ::= "" | more{i}')
        return "\n".join([*rules, f'rest{items} ::= ""'])

    def schema(self, items: int) -> dict[str, Any]:
        """See `TextFormat`."""
        numbers = {"type": "integer", "enum": list(range(1, items + 1))}
        fields: dict[str, Any] = {"products": {"type": "array", "items": numbers, "minItems": 2}}
        fields |= {"intent": {"type": "string"}} if self.intents else {}
        return _closed({"bundles": {"type": "array", "items": _closed(fields)}})

    def from_json(self, text: str) -> str:
        """See `TextFormat`; numbers ascend and stand once, which no schema can ask for."""
        try:
            bundles = _ANSWER.decode(text).bundles
        except (msgspec.DecodeError, RecursionError):
            return text
        return "\n".join(self._line(sorted({n - 1 for n in b.products}), b.intent) for b in bundles) or NOTHING

    def max_bytes(self, items: int) -> int:
        """See `TextFormat`."""
        numbers = sum(len(str(i)) + 2 for i in range(1, items + 1))
        line = numbers + 1 + (4 * MAX_CHARS + 1 if self.intents else 0)
        return max(len(NOTHING), min(items, MOST_BUNDLES) * line)

    def parse(self, text: str, items: int) -> tuple[list[ItemPositions], list[str]]:
        """See `TextFormat`; the same bundle said twice counts once."""
        found: dict[tuple[int, ...], str] = {}
        for line in [] if text.strip() == NOTHING else text.strip().split("\n"):
            match = _LINE.fullmatch(line)
            if not match:
                raise AnswerError(f"not a bundle: {line!r}")
            group = [int(n) - 1 for n in match.group(1).split(", ")]
            if group != sorted(set(group)) or group[-1] >= items or group[0] < 0:
                raise AnswerError(f"not items of the session in ascending order: {line!r}")
            found.setdefault(tuple(group), match.group(2) or "")
        return [list(group) for group in found], list(found.values())

    def parse_leniently(self, text: str, items: int) -> tuple[list[ItemPositions], list[str]]:
        """See `TextFormat`; keeps every bracketed list, without what is not of the session."""
        found: dict[tuple[int, ...], str] = {}
        for match in _LOOSE.finditer(text):
            group = sorted({int(n) - 1 for n in re.findall(r"\d{1,4}", match.group(1))} & set(range(items)))
            if len(group) > 1:
                found.setdefault(tuple(group), "")
        return [list(group) for group in found], list(found.values())


def _closed(fields: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object with these fields, all of them and no others."""
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
