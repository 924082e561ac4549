"""An episode as an animation, one frame a decision: a WebP or a GIF."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from heartpole_jax import arguments, disk
from heartpole_jax.drawing.frames import sprites
from heartpole_jax.drawing.frames.frame import Image, draw_frame
from heartpole_jax.drawing.frames.moment import Moment
from heartpole_jax.drawing.palette import INK
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.rollout import Transition

KINDS = (".webp", ".gif")
_MILLISECONDS, _LAST_MILLISECONDS = 220, 2500  # of a frame; of an episode's last
_CAPTION_HEIGHT = 40


@arguments.checked(env=Environment)
def moments_of(records: Transition, env: Environment = HEARTPOLE_V0) -> list[Moment]:
    """The moments of the first patient of `rollout(..., record=everything).records`: its start, and one a decision.

    Args:
      records: whole transitions, leaves of shape (num_steps, num_envs, ...), of one episode.
    """
    records = jax.tree.map(lambda x: np.asarray(x)[:, 0], records)
    attacks = np.cumsum(records.info.heart_attack)
    start = Moment(_values(records.obs[0], env), 0, None, 0.0, False, 0.0, 0)
    return [start] + [
        Moment(
            values=_values(records.next_obs[step], env),
            num_steps=step + 1,
            action=int(records.action[step]),
            reward=float(records.reward[step]),
            heart_attack=bool(records.info.heart_attack[step]),
            heart_attack_risk=float(records.info.heart_attack_risk[step]),
            num_heart_attacks=int(attacks[step]),
        )
        for step in range(len(records.reward))
    ]


def _values(obs: np.ndarray, env: Environment) -> dict[str, float]:
    return dict(zip(env.obs_names, obs.tolist(), strict=True))


def save_animation(
    episodes: Mapping[str, Transition], path: Path, params: Any = None, env: Environment = HEARTPOLE_V0
) -> None:
    """Writes the episodes one after the other, each under its caption (none where it is empty), for ever.

    Args:
      episodes: records by caption, as `moments_of` takes them.
      path: ends in .webp or .gif.
      params: of the episodes; the environment's defaults for None.

    Raises:
      ValueError: for another ending, no episodes, or an environment without gauges.
      OSError: where it cannot be written.
    """
    check_kind(path)
    if not episodes:
        raise ValueError("an animation shows one episode at least, got none")
    images, durations = [], []
    for caption, records in episodes.items():
        moments = moments_of(records, env)
        frames = [_captioned(draw_frame(moments[: last + 1], env, params), caption) for last in range(len(moments))]
        images += frames
        durations += [_MILLISECONDS] * (len(frames) - 1) + [_LAST_MILLISECONDS]
    disk.write_atomic(path, _encoded(images, durations, path.suffix[1:].lower()))


def check_kind(path: Path) -> None:
    """Raises ValueError where `save_animation` would, for the ending."""
    if path.suffix.lower() not in KINDS:
        raise ValueError(f"an animation must end in {' or '.join(KINDS)}, got {path.name!r}")


def _encoded(images: list[Image.Image], durations: list[int], kind: str) -> bytes:
    sink = io.BytesIO()
    options = {"lossless": True, "method": 4} if kind == "webp" else {"optimize": True}
    images[0].save(sink, kind, save_all=True, append_images=images[1:], duration=durations, loop=0, **options)
    return sink.getvalue()


def _captioned(frame: np.ndarray, caption: str) -> Image.Image:
    """The frame under its caption."""
    image = Image.fromarray(frame)
    if not caption:
        return image
    above = Image.new("RGB", (image.width, image.height + _CAPTION_HEIGHT), "white")
    above.paste(image, (0, _CAPTION_HEIGHT))
    sprites.write(above, (16, _CAPTION_HEIGHT / 2), caption, 20, INK, "lm")
    return above
