"""Docstrings as help: paragraphs that the terminal wraps, and an example that it does not."""

import inspect
import re

EXAMPLE = "\b\nExample:"
"""How the example of a help begins, whose lines are not to be wrapped."""
EXAMPLE_WIDTH = 74


def reflowed(text: str) -> str:
    """A docstring as help: a line a paragraph, for the terminal to wrap; a long example as lines of shell."""
    paragraphs = [" ".join(p.split()) for p in inspect.cleandoc(text).split("\n\n")]
    return "\n\n".join("\b\n" + _shell_lines(p) if p.startswith("Example:") else p for p in paragraphs)


def _shell_lines(command: str) -> str:
    """A command, broken where the shell goes on reading: after `|`, or before an option by a backslash."""
    lines = [""]
    for part in re.split(r"(?<= \|) |(?= --?\w)| (?=>)", command):
        part = part.strip()
        if lines[-1] and len(lines[-1]) + len(part) > EXAMPLE_WIDTH:
            lines[-1] += "" if lines[-1].endswith("|") else " \\"
            lines.append("    " + part)
        else:
            lines[-1] = f"{lines[-1]} {part}".strip() if len(lines) == 1 else f"{lines[-1]} {part}"
    return "\n".join(lines)
