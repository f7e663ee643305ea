"""A study that takes seconds; at the top of a module, for the tests of studies to share."""

from point_mass import ID, SMALL

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
