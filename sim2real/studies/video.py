"""Videos: the same episodes, played by several policies side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from sim2real.domains.contract import Env
from sim2real.domains.env_checks import one_line
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.files import cannot_write
from sim2real.seeding import derive_seed

Frame = NDArray[np.uint8]

_CAPTION_HEIGHT = 36
_GOOD, _BAD, _INK, _PAPER = (0, 158, 115), (213, 94, 0), (32, 33, 36), (255, 255, 255)


def record(
    actors: Mapping[str, tuple[Callable[[Any], Any], World]],
    *,
    seed: int,
    episodes: int = 3,
    every: int = 1,
    columns: int = 2,
    width: int | None = None,
) -> tuple[list[Frame], float]:
    """Let several policies play the same episodes, side by side.

    Args:
        actors: Caption -> (policy, which maps one observation to an action; world it acts in).
        seed: From which the seeds of the episodes derive.
        episodes: How many, one after the other.
        every: Control steps from one frame to the next.
        columns: Policies in a row.
        width: Of each policy's picture [pixels]; as the world draws it if ``None``.

    Returns:
        The frames, shape (height, width, 3), all of one size, and how many of them make a second.

    Raises:
        Sim2RealError: A world cannot draw itself.
    """
    films = [
        _play(predict, world, caption, seed, episodes, every, width) for caption, (predict, world) in actors.items()
    ]
    length = max(len(film) for film, _ in films)
    height = max(film[0].shape[0] for film, _ in films)
    padded = [
        [_heightened(frame, height) for frame in (*film, *[film[-1]] * (length - len(film)))] for film, _ in films
    ]
    return [_tiled(shown, columns) for shown in zip(*padded, strict=True)], films[0][1]


def show(predict: Callable[[Any], Any], world: World, *, seed: int, episodes: int) -> None:
    """Play episodes in a window, at the pace of the env.

    Args:
        predict: Maps one observation to an action.
        world: Where.
        seed: From which the seeds of the episodes derive.
        episodes: How many.

    Raises:
        Sim2RealError: There is no display, or the world opens no window.
    """
    with _drawn(world, "human") as env:
        for index in range(episodes):
            observation, _ = env.reset(seed=derive_seed(seed, "video", index))
            over = False
            while not over:
                observation, _, terminated, truncated, _ = env.step(predict(observation))
                over = bool(terminated or truncated)


def check_drawn(world: World) -> None:
    """Draw one picture of a world, before a film is counted on.

    Raises:
        Sim2RealError: It cannot draw itself.
    """
    with closing(world.make()) as env:
        modes = env.metadata.get("render_modes") or ()
    if "rgb_array" not in modes:
        raise Sim2RealError(f"env {world.env!r} draws no pictures (render_mode 'rgb_array').")
    with _drawn(world, "rgb_array") as env:
        try:
            env.reset(seed=0)
            _render(env, None)
        except Sim2RealError:
            raise
        except Exception as error:  # whatever a user's own env raises
            raise Sim2RealError(f"env {world.env!r} cannot be drawn: {one_line(error)}") from error


def write_video(frames: Sequence[Frame], path: Path, fps: float) -> None:
    """Write frames as H.264 in an mp4 file that browsers play.

    Raises:
        Sim2RealError: The file cannot be written.
    """
    import imageio.v2

    beside = path.with_name(f".{path.stem}.tmp.mp4")
    try:
        writer: Any = imageio.v2.get_writer(
            beside, fps=fps, codec="libx264", quality=7, macro_block_size=2, ffmpeg_log_level="error"
        )
        with writer:
            for frame in frames:
                writer.append_data(frame)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise cannot_write(path, error) from None


def _tiled(shown: Sequence[Frame], columns: int) -> Frame:
    blank = np.full_like(shown[0], 255)
    filled = [*shown, *[blank] * (-len(shown) % columns)]
    rows = [np.concatenate(filled[start : start + columns], axis=1) for start in range(0, len(filled), columns)]
    return np.concatenate(rows, axis=0)


def _play(
    predict: Callable[[Any], Any],
    world: World,
    caption: str,
    seed: int,
    episodes: int,
    every: int,
    width: int | None,
) -> tuple[list[Frame], float]:
    film: list[Frame] = []
    with _drawn(world, "rgb_array") as env:
        fps = float(env.metadata.get("render_fps") or 30) / every
        for index in range(episodes):
            observation, info = env.reset(seed=derive_seed(seed, "video", index))
            step, over = 0, False
            while not over:
                observation, _, terminated, truncated, info = env.step(predict(observation))
                step, over = step + 1, bool(terminated or truncated)
                if over or step % every == 0:
                    film.append(_captioned(_render(env, width), caption, info.get("is_success")))
            film += [film[-1]] * round(fps / 2)  # half a second to see how it ended
    return film, fps


@contextmanager
def _drawn(world: World, render_mode: str) -> Iterator[Env]:
    """Make a world that draws itself; say in one line what is missing where it cannot."""
    try:
        with closing(world.make(render_mode=render_mode)) as env:
            yield env
    except gym.error.DependencyNotInstalled as error:
        raise Sim2RealError(f"env {world.env!r} cannot be drawn: {error}.") from None


def _render(env: Any, width: int | None) -> Frame:
    frame = env.render()
    if not isinstance(frame, np.ndarray):
        raise Sim2RealError("the env draws no pictures (render_mode 'rgb_array'); it cannot be filmed.")
    frame = frame[..., :3].astype(np.uint8)
    if width is None or width == frame.shape[1]:
        return frame
    from PIL import Image

    height = 2 * round(frame.shape[0] * width / frame.shape[1] / 2)  # videos have even sides
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS))


def _heightened(frame: Frame, height: int) -> Frame:
    """Return a frame with white below it."""
    if frame.shape[0] == height:
        return frame
    return np.pad(frame, ((0, height - frame.shape[0]), (0, 0), (0, 0)), constant_values=255)


def _captioned(frame: Frame, caption: str, success: bool | None) -> Frame:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (frame.shape[1], frame.shape[0] + _CAPTION_HEIGHT), _PAPER)
    image.paste(Image.fromarray(frame), (0, _CAPTION_HEIGHT))
    draw = ImageDraw.Draw(image)
    middle = _CAPTION_HEIGHT // 2
    font = ImageFont.load_default(min(18, frame.shape[1] // 26))
    room = frame.shape[1] - 24.0
    if success is not None:
        text, colour = ("on goal", _GOOD) if success else ("off goal", _BAD)
        draw.text((frame.shape[1] - 12, middle), text, fill=colour, font=font, anchor="rm")
        room -= draw.textlength(f"  {text}", font=font)
    shown = caption
    while len(shown) > 1 and draw.textlength(shown, font=font) > room:
        shown = f"{shown[:-2].rstrip()}…"
    draw.text((12, middle), shown, fill=_INK, font=font, anchor="lm")
    return np.asarray(image)
