"""`kdb report`: copies, seeds, utilizations, calibration and costs of the runs that it is given."""

import msgspec
from support.shop_runs import GRID, SHOP, STUDENT, plain, run_lines, shown, tagged, tuned, write_grid


def test_runs_with_the_same_predictions_count_once(kdb, tmp_path) -> None:
    grid = [*GRID[:2], ({**tuned(), "name": "SFT"}, 0.9)]
    metrics, predictions = write_grid(tmp_path, kdb, grid)
    copies = [line.replace(b'"run02"', b'"copy"') for line in run_lines(2, {**tuned(), "name": "SFT again"}, 0.9)]
    with predictions.open("ab") as file:
        file.write(b"\n".join(copies) + b"\n")
    metrics.write_bytes(kdb("eval", predictions).out)
    printed = kdb("report", metrics, predictions, "--table", "runs").stdout
    assert "SFT again has the predictions of SFT." in printed and "corrected by Holm over 1 students" in printed


def test_a_student_that_answers_as_a_baseline_does_keeps_its_place_among_quantities(kdb, tmp_path) -> None:
    tags = {"utilization": "SFT", "strategy": "random"}
    little, much = ({"name": f"SFT, {q}", "tags": {**tags, "quantity": q}} for q in ("10 %", "100 %"))
    settings, quality = GRID[1]
    metrics, predictions = write_grid(tmp_path, kdb, [GRID[0], (settings, quality), ({**tuned(), **much}, 0.9)])
    copies = [line.replace(b'"run01"', b'"copy"') for line in run_lines(1, {**tuned(), **little}, quality)]
    with predictions.open("ab") as file:
        file.write(b"\n".join(copies) + b"\n")
    metrics.write_bytes(kdb("eval", predictions).out)
    shown = kdb("report", metrics, "--table", "quantity", "--format", "markdown").stdout
    rows = [line for line in shown.splitlines() if line.startswith("| ") and "--" not in line]
    levels = [row.split("|")[2].strip() for row in rows]
    assert levels == ["quantity", "10 %", "100 %"] and "not compared" not in shown


def test_adaptive_demonstrations_are_a_utilization_of_their_own(kdb, tmp_path) -> None:
    tags = {"format": "none", "quantity": "100 %"}
    runs = [
        (tagged({**STUDENT, "name": "no"}, utilization="zero-shot", format="none"), 0.1),
        (tagged(shown(name="plain"), utilization="ICL", **tags), 0.3),
        (tagged(shown(corrections=True, name="both"), utilization="adaptive ICL", **tags), 0.6),
    ]
    metrics, _ = write_grid(tmp_path, kdb, [GRID[0], *runs])
    printed = kdb("report", metrics, "--table", "utilization", "--format", "markdown").stdout
    rows = [[cell.strip() for cell in line.split("|")] for line in printed.splitlines() if line.startswith("| ")]
    assert [row[2] for row in rows[2:]] == ["zero-shot", "ICL", "adaptive ICL"]
    assert rows[2][5] == "reference" and rows[4][5].startswith("+0.")


def test_a_tag_may_name_a_format_of_its_own(kdb, tmp_path) -> None:
    levels = ["none", "rule", "rules of another teacher", "thought + gossip"]
    runs = [
        (tagged({**STUDENT, "name": level}, utilization="zero-shot", format=level), 0.2 * n)
        for n, level in reversed(list(enumerate(levels)))
    ]
    metrics, _ = write_grid(tmp_path, kdb, [GRID[0], *runs])
    done = kdb("report", metrics, "--table", "format", "--format", "markdown")
    assert done.code == 0, done.stderr
    rows = [line.split("|")[2].strip() for line in done.stdout.splitlines() if line.startswith("| ")]
    assert rows[2:] == levels


def test_stated_families_seeds_and_calibration_are_taken_as_recorded(kdb, tmp_path) -> None:
    metrics, _ = write_grid(tmp_path, kdb, [*GRID[:2], ({**tuned(), "name": "SFT"}, 0.9)])
    lines = [msgspec.json.decode(line) for line in metrics.read_bytes().splitlines()]
    for record in lines:
        if record["kind"] == "metric" and record["run"] == "run02":
            record |= {"seeds": ["s0", "s1"], "spread": {"matched_f1": 0.0123}}
            record["values"]["expected_calibration_error"] = 0.0456
        if record["kind"] == "comparison" and record["family"] == "baseline":
            record |= {"p_holm": dict.fromkeys(record["p"], 0.0321), "p_floor": 0.0}
    bins = [
        {"bundles": 4, "probability": 0.2, "precision": 0.25},
        {"bundles": 4, "probability": 0.8, "precision": 0.9},
    ]
    kept = [{"share": s, "precision": 1 - s / 2, "probability": 0.9 - s / 2} for s in (0.125, 0.5, 1.0)]
    lines.append(
        {"kind": "calibration", "run": "run02", "domain": SHOP, "bundles": 8, "bins": bins, "kept": kept},
    )
    metrics.write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
    assert kdb("report", metrics, "-o", tmp_path / "r").code == 0
    text = plain((tmp_path / "r" / "report.md").read_text())
    assert "standard deviation over 2 seeds 0.012" in text
    assert "the best method without a student, clusters," in text and "p = 0.032" in text
    assert (
        "**Figure 6.** Reliability of the probabilities that SFT gives to 8 bundles "
        "(expected calibration error 0.046)" in text
    )
    figures = ["-".join(file.stem.split("-")[-2:]) for file in (tmp_path / "r" / "figures").glob("*-[67]-*.svg")]
    assert sorted(figures) == ["6-calibration", "7-precision"]
    table = kdb("report", metrics, "--table", "probabilities").stdout
    found = [line.split()[-3:] for line in table.splitlines() if line.strip().startswith("SFT")]
    assert found == [
        ["0.838", "0.125", "0.938"],
        ["0.650", "0.500", "0.750"],
        ["0.400", "1.000", "0.500"],
    ]


def test_costs_are_drawn_only_where_they_were_measured_on_an_idle_machine(kdb, tmp_path) -> None:
    idle = {"tags": {"timing": "idle"}}
    grid = [({**GRID[1][0], **idle, "name": "clusters"}, 0.3), ({**tuned(), **idle, "name": "SFT"}, 0.9), GRID[2]]
    metrics, _ = write_grid(tmp_path, kdb, grid)
    assert kdb("report", metrics, "-o", tmp_path / "r").code == 0
    text = plain((tmp_path / "r" / "report.md").read_text())
    assert "For 1,000 sessions the student takes 2 seconds (clusters: 1) and reads" in text
    figure = next((tmp_path / "r" / "figures").glob("*5-seconds.svg")).read_text()
    assert ">SFT<" in figure and ">clusters<" in figure and ">zero-shot<" not in figure
