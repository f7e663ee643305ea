import numpy as np
import pytest
from deployment_models import BOX, DICT, draw, make_model

from sim2real.deployment.normalizer import Normalizer
from sim2real.errors import Sim2RealError


@pytest.mark.parametrize("case", ["sac-box", "sac-float64", "sac-dict", "td3-dict"])
def test_equals_vec_normalize_bitwise(case):
    model = make_model(case)
    vec = model.get_vec_normalize_env()
    normalizer = Normalizer.from_vec_normalize(vec)
    batch = draw(model.observation_space, 50)
    np.testing.assert_equal(normalizer(batch), vec.normalize_obs(batch))


@pytest.mark.parametrize("case", ["sac-box", "sac-dict", "td3-dict"])
def test_tensors_and_vec_normalize_round_trip(case):
    vec = make_model(case).get_vec_normalize_env()
    vec.clip_obs, vec.epsilon = 3.0, 1e-6
    normalizer = Normalizer.from_tensors(Normalizer.from_vec_normalize(vec).to_tensors())
    other = make_model(case, seed=1).get_vec_normalize_env()
    normalizer.into_vec_normalize(other)
    assert (other.clip_obs, other.epsilon) == (3.0, 1e-6)
    pairs = (
        [(vec.obs_rms, other.obs_rms)]
        if case == "sac-box"
        else [(vec.obs_rms[k], other.obs_rms[k]) for k in vec.obs_rms]
    )
    for mine, theirs in [*pairs, (vec.ret_rms, other.ret_rms)]:
        np.testing.assert_array_equal(theirs.mean, mine.mean)
        np.testing.assert_array_equal(theirs.var, mine.var)
        assert theirs.count == mine.count


def test_copies_do_not_share_memory():
    vec = make_model("sac-box").get_vec_normalize_env()
    normalizer = Normalizer.from_vec_normalize(vec)
    before = normalizer.statistics[None].mean.copy()
    normalizer.into_vec_normalize(vec)
    vec.obs_rms.update(draw(BOX, 10))
    vec.obs_rms.mean[:] = 7.0
    np.testing.assert_array_equal(normalizer.statistics[None].mean, before)
    with pytest.raises(ValueError, match="read-only"):
        normalizer.statistics[None].mean[0] = 1.0


def test_scaling_rewards_alone_leaves_observations_as_they_are():
    vec = make_model("sac-box").get_vec_normalize_env()
    vec.norm_obs = False
    normalizer = Normalizer.from_tensors(Normalizer.from_vec_normalize(vec).to_tensors())
    batch = draw(BOX, 3)
    assert normalizer(batch) is batch
    assert normalizer.returns.count == vec.ret_rms.count


def test_refuses_statistics_for_other_observations():
    normalizer = Normalizer.from_vec_normalize(make_model("sac-box").get_vec_normalize_env())
    with pytest.raises(Sim2RealError, match="statistics for observation, which is no Box of Dict"):
        normalizer.check_fits(DICT)
    vec = make_model("sac-box").get_vec_normalize_env()
    vec.norm_obs = False
    with pytest.raises(Sim2RealError) as caught:
        normalizer.into_vec_normalize(vec)
    assert str(caught.value) == (
        "VecNormalize normalises nothing, the policy's statistics are for the observation; give it norm_obs and "
        "norm_obs_keys to match."
    )
