import gymnasium as gym
import numpy as np
import pytest
from deployment_models import CASES, INFO, draw, make_model, sb3_predict
from stable_baselines3 import SAC, HerReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sim2real.deployment.bundle import load_policy
from sim2real.deployment.policy import Policy
from sim2real.deployment.sb3 import from_sb3_zip, to_sb3_zip
from sim2real.errors import Sim2RealError


def test_converts_both_ways(case, tmp_path):
    model = make_model(case)
    vec = model.get_vec_normalize_env()
    batch = draw(model.observation_space, 20)
    expected = sb3_predict(model, batch)
    model.save(tmp_path / "sb3.zip")
    if vec is not None:
        vec.save(tmp_path / "vec.pkl")

    policy = from_sb3_zip(tmp_path / "sb3.zip", tmp_path / "vec.pkl" if vec is not None else None)
    np.testing.assert_array_equal(policy.predict(batch), expected)
    policy.save(tmp_path / "policy.zip")

    path, vec_path = to_sb3_zip(load_policy(tmp_path / "policy.zip"), tmp_path / "back.zip")
    twin = CASES[case][0].load(path)  # stock SB3
    observation = batch
    if vec is not None:
        assert vec_path == tmp_path / "back_vecnormalize.pkl"
        observation = VecNormalize.load(str(vec_path), DummyVecEnv([lambda: model.env.envs[0]])).normalize_obs(batch)
    else:
        assert vec_path is None
    np.testing.assert_array_equal(twin.predict(observation, deterministic=True)[0], expected)
    for name, tensor in model.policy.state_dict().items():
        np.testing.assert_array_equal(twin.policy.state_dict()[name], tensor)


def test_carries_the_hyperparameters_that_sb3_knows(tmp_path):
    path, _ = to_sb3_zip(Policy.from_sb3(make_model("sac-box"), info=INFO), tmp_path / "m.zip")
    twin = CASES["sac-box"][0].load(path)
    assert (twin.gamma, twin.batch_size, twin.num_timesteps, twin.buffer_size) == (0.95, 64, 1000, 1_000_000)
    assert twin.log_ent_coef.item() == pytest.approx(np.log(0.3))
    assert from_sb3_zip(path).metadata.hyperparameters["gamma"] == 0.95


def test_a_model_that_learned_with_hindsight_is_converted_without_its_env(tmp_path):
    env = gym.make("sim2real_envs:sim2real/PandaReach-v0", observation="goal")
    model = SAC("MultiInputPolicy", env, replay_buffer_class=HerReplayBuffer, buffer_size=200, device="cpu")
    batch = draw(model.observation_space, 5)
    model.save(tmp_path / "sb3.zip")
    expected, _ = model.predict(batch, deterministic=True)
    np.testing.assert_array_equal(from_sb3_zip(tmp_path / "sb3.zip").predict(batch), expected)
    env.close()


def test_wrong_files_are_named(tmp_path):
    policy = Policy.from_sb3(make_model("sac-box"))
    policy.save(tmp_path / "policy.zip")
    with pytest.raises(Sim2RealError, match=r"policy.zip: not a zip that Stable-Baselines3 saved\.$"):
        from_sb3_zip(tmp_path / "policy.zip")
    with pytest.raises(Sim2RealError, match=r"none.zip: cannot read: No such file or directory\.$"):
        from_sb3_zip(tmp_path / "none.zip")
    make_model("sac-box").save(tmp_path / "sb3.zip")
    with pytest.raises(Sim2RealError, match=r"none.pkl: no such file; give the file that VecNormalize.save wrote\.$"):
        from_sb3_zip(tmp_path / "sb3.zip", tmp_path / "none.pkl")
    with pytest.raises(Sim2RealError, match=r"give the name of a \.zip file in a folder that exists"):
        to_sb3_zip(policy, tmp_path / "no" / "m.zip")
