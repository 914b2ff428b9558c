"""How a student uses knowledge: the same prompt in training and inference, thoughts to learn, other trainers."""

import io
import json
from dataclasses import replace

import msgspec
import pytest
from support.shop import TRAINING, session

from kdb.errors import KdbError, UsageError
from kdb.io.stream import Line
from kdb.prompts.messages import Demo, PromptContext, Query
from kdb.records import Bundle, Knowledge, Source
from kdb.retrieval.config import ContextConfig
from kdb.retrieval.context import ContextRetriever
from kdb.retrieval.embedder import open_embedder
from kdb.retrieval.knowledge_base import KnowledgeBase
from kdb.retrieval.relevance import Relevance
from kdb.student.config import MethodConfig, StudentConfig
from kdb.student.examples import text_example
from kdb.student.generation_config import GenerationConfig
from kdb.student.methods.build import build_method

FEW = ("--max-steps", "2", "--set", "per_device_train_batch_size=4", "--set", "r=4")


def thought(number: int) -> Knowledge:
    text = f"These are things, as session {number} shows.\nIntent: for the house."
    return Knowledge(id=f"t{number}", format="thought", domain="shop", text=text, source=Source([str(number)]))


def pattern(name: str, *categories: str, count: int = 1, sessions: tuple[str, ...] = ("x", "y")) -> Knowledge:
    return Knowledge(
        id=name,
        format="pattern",
        domain="shop",
        text=f"Bundles hold {' and '.join(categories)}.",
        source=Source(list(sessions)),
        count=count,
        antecedent=[f"Home > Kinds > {c}" for c in categories[:1]],
        consequent=[f"Home > Kinds > {c}" for c in categories[1:]],
    )


def correction(number: int) -> Knowledge:
    first, _, third, *_ = session(number).items
    attempt = [Bundle([first.id, third.id], "a guess")]
    text = "Bundle 1, 3: invalid (these are not bought together)\nBundle 1, 2: not found (this is a bundle)"
    source = Source([str(number)])
    return Knowledge(id=f"c{number}", format="correction", domain="shop", text=text, source=source, bundles=attempt)


PIECES = [
    pattern("saws", "Saws", "Drills", count=3),
    pattern("camping", "Tents", "Camping Stoves", count=2),
    pattern("light", "Lamps", "Lamp Shades", count=9),
    *(thought(n) for n in range(0, 200, 2)),
    *(correction(n) for n in range(0, 200, 3)),
]


def lines(records: list) -> list[Line]:
    return [Line(msgspec.json.encode(r), "test", r) for r in records]


@pytest.fixture(scope="module")
def kb(tmp_path_factory):
    """Twelve training and two validation sessions with patterns and thoughts."""
    records = [*TRAINING[:12], *(session(n, "validation") for n in range(300, 302)), *PIECES]
    file = tmp_path_factory.mktemp("kb") / "kb.jsonl"
    file.write_bytes(b"".join(msgspec.json.encode(r) + b"\n" for r in records))
    return file


@pytest.fixture(scope="module")
def test_sessions():
    return "".join(msgspec.json.encode(session(n, "test")).decode() + "\n" for n in range(400, 403))


def taught_prompts(config: StudentConfig, tiny_student) -> list[list[int]]:
    """What the student reads in training, up to its first answer token, items in the order of the session."""
    from kdb.student.setup import TrainingData, prepare

    config.student = str(tiny_student)
    records = [*TRAINING, session(999, "validation"), *PIECES]
    setup = prepare(TrainingData.read(lines(records), 0), config, "cpu")
    examples = [setup.method.examples(query) for query in setup.training.queries()]
    return [example.prompt for own in examples for example in own]


@pytest.mark.parametrize(("thoughts", "corrections"), [("none", False), ("none", True), ("first", True)])
def test_training_and_inference_show_the_same_tokens_in_text(student, tiny_student, thoughts, corrections) -> None:
    from kdb.student.generate import Generated

    # Short enough that some of it is dropped, and long enough that many corrections are shown.
    limit = 460 if corrections else 380
    context = ContextConfig(demos=3, knowledge=2, max_prompt_tokens=limit, corrections=corrections)
    config = StudentConfig(method=MethodConfig(answer="list", thoughts=thoughts), context=context)
    taught = taught_prompts(config, tiny_student)
    method = build_method(student, config)
    asked: list[list[int]] = []

    class Recorder:
        def generate(self, prompts, grammars, max_new_tokens, sampling, **stop):
            if thoughts == "none" or stop:
                asked.extend(prompts)
            return [Generated("none", 1) for _ in prompts]

    method.generator = Recorder()
    contexts = ContextRetriever(KnowledgeBase(TRAINING, [], PIECES), context, open_embedder()).shown(TRAINING)
    found = method.predict([[Query(s, own)] for s, own in zip(TRAINING, contexts, strict=True)], 1)
    assert len(taught) == 200
    assert sorted(asked) == sorted(taught)
    assert any(one.context_dropped for one in found)
    assert any(piece.id in one.knowledge for one in found for piece in PIECES[:3])
    shown = {piece for one in found for piece in one.knowledge}
    assert any(piece.id in shown for piece in PIECES if piece.format == "correction") is corrections


def test_training_and_inference_show_the_same_tokens_in_pairs(student, tiny_student) -> None:
    from kdb.student.methods.pair_prompts import PairPrompts, log_odds

    context = ContextConfig(demos=2, knowledge=2, max_prompt_tokens=380)
    taught = taught_prompts(
        StudentConfig(method=MethodConfig(answer="pair-prompts"), context=context), tiny_student
    )
    prompts = PairPrompts(student, 380)
    contexts = ContextRetriever(KnowledgeBase(TRAINING, [], PIECES), context, open_embedder()).shown(TRAINING)
    asked = [prompts.encode(Query(s, own)) for s, own in zip(TRAINING, contexts, strict=True)]
    read: list[list[int]] = []
    hook = student.model.register_forward_pre_hook(
        lambda _, __, given: read.extend(given["input_ids"].tolist()), with_kwargs=True
    )
    try:
        log_odds(student, prompts, asked[:40], 1)
    finally:
        hook.remove()
    assert all(own.prefix for own in asked)
    prefixes = {tuple(own.prefix) for own in asked[:40]}
    seen = [ids for ids in read if tuple(ids) not in prefixes]
    for own, n in zip(asked[:40], range(0, 120, 3), strict=True):
        for whole in taught[n : n + 3]:
            assert whole[: len(own.prefix)] == own.prefix
            assert whole[len(own.prefix) :] in seen


def test_a_prefix_read_once_changes_no_answer(student) -> None:
    import numpy as np
    import torch

    from kdb.student.methods.pair_prompts import PairPrompts, log_odds
    from kdb.student.model import answer_logits

    prompts = PairPrompts(student, 2048)
    context = PromptContext([Demo(TRAINING[0], thought(0)), Demo(TRAINING[1])], PIECES[:2])
    asked = [prompts.encode(Query(TRAINING[7], context)), prompts.encode(Query(TRAINING[9]))]
    found = log_odds(student, prompts, asked, 4)
    no, yes = prompts.choices
    for own, odds in zip(asked, found, strict=True):
        for anchor in range(len(own.items)):
            whole = prompts.anchor_prompt(own.items, anchor).with_prefix(own.prefix)
            with torch.inference_mode():
                logits = answer_logits(student, [whole])
            others = np.delete(odds[anchor], anchor)
            assert others == pytest.approx((logits[:, yes] - logits[:, no]).numpy(), abs=1e-4)


def test_a_demonstration_in_pairs_says_yes_to_its_bundles(student) -> None:
    from kdb.student.methods.pair_prompts import PairPrompts

    context = PromptContext([Demo(TRAINING[1], thought(1))], PIECES[:1])
    asked = PairPrompts(student, 2048).encode(Query(TRAINING[3], context))
    text = student.tokenizer.decode(asked.prefix)
    first, second, *others = TRAINING[1].items
    assert text.startswith("What is known about bundles:\n- Bundles hold Saws and Drills.")
    assert "as session 1 shows" in text
    assert text.count("Product:") == 1
    assert f"Product: {first.title}\n" in text
    assert f"\n{second.title} -> yes\n" in text
    assert all(f"\n{item.title} -> no\n" in text for item in others)


def test_what_does_not_fit_is_left_out_the_least_useful_first(student) -> None:
    from kdb.student.methods.pair_prompts import PairPrompts

    context = PromptContext([Demo(TRAINING[0], thought(0)), Demo(TRAINING[1])], PIECES[:2])
    query = Query(TRAINING[7], context)
    whole = PairPrompts(student, 2048).encode(query)
    limit = len(whole.prefix) - 40
    fitting = PairPrompts(student, limit).encode(query)
    assert fitting.context_dropped >= 2
    assert not fitting.context.knowledge
    assert len(fitting.prefix) < limit
    assert PairPrompts(student, 64).encode(query).context_dropped == 5
    steps = [context]
    while steps[-1].demos or steps[-1].knowledge:
        steps.append(steps[-1].drop_least_useful())
    assert [(len(s.demos), len(s.knowledge), len(s.pieces)) for s in steps] == [
        (2, 2, 3),
        (2, 1, 2),
        (2, 0, 1),
        (2, 0, 0),
        (1, 0, 0),
        (0, 0, 0),
    ]


def test_nothing_about_the_session_itself_is_shown() -> None:
    retriever = ContextRetriever(
        KnowledgeBase(TRAINING, [], PIECES), ContextConfig(demos=3, knowledge=3), open_embedder()
    )
    with_thoughts = 0
    for own, shown in zip(TRAINING, retriever.shown(TRAINING), strict=True):
        assert len(shown.demos) == 3
        assert own.id not in [demo.session.id for demo in shown.demos]
        assert [own.id] not in [piece.source.sessions for piece in shown.pieces]
        for demo in shown.demos:
            assert (demo.thought is not None) == (int(demo.session.id) % 2 == 0)
            with_thoughts += demo.thought is not None
    assert with_thoughts


def test_a_demonstration_from_the_test_split_is_refused() -> None:
    with pytest.raises(KdbError, match="'7' is of the test split"):
        ContextRetriever(KnowledgeBase([session(1), session(7, "test")]), ContextConfig(demos=1), open_embedder())


def test_what_bears_on_a_session_comes_first_then_the_most_supported() -> None:
    pieces = [
        pattern("rare", "Engine Oil", "Brake Pads", count=1),
        pattern("twice", "Saws", "Saws", count=50),
        pattern("often", "Perfume", "Shampoo", count=40),
        pattern("camping", "Tents", "Camping Stoves", count=2),
    ]
    free = replace_text(pieces[0], "rule", "A tent and a stove are bought together for camping.")
    titles = open_embedder().encode(["tent for two", "gas camping stove", "handsaw"])
    ranked = Relevance(open_embedder(), [*pieces, free]).ranked(titles)
    names = [[*pieces, free][n].id for n in ranked]
    assert set(names[:2]) == {"camping", "rule"}
    assert names[2:] == ["twice", "often", "rare"]


def replace_text(piece: Knowledge, name: str, text: str) -> Knowledge:
    bare = {"antecedent": msgspec.UNSET, "consequent": msgspec.UNSET}
    return msgspec.structs.replace(piece, id=name, format="rule", text=text, **bare)


@pytest.mark.parametrize(
    "how",
    [
        ("pair-prompts", "--samples", "2"),
        ("labels", "--samples", "2", "--set", "temperature=1", "--set", "aggregate=pairs"),
    ],
)
def test_shown_without_an_adapter(kdb, kb, test_sessions, tiny_student, how) -> None:
    argv = ("infer", "--student", tiny_student, "--kb", kb, "--answer", *how)
    argv += ("--demos", "2", "--knowledge", "1", "--set", "formats=pattern")
    done = kdb(*argv, stdin=test_sessions)
    assert done.code == 0, done.stderr
    run, *predictions, _ = done.records
    assert (run["settings"]["formats"], run["settings"]["samples"]) == (["pattern"], 2)
    for prediction in predictions:
        assert len(prediction["demos"]) == 2
        assert prediction["knowledge"][0] in {"saws", "camping", "light"}
        assert len(prediction["knowledge"]) == 1
        assert prediction["context_dropped"] == 0


def test_formats_that_are_not_there() -> None:
    with pytest.raises(KdbError, match="holds no rule"):
        ContextRetriever(
            KnowledgeBase(TRAINING, [], PIECES), ContextConfig(knowledge=1, formats=["rule"]), open_embedder()
        )


def test_reasoning_is_learnt_and_written_before_the_answer(kdb, kb, tiny_student, test_sessions, tmp_path) -> None:
    argv = ("train", kb, "--student", tiny_student, "--answer", "labels", "-o", tmp_path / "adapter")
    done = kdb(*argv, "--thoughts", "first", "--set", "max_thought_tokens=4", *FEW)
    assert done.code == 0, done.stderr
    assert "6 of 12 training sessions have a thought" in done.stderr
    assert "6 of 6 thoughts have more than 4 tokens and are cut" in done.stderr
    assert (done.records[0]["measured"]["thoughts"], done.records[0]["measured"]["thoughts_cut"]) == (6, 6)
    done = kdb("infer", "--adapter", tmp_path / "adapter", stdin=test_sessions)
    assert done.code == 0, done.stderr
    for prediction in done.records[1:-1]:
        assert "\nAnswer:\n" in prediction["raw"]
        assert prediction["status"] == "ok"


def test_a_thought_as_a_second_task(kdb, kb, tiny_student, test_sessions, tmp_path) -> None:
    argv = ("train", kb, "--student", tiny_student, "-o", tmp_path / "adapter", "--answer", "pair-prompts", *FEW)
    done = kdb(*argv, "--thoughts", "auxiliary", "--demos", "1", "--knowledge", "1")
    assert done.code == 0, done.stderr
    done = kdb("infer", "--adapter", tmp_path / "adapter", "--kb", kb, stdin=test_sessions)
    assert done.code == 0, done.stderr
    assert all(len(p["demos"]) == 1 for p in done.records[1:-1])


@pytest.mark.parametrize(
    ("thoughts", "generation"),
    [
        ("first", GenerationConfig()),
        ("none", GenerationConfig(temperature=0.5)),
        ("none", GenerationConfig(aggregate="bundles")),
    ],
)
def test_pairs_writes_draws_and_elects_nothing(student, thoughts, generation) -> None:
    with pytest.raises(UsageError, match="pairs"):
        build_method(student, StudentConfig(method=MethodConfig(thoughts=thoughts)), generation)


def test_losses_of_a_batch_that_mixes_tasks(student) -> None:
    import torch

    from kdb.student.methods.pair_prompts import PairPrompts
    from kdb.student.trainer import token_losses

    prompt = PairPrompts(student, 2048).anchor_prompt(
        TRAINING[7].items, 0, [False, True, False, True, False, False]
    )
    text = text_example(student.tokenizer, [{"role": "user", "content": "Why?"}], "Because.")
    mixed = [prompt, text, replace(prompt, labels=prompt.labels[::-1])]
    with torch.inference_mode():
        together = token_losses(student, mixed)
        apart = torch.cat([token_losses(student, [example]) for example in mixed])
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-4)


def test_trl_trains_on_what_is_emitted(kdb, kb, tmp_path) -> None:
    import datasets
    from trl import SFTConfig, SFTTrainer

    from kdb.student import weights

    file = tmp_path / "examples.jsonl"
    argv = (
        "train",
        kb,
        "--emit",
        file,
        "--answer",
        "list",
        "--thoughts",
        "auxiliary",
        "--demos",
        "1",
        "--knowledge",
        "1",
    )
    done = kdb(*argv)
    assert done.code == 0, done.stderr
    assert done.records[0]["measured"]["examples"] == 12 + 6
    examples = [json.loads(line)["messages"] for line in file.read_text().splitlines()]
    assert {tuple(m["role"] for m in turns) for turns in examples} == {
        ("system", "user", "assistant", "user", "assistant"),
        ("system", "user", "assistant"),
    }
    config = SFTConfig(
        output_dir=str(tmp_path / "trl"),
        max_steps=2,
        per_device_train_batch_size=1,
        max_length=48,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
    )
    given = datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    trainer = SFTTrainer(model=weights.student_path(weights.STUDENT), args=config, train_dataset=given)
    assert trainer.train().global_step == 2


def test_pairs_has_no_messages(tiny_student, tmp_path) -> None:
    from kdb.stages import emit

    config = StudentConfig(student=str(tiny_student))
    with pytest.raises(UsageError, match="--answer list"):
        emit.emit(lines([*TRAINING[:3], session(999, "validation")]), config, io.BytesIO())
