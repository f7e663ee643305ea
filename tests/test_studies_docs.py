"""What is published of studies is what they came to, and they are what is published."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from sim2real.errors import Sim2RealError
from sim2real.studies.jobs import Training
from sim2real.studies.run import plan_study

REPO = Path(__file__).parent.parent
OTHER = "randomization"  # policies judged in many worlds, which a study of transfers cannot say
STUDIES = sorted(file for file in (REPO / "scripts/studies").glob("*.yaml") if file.stem != OTHER)
pytestmark = pytest.mark.usefixtures("scripts")


PUBLISHED = [file for file in STUDIES if file.with_suffix(".json").exists()]


@pytest.mark.slow
@pytest.mark.parametrize("file", [file for file in STUDIES if file not in PUBLISHED], ids=lambda file: file.stem)
def test_the_studies_that_are_shipped_can_be_run(file):
    if file.stem != "heterogeneous" or (find_spec("panda_gym") and find_spec("highway_env")):
        assert plan_study(file).cells
        return
    with pytest.raises(Sim2RealError) as raised:  # two of its targets are envs of packages that nothing else needs
        plan_study(file)
    assert "2 faults" in str(raised.value)
    for package in ("panda-gym==3.0.7", "highway-env==1.12.1"):
        assert f"needs a package that is not installed: pip install {package}" in str(raised.value)


@pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: file.stem)
def test_published_results_are_those_of_the_study_and_the_page_shows_them(file):
    import reproduce

    results, plan = reproduce.read_kept(file.stem), plan_study(file)
    assert plan.cells
    assert results["failures"] == []
    # A job's address tells everything it does: the worlds, their targets and the tuned hyperparameters, too.
    published = {cell["title"]: cell["arms"] for cell in results["cells"]}
    assert published == json.loads(json.dumps({cell.title: cell.arms for cell in plan.cells}))
    page = (REPO / reproduce.TABLES[file.stem].page).read_text(encoding="utf-8")
    assert reproduce.rendered(page, file.stem, results) == page


def test_every_table_has_what_makes_it_and_a_place():
    import reproduce

    for name, table in reproduce.TABLES.items():
        maker = reproduce.STUDIES / f"{name}.yaml" if table.script is None else REPO / "scripts" / table.script
        assert maker.exists()
        assert (REPO / table.page).exists()


def test_a_table_that_is_not_measured_yet_cannot_be_rendered():
    import reproduce

    with pytest.raises(Sim2RealError, match=r"tiny has not been measured yet; leave --render out\."):
        reproduce.read_kept("tiny")


def test_what_studies_cost_is_rendered_from_the_figures_that_are_kept():
    import benchmark_studies

    page = benchmark_studies.PAGE.read_text(encoding="utf-8")
    results = json.loads(benchmark_studies.RESULTS.read_text(encoding="utf-8"))
    assert benchmark_studies.rendered(page, results) == page


def test_the_benchmark_has_as_many_jobs_as_it_says(tmp_path):
    import benchmark_studies

    for study, jobs in ((benchmark_studies.JOBS, 40), (benchmark_studies.RUNS, 505)):
        plan = plan_study(benchmark_studies.write_study(tmp_path, study))
        assert sum(isinstance(job, Training) for job in plan.jobs.values()) == jobs
