"""`kdb report`: numbers come from the records beside it, p values from their family, and nothing is left empty."""

import csv
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from support.shop_runs import GRID, SHOP, plain, write_grid

from kdb.evaluation.labels import label
from kdb.report.table_formats import markdown_text


@pytest.fixture(scope="module")
def report(tmp_path_factory, kdb) -> Path:
    folder = tmp_path_factory.mktemp("report")
    metrics, predictions = write_grid(folder, kdb)
    done = kdb("report", metrics, predictions, "-o", folder / "out", "--note", "Invented: <b>no shop</b>.")
    assert (done.code, done.out) == (0, b""), done.stderr
    return folder / "out"


def records(report: Path) -> list[dict]:
    return [msgspec.json.decode(line) for line in (report / "records.jsonl").read_bytes().splitlines()]


def strict(report: Path) -> dict[str, dict]:
    """The strict metrics by run."""
    found = [r for r in records(report) if r["kind"] == "metric" and r["protocol"] == "strict" and not r["slice"]]
    return {r["run"]: r for r in found}


def tables(markdown: str) -> dict[str, list[list[str]]]:
    """The rows of each table by the heading above it, the head first."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in markdown.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ").replace(markdown_text(SHOP), "").strip(" :,")
        elif line.startswith("| ") and not line.startswith("| :--"):
            found.setdefault(heading, []).append([c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def compared(report: Path, run: str, reference: str, family: str) -> tuple[float, list[float], float | None]:
    """Difference, interval and corrected p of run minus reference in matched F1, as recorded."""
    (found,) = [
        r
        for r in records(report)
        if r["kind"] == "comparison" and r["protocol"] == "strict" and r["family"] == family
        if r["runs"] == [run, reference]
    ]
    return tuple(found[name].get("matched_f1") for name in ("differences", "intervals", "p_holm"))


def test_every_number_of_the_table_of_runs_is_in_the_records(report) -> None:
    found = strict(report)
    head, *rows = tables((report / "report.md").read_text())["All runs"]
    assert head[:4] == ["run", "matched F1", "− baseline", "p"] and len(rows) == len(GRID)
    columns = {1: "matched_f1", 4: "precision", 5: "recall", 6: "coverage", 7: "exact", 8: "pair_f1"}
    for row, (run, record) in zip(rows, found.items(), strict=True):
        assert row[0].startswith(markdown_text(label(record["settings"])))
        for column, metric in columns.items():
            value, (low, high) = record["values"][metric], record["intervals"][metric]
            assert plain(row[column]) == f"{value:.3f} [{low:.3f}, {high:.3f}]"
        if run == "run01":  # of the two the stronger design
            assert row[2:4] == ["baseline", ""]
            continue
        gain, (low, high), p = compared(report, run, "run01", "baselines" if run == "run00" else "baseline")
        assert plain(row[2]) == f"{gain:+.3f} [{low:+.3f}, {high:+.3f}]".replace("+0.000", "0.000")
        if p is None:
            assert run == "run00" and row[3] == "not tested"
        else:
            assert_p(row[3], p)


def assert_p(shown: str, exact: float) -> None:
    """`0.012`, `0.79`, `< 0.001` and the bound `≤ 0.0001` are ways to write p."""
    value = float(re.sub(r"[^\d.]", "", shown.replace("&lt;", "")))
    if "<" in plain(shown):
        assert exact < value == 0.001
    elif "≤" in shown:
        assert exact <= value < exact + 1.1e-4
    else:
        assert value == pytest.approx(exact, abs=0.0051 if value >= 0.1 else 0.00051)


def test_a_p_value_at_the_floor_is_a_bound(report) -> None:
    """No permutation reached a difference as large."""
    rows = tables((report / "report.md").read_text())["All runs"][1:]
    bounded = {row[0] for row in rows if row[3].startswith("≤")}
    students = [r for r in records(report) if r["kind"] == "comparison" and r["family"] == "baseline"]
    at_floor = [r for r in students if r["protocol"] == "strict" and r["p"]["matched_f1"] <= r["p_floor"]]
    assert "SFT" in bounded and len(bounded) == len(at_floor) < len(students)


def test_each_question_compares_what_differs_in_one_factor(report) -> None:
    found = tables((report / "report.md").read_text())
    values = strict(report)

    def rows(question: str, setting: str) -> dict[str, list[str]]:
        return {row[1]: row for row in found[question][1:] if row[0] == setting}

    def value(run: int) -> str:
        return f"{values[f'run{run:02}']['values']['matched_f1']:.3f}"

    random = rows("Quantity", "SFT, random")
    assert list(random) == ["10 %", "30 %", "50 %", "100 %"] and random["100 %"][4] == "reference"
    assert [row[3].split(" ")[0] for row in random.values()] == [value(n) for n in (8, 9, 10, 6)]
    assert [row[2] for row in random.values()] == ["2", "6", "10", "20"]
    assert [r[3].split(" ")[0] for r in rows("Quantity", "SFT, diversity").values()] == [
        value(n) for n in (11, 12, 6)
    ]

    # Shown knowledge makes no demonstration: a trained student that reads patterns is SFT.
    part = rows("Format", "SFT, random 30 %")
    assert [row[3].split(" ")[0] for row in part.values()] == [value(n) for n in (9, 13, 14)]
    assert list(part) == ["none", "pattern", "rule"] and part["none"][4] == "reference"
    assert list(rows("Format", "ICL, all data")) == ["none", "pattern", "rule + thought"]

    use = rows("Utilization", "all data")
    assert [row[3].split(" ")[0] for row in use.values()] == [value(n) for n in (2, 3, 6, 7)]
    assert list(use) == ["zero-shot", "ICL", "SFT", "SFT + ICL"]
    difference, (low, high), _ = compared(report, "run06", "run02", "utilization")
    assert plain(use["SFT"][4]) == f"{difference:+.3f} [{low:+.3f}, {high:+.3f}]"
    assert "not run" not in (report / "report.md").read_text()


def test_p_is_corrected_inside_its_question(report) -> None:
    rows = [row for row in tables((report / "report.md").read_text())["Quantity"][1:] if row[4] != "reference"]
    runs = {("SFT, random", f"{share} %"): n for share, n in ((10, 8), (30, 9), (50, 10))}
    runs |= {("SFT, diversity", f"{share} %"): n for share, n in ((10, 11), (50, 12))}
    assert len(rows) == len(runs)
    for row in rows:
        assert_p(row[5], compared(report, f"run{runs[row[0], row[1]]:02}", "run06", "quantity")[2])


def test_the_sentences_say_what_the_intervals_say(report) -> None:
    text = plain((report / "report.md").read_text())
    found = strict(report)
    value, low = found["run06"]["values"]["matched_f1"], found["run06"]["intervals"]["matched_f1"][0]
    difference, (least, most), _ = compared(report, "run06", "run01", "baseline")
    assert (
        f"1. On 40 held-out sessions with 80 true bundles, which are few, the student SFT reaches a matched F1 of "
        f"{value:.3f} (95 % interval {low:.3f} to " in text
    )
    assert f"The paired difference is {difference:+.3f} ({least:+.3f} to {most:+.3f}, p" in text
    assert (
        f"a gain of at least {least:.3f} is shown. Chosen on these same sessions: the student as the best of 13"
        in text
    )
    assert "seconds are left out, because no idle machine measured them in one pass" in text
    assert "The teacher was annotations: what people labelled, not what an LLM knows." in text
    assert text.count("\n1. On ") == text.count("\n5. Utilization (all data)") == 1


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.anchors: set[str] = set()
        self.targets: set[str] = set()
        self.policy = ""

    def handle_starttag(self, tag, attrs) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.anchors.add(found.get("id") or "")
        assert tag not in ("script", "img", "iframe")
        assert not any(name == "src" or name.startswith("on") for name in found)
        address = found.get("href") or found.get("xlink:href") or "#"
        assert address.startswith(("#", "data:")), address
        if tag == "a":
            self.targets.add(address[1:])
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"] or ""

    def handle_data(self, data) -> None:
        self.words.append(data.strip())


def test_the_page_is_one_small_file_that_needs_nothing_else(report) -> None:
    text = (report / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert len(text.encode()) < 300_000
    assert page.policy.startswith("default-src 'none'") and "script" not in page.policy
    assert "@import" not in text and not re.search(r"url\((?!#)", text)
    assert "<i>co" not in text and "<b>no" not in text and "Thing A <b>" not in text
    assert page.targets and page.targets <= page.anchors
    assert page.tags.count("svg") == 2 * len(list((report / "figures").glob("*.svg"))) == 8
    assert "prefers-color-scheme:dark" in text
    for rows in tables((report / "report.md").read_text()).values():
        for cell in {plain(cell) for row in rows[1:] for cell in row if re.match(r"0\.\d{3} \\\[", cell)}:
            value, bounds = cell.split(" ", 1)
            assert value in page.words and bounds in page.words


def test_figures_hold_the_numbers_of_the_records(report) -> None:
    names = sorted(file.stem for file in (report / "figures").glob("*.svg"))
    assert [name.rpartition("co-i-")[2] for name in names] == [
        "1-differences",
        "2-format",
        "3-quantity",
        "4-utilization",
    ]
    for name in names:
        assert (report / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        root = ElementTree.parse(report / "figures" / f"{name}.svg").getroot()
        assert root.find("{http://www.w3.org/2000/svg}title") is not None
        text = (report / "figures" / f"{name}.svg").read_text()
        used = set(re.findall(r"var\(--(\w+)\)", text))
        assert used and all(text.count(f"--{one}:") == 2 for one in used)  # a light and a dark colour
    first = ElementTree.parse(next((report / "figures").glob("*1-differences.svg"))).getroot()
    words = [plain(word) for word in first.itertext()]
    difference, (low, high), _ = compared(report, "run06", "run01", "baseline")
    assert f"{difference:+.3f} [{low:+.3f}, {high:+.3f}]" in words
    assert {"Without a student", "Utilization: all data", "all-pairs"} <= set(words)


def test_examples_are_the_best_a_median_and_the_worst_session(report) -> None:
    text = plain((report / "report.md").read_text())
    part = text[text.index("## Examples") :]
    assert part.index("The best: session") < part.index("A median: session") < part.index("The worst: session")
    assert "1. Thing A <b>" in part
    assert "| SFT (matched F1 1.000) | 1, 2 the intent of ab | 1, 2 an intent of ab | 1.00 | hit |" in part
    assert "| clusters (matched F1 " in part and "| missed |" in part
    kept = [r for r in records(report) if r["kind"] in ("prediction", "session")]
    assert len(kept) == 3 + 2 * 3 and {r["run"] for r in kept if "run" in r} == {"run06", "run01"}


def test_settings_notes_and_hashes_stand_at_the_end(report) -> None:
    text = (report / "report.md").read_text()
    end = text[text.index("## Data and provenance") :]
    assert "Invented: &lt;b>no shop&lt;/b>." in end
    for wanted in (
        "0123456789abcdef",
        "| version of kdb | 0.1.0 |",
        "run12",
        "trained.selected.strategy diversity",
    ):
        assert wanted in end
    assert end.count("version of kdb") == 1  # what all share stands once


def test_latex_tables_have_a_caption_rules_and_as_many_cells_as_columns(report, tmp_path) -> None:
    text = (report / "tables.tex").read_text()
    found = re.findall(r"\\begin\{table\}.*?\\end\{table\}", text, re.DOTALL)
    assert len(found) == 6
    for one in found:
        columns = len(re.search(r"\\begin\{tabular\}\{([lr]+)\}", one)[1])
        body = one[one.index("\\toprule") : one.index("\\bottomrule")]
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(rows) > 1 and {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {columns}
        assert one.index("\\caption{") < one.index("\\label{tab:") < one.index("\\toprule") < one.index("\\midrule")
        assert re.search(r"\\par\\smallskip\n\{\\footnotesize \w.*\.\}\n\\end\{table\}", one)
    assert r"best | of $<$all$>$" in text and "shop \\& $<$i$>$co$<$/i$>$" in text
    if not shutil.which("pdflatex"):
        return
    page = "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}\\begin{document}"
    (tmp_path / "page.tex").write_text(f"{page}\n\\input{{{report / 'tables'}}}\n\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]


def test_csv_holds_every_score_unrounded(report) -> None:
    rows = list(csv.DictReader((report / "tables.csv").read_text().splitlines()))
    found = strict(report)
    own = [r for r in rows if r["run"] == "SFT" and r["protocol"] == "strict"]
    assert {r["metric"]: r["value"] for r in own}["matched_f1"] == str(found["run06"]["values"]["matched_f1"])
    (primary,) = [r for r in own if r["metric"] == "matched_f1"]
    difference, (low, high), _ = compared(report, "run06", "run01", "baseline")
    assert [float(primary[name]) for name in ("difference", "difference_low", "difference_high")] == [
        pytest.approx(one) for one in (difference, low, high)
    ]


@pytest.mark.parametrize("style", ["text", "markdown", "csv", "latex"])
def test_one_table_is_printed_in_any_format(report, kdb, style) -> None:
    done = kdb("report", report / "records.jsonl", "--table", "quantity", "--format", style)
    assert done.code == 0 and done.stdout.count("reference") >= 2 and "SFT, random" in done.stdout
    if style == "markdown":
        rows = [
            line for line in (report / "report.md").read_text().splitlines() if line in done.stdout.splitlines()
        ]
        assert len([row for row in rows if row.startswith("| SFT")]) == 7


def test_wrong_names_are_usage_errors(report, kdb, tmp_path) -> None:
    for argv, said in (
        (["--table", "nonsense"], "they allow summary, runs, format"),
        (["--table", "runs", "-o", tmp_path / "r"], "--output has no effect with --table"),
        ([], "-o FOLDER"),
        (["--baseline", "nobody", "-o", tmp_path / "r"], "there are all-pairs, clusters"),
        (["--student", "clusters", "-o", tmp_path / "r"], "there are zero-shot, ICL"),
    ):
        done = kdb("report", report / "records.jsonl", *argv)
        assert done.code == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_the_baseline_and_the_student_can_be_chosen_elsewhere(report, kdb, tmp_path) -> None:
    argv = ("--baseline", "all-pairs", "--student", "zero-shot", "-o", tmp_path / "r")
    assert kdb("report", report / "records.jsonl", *argv).code == 0
    text = plain((tmp_path / "r" / "report.md").read_text())
    assert "the student zero-shot reaches" in text and "the chosen method without a student, all-pairs," in text
    assert "Chosen on these same sessions" not in text


def test_the_data_policy_is_what_import_stamped(kdb, samples, tmp_path) -> None:
    argv = ("import", samples / "outdoor", "--split-ratio", "7:1:2", "--split", "test")
    sessions = [msgspec.json.decode(line) for line in kdb(*argv).out.splitlines()]
    for session in sessions:
        session["imported"] |= {"untitled": "drop", "untitled_items": 1194, "untitled_sessions": 503}
    lines = b"\n".join(map(msgspec.json.encode, sessions))
    predictions = kdb("infer", "--baseline", "whole-session", stdin=lines).out
    done = kdb("report", "-o", tmp_path / "r", stdin=kdb("eval", "-", stdin=predictions + lines).out)
    assert done.code == 0, done.stderr
    text = plain((tmp_path / "r" / "report.md").read_text())
    assert "**data** outdoor (hash" in text
    assert "1,194 items without a title in 503 sessions were left out, which makes the task easier" in text
    assert "**split** 0.7:0.1:0.2, seed 0" in text and "kdb report --note" not in text
    # A question without runs takes one line, and one run is no comparison.
    assert "no student was run; whole-session reaches a matched F1 of" in text
    assert text.count("no two runs differ in") == 3
    assert not (tmp_path / "r" / "figures").exists()


def test_the_same_records_give_the_same_bytes_and_nothing_is_overwritten(report, tmp_path, kdb) -> None:
    again = kdb("report", report / "records.jsonl", "-o", tmp_path / "r", "--note", "Invented: <b>no shop</b>.")
    assert again.code == 0, again.stderr
    for file in (path for path in report.rglob("*") if path.is_file()):
        assert (tmp_path / "r" / file.relative_to(report)).read_bytes() == file.read_bytes(), file.name
    refused = kdb("report", report / "records.jsonl", "-o", tmp_path / "r")
    assert refused.code == 2 and "--force" in refused.stderr
    assert kdb("report", report / "records.jsonl", "-o", tmp_path / "r", "--force").code == 0
    assert "kdb report --note" in (tmp_path / "r" / "report.md").read_text()


def test_what_contradicts_itself_or_is_missing_is_refused(report, tmp_path, kdb) -> None:
    lines = (report / "records.jsonl").read_bytes().splitlines()
    other = msgspec.json.decode(lines[0])
    assert other["kind"] == "metric"
    other["values"]["precision"] = 0.123
    clash = kdb("report", "-o", tmp_path / "r", stdin=b"\n".join([lines[0], msgspec.json.encode(other)]))
    assert clash.code == 1 and "stdin:2" in clash.stderr and "scored twice" in clash.stderr
    empty = kdb("report", "-o", tmp_path / "r", stdin=b"")
    assert empty.code == 1 and "no metric" in empty.stderr and not (tmp_path / "r").exists()


def test_without_comparisons_nothing_is_claimed(report, tmp_path, kdb) -> None:
    lines = [li for li in (report / "records.jsonl").read_bytes().splitlines() if b'"comparison"' not in li]
    assert kdb("report", "-o", tmp_path / "r", stdin=b"\n".join(lines)).code == 0
    text = (tmp_path / "r" / "report.md").read_text()
    assert "The records do not compare the two." in text and "is shown" not in text
    assert "| p |" not in text.partition("Format")[0]
