"""A study that takes seconds; at the top of a module, for the tests of studies to share."""

import yaml
from point_mass import ID, SMALL

from sim2real.studies.plan import make_plan
from sim2real.studies.study import read_study

GRID = {
    "sources": {"own": {"env": ID, "steps": 200, "hyperparameters": SMALL}},
    "targets": {"shifted": {"domain": {"gain": 0.5, "drift": 0.2}}, "far": {"domain": {"gain": -0.5}}},
    "methods": ["finetune"],
    "steps": 120,
    "seeds": 2,
    "eval_episodes": 2,
    "hyperparameters": SMALL,
}
LOOKS = {
    "targets": {"shifted": GRID["targets"]["shifted"]},
    "seeds": 1,
    "robustness": {"sweep": ["gain", ["gain", "drift"]], "points": 3, "episodes": 2},
    "videos": {"episodes": 1},
}


def write(folder, **changes):
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump({**GRID, **changes}, sort_keys=False))
    return file


def plan(folder, **changes):
    return make_plan(read_study(write(folder, **changes)))
