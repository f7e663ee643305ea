"""Worlds for sim2real, plugged in exactly as a user's own env would be.

Importing the package registers them; ``gym.make("sim2real_envs:sim2real/PandaReach-v0")`` imports it by itself, in
spawned workers too.
"""

from __future__ import annotations

from sim2real_envs import arm, driving, labyrinth

arm.register_envs()
driving.register_envs()
labyrinth.register_envs()
