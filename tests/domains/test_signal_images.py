import gymnasium as gym
import numpy as np
import pytest
from tiny_envs import Camera, Sound, Tape

from sim2real.domains.signals import ImageAugmentation
from sim2real.errors import Sim2RealError

EFFECTS = {"brightness": 0.5, "contrast": 0.5, "noise": 0.2, "shift": 3.0, "cutout": 0.5}
HEIGHT, WIDTH = 8, 10
SHAPES = [(HEIGHT, WIDTH), (HEIGHT, WIDTH, 3), (3, HEIGHT, WIDTH), (4, HEIGHT, WIDTH, 3), (2, 3, HEIGHT, WIDTH)]


def shot(domain, picture, *, seed=0, steps=0, **effects):
    space = gym.spaces.Box(0, 255, picture.shape, np.uint8)
    env = ImageAugmentation(Tape([picture] * (steps + 1), space), **effects)
    pictures = [env.reset(seed=seed, options={"domain": domain})[0]]
    pictures += [env.step(np.zeros(1))[0] for _ in range(steps)]
    assert all(p in space for p in pictures)
    return np.array(pictures)


def ramp(shape):
    return np.random.default_rng(0).integers(1, 256, shape).astype(np.uint8)


def sides(shape, picture):
    """Return the picture with height and width in front."""
    axes = (shape.index(HEIGHT), shape.index(WIDTH))
    return np.moveaxis(picture, axes, (0, 1))


@pytest.mark.parametrize(
    ("contrast", "brightness", "expected"),
    [
        (1.0, 0.1, [26, 126, 154, 250, 255]),  # 25.5, 125.5, 153.5, 250.5: halves go to the even number
        (0.5, 0.0, [64, 114, 128, 176, 191]),
        (1.5, 0.0, [0, 86, 128, 255, 255]),
        (0.5, -0.2, [13, 63, 77, 125, 140]),
    ],
)
def test_contrast_and_brightness_act_by_the_closed_form(contrast, brightness, expected):
    levels = np.array([[0, 100, 128, 225, 255]], np.uint8)
    picture = np.vstack([levels] * 2)
    domain = {"image_contrast": contrast, "image_brightness": brightness}
    (changed,) = shot(domain, picture, contrast=0.5, brightness=0.5)
    np.testing.assert_array_equal(changed, [expected] * 2)  # c (p - 127.5) + 127.5 + 255 b


def test_noise_has_the_standard_deviation_asked_for_and_is_new_in_every_step():
    grey = np.full((40, 50), 128, np.uint8)
    first, second = shot({"image_noise": 0.05}, grey, steps=1, noise=0.1).astype(float) - 128.0
    for noise in (first, second):
        assert noise.mean() == pytest.approx(0.0, abs=4 * 12.75 / np.sqrt(2000))
        assert noise.std() == pytest.approx(12.75, rel=0.07)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 4 / np.sqrt(2000)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_shift_moves_the_picture_and_repeats_its_edge(shape):
    picture = ramp(shape)
    moves = set()
    for seed in range(60):
        pictures = shot({"image_shift": 2.0}, picture, seed=seed, steps=2, shift=3.0)
        assert (pictures == pictures[0]).all()  # all episode long
        padded = np.pad(sides(shape, picture), [(2, 2), (2, 2)] + [(0, 0)] * (len(shape) - 2), mode="edge")
        fits = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if np.array_equal(padded[y : y + HEIGHT, x : x + WIDTH], sides(shape, pictures[0]))
        ]
        assert len(fits) == 1
        moves.update(fits)
    assert {y for y, _ in moves} == {x for _, x in moves} == set(range(5))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_cutout_is_a_black_patch_somewhere_in_the_picture(shape):
    picture = ramp(shape)  # without black
    places = set()
    for seed in range(60):
        pictures = shot({"image_cutout": 0.5}, picture, seed=seed, steps=2, cutout=0.5)
        assert (pictures == pictures[0]).all()  # all episode long
        changed, original = sides(shape, pictures[0]), sides(shape, picture)
        black = (changed == 0).reshape(HEIGHT, WIDTH, -1)
        rows, columns = np.nonzero(black.all(axis=2))
        assert (np.ptp(rows), np.ptp(columns)) == (HEIGHT // 2 - 1, WIDTH // 2 - 1)
        assert black.any(axis=2).sum() == len(rows) == HEIGHT * WIDTH // 4
        np.testing.assert_array_equal(changed[changed != 0], original[changed != 0])
        places.add((rows[0], columns[0]))
    assert len(places) > 15


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_all_effects_together_keep_shape_and_type_and_repeat_by_their_seed(shape):
    domain = {"image_brightness": 0.1, "image_contrast": 1.2, "image_noise": 0.1, "image_shift": 2.0}
    domain["image_cutout"] = 0.3
    first, again, other = (shot(domain, ramp(shape), seed=seed, steps=3, **EFFECTS) for seed in (1, 1, 2))
    assert first.shape == (4, *shape)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_picture_of_the_env_stays_as_it_is():
    picture = ramp((HEIGHT, WIDTH, 3))
    before = picture.copy()
    shot({"image_cutout": 0.5, "image_noise": 0.1}, picture, cutout=0.5, noise=0.1)
    np.testing.assert_array_equal(picture, before)


def test_of_a_dict_only_the_named_pictures_change():
    env, true = ImageAugmentation(Camera(), key="camera", brightness=0.5), Camera()
    changed, _ = env.reset(seed=0, options={"domain": {"image_brightness": 0.5}})
    real, _ = true.reset(seed=0)
    assert changed in env.observation_space
    np.testing.assert_array_equal(changed["observation"], real["observation"])
    assert (changed["camera"] >= real["camera"]).all()
    assert changed["camera"].min() == 128


def test_each_effect_is_a_parameter_where_it_is_asked_for():
    space = ImageAugmentation(Camera(), key="camera", **EFFECTS).domain_space
    assert [(n, p.nominal, p.low, p.high, p.unit) for n, p in space.items() if n.startswith("image")] == [
        ("image_brightness", 0.0, -0.5, 0.5, "1"),
        ("image_contrast", 1.0, 0.5, 1.5, "1"),
        ("image_noise", 0.0, 0.0, 0.2, "1"),
        ("image_shift", 0.0, 0.0, 3.0, "pixels"),
        ("image_cutout", 0.0, 0.0, 0.5, "1"),
    ]
    for name, value in EFFECTS.items():
        env = ImageAugmentation(Camera(), key="camera", **{name: value})
        assert list(env.domain_space) == ["gain", "drag", f"image_{name}"]


@pytest.mark.parametrize(
    ("env", "options", "message"),
    [
        (
            Camera,
            {"key": "camera"},
            ": no effect is asked for; give one of brightness, contrast, noise, shift, cutout.",
        ),
        (Camera, {"brightness": 0.1}, ": key = None must name pictures of the env; it has camera."),
        (Camera, {"key": "kamera", "noise": 0.1}, ": key = 'kamera' must name pictures of the env; it has camera."),
        (
            Sound,
            {"brightness": 0.1},
            " needs uint8 pictures from 0 to 255, the env has Box(-10.0, 10.0, (2,), float32); leave the signal out.",
        ),
        (
            Sound,
            {"key": "camera", "brightness": 0.1},
            ": key = 'camera' is for a Dict observation space, the env has Box(-10.0, 10.0, (2,), float32); leave it "
            "out.",
        ),
        (Camera, {"key": "camera", "brightness": 1.5}, ": brightness = 1.5 must be a number between 0 and 1."),
        (Camera, {"key": "camera", "contrast": "x"}, ": contrast = 'x' must be a number between 0 and 1."),
        (Camera, {"key": "camera", "shift": -1}, ": shift = -1 must be a number of at least 0."),
        (Camera, {"key": "camera", "shift": 12}, ": shift = 12 must be a number between 0 and 11."),
    ],
)
def test_a_wrong_option_or_env_is_refused(env, options, message):
    with pytest.raises(Sim2RealError) as error:
        ImageAugmentation(env(), **options)
    assert str(error.value) == f"image_augmentation{message}"


def test_a_dict_without_pictures_is_refused():
    class Numbers(Sound):
        def __init__(self):
            super().__init__()
            self.observation_space = gym.spaces.Dict({"observation": self.observation_space})

    with pytest.raises(Sim2RealError) as error:
        ImageAugmentation(Numbers(), key="observation", noise=0.1)
    assert str(error.value).startswith("image_augmentation needs uint8 pictures from 0 to 255, the env has Dict(")
