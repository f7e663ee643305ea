"""What rliable says of some scores; a Python with rliable 1.2 and pandas below 3 renews rliable.json with it."""

import json
from pathlib import Path

import numpy as np

SHAPES = [(5, 4), (3, 6), (10, 1)]
"""Runs and tasks."""
THRESHOLDS = np.linspace(0.0, 1.0, 6)


def scores(number):
    """Return the scores of two methods, shape (runs, tasks) each; with ties, as success has them."""
    rng, (runs, tasks) = np.random.default_rng(number), SHAPES[number]
    skill = rng.uniform(0.2, 0.8, tasks)
    return [rng.binomial(20, skill + shift, (runs, tasks)) / 20 for shift in (0.1, 0.0)]


if __name__ == "__main__":
    from rliable import library, metrics

    found = []
    for number in range(len(SHAPES)):
        x, y = scores(number)
        options = {"reps": 50_000, "random_state": np.random.RandomState(0)}
        iqm, iqm_ci = library.get_interval_estimates(
            {"x": x}, lambda s: np.array([metrics.aggregate_iqm(s)]), **options
        )
        poi, poi_ci = library.get_interval_estimates(
            {"xy": (x, y)}, lambda a, b: np.array([metrics.probability_of_improvement(a, b)]), **options
        )
        profile, bands = library.create_performance_profile({"x": x}, THRESHOLDS, reps=50_000)
        found.append(
            {
                "iqm": [float(iqm["x"][0]), *iqm_ci["x"][:, 0].tolist()],
                "improvement": [float(poi["xy"][0]), *poi_ci["xy"][:, 0].tolist()],
                "profile": [profile["x"].tolist(), *bands["x"].tolist()],
            }
        )
    Path(__file__).with_name("rliable.json").write_text(json.dumps(found, indent=1) + "\n")
