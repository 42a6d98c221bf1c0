"""One optimiser tree for both networks and both phases (paper IV).

The tree never changes shape: which phase a run is in is data (a step number
in the train state), so a checkpoint of either phase restores into it.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

# Sits in `TrainState.phase2_start` while the segmentation network has not
# converged; no run gets this far.
NOT_YET = jnp.iinfo(jnp.int32).max


def segmentation_schedule(
  learning_rate: float,
  kind: str,
  decay_steps: int,
  power: float,
  warmup_steps: int = 0,
) -> optax.Schedule:
  """Learning rate of S by step.

  `constant`; `poly`, as DeepLab trains: lr * (1 - step / decay_steps) **
  power; or `cosine`: lr * (1 + cos(pi * step / decay_steps)) / 2. Both are 0
  after `decay_steps`.

  Args:
    learning_rate: lr.
    kind: one of these words.
    decay_steps: of `poly` and `cosine`.
    power: of `poly`.
    warmup_steps: n; in the first n steps, from 0, the schedule is multiplied
      by (step + 1) / n. 0 for none.

  Raises:
    ValueError: for an unknown kind.
  """
  if kind == 'constant':
    schedule = optax.constant_schedule(learning_rate)
  elif kind == 'poly':
    schedule = optax.polynomial_schedule(learning_rate, 0.0, power, decay_steps)
  elif kind == 'cosine':
    schedule = optax.cosine_decay_schedule(learning_rate, decay_steps)
  else:
    raise ValueError(f'unknown learning-rate schedule {kind!r}')
  if not warmup_steps:
    return schedule
  return lambda step: schedule(step) * jnp.minimum((step + 1) / warmup_steps, 1)


def l2_weight_schedule(
  phase2_start: int | Any, weight: float, warmup_steps: int = 0
) -> optax.Schedule:
  """Weight of L2 by step: 0 until `phase2_start`, then `weight`.

  Args:
    phase2_start: first step of the joint phase; may be a traced integer,
      because under `switch='plateau'` it is known only during the run.
    weight: the weight in the joint phase; the paper's loss is L1 + L2, so 1.
    warmup_steps: if positive, the weight rises linearly over these steps.
  """
  if warmup_steps > 0:
    joint = optax.linear_schedule(0.0, weight, warmup_steps)
  else:
    joint = optax.constant_schedule(weight)
  return optax.join_schedules(
    [optax.constant_schedule(0.0), joint], [phase2_start]
  )


def make_optimizer(
  *,
  segmentation_lr: optax.Schedule,
  momentum: float,
  weight_decay: float,
  failure_lr: float,
  clip_norm: float = 0.0,
  kind: str = 'sgd',
  frozen: Callable[[Sequence[str]], bool] | None = None,
  scaled: tuple[str, float] = ('', 1.0),
) -> optax.GradientTransformationExtraArgs:
  """SGD (or Adam) for S and, from the joint phase on, Adam for F.

  The parameters are a dict with the keys `segmentation` and `failure`.
  `update` takes a keyword `in_phase2` (a Python bool): while it is False, F
  gets no update and its moments and step count stay zero.

  `optax.masked` and `conditionally_transform` would hand F's raw gradient
  through where they do not apply; `conditionally_mask` gives zeros.

  Args:
    segmentation_lr: learning rate of S by step.
    momentum: of S; weight decay is added to the gradient before it enters
      the momentum buffer, as PyTorch's SGD does.
    weight_decay: of every parameter of S.
    failure_lr: Adam's learning rate for F.
    clip_norm: if positive, S's gradient is clipped to this global norm (not
      in the paper; a net trained from random weights may need it).
    kind: `sgd`, or `adam` with decoupled weight decay, which `momentum` does
      not touch: for runs of hundreds of steps, where SGD needs tens of
      thousands.
    frozen: says of a parameter of S, by the names on the path to it, whether
      it never changes; weight decay would move it without any gradient.
    scaled: name of a part of S, and what its learning rate is multiplied by;
      momentum and clipping are those of S as a whole.

  Raises:
    ValueError: for an unknown kind.
  """
  steps = _steps_of(kind, segmentation_lr, momentum, weight_decay)
  if clip_norm > 0:
    steps.insert(0, optax.clip_by_global_norm(clip_norm))
  part, factor = scaled
  if factor != 1:
    # Last, so that it scales steps, decay included, as a learning rate does.
    steps.append(optax.masked(optax.scale(factor), _within(part)))
  failure = _in_phase2(optax.adam(failure_lr))
  transforms: dict[Hashable, optax.GradientTransformation] = {
    'segmentation': optax.chain(*steps),
    'failure': failure,
  }
  if frozen is not None:
    transforms['frozen'] = optax.set_to_zero()
  return optax.partition(transforms, _labels(frozen))


def _in_phase2(
  inner: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
  """Zeros in phase 1, in which the state of `inner` stays.

  As `optax.conditionally_mask`, whose state it has, but for a condition that is
  known when a step is traced: a `cond` would trace both sides, which for
  hundreds of arrays takes half a second of each command.
  """

  def init(params):
    return optax.ConditionallyMaskState(
      step=jnp.zeros((), jnp.int32), inner_state=inner.init(params)
    )

  def update(updates, state, params=None, **extra):
    own = state.inner_state
    if extra['in_phase2']:
      updates, own = inner.update(updates, own, params)
    else:
      updates = optax.tree.zeros_like(updates)
    step = optax.safe_increment(state.step)
    return updates, state._replace(step=step, inner_state=own)

  return optax.GradientTransformationExtraArgs(init, update)


def _steps_of(
  kind: str, learning_rate: optax.Schedule, momentum: float, decay: float
) -> list[optax.GradientTransformation]:
  """What makes a step of S from its gradient; see `make_optimizer`."""
  if kind == 'sgd':
    return [
      optax.add_decayed_weights(decay),
      optax.sgd(learning_rate, momentum=momentum or None),
    ]
  if kind == 'adam':
    return [optax.adamw(learning_rate, weight_decay=decay)]
  raise ValueError(f'unknown optimizer {kind!r}')


def _within(part: str) -> Callable[[Any], Any]:
  """The mask of S's parameters below one name."""

  def of_parameter(path: Any, _: Any) -> bool:
    return [entry.key for entry in path][:2] == ['segmentation', part]

  return lambda tree: jax.tree_util.tree_map_with_path(of_parameter, tree)


def _labels(frozen: Callable[[Sequence[str]], bool] | None) -> Any:
  """The transform of each parameter, as `optax.partition` takes it."""
  labels = {'segmentation': 'segmentation', 'failure': 'failure'}
  if frozen is None:
    return labels

  def of_parameter(path: Any, _: Any) -> str:
    names = [entry.key for entry in path]
    return 'frozen' if frozen(names) else 'segmentation'

  def of_tree(tree: Any) -> Any:
    segmentation = jax.tree_util.tree_map_with_path(
      of_parameter, tree['segmentation']
    )
    return labels | {'segmentation': segmentation}

  return of_tree
