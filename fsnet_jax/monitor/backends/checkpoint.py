"""A monitor's networks out of a finished run, compiled for this machine."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from ml_collections import ConfigDict

from common_lib.class_table import ClassTable
from common_lib.errors import UserError
from fsnet_jax import learned_detectors
from fsnet_jax.builders import external, networks
from fsnet_jax.builders.classes import class_table
from fsnet_jax.builders.evaluation import evaluation_options
from fsnet_jax.config import config_file, resolution, run_paths
from fsnet_jax.detectors import FailureDetector, fitted_name, uses_flip
from fsnet_jax.evaluation import failure_parts
from fsnet_jax.learned_detectors.base import Loaded
from fsnet_jax.models.segmentation import outputs
from fsnet_jax.monitor.backends import other_sizes
from fsnet_jax.monitor.calibration.digest import current_calibration
from fsnet_jax.monitor.calibration_file import CalibrationFile
from fsnet_jax.monitor.monitor import UNCALIBRATED
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.runtime.checkpointing import Checkpoints
from fsnet_jax.steps.eval_step import DropoutSampling, make_forward_pass
from fsnet_jax.steps.monitor_step import make_monitor_step
from fsnet_jax.steps.train_step import WEIGHTS
from fsnet_jax.training.from_config import abstract_state
from input_pipeline.external.protocol import ExternalNetwork


@dataclasses.dataclass(frozen=True)
class Scores:
  """What the compiled step says of images at the run's size.

  Attributes:
    labels: uint8 [b h w].
    score: float32 [b h w], higher = more likely wrong.
    probability: float32 [b h w], P(wrong) as the detector has it; None of a
      detector whose score is none.
  """

  labels: np.ndarray
  score: np.ndarray
  probability: np.ndarray | None


class CheckpointBackend:
  """S and a detector of its errors, as a run has them; see `Backend`.

  Of several processes each looks at images of its own, on its own devices.

  Attributes:
    detector: name of the detector.
    image_size: (h, w) that the networks work at.
    batch_size: images of a compiled call: as many to a device as in an
      evaluation, whose batches all processes share.
    classes: see `Backend`.
  """

  def __init__(
    self,
    config: ConfigDict,
    workdir: Path,
    detector: str,
    calibration: CalibrationFile | None = None,
  ):
    """Restores a run and compiles nothing yet.

    Args:
      config: of the run.
      workdir: of the run.
      detector: of `config.eval.detectors`'s kind.
      calibration: of this run and this detector, or None.

    Raises:
      UserError: the run is not finished, has no such detector, or is damaged.
    """
    self.detector, self._calibration = detector, calibration
    config = run_paths.located(config, workdir)
    self._config = config
    self.image_size: tuple[int, int] = tuple(config.image_size)
    self.batch_size = mesh_lib.local_batch_size(config.eval.batch_size)
    self.classes: ClassTable = class_table(config)
    self._mesh = mesh_lib.make_local_mesh()
    options = evaluation_options(config)
    options = dataclasses.replace(options, detectors=(detector,))
    usable = failure_parts.usable_detectors(options)
    _check_usable(usable, detector, workdir)
    own = usable[detector]
    fits = _fits_of(own, options.fitted)
    parts = failure_parts.load(options.failure, workdir, usable)
    every = fits | parts
    self._flip = uses_flip(own) or any(f.uses_flip for f in every.values())
    model = networks.model(config)
    self._state = _restored(config, workdir, model, self._mesh)
    self._variables = mesh_lib.put_replicated(
      {name: one.variables for name, one in every.items()}, self._mesh
    )
    sampling = DropoutSampling(options.dropout_samples, options.seed)
    uncertainty = failure_parts.sampling_of(parts, options.seed)
    self._draws = _what_draws(own, uncertainty)
    forward = make_forward_pass(
      model,
      dropout=sampling if own.uses_dropout_samples else None,
      fitted={name: fit.outputs for name, fit in fits.items()},
      failure=failure_parts.mean_of(options.failure, parts),
      flip=self._flip,
      uncertainty=uncertainty,
    )
    self._monitor_step = make_monitor_step(forward, own)
    self._step = jax.jit(
      self._monitor_step,
      out_shardings=mesh_lib.batch_sharding(self._mesh),
    )
    self._external = _external(config, workdir)

  @classmethod
  def open(cls, workdir: Path) -> CheckpointBackend:
    """The monitor of a run, with its calibration if it has one.

    Args:
      workdir: of the run.

    Raises:
      UserError: as the constructor; a damaged calibration.
    """
    # Of a run of an older version, newer fields have their defaults.
    config = resolution.resolved(config_file.load(f'stored_run:{workdir}'))
    found = current_calibration(workdir)
    detector = found.detector if found is not None else 'fsnet'
    return cls(config, workdir, detector, found)

  @property
  def threshold(self) -> float | None:
    """See `Backend`."""
    return self._calibration.threshold if self._calibration else None

  @property
  def statement(self) -> str:
    """See `Backend`."""
    return self._calibration.statement if self._calibration else ''

  @property
  def reference(self) -> Mapping[str, Sequence[float]] | None:
    """See `Backend`."""
    return self._calibration.reference if self._calibration else None

  def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """See `Backend`."""
    return other_sizes.call(self._networks, images, self.image_size)

  def _networks(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As a call, of images at the run's size."""
    said = self.scores(images)
    return said.labels, self.probability(said)

  def probability(self, said: Scores) -> np.ndarray:
    """P(wrong): calibrated where the run is, else as the detector has it.

    Raises:
      UserError: the detector's score is no probability.
    """
    if self._calibration is not None:
      return self._calibration.probability(said.score)
    if said.probability is None:
      raise UserError(
        f'The score of detector {self.detector!r} is no probability: run '
        '--mode=calibrate first, which makes it one.'
      )
    return said.probability

  def scores(self, images: np.ndarray) -> Scores:
    """Runs the networks.

    Args:
      images: uint8 [b h w 3] at `image_size`; any b.
    """
    found = []
    for start in range(0, len(images), self.batch_size):
      part = images[start : start + self.batch_size]
      # One shape, so that there is one program.
      missing = self.batch_size - len(part)
      padded = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
      said = self._run(padded)
      found.append({name: one[: len(part)] for name, one in said.items()})
    joined = {
      name: np.concatenate([one[name] for one in found]) for name in found[0]
    }
    return Scores(joined['labels'], joined['score'], joined.get('probability'))

  def _run(self, images: np.ndarray) -> Mapping[str, np.ndarray]:
    """One call of the compiled step."""
    # Whatever batch an image is in, dropout draws the same for it.
    index = np.zeros(len(images), np.int32)
    batch: dict[str, Any] = {'image': images, 'index': index}
    if self._external is not None:
      output = self._external(images)
      batch[outputs.LOGITS] = output.logits
      if output.features is not None:
        batch[outputs.FEATURES] = output.features
      if self._flip:
        mirrored = self._external(np.ascontiguousarray(images[:, :, ::-1]))
        batch[outputs.FLIP_LOGITS] = mirrored.logits[:, :, ::-1]
    said = self._step(
      self._state.params,
      self._state.batch_stats,
      mesh_lib.put_batch(batch, self._mesh),
      np.float32(1),
      self._variables,
    )
    return {name: mesh_lib.local_rows(one) for name, one in said.items()}

  @property
  def external(self) -> ExternalNetwork | None:
    """The segmentation network, where it is one from elsewhere."""
    return self._external

  @property
  def brings(self) -> tuple[str, ...]:
    """What batches have of a network from elsewhere, by name."""
    if self._external is None:
      return ()
    features = (outputs.FEATURES,) if self._external.feature_channels else ()
    flip = (outputs.FLIP_LOGITS,) if self._flip else ()
    return (outputs.LOGITS, *features, *flip)

  def function(self) -> Callable[..., tuple[Array, Array, Array]]:
    """All that the monitor does, as one function of arrays, to be exported.

    Returns:
      `images uint8 [b h w 3] at image_size -> (labels uint8, P(wrong) float32,
      flagged bool)`, each [b h w]; weights and threshold are in it. Of a
      network from elsewhere its outputs follow the images, one argument each
      of `brings`.

    Raises:
      UserError: as `function_and_weights`.
    """
    function, weights = self.function_and_weights()
    return functools.partial(function, weights)

  def function_and_weights(
    self,
  ) -> tuple[Callable[..., tuple[Array, Array, Array]], Any]:
    """As `function`, which takes weights before the images, and the weights.

    Returns:
      The function, and a tree of NumPy arrays.

    Raises:
      UserError: the score is no probability, or masks of dropout are drawn
        for it.
    """
    if self._draws:
      raise UserError(
        f'An exported file draws no random numbers, and {self._draws}.'
      )
    state = jax.device_get((self._state.params, self._state.batch_stats))
    variables = jax.device_get(self._variables)
    threshold = UNCALIBRATED if self.threshold is None else self.threshold
    own = self._calibration

    def monitor(
      weights: Any, images: Array, *others: Array
    ) -> tuple[Array, Array, Array]:
      brought = dict(zip(self.brings, others, strict=True))
      batch = {'image': images, **brought}
      own_state, own_variables = weights
      said = self._monitor_step(*own_state, batch, np.float32(1), own_variables)
      if own is not None:
        odds = own.slope * said['score'] + own.offset
        failure = jax.nn.sigmoid(odds.astype(jnp.float32))
      elif 'probability' in said:
        failure = said['probability']
      else:
        raise UserError(
          f'The score of detector {self.detector!r} is no probability: run '
          '--mode=calibrate first, which makes it one.'
        )
      return said['labels'], failure, failure > np.float32(threshold)

    return monitor, (state, variables)

  @functools.cached_property
  def parameter_count(self) -> int:
    """Of S and F together, those of a network from elsewhere aside."""
    leaves = jax.tree.leaves((self._state.params, self._variables))
    return sum(np.size(leaf) for leaf in leaves)


def _fits_of(
  own: FailureDetector, folders: Mapping[str, str]
) -> dict[str, Loaded]:
  """The fit that a detector looks at, if it does, by name."""
  name = fitted_name(own)
  return (
    {name: learned_detectors.load(name, Path(folders[name]))} if name else {}
  )


def _what_draws(
  own: FailureDetector, uncertainty: DropoutSampling | None
) -> str:
  """Whose masks are drawn for each image, and what does without; or ''."""
  if own.uses_dropout_samples:
    return (
      f'detector {own.name!r} needs masks of dropout: choose another in '
      'config.calibrate.detector'
    )
  if uncertainty is not None:
    return (
      'the failure network of this run needs masks of dropout '
      f'(config.fit.pixel.dropout_samples={uncertainty.samples}): train it '
      'with 0'
    )
  return ''


def _external(config: ConfigDict, workdir: Path) -> ExternalNetwork | None:
  """The network from elsewhere that a run watches, if it does.

  Raises:
    UserError: it knows its own images alone.
  """
  if not external.is_external(config):
    return None
  found = external.network(config)
  if found.takes_any_image:
    return found
  raise UserError(
    f'--workdir={workdir} watches stored logits, which there are of its own '
    'images alone: give the network as onnx or python to look at others.'
  )


def _check_usable(
  usable: Mapping[str, Any], detector: str, workdir: Path
) -> None:
  """Raises UserError for a detector that a monitor cannot have."""
  if detector not in usable:
    raise UserError(
      f'--workdir={workdir} has no trained failure network for detector '
      f'{detector!r}: choose another in config.calibrate.detector.'
    )
  if usable[detector].uses_temperature:
    raise UserError(
      f'Detector {detector!r} needs a temperature, which is fitted in an '
      'evaluation alone: take msp, which a calibration makes a probability.'
    )


def _restored(config: ConfigDict, workdir: Path, model: Any, mesh: Any) -> Any:
  """The newest state of S and F: what only training needs is not read."""
  checkpoints = Checkpoints(workdir, read_only=True)
  try:
    step = checkpoints.latest_step()
    if step is None:
      raise UserError(
        f'--workdir={workdir} has no checkpoint: train first, or name the '
        'folder of a finished run.'
      )
    like = abstract_state(config, model, mesh)
    state = checkpoints.restore(step, like, only=WEIGHTS).state
  finally:
    checkpoints.close()
  external.check_same(config, state.params['segmentation'])
  return state
