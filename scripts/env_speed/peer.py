"""Steps the peers' envs in an environment of their own: one line of JSON in, one line out.

Started by :mod:`env_speed.peers` with the Python of that environment; in, ``{"env": id, "steps": n, "seed": n}``; out,
``{"times": [seconds, ...], "control_dt": seconds}``.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from timing import step_times


def control_dt(env: Any) -> float:
    """Return how long a step lasts in the world [s]."""
    config = getattr(env.unwrapped, "config", None)
    return float(1.0 / config["policy_frequency"] if config else env.unwrapped.sim.dt)  # highway-env, panda-gym


def main() -> None:
    # What the engines print from C goes elsewhere: the answers have standard output for themselves.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    import gymnasium as gym
    import highway_env
    import panda_gym  # noqa: F401 (registers its envs)

    gym.register_envs(highway_env)
    envs: dict[str, Any] = {}
    for line in sys.stdin:
        request = json.loads(line)
        name = request["env"]
        if name not in envs:
            # panda-gym does not pass the checker of today's Gymnasium.
            envs[name] = gym.make(name, disable_env_checker=True)
        env = envs[name]
        times = step_times(env, request["steps"], request["seed"])
        answers.write(json.dumps({"times": times, "control_dt": control_dt(env)}) + "\n")


if __name__ == "__main__":
    main()
