"""What is logged in a target is a Minari dataset, with nothing lost, that anybody's Minari reads."""

from contextlib import closing

import numpy as np
import pytest

import sim2real_envs  # noqa: F401 - registers the worlds
from sim2real.cli.entry import run as command
from sim2real.domains.targets import find_target
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.evaluation.evaluate import record_trajectories
from sim2real.evaluation.rollouts import Evaluator
from sim2real.evaluation.trajectories import TrajectoryRecorder, read_minari, write_minari

minari = pytest.importorskip("minari")
REACH = "sim2real/PandaReach-v0"


@pytest.fixture(autouse=True)
def datasets(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


def at_random(world, *, randomizer="none", episodes=2):
    """Return trajectories of random actions."""
    recorder = TrajectoryRecorder()
    with Evaluator(world, seed=0, episodes=episodes, randomizer=randomizer) as evaluator:
        space = evaluator.env.action_space
        space.seed(0)
        evaluator.run(lambda _: np.stack([space.sample() for _ in range(episodes)]), recorder)
    return recorder.trajectories


def parts(observations):
    return observations if isinstance(observations, dict) else {"": observations}


def assert_equal(one, other):
    assert parts(one.observations).keys() == parts(other.observations).keys()
    pairs = [(part, parts(other.observations)[key]) for key, part in parts(one.observations).items()]
    for a, b in [*pairs, (one.actions, other.actions), (one.rewards, other.rewards)]:
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    for name in ("terminated", "truncated", "seed", "domain", "is_success"):
        assert getattr(one, name) == getattr(other, name)


@pytest.mark.parametrize(
    ("env_id", "kwargs", "randomizer"),
    [
        (REACH, {}, "uniform"),
        (REACH, {"observation": "goal"}, "uniform"),
        ("sim2real/Drive-v0", {"observation": "camera", "max_episode_steps": 5}, "none"),
        ("Pendulum-v1", {}, "none"),
    ],
)
def test_what_is_read_is_what_was_written(env_id, kwargs, randomizer):
    world = World.of(env_id, kwargs=kwargs)
    trajectories = at_random(world, randomizer=randomizer)
    write_minari(trajectories, "tests/all-of-it-v0", world)
    for one, other in zip(read_minari("tests/all-of-it-v0"), trajectories, strict=True):
        assert_equal(one, other)


def test_the_env_that_the_dataset_recovers_repeats_the_episodes():
    world = find_target(World.of(REACH), "worn")
    trajectories = record_trajectories("PandaReach", target="worn", episodes=3)
    folder = write_minari(trajectories, "panda/worn-v0", world, algorithm="sac")
    dataset = minari.load_dataset("panda/worn-v0")
    assert dataset.storage.data_path.parent == folder
    assert (dataset.spec.total_episodes, dataset.spec.total_steps) == (3, sum(map(len, trajectories)))
    about = dataset.storage.metadata
    assert (about["algorithm_name"], about["description"]) == ("sac", f"{world.env}, target worn")
    with closing(dataset.recover_environment()) as env:
        assert env.observation_space == dataset.observation_space
        for episode, trajectory in zip(dataset.iterate_episodes(), trajectories, strict=True):
            options = {"domain": trajectory.domain}
            seen = [env.reset(seed=trajectory.seed, options=options)[0]]
            seen += [env.step(action)[0] for action in episode.actions]
            np.testing.assert_array_equal(seen, episode.observations)


def test_the_command_writes_the_episodes_that_it_judges(datasets, capsys):
    words = ["evaluate", "PandaReach", "--target", "worn", "--episodes", "3", "--seed", "4"]
    assert command([*words, "--dataset", "panda/worn-v0"]) == 0
    assert f"made  {datasets / 'panda/worn-v0'}\n" in capsys.readouterr().out
    for one, other in zip(
        read_minari("panda/worn-v0"), record_trajectories("PandaReach", target="worn", episodes=3, seed=4), strict=True
    ):
        assert_equal(one, other)
    assert command([*words, "--dataset", "panda/worn-v0"]) == 2
    assert capsys.readouterr().err == (
        f"error: Minari dataset 'panda/worn-v0' exists at {datasets / 'panda/worn-v0'}; choose another name or "
        "version.\n"
    )


def test_a_dataset_of_others_is_read():
    steps = 7
    buffer = minari.data_collector.EpisodeBuffer(
        seed=5,
        observations=np.zeros((steps + 1, 3), np.float32),
        actions=np.zeros((steps, 1), np.float32),
        rewards=[0.0] * steps,
        terminations=[False] * steps,
        truncations=[False] * (steps - 1) + [True],
        infos={"is_success": [False] * (steps + 1)},
    )
    minari.create_dataset_from_buffers("others/pendulum-v1", [buffer], env="Pendulum-v1", data_format="parquet")
    (trajectory,) = read_minari("others/pendulum-v1")
    assert (len(trajectory), trajectory.seed, trajectory.domain, trajectory.is_success) == (7, 5, {}, None)
    assert (trajectory.terminated, trajectory.truncated) == (False, True)


@pytest.mark.parametrize("name", ["worn", "no such/worn-v0", "../worn-v0", ""])
def test_an_id_that_is_none_is_refused_and_nothing_is_written(name, datasets):
    with pytest.raises(Sim2RealError) as caught:
        write_minari([], name, World.of("Pendulum-v1"))
    assert str(caught.value) == f"dataset {name!r} must be an id of Minari's form, e.g. 'panda/worn-v0'."
    assert not datasets.exists()


def test_a_dataset_that_is_not_there_is_named(datasets):
    with pytest.raises(Sim2RealError) as caught:
        read_minari("panda/wron-v0")
    assert str(caught.value) == (
        f"there is no Minari dataset 'panda/wron-v0' at {datasets / 'panda/wron-v0'}; MINARI_DATASETS_PATH says where "
        "they are."
    )
