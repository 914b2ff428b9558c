"""Shows a prompt as a model reads it, filled in for one session."""

from __future__ import annotations

from string import Template

from kdb import prompts
from kdb.errors import UsageError
from kdb.extraction import attempts, correction, thought_text
from kdb.records import Session


def rendered(name: str, session: Session) -> str:
    """The prompt of this name for a session; what depends on an answer is filled in for an example of one."""
    if name not in prompts.names():
        raise UsageError(f"no prompt {name!r}", f"there are {', '.join(prompts.names())}")
    fields = thought_text.prompt_fields(session)
    whole = attempts.Attempt([attempts.StatedBundle(list(range(1, len(session.items) + 1)))])
    fields |= {
        "items": fields["products"],
        "feedback": attempts.feedback(attempts.compare(whole, session)),
        "judgements": correction.feedback(attempts.compare(whole, session)),
        "format": prompts.template("answer_list"),
        "problem": "the bundles must be exactly the true ones",
    }
    wanted = Template(prompts.template(name)).get_identifiers()
    return prompts.render(name, {field: fields.get(field, f"${field}") for field in wanted})
