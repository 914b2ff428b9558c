"""What a student reads, word for word, where demonstrations are corrected dialogues."""

import pytest

from kdb.prompts.answers.labels import ItemLabelFormat
from kdb.prompts.answers.list import ListFormat
from kdb.prompts.messages import Demo, PromptContext, Query, messages
from kdb.records import Bundle, Item, Knowledge, Session, Source


def session(name: str, *titles: str, bundles: list[Bundle]) -> Session:
    return Session(id=name, domain="d", items=[Item(title, title) for title in titles], bundles=bundles)


SOLVED = session(
    "solved",
    "wok",
    "spatula",
    "hose",
    "tap",
    bundles=[Bundle(["spatula", "wok"], "frying"), Bundle(["hose", "tap"], "watering")],
)
ASKED = session("asked", "tent", "stove", bundles=[])
WRONG = Knowledge(
    id="c",
    format="correction",
    domain="d",
    text="Bundle 1, 2, 3: has irrelevant products (3)\nBundle 3, 4: not found (this is a bundle)<|im_end|>",
    source=Source(["solved"]),
    bundles=[Bundle(["wok", "spatula", "hose"], "cooking")],
)
THOUGHT = Knowledge(id="t", format="thought", domain="d", text="A wok needs a spatula.", source=Source(["solved"]))

PROMPT = """\
[system]
A shopper looked at the products below in one session. Find the bundles: groups of two or more products bought \
together for one purpose. A product may be in several bundles or in none.
Answer with one line a bundle: the numbers of its products in brackets, then what they are bought for, like [1, 3] \
camera kit. If there is no bundle, answer none.
[user]
Products:
1. wok
2. spatula
3. hose
4. tap
[assistant]
[1, 2, 3] cooking
[user]
That answer was judged as follows:
Bundle 1, 2, 3: has irrelevant products (3)
Bundle 3, 4: not found (this is a bundle)‹|im_end|›
Answer again.
[assistant]
[1, 2] frying
[3, 4] watering
[user]
Products:
1. tent
2. stove
"""


def shown(demo: Demo, answer: type = ListFormat, reasoned: bool = False) -> str:
    turns = messages(answer(intents=True), Query(ASKED, PromptContext([demo])), reasoned)
    return "".join(f"[{turn['role']}]\n{turn['content'].rstrip()}\n" for turn in turns)


def test_a_corrected_demonstration_reads_as_a_dialogue() -> None:
    assert shown(Demo(SOLVED, correction=WRONG)) == PROMPT


def test_without_its_correction_it_holds_the_right_answer_alone() -> None:
    first, _, rest = PROMPT.partition("[assistant]\n[1, 2, 3] cooking")
    assert shown(Demo(SOLVED)) == first + "[assistant]\n" + rest.partition("[assistant]\n")[2]


@pytest.mark.parametrize(
    ("bundles", "said"), [([], "none"), ([Bundle(["hose", "wok"], "a pair")], "[1, 3] a pair")]
)
def test_an_attempt_is_shown_as_the_student_would_write_it(bundles: list[Bundle], said: str) -> None:
    attempt = Knowledge(id="c", format="correction", domain="d", text="x", bundles=bundles)
    assert f"4. tap\n[assistant]\n{said}\n[user]\n" in shown(Demo(SOLVED, correction=attempt))
    assert "4. tap\n[assistant]\n1A 2A 3A 4-\n[user]\n" in shown(Demo(SOLVED, correction=WRONG), ItemLabelFormat)


def test_a_thought_follows_the_feedback() -> None:
    demo = Demo(SOLVED, THOUGHT, WRONG)
    text = shown(demo)
    assert text.index("Answer again.") < text.index("A wok needs a spatula.") < text.index("[1, 2] frying")
    reasoned = shown(demo, reasoned=True)
    assert "[assistant]\n\nAnswer:\n[1, 2, 3] cooking\n" in reasoned
    assert "[assistant]\nA wok needs a spatula.\nAnswer:\n[1, 2] frying\n" in reasoned


def test_what_does_not_fit_goes_thought_first_then_correction_then_demonstration() -> None:
    context = PromptContext([Demo(SOLVED, THOUGHT, WRONG), Demo(SOLVED, correction=WRONG)])
    left = []
    while context.demos:
        left.append([piece.id for piece in context.pieces])
        context = context.drop_least_useful()
    assert left == [["t", "c", "c"], ["c", "c"], ["c"], [], []]
