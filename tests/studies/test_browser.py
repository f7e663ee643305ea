"""A report as a browser shows it: offline, at desktop and phone width, in light and dark, without a complaint."""

import json
import re
import shutil
import subprocess

import pytest
from test_report import make_folder

from sim2real.studies.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--virtual-time-budget=10000",
)  # fmt: skip
# Runs in the page when all is loaded; what it finds stands in the page that Chromium prints.
PROBE = """
<script>
window.complaints = [];
addEventListener("error", event => complaints.push(String(event.message || event.target.tagName)), true);
addEventListener("load", () => setTimeout(() => {
  const all = what => [...document.querySelectorAll(what)];
  const found = {
    complaints,
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    pictures: all("img").map(image => [image.alt, image.complete && image.naturalWidth > 0]),
    films: all("video").map(film => [film.getAttribute("aria-label"), film.controls, film.readyState > 0,
                                     Boolean(film.poster)]),
    headings: all("h1, h2, h3").map(heading => Number(heading.tagName[1])),
    boxes: all(".scroll").map(box => [box.tabIndex, box.getAttribute("role"), box.getAttribute("aria-label")]),
    foreign: performance.getEntriesByType("resource").map(entry => entry.name).filter(
        name => !/^(data|file):/.test(name)),
    contrast: all("body *").filter(element => element.childNodes.length && [...element.childNodes].some(
        node => node.nodeType === 3 && node.textContent.trim())).map(contrast).filter(entry => entry[0] < 4.5),
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    lang: document.documentElement.lang,
  };
  document.body.innerHTML = "";
  document.body.appendChild(document.createElement("pre")).textContent = "PROBE" + JSON.stringify(found) + "EBORP";
}, 500));
function light(color) {
  const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map(Number).map(part => part / 255).map(
    part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function ground(element) {
  for (let at = element; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    if (color !== "rgba(0, 0, 0, 0)" && color !== "transparent") return color;
  }
  return "rgb(255, 255, 255)";
}
function contrast(element) {
  const [a, b] = [light(getComputedStyle(element).color), light(ground(element))].sort((x, y) => y - x);
  return [(a + 0.05) / (b + 0.05), element.tagName, element.textContent.trim().slice(0, 40)];
}
</script>
"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")


def look(report, folder, *, width, dark=False):
    """Return what a page is in Chromium."""
    page = folder / "probed.html"
    page.write_text(report.read_text(encoding="utf-8").replace("</head>", f"{PROBE}</head>"), encoding="utf-8")
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},2000", "--dump-dom",
               "--enable-logging=stderr", *(["--blink-settings=preferredColorScheme=0"] if dark else []),
               page.as_uri()]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r"PROBE(\{.*\})EBORP", ran.stdout, re.S)
    assert found, ran.stderr[-2000:]
    text = found[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
    console = [line for line in ran.stderr.splitlines() if "CONSOLE" in line]
    return {**json.loads(text), "console": console}


def check(found):
    assert found["complaints"] == []
    assert found["console"] == []
    assert found["foreign"] == []
    assert found["wide"] <= 0
    assert found["lang"] == "en"
    assert found["contrast"] == []
    assert found["headings"][0] == 1
    assert all(later <= earlier + 1 for earlier, later in zip(found["headings"], found["headings"][1:], strict=False))
    for alt, loaded in found["pictures"]:
        assert len(alt) > 20
        assert loaded, alt
    for label, controls, loaded, poster in found["films"]:
        assert label
        assert controls
        assert loaded
        assert poster
    assert all(box[:2] == [0, "region"] and box[2] for box in found["boxes"])


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 500])  # 500: the narrowest window that Chromium opens
@pytest.mark.parametrize("dark", [False, True])
def test_the_report_of_a_study_in_a_browser(watched, tmp_path, width, dark):
    found = look(watched.folder / "report.html", tmp_path, width=width, dark=dark)
    check(found)
    assert found["dark"] == dark
    assert found["pictures"]
    assert len(found["films"]) == 1


def test_the_report_of_a_transfer_in_a_browser(tmp_path):
    found = look(write_report(make_folder(tmp_path)), tmp_path, width=500)
    check(found)
    assert found["pictures"]
