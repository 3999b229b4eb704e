"""The pages: nothing inline, nothing foreign, and drawn by a real browser with hostile names."""

import re
import shutil
import subprocess
from importlib.resources import files

import pytest
from playwright.sync_api import sync_playwright

from api.routes.pages import FILES
from historian.testing import ServerProcess

HTML = ("trends.html", "passport.html")
MODULES = sorted(name for name in FILES if name.endswith(".js") and "plotly" not in name)
HOSTILE = "<img src=x onerror=document.title='broken'>"
AT_NS = 1_767_225_600_000_000_000


def text_of(name):
    return files("api.pages").joinpath(name).read_text()


@pytest.mark.parametrize("name", HTML)
def test_a_page_has_nothing_inline_and_loads_only_our_own_files(name):
    """The content security policy would block it, silently for the reader."""
    text = text_of(name)
    loaded = re.findall(r'(?:src|href)="([^"#]+)"', text)

    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\son\w+=|\sstyle=", text)
    for address in loaded:
        assert address in ("/", "data:,") or address.removeprefix("/static/") in FILES, address


@pytest.mark.parametrize("name", MODULES)
def test_a_module_makes_text_only_and_imports_only_our_own_files(name):
    """Names from the plant are hostile: no markup is ever made of a string."""
    text = text_of(name)

    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
    assert "http:" not in text
    assert "https:" not in text
    for address in re.findall(r'from "([^"]+)"', text):
        assert address.removeprefix("/static/") in FILES, address


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server whose tag and unit have hostile names."""
    rule = '[[stations]]\nname = "ST1"\nline = "l"\ntags = ["*"]\n'
    with ServerProcess(tmp_path_factory.mktemp("pages"), rule) as server:
        with server.client() as client:
            client.post("/v1/tags", json={"name": HOSTILE, "type": "float64", "eng_unit": "<b>K"})
            for name in ("another/with a long name of its own/and/a/path/speed", "pressure"):
                client.post("/v1/tags", json={"name": name, "type": "float64"})
            values = {"value": [1.0, 2.0, None], "quality": [0, 0, 2**31]}
            series = {"tag": HOSTILE, "time": [AT_NS + i * 10**9 for i in range(3)], **values}
            client.post("/v1/samples", json={"time_unit": "ns", "series": [series]})
            for second, kind in ((0, "unit_arrived"), (2, "unit_departed")):
                columns = {"unit": [HOSTILE], "station": ["ST1"]}
                event = {"time": [AT_NS + second * 10**9], "time_unit": "ns", "columns": columns}
                answer = client.post(f"/v1/events/{kind}", json=event)
                assert 200 == answer.status_code, answer.text
        yield server


def chromium():
    """Path of the browser."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    assert found, "cannot draw the pages: no chromium on PATH, want the package chromium"
    return found


def rendered(server, path):
    """The document as a browser has built it, and what the browser complained about."""
    done = subprocess.run(
        [chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
         "--virtual-time-budget=6000", "--dump-dom", f"{server.url}{path}#token={server.token}"],
        capture_output=True, text=True, timeout=90, check=True,
    )  # fmt: skip
    complaints = re.findall(r'CONSOLE[^"]*"(.*)", source: (\S+)', done.stderr)
    ours = [f"{what} {where}" for what, where in complaints if "plotly.min.js" not in where]
    return done.stdout, ours


QUOTED = HOSTILE.replace("<", "%3C").replace(">", "%3E").replace(" ", "%20").replace("'", "%27")
TRENDS = f"/?tag={QUOTED}&length=10000&end={AT_NS // 10**6 + 5000}"
PASSPORT = f"/units/{QUOTED}"
# What stands out of its place, or lies over what follows it; a page in order gives none.
DISORDER = """() => {
  const found = [];
  const tell = (what, holds) => holds || found.push(what);
  const box = (e) => e.getBoundingClientRect();
  tell(`page of ${document.documentElement.scrollWidth} px`,
    document.documentElement.scrollWidth <= innerWidth);
  for (const chart of document.querySelectorAll(".js-plotly-plot")) {
    const place = box(chart), card = box(chart.closest(".card")), next = chart.nextElementSibling;
    for (const drawing of chart.querySelectorAll(".main-svg")) {
      const d = box(drawing), size = `${chart.id}: ${d.width} x ${d.height} px`;
      tell(`${size}, too little`, d.height >= 150 && d.width >= 200);
      tell(`${size} in ${place.width} x ${place.height}`, d.left >= place.left - 1
        && d.top >= place.top - 1 && d.right <= place.right + 1 && d.bottom <= place.bottom + 1);
      tell(`${size} in a card of ${card.width} x ${card.height}`,
        d.right <= card.right && d.bottom <= card.bottom);
    }
    for (let e = next; e; e = e.nextElementSibling)
      tell(`${e.id || e.className} over ${chart.id}`,
        !box(e).height || box(e).top >= box(chart.querySelector(".main-svg")).bottom - 1);
  }
  return found;
}"""
# Every chart has been drawn as wide as its element is now.
DRAWN = """() => {
  const charts = [...document.querySelectorAll(".js-plotly-plot")];
  const wide = (e) => Math.round(e.getBoundingClientRect().width);
  return charts.length && charts.every((c) => c.querySelector(".main-svg")
    && Math.abs(wide(c.querySelector(".main-svg")) - wide(c)) < 2);
}"""
LANES = "(n) => document.querySelectorAll('#chart text[class^=y][class$=title]').length === n"


@pytest.fixture(scope="module")
def browser():
    """Chromium, driven."""
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield found
        found.close()


@pytest.mark.parametrize("size", [(1200, 800), (1920, 1080), (480, 900)], ids=str)
@pytest.mark.parametrize("path", [TRENDS, PASSPORT], ids=["trends", "passport"])
def test_charts_keep_their_place_as_the_window_changes(server, browser, path, size):
    """At first, in another window, back again, and with one lane more: none leaves its card."""
    width, height = size
    page = browser.new_page(viewport={"width": width, "height": height})
    page.goto(f"{server.url}{path}#token={server.token}")
    page.wait_for_selector("#health.good")
    for now in (width, width * 2 // 3, width):
        page.set_viewport_size({"width": now, "height": height})
        page.wait_for_function(DRAWN)
        assert [] == page.evaluate(DISORDER), now
    if path == TRENDS:
        heights = []
        for row, lanes in ((1, 2), (2, 3), (1, 2)):
            page.locator("#tags input").nth(row).click()
            page.wait_for_function(LANES, arg=lanes)
            assert [] == page.evaluate(DISORDER), lanes
            heights.append(page.evaluate("document.getElementById('chart').clientHeight"))
        assert heights[0] == heights[2] < heights[1]
    page.close()


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (TRENDS, ("chip", "main-svg", "ready")),
        (PASSPORT, ("ST1", "main-svg", "no meter", "ready")),
    ],
)
def test_a_browser_draws_the_page_and_obeys_no_name(server, path, wanted):
    """Curves, numbers and tables appear; the hostile name appears as text and does nothing."""
    document, complaints = rendered(server, path)

    assert [] == complaints
    for word in wanted:
        assert word in document, word
    assert "&lt;img src=x onerror" in document
    assert "<img src=x" not in document
    assert "<title>broken" not in document
    assert server.token not in document
