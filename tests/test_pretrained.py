"""The policies that are shipped: each loads by its name, and fits the world that it is named after."""

import pytest

import sim2real
from sim2real.domains.world import World
from sim2real.evaluation.evaluate import check_policy_fits
from sim2real.training.hyperparameters import default_algorithm, resolve_hyperparameters, tuned_steps
from sim2real_policies import pretrained_policies


@pytest.mark.parametrize("name", pretrained_policies())
def test_a_pretrained_policy_is_the_one_of_the_table(name):
    policy = sim2real.load_policy(name)
    world = World.from_dict(policy.metadata.world)
    task, _, variant = name.partition("-")
    assert world.env == f"sim2real_envs:sim2real/{task}-v0"
    assert list(world.kwargs.values()) == ([variant] if variant else [])
    # Whoever changes a configuration has to train anew.
    assert policy.algo == default_algorithm(world)
    assert policy.metadata.hyperparameters == resolve_hyperparameters(policy.algo, world)
    assert policy.metadata.provenance["steps"] == tuned_steps(policy.algo, world)
    assert policy.metadata.provenance["seed"] == 0
    assert policy.metadata.provenance["command"] == f"python scripts/benchmark_worlds.py --only {name}"
    env = world.make()
    check_policy_fits(policy, env)
    env.close()


def test_a_run_folder_of_the_same_name_is_meant_before_the_pretrained_policy(tmp_path, monkeypatch):
    name = next(iter(pretrained_policies()))
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    with pytest.raises(sim2real.Sim2RealError, match=r"the folder holds no policy\.zip"):
        sim2real.load_policy(name)
