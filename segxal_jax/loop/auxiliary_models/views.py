"""ViewAL's pass: the views of each scene are scored together.

Memory holds the probabilities of one scene's views, whatever the pool.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from common_lib import random_streams
from fsnet_jax.runtime.distributed import exchanged
from segxal_jax.config import builders
from segxal_jax.explanation.step import logits_fn, variables_of
from segxal_jax.loop.context import Run
from segxal_jax.loop.state import LoopState
from segxal_jax.pool.streaming import scene_texts
from segxal_jax.uncertainty import committee, view_entropy

# `Requirements.auxiliary_model` of the strategies that need this pass.
NAME = 'views'


def score(
  run: Run, state: LoopState, indices: Sequence[int]
) -> dict[str, np.ndarray]:
  """View entropy and divergence of images, and the scene of each.

  Processes share the scenes, each of which is scored on one device.

  Args:
    run: with a pool that `view_requirements.check` accepts.
    state: of the networks.
    indices: of the images in the pool.

  Returns:
    `view_entropy` and `view_divergence`, float [n], means over the usable
    pixels; `group`, int [n], equal for views of one scene.

  Raises:
    Interrupted: after Ctrl-C or SIGTERM.
  """
  sequences = scene_texts(run.pool, 'sequence')
  scenes: dict[str, list[int]] = {}
  for index, name in enumerate(sequences):
    scenes.setdefault(name, []).append(index)
  numbers = {name: number for number, name in enumerate(scenes)}
  most = max(map(len, scenes.values()))
  asked = list(dict.fromkeys(sequences[index] for index in indices))
  own: list[tuple[int, tuple[float, float]]] = []
  for start in range(0, len(asked), jax.process_count()):
    place = start + jax.process_index()
    if place < len(asked):
      own += _scene(run, state, scenes[asked[place]], most).items()
    # All of them ask, also those that have no scene left.
    run.check_stop('scoring the pool')
  found = dict(pair for part in exchanged(own) for pair in part)
  return {
    'view_entropy': np.array([found[p][0] for p in indices]),
    'view_divergence': np.array([found[p][1] for p in indices]),
    'group': np.array([numbers[sequences[p]] for p in indices], np.int64),
  }


def _scene(
  run: Run, state: LoopState, members: list[int], most: int
) -> dict[int, tuple[float, float]]:
  """Both scores of each view of a scene."""
  views = [run.pool[index] for index in members]
  # One shape for all scenes: one program.
  padded = [*views, *[views[0]] * (most - len(views))]
  step = run.compiled('views', lambda: _make_step(run))
  seed = random_streams.derived(
    run.config.seed, 'views', state.cycle, members[0]
  )
  images = np.stack([view['image'] for view in padded])
  networks = (state.train.params, state.train.batch_stats)
  # A copy that is here: the program is of this process alone.
  own = jax.tree.map(lambda leaf: leaf.addressable_data(0), networks)
  probs = step(*own, images, jax.random.key(seed))
  scores = view_entropy.view_scores(
    np.asarray(probs)[: len(views)],
    np.stack([view['depth'] for view in views]),
    np.stack([view['camera'] for view in views]),
  )
  usable = builders.usable(run.config)
  count = max(1, int(usable.sum()))
  return {
    index: (
      float(scores.entropy[row][usable].sum() / count),
      float(scores.divergence[row][usable].sum() / count),
    )
    for row, index in enumerate(members)
  }


def _make_step(run: Run) -> Any:
  """The mean softmax of the dropout committee."""
  options = run.config.acquisition

  def step(params, batch_stats, images, key):
    logits = committee.member_logits(
      logits_fn(run.model),
      variables_of(params, batch_stats),
      images.astype(jnp.float32),
      key,
      options.members,
      options.dropout,
    )
    return jnp.mean(jax.nn.softmax(logits, axis=-1), axis=0)

  return jax.jit(step)
