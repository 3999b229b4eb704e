"""The pages: nothing inline, nothing foreign, and drawn by a real browser with hostile names."""

import re
import shutil
import subprocess
from importlib.resources import files

import pytest

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
            values = {"value": [1.0, 2.0, None], "quality": [0, 0, 2**31]}
            series = {"tag": HOSTILE, "time": [AT_NS + i * 10**9 for i in range(3)], **values}
            client.post("/v1/samples", json={"time_unit": "ns", "series": [series]})
            for second, kind in ((0, "unit_arrived"), (2, "unit_departed")):
                columns = {"unit": [HOSTILE], "station": ["ST1"]}
                event = {"time": [AT_NS + second * 10**9], "time_unit": "ns", "columns": columns}
                answer = client.post(f"/v1/events/{kind}", json=event)
                assert 200 == answer.status_code, answer.text
        yield server


def rendered(server, path):
    """The document as a browser has built it, and what the browser complained about."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    assert browser, "cannot draw the pages: no chromium on PATH, want the package chromium"
    done = subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
         "--virtual-time-budget=6000", "--dump-dom", f"{server.url}{path}#token={server.token}"],
        capture_output=True, text=True, timeout=90, check=True,
    )  # fmt: skip
    complaints = re.findall(r'CONSOLE[^"]*"(.*)", source: (\S+)', done.stderr)
    ours = [f"{what} {where}" for what, where in complaints if "plotly.min.js" not in where]
    return done.stdout, ours


QUOTED = HOSTILE.replace("<", "%3C").replace(">", "%3E").replace(" ", "%20").replace("'", "%27")


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (f"/?tag={QUOTED}&length=10000&end={AT_NS // 10**6 + 5000}", ("chip", "main-svg", "ready")),
        (f"/units/{QUOTED}", ("ST1", "main-svg", "no meter", "ready")),
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
