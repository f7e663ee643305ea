"""What the documents say is what is there."""

import json
import re
from pathlib import Path

REPO = Path(__file__).parent.parent
README = (REPO / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (REPO / "docs/architecture.md").read_text(encoding="utf-8")


def test_the_readmes_table_is_rendered_from_the_figures_that_are_kept(scripts):
    import benchmark_demo

    figures = json.loads((REPO / "docs/results/demo.json").read_text(encoding="utf-8"))
    assert benchmark_demo.rendered(README, figures) == README


def test_the_architecture_names_every_room_and_no_other():
    rooms = {path.parent.name for path in (REPO / "sim2real").glob("*/__init__.py")}
    assert set(re.findall(r"`sim2real/(\w+)/`", ARCHITECTURE)) == rooms
    picture = (REPO / "docs/architecture.svg").read_text(encoding="utf-8")
    drawn = {name for title in re.findall(r'class="t"[^>]*>([^<]+)<', picture) for name in title.split(", ")}
    assert rooms | {"policies", "envs", "your env", "scripts"} == drawn


def test_links_in_the_documents_lead_somewhere():
    for page in (*REPO.glob("*.md"), *REPO.glob("docs/*.md")):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert link.startswith("https://") or (page.parent / link).exists(), f"{page}: {link}"


def test_the_library_never_imports_the_worlds():
    for path in (REPO / "sim2real").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) sim2real_envs", path.read_text(encoding="utf-8"), re.M), path
    for path in (REPO / "policies").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) sim2real\b", path.read_text(encoding="utf-8"), re.M), path
