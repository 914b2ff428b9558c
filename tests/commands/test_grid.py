"""`kdb grid`: cells of a file become rules; make runs them, goes on where it stopped, reports what is missing."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from support.command_line import ROOT, Result

from kdb.errors import KdbError
from kdb.grid.makefile import rules
from kdb.grid.matrix import Cell, cells, read

GRIDS = sorted((ROOT / "samples" / "grids").glob("*.toml"))
SMALL = """
title = "A | small <grid>"
seeds = [0, 1]
[extract]
pattern = ""
[[cells]]
name = "{name}'s $HOME, #1"
infer = "--baseline {name} --kb {kb}"
matrix.name = ["clusters", "pattern-matching"]
[[cells]]
name = "SFT, {percent} %"
select = "--strategy random --amount {ratio}"
train = "--max-steps 1"
tags = { quantity = "{percent} %" }
matrix.percent = [{ percent = 10, ratio = 0.1 }, { percent = 50, ratio = 0.5 }]
[[cells]]
name = "zero-shot"
split = "validation"
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return written(tmp_path, SMALL)


def written(folder: Path, text: str) -> Path:
    file = folder / "grid.toml"
    file.write_text(text)
    return file


def targets(grid: Path, *seeds: int) -> set[str]:
    """The files that the rules make, without their folder."""
    text = rules(read(grid), seeds, [ROOT / "samples" / "kitchen"], Path("out"))
    return set(re.findall(r"(?m)^\$\(OUT\)/(\S+\.jsonl):", text))


def test_cells_of_a_file(small: Path) -> None:
    found = cells(read(small))
    assert [cell.name for cell in found] == [
        "clusters's $HOME, #1",
        "pattern-matching's $HOME, #1",
        *(f"SFT, {percent} %, seed {seed}" for percent in (10, 50) for seed in (0, 1)),
        "zero-shot",
    ]
    assert found[3] == Cell(
        name="SFT, 10 %, seed 1",
        recipe="SFT, 10 %",
        select="--strategy random --amount 0.1 --seed 1",
        train="--max-steps 1 --seed 1",
        infer="",
        split="test",
        extract={"pattern": ""},
        tags={"quantity": "10 %", "seed": "1"},
    )
    assert (found[-1].train, found[-1].split) == (None, "validation")


@pytest.mark.parametrize("file", GRIDS, ids=[file.stem for file in GRIDS])
def test_grids_of_the_samples_hold_only_flags_that_exist(file: Path) -> None:
    from typer.main import get_command

    from kdb.cli.main import app

    group = get_command(app)
    commands = {name: group.get_command(None, name) for name in ("select", "train", "infer")}  # type: ignore[attr-defined]
    grid = read(file)
    for cell in cells(grid):
        for command, flags in (("select", cell.select), ("train", cell.train or ""), ("infer", cell.infer)):
            known = {flag for p in commands[command].params for flag in (*p.opts, *p.secondary_opts)}
            assert {part for part in shlex.split(flags) if part.startswith("--")} <= known, cell
            needs_kb = command == "infer" and re.search(r"--(demos|knowledge|baseline)\b", flags)
            assert not needs_kb or "{kb}" in flags, cell


def test_adaptive_demonstrations_are_drawn_by_a_teacher_and_shown_beside_plain_ones(samples: Path) -> None:
    grid = read(ROOT / "samples" / "grids" / "teacher.toml")
    found = {cell.name: cell for cell in cells(grid) if cell.split == "test"}
    assert found["adaptive ICL"].infer == f"{found['ICL'].infer} --set corrections=true"
    assert found["adaptive ICL"].tags["utilization"] == "adaptive ICL"
    made = rules(grid, [], [samples / "kitchen"], Path("out"))
    assert re.search(r"(?m)^\$\(OUT\)/kb/\S+: .*\$\(OUT\)/teacher$", made)
    assert "$(KDB) extract correction" in made


def test_a_cell_may_have_knowledge_of_its_own(samples: Path, tmp_path: Path) -> None:
    text = (
        SMALL
        + """[[cells]]
name = "SFT, rules of {whom}"
select = "--strategy random --amount 0.1"
extract = { rule = "--teacher {whom}" }
train = "--max-steps 1"
matrix.whom = ["annotations", "tiny"]
"""
    )
    made = rules(read(written(tmp_path, text)), [0], [samples / "kitchen"], Path("out"))
    drawn = {line.partition("|")[2].partition(">")[0] for line in made.splitlines() if "--amount 0.1" in line}
    assert {" $(KDB) extract rule --teacher annotations ", " $(KDB) extract rule --teacher tiny "} <= drawn
    assert " $(KDB) extract pattern " in drawn  # as the grid says


def test_a_cell_on_both_splits_is_asked_about_each(tmp_path: Path) -> None:
    text = SMALL.replace('split = "validation"', 'split = "both"')
    assert [cell.split for cell in cells(read(written(tmp_path, text))) if cell.name == "zero-shot"] == [
        "test",
        "validation",
    ]


def test_the_paper_asks_its_three_questions() -> None:
    names = {cell.name for cell in cells(read(ROOT / "samples" / "grids" / "paper.toml")) if cell.split == "test"}
    formats = {
        f"{use} on 10 %, {name}" for use in ("SFT", "SFT + ICL") for name in ("patterns", "rules", "thoughts")
    }
    ratios = {f"SFT, {way} {share} %" for way in ("random", "diversity") for share in (10, 25, 50, 75)}
    assert formats | ratios | {"zero-shot", "ICL", "SFT", "SFT + ICL"} <= names


@pytest.mark.parametrize(
    ("flags", "knowledge_first"),
    [
        ("--strategy random", False),
        ("--strategy difficulty", True),
        ("--strategy difficulty --difficulty rules", True),
        ("--strategy difficulty --difficulty said.jsonl", False),
        ("--of knowledge --strategy random", True),
    ],
)
def test_knowledge_is_drawn_from_what_is_selected(flags: str, knowledge_first: bool, tmp_path: Path) -> None:
    grid = written(tmp_path, SMALL.replace("--strategy random --amount {ratio}", flags + " --amount {ratio}"))
    text = rules(read(grid), [0], [ROOT / "samples" / "kitchen"], Path("out"))
    commands = re.findall(r"(?m)^\t(\$\(KDB\) select .*)$", text)
    assert len(commands) == 2
    for command in commands:
        assert (" | $(KDB) extract pattern >" in command) is not knowledge_first
        assert ("--amount 0.1" in command or "--amount 0.5" in command) and flags in command


def test_a_sample_knows_nothing_of_the_rest(kdb, samples: Path) -> None:
    lines = [line for line in (samples / "sessions.jsonl").open("rb") if b'"split":"train"' in line]
    chosen = kdb("select", "--strategy", "random", "--amount", "0.25", stdin=b"".join(lines)).out
    ids = {(record["domain"], record["id"]) for record in map(msgspec.json.decode, chosen.splitlines())}
    records = [(line, msgspec.json.decode(line)) for line in lines]
    alone = b"".join(line for line, record in records if (record["domain"], record["id"]) in ids)
    assert 0 < len(ids) < len(lines) / 2
    for command in (["pattern"], ["rule", "--teacher", "annotations"]):
        drawn = [kdb("extract", *command, stdin=text).records for text in (chosen, alone)]
        sampled, deleted = ([r for r in records if r["kind"] == "knowledge"] for records in drawn)
        assert sampled == deleted != []


def test_a_changed_setting_is_another_file_and_so_is_all_that_depends_on_it(tmp_path: Path) -> None:
    before = targets(written(tmp_path, SMALL))
    # data: test, validation, known sessions, what is known of all of them; kb: 2 ratios × 2 seeds;
    # as many adapters; 2 baselines, 4 trained, 1 zero-shot
    assert len(before) == 4 + 4 + 4 + 7
    trained = targets(written(tmp_path, SMALL.replace("--max-steps 1", "--max-steps 2")))
    assert {name.split("/")[0] for name in trained - before} == {"adapters", "runs"}
    assert len(trained - before) == 4 + 4
    ratio = targets(written(tmp_path, SMALL.replace("ratio = 0.1", "ratio = 0.2")))
    assert len(ratio - before) == 2 + 2 + 2
    mined = targets(written(tmp_path, SMALL.replace('pattern = ""', 'pattern = "--max-size 2"')))
    unchanged = {name.split("-")[0] for name in mined & before}
    assert unchanged == {"data/test", "data/validation", "data/train", "runs/zero"}
    assert len(targets(written(tmp_path, SMALL), 5)) == 4 + 2 + 2 + 5


BAD = [
    ("title = 3", "title"),
    ('title = "x"\ncells = []', "no cell"),
    ('title = "x"\n[[cells]]\nnam = "y"', "nam"),
    ('title = "x"\n[[cells]]\nname = "{y}"', "{y} is not given"),
    ('title = "x"\n[[cells]]\nname = "y"\ninfer = "--name \'open"', "No closing quotation"),
    ('title = "x"\n[[cells]]\nname = "y"\n[[cells]]\nname = "y"', "two cells on test are called 'y'"),
    ("title = ", "Invalid value"),
    ('title = "x"\ncells = []\n[extract]\npatern = ""', "patern"),
    ('title = "x"\n[[cells]]\nname = "y"\nselect_best_as = "z"', "no choice is made on test"),
    (
        'title = "x"\n[[cells]]\nname = "y"\n[[cells]]\nname = "z"\nsplit = "validation"\nselect_best_as = "y"',
        "two cells on test",
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[message for _, message in BAD])
def test_a_grid_that_does_not_fit_is_one_line(kdb, text: str, message: str, tmp_path: Path, samples: Path) -> None:
    done = kdb("grid", written(tmp_path, text), "--data", samples / "kitchen")
    assert done.code in (1, 2) and done.out == b""
    assert message in done.stderr and done.stderr.count("\n") == 1


def test_a_folder_that_make_cannot_name_is_refused(small: Path, tmp_path: Path) -> None:
    with pytest.raises(KdbError, match="make cannot handle"):
        rules(read(small), [], [tmp_path / "my data"], Path("out"))


def make(program: Path, folder: Path, *goals: str) -> Result:
    command = ["make", "-k", "-f", folder / "grid.mk", f"KDB={program}", *goals]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=900)
    return Result(done.returncode, done.stdout, done.stderr.decode())


def test_make_runs_the_cells_goes_on_and_reports(
    kdb, kdb_program: Path, tiny_student: Path, tmp_path: Path, samples: Path
) -> None:
    few = f"--student {tiny_student} --max-steps 1 --set per_device_train_batch_size=4 --set r=4"
    text = SMALL.replace("--max-steps 1", few).replace("[0, 1]", "[0]").replace("pattern-matching", "nonsense")
    text = text.replace(", { percent = 50, ratio = 0.5 }", "").replace('name = "zero-shot"', CHOICE)
    data = ["--data", samples / "kitchen", "--data", samples / "outdoor"]
    made = kdb("grid", written(tmp_path, text), *data, "--out", tmp_path, "-o", tmp_path / "grid.mk")
    assert made.code == 0, made.stderr
    first = make(kdb_program, tmp_path, "cells")
    assert first.code != 0 and "nonsense" in first.stderr
    there = {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").iterdir()}
    assert sorted(file.name.rpartition("-")[0] for file in there) == [
        "all-pairs-s",
        "clusters-s-home-1",
        "sft-10",
        "the-chosen-one",
        "whole-session-s",
    ]

    assert make(kdb_program, tmp_path, "reports").code == 0
    report = (tmp_path / "test" / "report.md").read_text()
    assert re.search(r"\| nonsense's \$HOME, #1 \| not run \|", report)
    assert re.search(r"\| SFT, 10 % \| \d", report)
    for domain in ("kitchen", "outdoor"):
        assert f"## {domain}\n" in report
        assert f"**data** {domain} (hash " in report
    assert "every item has a title" in report and "**truth** minimal bundles of each session" in report
    assert "**split** split.json" in report
    assert "| whole-session's |" in (tmp_path / "validation" / "report.md").read_text()
    # What is the best on validation is asked about the test sessions, under the name for what is chosen.
    chosen = next((tmp_path / "runs").glob("the-chosen-one-*")).read_bytes().splitlines()
    assert msgspec.json.decode(chosen[0])["settings"]["baseline"] == "whole-session"
    assert len(chosen) == 1 + 16 + 1  # the run, its predictions, its end

    printed = kdb("report", tmp_path / "test" / "records.jsonl", "--table", "runs", "--format", "markdown").stdout
    assert re.search(r"(?m)^\| the chosen one \| \d\.\d{3} \\\[", printed)

    # Every number follows from the predictions, and the report from the records beside it.
    names = re.search(r"(?m)^\t\$\(KDB\) eval \$\(wildcard (.*?)\) ", (tmp_path / "grid.mk").read_text())
    runs = [Path(name.replace("$(OUT)", str(tmp_path))) for name in names[1].split()]
    sessions = next((tmp_path / "data").glob("test-*.jsonl"))
    again = kdb("eval", *(run for run in runs if run.exists()), sessions)
    assert again.out == (tmp_path / "test" / "metrics.jsonl").read_bytes()
    records = (tmp_path / "test" / "records.jsonl").read_bytes().splitlines()
    assert set(again.out.splitlines()) <= set(records)

    # A run that was stopped is gone on with; all else is left as it is.
    stopped = next(file for file in there if file.name.startswith("clusters"))
    whole = stopped.read_bytes().splitlines(keepends=True)
    stopped.with_name(stopped.name + ".kdb-part").write_bytes(b"".join(whole[:5]) + whole[5][:20])
    stopped.unlink()
    make(kdb_program, tmp_path, "cells")
    finished = stopped.read_bytes().splitlines(keepends=True)
    assert finished[0] == whole[0]  # the window in which it stopped is predicted again as a whole
    assert [msgspec.json.decode(line).get("bundles") for line in finished] == [
        msgspec.json.decode(line).get("bundles") for line in whole
    ]
    assert all(file.stat().st_mtime_ns == then for file, then in there.items() if file != stopped)


CHOICE = """name = "{name}'s"
infer = "--baseline {name} --kb {kb}"
select_best_as = "the chosen one"
matrix.name = ["all-pairs", "whole-session"]
"""


def test_runs_on_validation_learn_from_training_alone(tmp_path: Path) -> None:
    text = SMALL.replace("split =", 'infer = "--kb {kb}"\nsplit =')
    made = rules(read(written(tmp_path, text)), [0], [ROOT / "samples" / "kitchen"], Path("out"))
    assert re.search(r"--split train \| \$\(KDB\) extract", made)
    (asked,) = [line for line in made.splitlines() if "--name zero-shot" in line]
    assert "/data/validation-" in asked and "--kb $(OUT)/data/train-" in asked and "train-validation" not in asked


def test_tags_and_seeds_go_into_the_run_record(small: Path) -> None:
    text = rules(read(small), [], [ROOT / "samples" / "kitchen"], Path("out"))
    assert "--name 'SFT, 10 %' --tag 'quantity=10 %' --tag seed=1" in text
    assert text.count("--cell 'SFT, 10 %'") == 1


def test_other_data_are_another_file_and_odd_files_beside_them_do_no_harm(tmp_path: Path, samples: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(samples / "kitchen", folder)
    grid = read(written(tmp_path, 'title = "t"\n[[cells]]\nname = "w"\ninfer = "--baseline whole-session"\n'))
    before = rules(grid, [], [folder], Path("out"))
    for odd in ("notes (copy).txt", ".~lock.titles.csv#", "a b"):
        (folder / odd).touch()
    assert rules(grid, [], [folder], Path("out")) == before
    titles = folder / "item_titles.csv"
    titles.write_text(titles.read_text().replace("a", "e"))
    assert rules(grid, [], [folder], Path("out")) != before


def test_another_teacher_in_the_environment_makes_anew(tmp_path: Path, samples: Path) -> None:
    text = 'title = "t"\n[extract]\nthought = ""\n[[cells]]\nname = "c"\ninfer = "--baseline clusters --kb {kb}"\n'
    made = rules(read(written(tmp_path, text)), [], [samples / "kitchen"], Path("out"))
    (tmp_path / "grid.mk").write_text(made)
    assert re.search(r"(?m)^\$\(OUT\)/data/train-validation-\S+: .*\$\(OUT\)/teacher$", made)

    def stamp(model: str) -> tuple[bytes, int]:
        environment = {**os.environ, "KDB_TEACHER_URL": "http://here", "KDB_TEACHER_MODEL": model}
        subprocess.run(["make", "-s", "-f", "grid.mk", "out/teacher"], cwd=tmp_path, env=environment, check=True)
        file = tmp_path / "out" / "teacher"
        return file.read_bytes(), file.stat().st_mtime_ns

    first = stamp("one")
    assert stamp("one") == first
    assert stamp("two")[0] != first[0]
    assert b"here" not in first[0]  # an address may hold a key
