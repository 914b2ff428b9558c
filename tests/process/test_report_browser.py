"""The report as Chromium lays it out: on a wide and on a narrow screen, light and dark."""

import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from support.command_line import SAMPLES
from support.shop_runs import write_grid

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "headless",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "hide-scrollbars",
    "enable-logging=stderr",
]
THEMES = {"light": "--blink-settings=preferredColorScheme=1", "dark": "--blink-settings=preferredColorScheme=0"}
FIRST_SCREENS = 1600
"""The five sentences and Figure 1 are to be read in so many pixels."""
SMALLEST_TEXT = 11
MEASURE = """<!doctype html><meta charset=utf-8><link rel=icon href="data:,"><body style="margin:0">
<iframe id=page src="report.html" style="border:0;width:%dpx;height:900px"></iframe><pre id=result></pre>
<script>
addEventListener("load", () => {
  const frame = document.getElementById("page").contentDocument, root = frame.documentElement;
  const bottom = (one) => one ? Math.ceil(one.getBoundingClientRect().bottom) : null;
  const sentences = frame.querySelector(".sentences"), figure = frame.querySelector("figure");
  const found = {sentences: sentences.children.length, sentencesEnd: bottom(sentences), figureEnd: bottom(figure),
                 answers: {}, outside: [], small: []};
  const top = (one) => Math.round(one.getBoundingClientRect().top);
  for (const one of frame.querySelectorAll("[id]")) found.answers[one.id] = top(one);
  frame.querySelectorAll("details").forEach((one) => { one.open = true; });
  const width = root.clientWidth;
  for (const one of frame.body.querySelectorAll("*")) {
    if (one.closest(".box") && !one.matches(".box") || one.closest("defs, title")) continue;
    const box = one.getBoundingClientRect();
    const isOutside = box.right > width + 1 || box.left < -1;
    if (box.width && isOutside) found.outside.push(one.tagName + " " + one.textContent.slice(0, 40));
  }
  for (const one of frame.querySelectorAll("svg text")) {
    const svg = one.ownerSVGElement, box = svg.getBoundingClientRect();
    if (!box.width) continue;
    const size = parseFloat(getComputedStyle(one).fontSize) * box.width / svg.viewBox.baseVal.width;
    if (size < %d - 0.05) found.small.push(size.toFixed(1) + " " + one.textContent);
  }
  found.overflow = root.scrollWidth - width;
  found.height = root.scrollHeight;
  found.page = getComputedStyle(root).backgroundColor;
  found.ink = getComputedStyle(frame.querySelector("svg text")).fill;
  document.getElementById("result").textContent = JSON.stringify(found);
});
</script>"""


@pytest.fixture(scope="module")
def address(tmp_path_factory, kdb) -> Iterator[str]:
    """A server of reports: one of an invented grid, one of the records of each domain in samples/results."""
    if not BROWSER:
        pytest.skip("needs Chromium: apt-get install chromium")
    folder = tmp_path_factory.mktemp("reports")
    metrics, predictions = write_grid(folder, kdb)
    made = {"invented": [metrics, predictions]}
    committed = {"electronic": "electronic/test", "clothing": "clothing/experiment"}
    made |= {name: [SAMPLES / "results" / place / "records.jsonl"] for name, place in committed.items()}
    for name, files in made.items():
        done = kdb("report", *files, "-o", folder / name)
        assert done.code == 0, done.stderr
        for width in (1280, 390):
            (folder / name / f"measure-{width}.html").write_text(MEASURE % (width, SMALLEST_TEXT))
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def measured(address: str, name: str, width: int, theme: str, profile: Path) -> dict:
    """What the page says of its own layout; fails on any message in the console."""
    command = [BROWSER, *(f"--{flag}" for flag in FLAGS), f"--user-data-dir={profile}", THEMES[theme], "--dump-dom"]
    page = f"{address}/{name}/measure-{width}.html"
    done = subprocess.run(
        [*command, f"--window-size={max(width, 600)},900", page], capture_output=True, timeout=180
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    console = [line for line in done.stderr.decode(errors="replace").splitlines() if ":CONSOLE" in line]
    assert console == []
    found = re.search(r'<pre id="result">(.+?)</pre>', done.stdout.decode(), re.DOTALL)
    assert found, done.stdout.decode()[-1000:]
    return json.loads(unescape(found[1]))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["invented", "electronic", "clothing"])
def test_the_page_fits_and_answers_first(address, tmp_path, name: str, width: int, theme: str) -> None:
    found = measured(address, name, width, theme, tmp_path / "profile")
    assert found["overflow"] <= 0 and found["outside"] == []
    assert found["small"] == []
    assert found["sentences"] >= 5
    assert 0 < found["sentencesEnd"] < found["figureEnd"] <= FIRST_SCREENS
    page, ink = (sum(map(int, re.findall(r"\d+", found[name])[:3])) / 3 for name in ("page", "ink"))
    assert (page > 200 and ink < 60) if theme == "light" else (page < 60 and ink > 200)
