"""The format `labels`: one label an item in item order, `1A 2- 3A`; `-` is in no bundle.

It cannot say that an item is in two bundles (such an item keeps the first), and it states no intents.
"""

from __future__ import annotations

import re

from kdb.prompts.answers import AnswerError, ItemPositions, TextFormat

LETTERS = "ABCDEF"
_LABEL = re.compile(r"(\d+)([A-F-])")


class ItemLabelFormat(TextFormat):
    """One label per item in item order."""

    name = "labels"

    def render(self, groups: list[ItemPositions], intents: list[str], items: int) -> str:
        """See `TextFormat`; letters are given in the order in which bundles begin."""
        label = ["-"] * items
        letters = iter(LETTERS)
        for group in sorted(groups):
            free = [i for i in group if label[i] == "-"]
            if len(free) > 1 and (letter := next(letters, None)):
                for i in free:
                    label[i] = letter
        return " ".join(f"{i + 1}{letter}" for i, letter in enumerate(label))

    def grammar(self, items: int) -> str:
        """See `TextFormat`.

        A rule a state: the next item, and which letters are in use once (so that they must come again) or
        more often.
        """
        rules = ["root ::= " + _name(0, "")]
        open_states = [(0, "")]
        seen = set(open_states)
        while open_states:
            item, used = open_states.pop()
            options = []
            for letter, after in _moves(item, used, items):
                text = f'"{" " if item else ""}{item + 1}{letter}"'
                options.append(text + (f" {_name(item + 1, after)}" if item + 1 < items else ""))
                state = (item + 1, after)
                if item + 1 < items and state not in seen:
                    seen.add(state)
                    open_states.append(state)
            rules.append(f"{_name(item, used)} ::= {' | '.join(options)}")
        return "\n".join(rules)

    def max_bytes(self, items: int) -> int:
        """See `TextFormat`."""
        return sum(len(str(i)) + 2 for i in range(1, items + 1))

    def parse(self, text: str, items: int) -> tuple[list[ItemPositions], list[str]]:
        """See `TextFormat`."""
        matches = [_LABEL.fullmatch(word) for word in text.strip().split(" ")]
        numbers = [int(match.group(1)) for match in matches if match]
        if numbers != list(range(1, items + 1)):
            raise AnswerError(f"not one label an item in item order: {text!r}")
        groups, intents = self.parse_leniently(text, items)
        letters = {match.group(2) for match in matches if match} - {"-"}
        if len(groups) < len(letters):
            raise AnswerError(f"a label stands only once: {text!r}")
        return groups, intents

    def parse_leniently(self, text: str, items: int) -> tuple[list[ItemPositions], list[str]]:
        """See `TextFormat`; keeps the labels of known items, the first of several."""
        label: dict[int, str] = {}
        for number, letter in _LABEL.findall(text):
            if len(number) < 5 and 0 < int(number) <= items:
                label.setdefault(int(number) - 1, letter)
        groups = [sorted(i for i, own in label.items() if own == letter) for letter in LETTERS]
        groups = [group for group in groups if len(group) > 1]
        return groups, [""] * len(groups)


def _moves(item: int, used: str, items: int) -> list[tuple[str, str]]:
    """The labels that item `item` may take, each with the state after it.

    `used` has a digit a letter: 1 where it stands once so far, 2 where more often. Never more letters wait
    for their second item than items are left.
    """
    options = [("-", used)]
    for n in range(len(used)):
        options.append((LETTERS[n], used[:n] + "2" + used[n + 1 :]))
    if len(used) < len(LETTERS):
        options.append((LETTERS[len(used)], used + "1"))
    left = items - item - 1
    return [(letter, after) for letter, after in options if after.count("1") <= left]


def _name(item: int, used: str) -> str:
    return f"item{item + 1}_{used}" if used else f"item{item + 1}"
