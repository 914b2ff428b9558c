"""`kdb report`: numbers come from the records beside it, bold where a test says so, and it looks right."""

import random
import re
import shutil
import struct
import subprocess
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from kdb.records import Bundle, Prediction, Run, Usage
from kdb.report.blocks import Cell, Table, number
from kdb.report.factors import factors, label
from kdb.report.html import render as html
from kdb.report.markdown import escape
from kdb.report.svg import Scale, tick_text

STUDENT = {"student": "/models/tiny", "answer": "list", "demos": 0, "knowledge": 0, "adapter": ""}
ALL = {"sessions": 20, "validation": 4, "domains": ["shop"]}
SHOP = "shop & <i>co</i>"


def tuned(**kb: object) -> dict:
    return {**STUDENT, "adapter": "abc", "trained": {"run": "t", **ALL, **kb}}


def drawn(strategy: str, ratio: float) -> dict:
    return tuned(selected={"of": "sessions", "strategy": strategy, "ratio": ratio, "seed": 0})


def shown(**more: object) -> dict:
    return {**STUDENT, "demos": 3, "kb": ALL, **more}


GRID: list[tuple[dict, float]] = [  # settings, and how often a true bundle is found
    ({"baseline": "all-pairs"}, 0.2),
    ({"baseline": "clusters"}, 0.3),
    (STUDENT, 0.1),
    (shown(), 0.25),
    (shown(knowledge=2, kb={**ALL, "knowledge": {"pattern": 9}}), 0.4),
    (shown(knowledge=2, kb={**ALL, "knowledge": {"thought": 9, "rule": 4}}), 0.45),
    (tuned(), 0.95),
    ({**tuned(), "demos": 3, "kb": ALL, "name": "best | of <all>"}, 0.6),
    *((drawn("random", r), 0.3 + 0.4 * r) for r in (0.1, 0.3, 0.5)),
    *((drawn("diversity", r), 0.5 + 0.2 * r) for r in (0.1, 0.5)),
    *(({**drawn("random", 0.3), "knowledge": 2, "kb": {"knowledge": {f: 5}}}, 0.5) for f in ("pattern", "rule")),
]


def run_lines(number: int, settings: dict, quality: float) -> list[bytes]:
    """A run on 40 sessions of two true bundles each, as `kdb infer` writes it."""
    rng = random.Random(number)
    run = Run(id=f"run{number:02}", command="infer", settings=settings, seed=0, versions={"kdb": "0.1.0"})
    run.inputs = {"kb": "0123456789abcdef"}
    run.measured = {} if "baseline" in settings else {"parameters": 1000}
    records: list[object] = [run]
    for session in range(40):
        found = [ids for ids in ("ab", "cd") if rng.random() < quality] or ["ac"]
        records.append(
            Prediction(
                id=str(session),
                domain=SHOP,
                items=list("abcde"),
                bundles=[Bundle(list(ids)) for ids in found],
                status="ok",
                run=run.id,
                truth=[Bundle(list(ids)) for ids in ("ab", "cd")],
                seconds=0.001 * (number + 1),
                usage=Usage(0 if "baseline" in settings else 300 + number, 20),
            )
        )
    return [msgspec.json.encode(record) for record in records]


@pytest.fixture(scope="module")
def report(tmp_path_factory, kdb) -> Path:
    folder = tmp_path_factory.mktemp("report")
    predictions = folder / "predictions.jsonl"
    lines = [line for n, (settings, quality) in enumerate(GRID) for line in run_lines(n, settings, quality)]
    predictions.write_bytes(b"\n".join(lines) + b"\n")
    scored = kdb("eval", "--by", "length", predictions)
    assert scored.code == 0, scored.stderr
    (folder / "metrics.jsonl").write_bytes(scored.out)
    out = folder / "out"
    done = kdb("report", folder / "metrics.jsonl", predictions, "-o", out, "--note", "Invented: <b>no shop</b>.")
    assert (done.code, done.out) == (0, b""), done.stderr
    return out


def tables(markdown: str) -> dict[str, list[list[str]]]:
    """The rows of each table by the heading above it, the head first."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in markdown.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ").replace(escape(SHOP), "").strip(" :,")
        elif line.startswith("| ") and not line.startswith("| :--"):
            found.setdefault(heading, []).append([c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def strict_records(report: Path) -> tuple[dict[str, dict], dict[tuple[str, str], dict]]:
    """The strict metrics by label as Markdown shows it, and the strict comparisons by pair of run ids."""
    records = [msgspec.json.decode(line) for line in (report / "records.jsonl").read_bytes().splitlines()]
    strict = [r for r in records if r.get("protocol") == "strict" and not r.get("slice")]
    metrics = {escape(label(r["settings"])): r for r in strict if r["kind"] == "metric"}
    return metrics, {tuple(r["runs"]): r for r in strict if r["kind"] == "comparison"}


def shown_value(record: dict, metric: str) -> str:
    low, high = record["intervals"][metric]
    return f"{record['values'][metric]:.3f} [{low:.3f}, {high:.3f}]"


def p_of(comparisons: dict, run: str, other: str, metric: str) -> tuple[float, float] | None:
    """The difference and its p; None where the two are of no family, or only described."""
    for sign, pair in ((1, (run, other)), (-1, (other, run))):
        found = comparisons.get(pair)
        if found and metric in found["p_holm"]:
            return sign * found["differences"][metric], found["p_holm"][metric]
    return None


COLUMNS = {"precision": 2, "recall": 3, "coverage": 4, "matched_f1": 5, "exact": 6, "pair_f1": 7}


def test_every_number_of_the_main_table_is_in_the_records(report) -> None:
    metrics, comparisons = strict_records(report)
    head, *rows = tables((report / "report.md").read_text())[""]
    assert head[:3] == ["no.", "run", "precision"]
    assert [row[1] for row in rows] == list(metrics) and len(rows) == len(GRID)
    best_baseline = max(("run00", "run01"), key=lambda r: metrics_of(metrics, r)["values"]["matched_f1"])
    students = 0
    for row in rows:
        record = metrics[row[1]]
        for metric, column in COLUMNS.items():
            assert row[column].replace("**", "") == shown_value(record, metric)
            others = [r["run"] for r in metrics.values() if r is not record]
            gains = [p_of(comparisons, record["run"], other, metric) for other in others]
            wins = all(gain and gain[0] > 0 and gain[1] < 0.05 for gain in gains)
            assert row[column].startswith("**") == wins
        if record["run"] == best_baseline:
            assert row[-1] == "best baseline"
        elif found := p_of(comparisons, record["run"], best_baseline, "matched_f1"):
            gain, p = found
            students += 1
            assert row[-1] == f"{gain:+.3f} ({'p < 0.001' if p < 0.001 else f'p = {p:.3f}'})".replace("<", "&lt;")
        else:
            assert row[-1] == "not compared"
    assert students > 2


def metrics_of(metrics: dict[str, dict], run: str) -> dict:
    return next(record for record in metrics.values() if record["run"] == run)


def test_questions_hold_the_runs_that_differ_in_one_factor(report) -> None:
    found = tables((report / "report.md").read_text())
    metrics, _ = strict_records(report)

    def cells(question: str, group: str, metric: str) -> list[str]:
        (row,) = [r for r in found[question][1:] if r[0] == group and r[1] == metric]
        return [cell.replace("**", "") for cell in row[2:]]

    def of(run: int, metric: str) -> str:
        return shown_value(metrics_of(metrics, f"run{run:02}"), metric)

    quantity = "quantity: How much of it?"
    assert found[quantity][0] == ["strategy", "metric", "10 %", "30 %", "50 %", "100 %"]
    for metric, name in (("precision", "precision"), ("matched_f1", "matched F1")):
        assert cells(quantity, "random", name) == [of(n, metric) for n in (8, 9, 10, 6)]
        low, high = of(11, metric), of(12, metric)
        assert cells(quantity, "diversity", name) == [low, "not run", high, of(6, metric)]
    formats = "format: Which format of knowledge?"
    assert found[formats][0][2:] == ["none", "pattern", "rule", "rule + thought"]
    none, pattern, both = (of(n, "recall") for n in (3, 4, 5))
    assert cells(formats, found[formats][1][0], "recall") == [none, pattern, "not run", both]
    use = "utilization: Used in which way?"
    assert found[use][0][2:] == ["zero-shot", "ICL", "SFT", "SFT + ICL"]
    plain = next(
        row for row in found[use][1:] if "none" in row[0] and row[1] == "coverage" and "not run" not in row
    )
    assert [cell.replace("**", "") for cell in plain[2:]] == [of(n, "coverage") for n in (2, 3, 6, 7)]

    # At the quantity where most was run: formats of a trained student were compared on a part of the sessions only.
    part = next(row[0] for row in found[formats][1:] if "random" in row[0])
    assert cells(formats, part, "recall") == ["not run", of(13, "recall"), of(14, "recall"), "not run"]
    assert not any("10 %" in row[0] for row in found[use])


NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?(?![\w.])")


def written(value: float) -> set[str]:
    """The ways in which a report may write a number of a record."""
    forms = {f"{value:.3f}", f"{value:+.3f}", f"{-value:+.3f}", f"{value:,.0f}" if abs(value) >= 100 else ""}
    return forms | ({f"{value:,.0f}"} if value == int(value) else set()) | {f"{value:.3g}"}


def test_no_number_is_from_elsewhere(report) -> None:
    allowed = {"0.001"}  # of "p < 0.001"
    for line in (report / "records.jsonl").read_bytes().splitlines():
        record = msgspec.json.decode(line)
        numbers: list[float | None] = [record.get("sessions")]
        for name in ("values", "counts", "differences", "p_holm"):
            numbers += record.get(name, {}).values()
        numbers += [bound for bounds in record.get("intervals", {}).values() for bound in bounds]
        allowed |= {form for value in numbers if value is not None for form in written(value)}
    seen = 0
    for heading, rows in tables((report / "report.md").read_text()).items():
        if heading == "Settings, versions and hashes":
            continue
        for cell in (cell for row in rows[1:] for cell in row[2:]):
            for found in NUMBER.findall(cell.replace("[", " ").replace(", ", " ").replace("]", " ")):
                seen += 1
                assert found in allowed, (heading, cell)
    assert seen > 500


class Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        assert tag not in ("script", "link", "img", "iframe")
        assert not any(name in ("src", "href") or name.startswith("on") for name, _ in attrs)

    def handle_data(self, data) -> None:
        self.words.append(data.strip())


def test_the_page_holds_the_same_cells_and_needs_no_network(report) -> None:
    text = (report / "report.html").read_text()
    page = Words()
    page.feed(text)
    assert page.tags.count("svg") == len(list((report / "figures").iterdir())) == 4
    assert "<i>co" not in text and "<b>no" not in text and "best | of <all>" in page.words
    for rows in tables((report / "report.md").read_text()).values():
        for cell in {cell for row in rows[1:] for cell in row if re.match(r"\*{0,2}0\.\d{3} \[", cell)}:
            value, bounds = cell.replace("**", "").split(" ", 1)
            assert value in page.words and bounds in page.words
    assert "url(" not in text and "@import" not in text


def test_figures_are_svg_whose_points_are_the_records(report) -> None:
    metrics, _ = strict_records(report)
    values = {f"{record['values']['matched_f1']:.3f}" for record in metrics.values()}
    by_ratio = ElementTree.parse(next((report / "figures").glob("*by-ratio*"))).getroot()
    titles = [element.text or "" for element in by_ratio.iter("{http://www.w3.org/2000/svg}title")]
    points = [title for title in titles if "%:" in title]
    assert len(points) == 7  # 100 % stands on both lines
    assert {point.split(": ")[1].split(" ")[0] for point in points} <= values
    for figure in (report / "figures").iterdir():
        words = " ".join(ElementTree.parse(figure).getroot().itertext())
        assert re.search("%|a session|a bundle", words)  # every axis has its unit


def test_settings_notes_and_hashes_stand_at_the_end(report) -> None:
    text = (report / "report.md").read_text()
    end = text[text.index("## Data") :]
    assert "Invented: &lt;b>no shop&lt;/b>." in end
    for wanted in ("0123456789abcdef", "version of kdb | 0.1.0", "run12", "diversity"):
        assert wanted in end
    assert "Better than clusters, the best baseline, in matched F1: tiny, SFT;" in text
    assert "Worse than clusters, the best baseline, in matched F1: tiny, zero-shot." in text


def test_the_data_policy_is_what_import_stamped(kdb, samples, tmp_path) -> None:
    argv = ("import", samples / "outdoor", "--split-ratio", "7:1:2", "--split", "test")
    sessions = [msgspec.json.decode(line) for line in kdb(*argv).out.splitlines()]
    for session in sessions:
        session["imported"] |= {"untitled": "drop", "untitled_items": 1194, "untitled_sessions": 503}
    lines = b"\n".join(map(msgspec.json.encode, sessions))
    predictions = kdb("infer", "--baseline", "whole-session", stdin=lines).out
    done = kdb("report", "-o", tmp_path / "r", stdin=kdb("eval", "-", stdin=predictions + lines).out)
    assert done.code == 0, done.stderr
    text = (tmp_path / "r" / "report.md").read_text()
    assert "outdoor: imported from outdoor (hash" in text
    assert "1,194 items without a title in 503 sessions were left out, which makes the task easier" in text
    assert "split by 0.7:0.1:0.2, seed 0" in text and "kdb report --note" not in text


def test_the_same_records_give_the_same_bytes_and_nothing_is_overwritten(report, tmp_path, kdb) -> None:
    again = kdb("report", report / "records.jsonl", "-o", tmp_path / "r", "--note", "Invented: <b>no shop</b>.")
    assert again.code == 0, again.stderr
    for file in (path for path in report.rglob("*") if path.is_file()):
        assert (tmp_path / "r" / file.relative_to(report)).read_bytes() == file.read_bytes()
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


def test_without_comparisons_nothing_is_bold(report, tmp_path, kdb) -> None:
    lines = [li for li in (report / "records.jsonl").read_bytes().splitlines() if b'"comparison"' not in li]
    assert kdb("report", "-o", tmp_path / "r", stdin=b"\n".join(lines)).code == 0
    text = (tmp_path / "r" / "report.md").read_text()
    assert "**" not in text and "not compared" in text


def test_labels_and_factors() -> None:
    assert label({"name": "mine", **STUDENT}) == "mine"
    assert label(drawn("random", 0.3)) == "tiny, SFT, random, 30 %"
    assert factors({"baseline": "clusters"}) == factors({}) == {}
    knowing = tuned(knowledge={"pattern": 9, "thought": 4})
    assert factors(knowing)["format"] == "none"
    assert factors({**knowing, "knowledge": 2})["format"] == "pattern + thought"
    assert factors({**knowing, "knowledge": 2, "formats": ["pattern"]})["format"] == "pattern"
    learnt = factors({**knowing, "target": "both"})
    assert (learnt["format"], learnt["target"]) == ("thought", "both")
    assert "strategy" not in factors(drawn("random", 1.0))
    assert factors(tuned(selected={"of": "sessions", "strategy": "length", "prefer": "long", "count": 9})) == {
        "student": "tiny",
        "answer": "list",
        "utilization": "SFT",
        "format": "none",
        "domains": "shop",
        "strategy": "length long",
        "quantity": "9 sessions",
    }


def test_numbers_scales_and_escapes() -> None:
    values = (None, 0.0, 0.1234, 12.3456, 321.4, 134515008.0, 0.00002)
    assert [number(v) for v in values] == ["–", "0.000", "0.123", "12.346", "321", "1.35e+08", "2e-05"]
    assert Scale(0, 0.7, 0, 7).ticks() == [0, 0.2, 0.4, 0.6]
    assert Scale(0.001, 10, 0, 4, log=True).ticks() == pytest.approx([0.001, 0.01, 0.1, 1, 10])
    assert Scale(1e5, 1e6, 0, 1, log=True).ticks() == [1e5, 2e5, 5e5, 1e6]
    assert [tick_text(v) for v in (0.2, 100.0, 1e9, 2e5, 5e-5)] == ["0.2", "100", "10⁹", "2·10⁵", "5·10⁻⁵"]
    assert Scale(0.001, 10, 0, 4, log=True).at(0.1) == pytest.approx(2)
    assert all(a < b for a, b in pairwise(Scale(0, 3, 0, 1).ticks()))
    assert escape("a|b\n*c* [x](y) <b>") == r"a\|b \*c\* [x\](y) &lt;b>"
    assert "<b>" not in html([Table(["<b>"], [[Cell("<b>")]], "<b>")])


def test_it_looks_right_in_a_browser(report, tmp_path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("needs Chromium")
    picture = tmp_path / "report.png"
    options = "headless no-sandbox disable-gpu no-first-run disable-background-networking disable-component-update"
    subprocess.run(
        [
            browser,
            *(f"--{option}" for option in [*options.split(), "disable-sync", "hide-scrollbars"]),
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1200,3000",
            f"--screenshot={picture}",
            (report / "report.html").as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=300,
    )
    size = struct.unpack(">II", picture.read_bytes()[16:24])
    assert size == (1200, 3000) and picture.stat().st_size > 100_000
