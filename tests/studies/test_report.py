"""The report stands alone, says the verdict first, and refuses damaged results by file and place."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from sim2real.errors import Sim2RealError
from sim2real.evaluation.metrics import Curves
from sim2real.evaluation.statistics import mean_interval
from sim2real.studies.numbers import interval, number
from sim2real.studies.plots import curves_figure, to_svg
from sim2real.studies.report import write_report
from sim2real.studies.results import METRICS, read_result
from sim2real.studies.summary import metric_number, summary_table
from sim2real.transfer.verdict import judge

STEPS = np.array([0, 500, 1000])


def make_folder(folder, *, seeds=5, success=True, zero_shot=-6.0, **changes):
    """Leave in ``folder`` what a transfer that pays would."""
    offsets = np.linspace(-1, 1, seeds)[:, None] if seeds > 1 else np.zeros((1, 1))
    arms = {
        "finetune": Curves(STEPS, np.array([-6.0, -3, -2]) + offsets),
        "scratch": Curves(STEPS, np.array([-20.0, -15, -10]) + 0.5 * offsets),
        "zero-shot": Curves(STEPS[:1], np.array([zero_shot]) + offsets),
    }
    rates = {arm: Curves(curves.steps, np.clip(1 + np.round(curves.values) / 25, 0, 1)) for arm, curves in arms.items()}
    pair = (rates["finetune"], rates["scratch"]) if success else ()

    def entry(values):
        estimate = mean_interval(values)
        return {"mean": estimate.value, "ci95": estimate.to_dict()["ci95"]}

    result = {
        **judge(arms["finetune"], arms["scratch"], *pair, zero_shot=arms["zero-shot"]).to_dict(),
        "measure": "return",
        "method": "finetune",
        "env": "my_pkg:Cart-v0",
        "target": "worn",
        "domain": {"payload": 0.5, "friction": 0.1},
        "domain_space": {"payload": {"nominal": 0.0, "unit": "kg"}, "friction": {"nominal": 0.1, "unit": ""}},
        "algo": "sac",
        "seeds": list(range(seeds)),
        "steps": 1000,
        "source_steps": 9000,
        "episodes": 10,
        "arms": {
            arm: {
                "final_return": entry(curves.final),
                "final_success": entry(rates[arm].final) if success else None,
                "source_steps": 0 if arm == "scratch" else 9000,
                "target_steps": 0 if arm == "zero-shot" else 1000,
            }
            for arm, curves in arms.items()
        },
        "provenance": {
            "versions": {"sim2real": "0.1.0"},
            "command": "sim2real transfer policy.zip --target 'worn & <old>'",
            "created": "2026-01-02T03:04:05+00:00",
            "source_policy": {"steps": 9000, "seed": 7, "command": "sim2real train my_pkg:Cart-v0", "versions": {}},
        },
        **changes,
    }
    points = [
        {
            "arm": arm,
            "seed": seed,
            "step": int(step),
            "return_mean": float(curves.values[seed, i]),
            "success_rate": float(rates[arm].values[seed, i]) if success else None,
        }
        for arm, curves in arms.items()
        for seed in range(seeds)
        for i, step in enumerate(curves.steps)
    ]
    (folder / "result.json").write_text(json.dumps(result, indent=2))
    (folder / "curves.jsonl").write_text("".join(json.dumps(point) + "\n" for point in points))
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return the path of the report of a transfer that pays."""
    return write_report(make_folder(tmp_path_factory.mktemp("pays")))


@pytest.fixture(scope="module")
def html(written):
    return written.read_text(encoding="utf-8")


class Page(HTMLParser):
    """Collects what a reader and a browser meet in the page, and checks that tags close in order."""

    VOID = frozenset({"meta", "link", "img", "source"})

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).replace("\N{NO-BREAK SPACE}", " ").split())


def test_report_and_picture_are_written_into_the_folder(written):
    assert {path.name for path in written.parent.iterdir()} == {
        "result.json",
        "curves.jsonl",
        "report.html",
        "transfer.png",
    }
    assert written.name == "report.html"
    assert (written.parent / "transfer.png").read_bytes().startswith(b"\x89PNG")


def test_report_says_the_verdict_then_the_evidence(html):
    page = Page(html)
    headings = [tag for tag, _ in page.tags if tag in ("h1", "h2")]
    assert headings == ["h1", *["h2"] * 5]
    order = ["Transfer pays", "Over 1,000 target steps", "zero-shot", "Jumpstart", "payload", "worn & <old>"]
    assert [page.text.index(words) for words in order] == sorted(page.text.index(words) for words in order)
    assert re.search(r"finetune source policy, trained further in the target 92 % .*? −2 .*? 9,000 1,000", page.text)
    assert "payload 0 0.5 kg" in page.text
    assert "steps 9000, seed 7" in page.text
    assert "sim2real train my_pkg:Cart-v0" in page.text


def test_report_needs_nothing_else(html):
    for tag, attributes in Page(html).tags:
        assert tag not in ("script", "iframe")
        for name in ("src", "href", "srcset", "poster"):
            assert attributes.get(name, "data:").startswith("data:")
    assert "url(" not in html
    assert "@import" not in html


def test_figures_have_words_and_versions_for_each_screen(html):
    page = Page(html)
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    sources = [attributes["media"] for tag, attributes in page.tags if tag == "source"]
    assert len(images) == 2
    assert all(image["alt"] for image in images)
    assert "finetune from −6 to −2" in images[0]["alt"]
    assert len(sources) == 6
    assert sum("dark" in media for media in sources) == 4
    for image in images:
        svg = base64.b64decode(image["src"].split(",", 1)[1])
        assert svg.startswith(b"<svg")


def test_tables_that_scroll_can_be_reached_by_keyboard(html):
    page = Page(html)
    boxes = [attributes for tag, attributes in page.tags if attributes.get("class") == "scroll"]
    assert len(boxes) == 3
    assert all(box["tabindex"] == "0" and box["role"] == "region" and box["aria-label"] for box in boxes)


@pytest.mark.slow
def test_the_same_folder_gives_the_same_report(written):
    before = written.read_bytes()
    assert write_report(written.parent).read_bytes() == before


@pytest.mark.slow
def test_video_is_embedded_where_there_is_one(tmp_path, html):
    assert "<video" not in html
    folder = make_folder(tmp_path)
    (folder / "demo.mp4").write_bytes(b"film")
    (folder / "demo.png").write_bytes(b"still")
    page = Page(write_report(folder).read_text(encoding="utf-8"))
    video = next(attributes for tag, attributes in page.tags if tag == "video")
    assert "controls" in video
    assert video["src"] == f"data:video/mp4;base64,{base64.b64encode(b'film').decode()}"
    assert video["poster"] == f"data:image/png;base64,{base64.b64encode(b'still').decode()}"


@pytest.mark.slow
def test_one_seed_without_success_still_reports(tmp_path):
    page = Page(write_report(make_folder(tmp_path, seeds=1, success=False)).read_text(encoding="utf-8"))
    assert "Undecided" in page.text
    assert "Success" not in page.text


def test_a_target_without_a_name_still_reports(tmp_path):
    html = write_report(make_folder(tmp_path, target=None, domain={})).read_text(encoding="utf-8")
    assert "my_pkg:Cart-v0 → target" in html
    assert "Target world" not in html


@pytest.mark.slow
def test_harm_done_by_training_further_is_said_under_the_headline(tmp_path, html):
    harm = "training ended worse than the source policy as it is"
    assert harm not in html.lower()
    page = Page(write_report(make_folder(tmp_path, zero_shot=5.0)).read_text(encoding="utf-8"))
    assert f"Transfer pays ▼ But {harm} Over 1,000 target steps" in page.text
    assert "but it ended surely worse than zero-shot (−7, 95 % interval −7 to −7): use the source policy" in page.text
    assert "Gain over zero-shot −7 (−7 to −7)" in page.text


def test_the_gain_over_zero_shot_is_a_fact_and_a_metric(html):
    page = Page(html)
    assert "Gain over zero-shot +4 (+4 to +4)" in page.text
    assert "Gain over zero-shot Lead in return at the end over the source policy as it is. +4" in page.text


def test_a_result_without_a_gain_over_zero_shot_still_reports(tmp_path):
    folder = make_folder(tmp_path)
    result = read_result(folder)
    del result["gain_over_zero_shot"]
    (folder / "result.json").write_text(json.dumps(result))
    assert "Gain over zero-shot" not in write_report(folder).read_text(encoding="utf-8")


@pytest.mark.parametrize(("seeds", "said"), [(1, False), (2, True), (3, True), (4, False)])
def test_what_intervals_of_few_seeds_are_worth_is_said(tmp_path, seeds, said):
    console = Console(file=io.StringIO(), width=80)
    console.print(summary_table(read_result(make_folder(tmp_path, seeds=seeds))))
    words = f"Intervals of {seeds} seeds are nearly useless; run at least 5."
    assert (words in console.file.getvalue()) == said


def test_the_report_says_what_intervals_of_two_seeds_are_worth(tmp_path, html):
    words = "seeds are nearly useless; run at least 5."
    assert words not in html
    assert words in write_report(make_folder(tmp_path, seeds=2)).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ([600, 1500], "The jumpstart was lost at step 600, and back at step 1,500."),
        ([1200, None], "The jumpstart was lost at step 1,200, and not won back: warm the critic up longer, or lower"),
    ],
)
def test_a_lost_jumpstart_is_told(tmp_path, html, lost, words):
    assert "The jumpstart was lost" not in html
    folder = make_folder(tmp_path)
    result = {**read_result(folder), "lost_jumpstart": lost}
    (folder / "result.json").write_text(json.dumps(result))
    assert words in write_report(folder).read_text(encoding="utf-8")
    console = Console(file=io.StringIO(), width=200)
    console.print(summary_table(result))
    assert words in console.file.getvalue()


def test_cells_that_become_lines_of_a_card_know_their_column(html):
    cells = [attributes["data-column"] for tag, attributes in Page(html).tags if "data-column" in attributes]
    assert cells[:4] == ["Success", "Return", "Source steps", "Target steps"]
    assert cells[-2:] == ["Value", "Verdict"]


def test_names_are_escaped(tmp_path):
    html = write_report(make_folder(tmp_path, env="<script>x</script>", target="$verdict")).read_text(encoding="utf-8")
    assert "<script" not in html
    assert "→ $verdict" in html


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], r"result\.json, line \d+: not valid JSON"),
        (lambda text: "[]", r"result\.json: expected a mapping, got \[\]"),
        (lambda text: text.replace('"jumpstart"', '"jump"'), r"result\.json: 'jumpstart' is missing"),
        (lambda text: text.replace('"steps": 1000', '"steps": "many"'), r"result\.json: steps = 'many' has the wrong"),
        (lambda text: re.sub(r'"verdict": "\S+",', '"verdict": "maybe",', text, count=1), r"verdict = 'maybe' is not"),
        (lambda text: text.replace('"final_return"', '"final"'), r"arm 'finetune': 'final_return' is missing"),
        (lambda text: re.sub(r'"ci95": \[[^]]*\]', '"ci95": [1]', text, count=1), r"ci95 = \[1\] is not a pair"),
        (lambda text: re.sub(r'"ci95": \[[^]]*\]', '"ci95": [2, 1]', text, count=1), r"ci95 = \[2, 1\] is not a pair"),
        (
            lambda text: re.sub(r'"ci95": \[[^]]*\]', '"ci95": [NaN, 1]', text, count=1),
            r"jumpstart: value = \S+, ci95 = \[nan, 1\] are not numbers; run the transfer again",
        ),
        (
            lambda text: re.sub(r'"ci95": \[[^]]*\]', '"ci95": [null, 1]', text, count=1),
            r"ci95 = \[None, 1\] are not numbers",
        ),
        (lambda text: re.sub(r'"seeds": \[[^]]*\]', '"seeds": ["a"]', text), r"seeds = \['a'\] are not whole numbers"),
    ],
)
def test_a_damaged_result_is_refused(tmp_path, damage, message):
    path = make_folder(tmp_path) / "result.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(Sim2RealError, match=message):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: [], r"curves\.jsonl is empty"),
        (lambda lines: [*lines[:-1], lines[-1][:20]], r"curves\.jsonl, line 35: not valid JSON"),
        (lambda lines: [lines[0].replace("seed", "sead"), *lines[1:]], r"curves\.jsonl, line 1: 'seed' is missing"),
        (lambda lines: lines[:-5], r"curves\.jsonl: no curve points for the arm 'zero-shot'"),
        (lambda lines: lines[1:], r"curves\.jsonl: seed 1 of the arm 'finetune' was evaluated 3 times"),
        (
            lambda lines: [re.sub(r'"success_rate": [^}]*', '"success_rate": 7', lines[0]), *lines[1:]],
            r"curves\.jsonl, line 1: step = 0, return_mean = -7\.0 and success_rate = 7 cannot be; run the tra",
        ),
        (
            lambda lines: [lines[0].replace('"step": 0', '"step": -400'), *lines[1:]],
            r"curves\.jsonl, line 1: step = -400, .* cannot be",
        ),
        (
            lambda lines: [re.sub(r'"return_mean": [^,]*', '"return_mean": NaN', lines[0]), *lines[1:]],
            r"curves\.jsonl, line 1: .*return_mean = nan .*cannot be",
        ),
    ],
)
def test_damaged_curves_are_refused(tmp_path, damage, message):
    path = make_folder(tmp_path) / "curves.jsonl"
    path.write_text("\n".join(damage(path.read_text().splitlines())))
    with pytest.raises(Sim2RealError, match=message):
        write_report(tmp_path)


def test_a_folder_without_a_result_is_refused(tmp_path):
    with pytest.raises(Sim2RealError, match=r"result\.json does not exist; give the folder of a finished transfer"):
        write_report(tmp_path)


def test_summary_table_fits_a_terminal(tmp_path):
    console = Console(file=io.StringIO(), width=80)
    console.print(summary_table(read_result(make_folder(tmp_path))))
    text = console.file.getvalue()
    assert "…" not in text
    for words in ("my_pkg:Cart-v0 → worn, 5 seeds", "zero-shot", "Jumpstart", "+14", "pays", "Transfer pays. Over"):
        assert words in text


def test_numbers_read_well():
    assert number(-0.01234) == "−0.0123"
    assert number(-12345.6) == "−12,346"
    assert number(999.6) == "1,000"
    assert number(999.4) == "999"
    assert number(0.0) == "0"
    assert number(None) == "–"
    assert interval([-1, 2]) == "−1 to 2"
    assert metric_number("jumpstart", 3.0) == "+3"
    assert metric_number("success_gain", 0.25) == "+25"
    assert metric_number("time_to_threshold_ratio", 0.25) == "0.25"


def test_figures_leave_no_global_state():
    arm = Curves(STEPS, np.arange(15.0).reshape(5, 3))
    first, second = (to_svg(curves_figure({"scratch": arm}, {}, 2.0)) for _ in range(2))
    assert first == second
    import matplotlib.pyplot as plt

    assert plt.get_fignums() == []


def labels_at_right(values):
    """Return text, height and the value its line leads from of the labels of the return panel, from top to bottom."""
    arms = {name: Curves(STEPS, np.full((5, 3), float(value))) for name, value in values.items()}
    axes = curves_figure(arms, {}, None).axes[0]
    bottom, top = axes.get_ylim()
    leaders = [line for line in axes.lines if line.get_transform() == axes.transAxes]
    labels = []
    for text, line in zip(axes.texts, leaders, strict=True):
        end, *_, height = line.get_ydata()
        assert text.get_position()[1] == height
        assert text.get_color() == line.get_color()
        labels.append((text.get_text(), height, bottom + end * (top - bottom)))
    return sorted(labels, key=lambda label: -label[1])


@pytest.mark.parametrize(
    "values",
    [
        {"finetune": -17, "scratch": -71, "zero-shot": -61},
        {"finetune": 0, "scratch": 0.01, "zero-shot": 100},
        {"finetune": 100, "scratch": 99.9, "zero-shot": 99.8},
        {"finetune": 7, "scratch": 7, "zero-shot": 7},
    ],
)
def test_labels_stand_apart_in_the_order_of_the_lines_they_lead_to(values):
    labels = labels_at_right(values)
    heights, ends = [height for _, height, _ in labels], [end for _, _, end in labels]
    assert (np.diff(heights) < -0.059).all()
    assert 0 <= heights[-1] <= heights[0] <= 1
    assert {name: end for name, _, end in labels} == pytest.approx(values, abs=1e-6)
    assert ends == sorted(ends, reverse=True)


def test_bands_of_two_seeds_do_not_set_the_scale():
    arm = Curves(STEPS, np.array([[0.0, 5, 10], [1, 7, 14]]))  # the last band reaches from -13 to 37
    assert curves_figure({"scratch": arm}, {}, None).axes[0].get_ylim() == pytest.approx((-0.7, 14.7))


def test_metrics_are_the_verdicts_own():
    arm = Curves(STEPS, np.arange(15.0).reshape(5, 3))
    assert set(METRICS) == set(judge(arm, arm, zero_shot=Curves(STEPS[:1], arm.values[:, :1])).metrics)
    assert set(METRICS[:-1]) == set(judge(arm, arm).metrics)
