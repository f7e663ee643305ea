import io
import json
import pickle
import re
import zipfile

import numpy as np
import pytest
import safetensors.numpy
import torch
from deployment_models import INFO, draw, make_model

from sim2real.deployment import bundle
from sim2real.deployment.bundle import load_policy, pack, provenance, unpack
from sim2real.deployment.policy import Policy
from sim2real.errors import Sim2RealError


def equal(one: Policy, two: Policy) -> bool:
    return pack(one) == pack(two)


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rezip(parts: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def forge(data: bytes, change=None, **replaced: bytes) -> bytes:
    """Change a bundle as someone would who knows how to compute its checksums."""
    parts = {**members(data), **{name.replace("_", "."): value for name, value in replaced.items()}}
    content = json.loads(parts["bundle.json"])
    content["members"] = {
        name: {"sha256": bundle._sha256(part), "bytes": len(part)}
        for name, part in parts.items()
        if name != "bundle.json"
    }
    if change is not None:
        change(content)
    content["digest"] = bundle._digest(content)
    return rezip({**parts, "bundle.json": json.dumps(content).encode()})


@pytest.fixture(scope="module")
def data() -> bytes:
    return pack(Policy.from_sb3(make_model("sac-box"), info=INFO))


def refusal(data: bytes) -> str:
    with pytest.raises(Sim2RealError) as caught:
        unpack(data, "p.zip")
    message = str(caught.value)
    assert message.startswith("p.zip: ")
    assert "\n" not in message
    return message.removeprefix("p.zip: ")


def test_round_trip_is_bitwise(case, tmp_path):
    policy = Policy.from_sb3(make_model(case), info=INFO)
    policy.save(tmp_path / "policy.zip")
    for place in (tmp_path, tmp_path / "policy.zip", str(tmp_path)):
        twin = load_policy(place)
        assert equal(twin, policy)
        batch = draw(policy.observation_space, 30)
        np.testing.assert_array_equal(twin.predict(batch), policy.predict(batch))
        assert (twin.observation_space, twin.action_space) == (policy.observation_space, policy.action_space)
        assert (twin.network, twin.metadata, twin.log_ent_coef) == (
            policy.network,
            policy.metadata,
            policy.log_ent_coef,
        )
        assert set(twin.weights) == set(policy.weights)
        for name, weight in policy.weights.items():
            np.testing.assert_array_equal(twin.weights[name], weight, strict=True)
    assert [file.name for file in tmp_path.iterdir()] == ["policy.zip"]


def test_equal_policies_give_equal_bytes(data):
    assert pack(Policy.from_sb3(make_model("sac-box"), info=INFO)) == data


def test_bundle_json_can_be_read_by_others(data):
    content = json.loads(members(data)["bundle.json"])
    assert content["schema"] == 1
    assert content["algorithm"] == "sac"
    assert content["action_scaling"] == "tanh to bounds"
    goal = {"name": "goal", "width": 2, "unit": "m", "low": "-inf", "high": "inf", "noise": 0.01}
    assert content["observation_channels"][1] == goal
    assert content["world"] == {"env": "Pendulum-v1", "kwargs": {"g": 9.0}}
    assert set(content["members"]) == {"weights.safetensors", "normalizer.safetensors"}


def test_every_truncation_is_told(data):
    for length in [1, 3, 4, 30, 100, 1000, len(data) // 2, len(data) - 100, len(data) - 22, len(data) - 1]:
        expected = "truncated zip; copy it again from its source." if length >= 4 else "not a zip file."
        assert refusal(data[:length]) == f"not a policy bundle: {expected}"
    assert refusal(b"") == "not a policy bundle: not a zip file."


def test_a_changed_byte_is_told_or_changes_nothing(data):
    policy = unpack(data, "p.zip")
    told = 0
    # Every byte of the zip's own records and headers, and some of the rest.
    ends = {*range(120), *range(len(data) - 400, len(data)), *range(0, len(data), 97)}
    for position in sorted(ends):
        altered = bytearray(data)
        altered[position] ^= 0x5A
        try:
            twin = unpack(bytes(altered), "p.zip")
        except Sim2RealError:
            told += 1
        else:
            assert equal(twin, policy), position
    assert told > 0.8 * len(ends)


@pytest.mark.parametrize("name", ["bundle.json", "weights.safetensors", "normalizer.safetensors"])
def test_an_altered_member_is_named(data, name):
    parts = members(data)
    altered = parts[name].replace(b"0.95", b"0.96") if name == "bundle.json" else parts[name][:-1] + b"\x7f"
    message = f"{name} does not match its checksum; the file is damaged or was altered; copy it again from its source."
    assert refusal(rezip({**parts, name: altered})) == message  # zipped anew, so that the zip itself is in order
    start = data.index(parts[name]) + len(parts[name]) // 2
    assert refusal(data[:start] + bytes([data[start] ^ 1]) + data[start + 1 :]) == message


def test_weights_of_another_policy_are_refused(data):
    other = members(pack(Policy.from_sb3(make_model("sac-box", seed=5), info=INFO)))
    mixed = rezip({**members(data), "weights.safetensors": other["weights.safetensors"]})
    assert refusal(mixed).startswith("weights.safetensors does not match its checksum")


def reweighted(data: bytes, change) -> bytes:
    weights = dict(safetensors.numpy.load(members(data)["weights.safetensors"]))
    change(weights)
    return forge(data, weights_safetensors=safetensors.numpy.save(weights))


def test_weights_that_do_not_fill_the_networks_are_refused(data):
    message = refusal(reweighted(data, lambda w: w.update(spy=w.pop("actor.mu.bias"))))
    assert message == "the weights do not match the networks: missing actor.mu.bias; unknown spy."
    message = refusal(reweighted(data, lambda w: w.update({"actor.mu.bias": np.zeros(3, np.float32)})))
    assert message == "weight actor.mu.bias has shape (3,), the networks need (2,)."
    message = refusal(reweighted(data, lambda w: w.update({"actor.mu.bias": np.zeros(2, np.float64)})))
    assert message == "weight actor.mu.bias is float64, the networks need float32."
    message = refusal(reweighted(data, lambda w: w.update({"actor.mu.bias": np.full(2, np.nan, np.float32)})))
    assert message == "weight actor.mu.bias holds a value that is not finite; the training had diverged."
    assert refusal(forge(data, weights_safetensors=b"\xff" * 40)) == (
        "weights.safetensors is not a valid safetensors file."
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(schema=2), "bundle schema 2 is unknown, this version reads schema 1; upgrade sim2real."),
        (lambda c: c.update(format="x"), "not a policy bundle: bundle.json does not say so."),
        (lambda c: c.pop("world"), "bundle.json lacks world."),
        (lambda c: c.update(extra=1), "bundle.json: unknown key 'extra'."),
        (
            lambda c: c.update(algorithm="sacc"),
            "unknown algorithm 'sacc'. Did you mean 'sac'? Known: ppo, sac, td3, tqc.",
        ),
        (lambda c: c["policy"].update({"class": "os.system"}), "unknown policy class 'os.system'."),
        (lambda c: c["policy"]["kwargs"].update(activation_fn="eval"), "unknown activation function 'eval'."),
        (lambda c: c["policy"]["kwargs"].update(activation_fn=["relu"]), "unknown activation function \"['relu']\"."),
        (lambda c: c["policy"]["kwargs"].update(net_arch=[10**9]), " weights are too few for net_arch [1000000000]."),
        (lambda c: c["policy"]["kwargs"].update(net_arch=[0]), "must hold whole numbers of at least 1."),
        (lambda c: c["policy"]["kwargs"].update(n_critics=10**9), "must be a whole number from 1 to 100."),
        (
            lambda c: c["policy"]["kwargs"].update(optimizer_class="Adam"),
            "policy_kwargs: unknown key 'optimizer_class'.",
        ),
        (lambda c: c["observation_space"].update(type="Graph"), "unknown space type 'Graph'."),
        (lambda c: c["observation_space"].update(shape=[10**6, 10**6]), "must be a whole number from 1 to 1000000."),
        (lambda c: c["observation_space"].update(shape=[6]), "the normalizer's statistics for observation have shape"),
        (lambda c: c["action_space"].update(dtype="object"), "unknown dtype 'object'."),
        (lambda c: c["action_space"].update(low=[0, 1, 2]), "action_space: low has 3 numbers, its shape [2] needs 2."),
        (lambda c: c["action_space"].update(high="inf"), "must have finite bounds."),
        (
            lambda c: c["observation_channels"][0].update(width="x"),
            "each channel needs name, width, unit, low, high, noise, with",
        ),
        (lambda c: c.update(action_scaling="none"), "action_scaling = 'none' is not how such a policy acts."),
        (lambda c: c.update(world=[]), "world must be a mapping, got []."),
        (lambda c: c["members"].pop("normalizer.safetensors"), "bundle.json lists other members than the bundle holds"),
    ],
)
def test_a_forged_description_is_refused(data, change, message):
    assert message in refusal(forge(data, change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["policy"]["kwargs"]["features_extractor_kwargs"].update(features_dim=10**9),
            "231713 weights are too few for net_arch [16, 16] and features_extractor_kwargs {'features_dim': 10000",
        ),
        (
            lambda c: c["policy"]["kwargs"]["features_extractor_kwargs"].update(features_dim=0),
            "policy_kwargs: features_extractor_kwargs = {'features_dim': 0} must hold a whole number of at least 1.",
        ),
        (
            lambda c: c["policy"]["kwargs"]["features_extractor_kwargs"].update(normalized_image=True),
            "policy_kwargs: features_extractor_kwargs: unknown key 'normalized_image'. Known: features_dim.",
        ),
        (
            lambda c: c["policy"]["kwargs"].update(features_extractor_kwargs=8),
            "policy_kwargs: features_extractor_kwargs: expected a mapping of names to values, got 8.",
        ),
        (
            lambda c: c["policy"]["kwargs"].update(features_extractor_class="os.system"),
            "policy_kwargs: unknown key 'features_extractor_class'. Did you mean 'features_extractor_kwargs'?",
        ),
        (
            lambda c: c["policy"]["kwargs"].update(normalize_images=0),
            "policy_kwargs: normalize_images = 0 must be true or false.",
        ),
        (
            lambda c: c["policy"].update({"class": "MlpPolicy"}),
            "policy_kwargs: unknown key 'features_extractor_kwargs'.",
        ),
        (
            lambda c: c["observation_space"].update(shape=[36, 20, 3]),
            "pictures of 36 x 20 are too small for the convolutions, which need 36 x 36; scale them up, as ",
        ),
        (
            lambda c: c["observation_space"].update(shape=[1000, 1000, 1]),
            "231713 weights are too few for net_arch [16, 16] and features_extractor_kwargs {'features_dim': 8}.",
        ),
        (
            lambda c: c["observation_space"].update(dtype="float32"),
            "CnnPolicy does not read Box(0.0, 255.0, (36, 40, 3), float32); it is for pictures of uint8 from 0 to 255.",
        ),
    ],
)
def test_a_forged_description_of_a_policy_that_sees_is_refused(change, message):
    assert refusal(forge(pack(Policy.from_sb3(make_model("sac-picture"))), change)).startswith(message)


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff", b'{"format": NaN}', b"[" * 100_000, b'{"a":' * 100_000])
def test_a_description_that_is_no_json_object_is_refused(data, text):
    assert refusal(rezip({**members(data), "bundle.json": text})).startswith("not a policy bundle: bundle.json ")


def test_a_forged_normalizer_is_refused(data):
    tensors = dict(safetensors.numpy.load(members(data)["normalizer.safetensors"]))
    for change, message in [
        ({"observation/var": -np.ones(5)}, "the variance of the normalizer must not be negative."),
        ({"observation/mean": np.full(5, np.nan)}, "the mean of the normalizer holds a value that is not finite."),
        ({"observation/count": np.array(0.0)}, "the count of the normalizer = 0 must be a finite number above 0."),
        ({"clip": np.array(-1.0)}, "the clip of the normalizer = -1 must be a finite number above 0."),
        ({"clip": np.ones(2)}, "'clip' of the normalizer must be a scalar."),
        ({"spy": np.ones(2)}, "the normalizer holds unknown tensors: spy."),
    ]:
        forged = forge(data, normalizer_safetensors=safetensors.numpy.save({**tensors, **change}))
        assert refusal(forged) == message


def test_zip_bombs_and_foreign_members_are_refused(data):
    bomb = rezip({**members(data), "weights.safetensors": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 200_000
    assert refusal(bomb) == "not a policy bundle: bundle.json is compressed; members must be stored as they are."
    foreign = rezip({**members(data), "../../evil.py": b""})
    assert refusal(foreign).startswith("not a policy bundle: it holds ../../evil.py, bundle.json, ")
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = rezip_twice(data)
    assert refusal(twice).startswith("not a policy bundle: it holds ")


def rezip_twice(data: bytes) -> bytes:
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("bundle.json", "{}")
    return buffer.getvalue()


class Evil:
    ran = False

    def __reduce__(self):
        return (setattr, (Evil, "ran", True))


def test_nothing_is_ever_unpickled(data, tmp_path, monkeypatch):
    payload = pickle.dumps(Evil())
    buffer = io.BytesIO()
    torch.save({"x": 1}, buffer)

    def refuse(*_args, **_kwargs):
        raise AssertionError("something was unpickled")

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load"), (np, "load")):
        monkeypatch.setattr(module, name, refuse)
    unpack(data, "p.zip")
    for name in ("bundle.json", "weights.safetensors", "normalizer.safetensors"):
        for evil in (payload, buffer.getvalue()):
            refusal(rezip({**members(data), name: evil}))
    for name in ("weights_safetensors", "normalizer_safetensors"):
        assert "is not a valid safetensors file" in refusal(forge(data, **{name: payload}))
    refusal(payload)
    assert not Evil.ran


def test_wrong_files_are_named(tmp_path, monkeypatch):
    def message(place):
        with pytest.raises(Sim2RealError) as caught:
            load_policy(place)
        return str(caught.value)

    missing = tmp_path / "none.zip"
    assert message(missing) == f"{missing}: no such file; give a policy bundle (policy.zip) or a run folder."
    assert message(tmp_path) == (
        f"{tmp_path}: the folder holds no policy.zip; give a policy bundle or a finished run's folder."
    )
    assert message("LabyrinthHard").startswith("unknown pretrained policy 'LabyrinthHard'")
    assert message("LabyrinthHard").endswith(" No file or run folder has that name either.")
    assert message("/dev/null") == "/dev/null: not a policy bundle: not a regular file."
    text = tmp_path / "text.zip"
    text.write_text("hello")
    assert message(text) == f"{text}: not a policy bundle: not a zip file."
    make_model("sac-box").save(tmp_path / "sb3.zip")
    assert message(tmp_path / "sb3.zip") == (
        f"{tmp_path}/sb3.zip: this is a Stable-Baselines3 zip, not a policy bundle; convert it, if you trust it (SB3 "
        f"unpickles), with sim2real.deployment.sb3.from_sb3_zip('{tmp_path}/sb3.zip').save('policy.zip')."
    )
    monkeypatch.setattr(bundle, "MAX_BYTES", 3)
    assert message(text) == f"{text}: not a policy bundle: 5 bytes, more than the 3 that are read."


def test_a_save_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    policy = Policy.from_sb3(make_model("sac-box"))
    policy.save(tmp_path / "policy.zip")
    before = (tmp_path / "policy.zip").read_bytes()

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Sim2RealError, match="No space left on device"):
        policy.save(tmp_path / "policy.zip")
    monkeypatch.undo()
    assert (tmp_path / "policy.zip").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["policy.zip"]
    with pytest.raises(Sim2RealError, match=re.escape(f"cannot write to {tmp_path}: it is a folder; ")):
        policy.save(tmp_path)
    with pytest.raises(Sim2RealError, match="No such file or directory"):
        policy.save(tmp_path / "no" / "policy.zip")


def test_provenance_is_plain_and_complete():
    facts = provenance(seed=3, steps=10, command="sim2real train X")
    assert json.loads(json.dumps(facts)) == facts
    assert list(facts) == ["versions", "seed", "command", "steps", "created"]
    assert {"python", "torch", "stable-baselines3", "gymnasium", "numpy"} <= set(facts["versions"])
