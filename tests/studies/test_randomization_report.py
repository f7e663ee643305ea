"""How the domains of a source have spread, in the report of a study."""

import json
import shutil

import pytest
from in_process import jobs_in_process
from study_grid import GRID, LOOKS, write

from sim2real.studies.randomization_plots import randomization_figure
from sim2real.studies.report import write_report
from sim2real.studies.results import read_randomization
from sim2real.studies.run import run_study

ADR = {"name": "adr", "buffer": 2, "raise_from": 0.5, "lower_from": 0.0, "step": 0.1}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("randomized")
    file = write(folder, targets=LOOKS["targets"], seeds=1, randomizers={"uniform": "uniform", "wide": ADR})
    with jobs_in_process():
        return run_study(file, folder / "out").folder


def source(done):
    (cell,) = [cell for cell in json.loads((done / "results.json").read_text())["cells"] if "randomized" in cell]
    assert cell["randomizer"] == "wide"
    return done / cell["randomized"]


@pytest.mark.slow
def test_the_report_shows_the_spread_of_sources_that_learn_it(done):
    html = (done / "report.html").read_text()
    assert "<h2>Randomization</h2>" in html
    assert "Ranges that the parameters of own, wide, sac were drawn from over its training steps." in html
    assert "Ranges that the parameters of own, uniform" not in html


def test_the_figure_has_a_panel_for_success_and_for_every_parameter(done):
    history, curve = read_randomization(source(done))
    panels = [axes for axes in randomization_figure(history, curve).axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in panels] == ["success", "gain", "drift"]
    assert panels[1].get_ylim() == (-1.0, 2.0)
    drawn = panels[1].lines[1].get_ydata().tolist()
    assert drawn == [point["ranges"]["gain"][1] for point in history]
    assert drawn[-1] > drawn[0] == 1.0
    assert panels[0].lines[0].get_ydata().tolist() == [point["success_rate"] for point in curve]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda lines: lines[:-1], "has other steps than metrics.jsonl beside it"),
        (lambda lines: [line.replace("ranges", "rnges") for line in lines], "is damaged (KeyError"),
        (lambda lines: [line.replace("[-1.0, 2.0]", "[-1.0, NaN]") for line in lines], "is damaged (Sim2RealError"),
        (lambda lines: [], "has other steps"),
        (lambda lines: [line.replace("figures", "fgures") for line in lines], "is damaged (KeyError"),
        (lambda lines: [line.replace('"entropy": ', '"entropy": "x", "e": ') for line in lines], "is damaged"),
        (lambda lines: [line.replace("[-1.0, 2.0]", "[0]") for line in lines], "is damaged (ValueError"),
        (lambda lines: [line.replace("[-1.0, 2.0]", "[-1e308, 1e308]") for line in lines], "is damaged (Sim2RealError"),
        (
            lambda lines: [*lines[:-1], lines[-1].replace('"drift"', '"drft"')],
            "is damaged (ValueError: lines with other",
        ),
    ],
)
def test_what_is_damaged_is_left_out_and_named(done, tmp_path, damage, words):
    shutil.copytree(done, tmp_path / "out")
    file = tmp_path / "out" / source(done).relative_to(done) / "randomization.jsonl"
    file.write_text("".join(f"{line}\n" for line in damage(file.read_text().splitlines())))
    html = write_report(tmp_path / "out").read_text()
    assert "The randomization of own, wide, sac is left out" in html
    assert words in html


def test_a_place_outside_the_folder_is_not_read(done, tmp_path):
    shutil.copytree(done, tmp_path / "out")
    results = json.loads((tmp_path / "out/results.json").read_text())
    for cell in results["cells"]:
        if "randomized" in cell:
            cell["randomized"] = str(source(done))
    (tmp_path / "out/results.json").write_text(json.dumps(results))
    assert "is left out" in write_report(tmp_path / "out").read_text()


def test_studies_without_one_have_no_such_section(watched):
    assert "<h2>Randomization</h2>" not in (watched.folder / "report.html").read_text()
    assert GRID["sources"].keys() == {"own"}
