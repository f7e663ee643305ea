"""Gymnasium's RecordVideo films every world, at the world's own pace."""

from contextlib import closing

import gymnasium as gym
import imageio.v3 as iio
import numpy as np
import pytest
from gymnasium.wrappers import RecordVideo

import sim2real_envs  # noqa: F401 - registers the worlds

pytest.importorskip("moviepy")
IDS = sorted(env_id for env_id in gym.registry if env_id.startswith("sim2real/"))
STEPS = 5


@pytest.mark.parametrize("env_id", IDS)
def test_a_video_has_a_picture_of_every_moment_at_the_pace_of_the_world(env_id, tmp_path):
    made = gym.make(env_id, render_mode="rgb_array", max_episode_steps=STEPS)
    with closing(RecordVideo(made, str(tmp_path / "videos"), episode_trigger=lambda episode: True)) as env:
        env.action_space.seed(0)
        for _ in range(2):
            env.reset(seed=0)
            shown = [env.render()]
            over = False
            while not over:
                *_, terminated, truncated, _ = env.step(env.action_space.sample())
                shown.append(env.render())
                over = terminated or truncated
    for name in ("rl-video-episode-0.mp4", "rl-video-episode-1.mp4"):
        pictures = iio.imread(tmp_path / "videos" / name)
        assert pictures.shape == (STEPS + 1, *shown[0].shape)
        assert iio.immeta(tmp_path / "videos" / name)["fps"] == made.metadata["render_fps"]
    # H.264 loses a little.
    assert np.abs(pictures.astype(int) - np.array(shown).astype(int)).mean() < 5.0
