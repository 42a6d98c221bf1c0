"""Where S runs: inside the compiled programs, or elsewhere and before them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from ml_collections import ConfigDict

from common_lib.console import say
from common_lib.errors import UserError
from fsnet_jax.builders import data_sources, external
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.models.segmentation import outputs
from input_pipeline.external import ExternalNetwork, OnnxNetwork
from input_pipeline.sources import Source
from segxal_jax import acquisition
from segxal_jax.config import own_learner
from segxal_jax.explanation import from_outputs, step
from segxal_jax.explanation.step import ExplainOptions
from segxal_jax.learners import Learner
from segxal_jax.loop.state import LoopState

Batch = dict[str, np.ndarray]
# Of scenes and batches.
DEPTH = 'depth'


@runtime_checkable
class Predictor(Protocol):
  """What the stages ask of S, wherever it runs."""

  def params(self, state: LoopState) -> Any:
    """What the steps that it makes take as parameters."""
    ...

  def outputs(
    self, state: LoopState, batch: Mapping[str, Any], with_mask: bool
  ) -> Batch:
    """What a batch of pool images must bring of S, beside the images.

    Args:
      state: whose network it is.
      batch: of `config.builders.pool_view`.
      with_mask: whether the error mask is made of it.
    """
    ...

  def evaluation_batches(self, state: LoopState, source: Source) -> Any:
    """Each image of a data set once, with what it must bring of S.

    Its depth comes along where the scenes carry it.
    """
    ...

  def make_score_step(
    self, options: ExplainOptions, scores: tuple[str, ...], embedding: bool
  ) -> Any:
    """See `explanation.step.make_score_step`."""
    ...

  def make_maps_step(self, options: ExplainOptions, guide: str) -> Any:
    """See `explanation.step.make_maps_step`."""
    ...


def _depth(source: Source) -> tuple[str, ...]:
  """The array's name where scenes carry depth; all of a source do, or none."""
  return (DEPTH,) if DEPTH in source[0] else ()


class Inside:
  """A network of this package: batches bring nothing."""

  def __init__(self, config: ConfigDict, model: FSNet, learner: Learner):
    """Takes the networks and how they are trained."""
    self._config, self._model, self._learner = config, model, learner

  def params(self, state: LoopState) -> Any:
    """See `Predictor`."""
    return self._learner.scoring_params(state.train)

  def outputs(
    self, state: LoopState, batch: Mapping[str, Any], with_mask: bool
  ) -> Batch:
    """See `Predictor`."""
    del state, batch, with_mask
    return {}

  def evaluation_batches(self, state: LoopState, source: Source) -> Any:
    """See `Predictor`."""
    del state
    return data_sources.evaluation_batches(
      self._config, source, arrays=_depth(source)
    )

  def make_score_step(
    self, options: ExplainOptions, scores: tuple[str, ...], embedding: bool
  ) -> Any:
    """See `Predictor`."""
    return step.make_score_step(self._model, options, scores, embedding)

  def make_maps_step(self, options: ExplainOptions, guide: str) -> Any:
    """See `Predictor`."""
    return step.make_maps_step(self._model, options, guide)


class Elsewhere:
  """The network of a cycle that a command wrote, or the one given at first."""

  def __init__(self, config: ConfigDict, workdir: Path):
    """Opens nothing yet.

    Raises:
      UserError: several processes, of which each would run the network.
    """
    if jax.process_count() > 1:
      raise UserError(
        "config.learner.kind is 'command', which is for runs of one process: "
        'start one.'
      )
    self._config, self._workdir = config, workdir
    self._classifiers: dict[str, np.ndarray | None] = {}
    self._said = False

  def open(self, cycle: int) -> ExternalNetwork:
    """The network of a cycle, tried on nothing yet.

    Raises:
      UserError: it cannot be opened, or lacks what the strategy needs.
    """
    network = external.network(self._of_cycle(cycle))
    strategy = acquisition.create(self._config.acquisition.strategy)
    if strategy.needs_embedding and not network.feature_channels:
      raise UserError(
        f'config.acquisition.strategy={strategy.name} compares features, but '
        f'the network of cycle {cycle} gives none: name an inner tensor in '
        'outputs.features of its model.json.'
      )
    return network

  def _of_cycle(self, cycle: int) -> ConfigDict:
    return own_learner.config_of_cycle(self._config, self._workdir, cycle)

  def _network(self, state: LoopState) -> ExternalNetwork:
    """That of the state.

    Raises:
      UserError: it is another one by now, or cannot be opened.
    """
    network = self.open(state.cycle)
    stored = state.train.params['segmentation']['sha256']
    if bytes(np.asarray(stored, np.uint8)).hex() != network.fingerprint():
      path = self._of_cycle(state.cycle).segmentation.path
      raise UserError(
        f'{path} is not the network that cycle {state.cycle} was trained to: '
        'put that one back, or choose another --workdir.'
      )
    return network

  def _classifier(self, state: LoopState) -> np.ndarray | None:
    """Weights [k c] of the last convolution, where they are known."""
    network = self._network(state)
    key = network.fingerprint()
    if key not in self._classifiers:
      known = isinstance(network, OnnxNetwork)
      self._classifiers = {key: network.classifier() if known else None}
      if self._classifiers[key] is None and not self._said:
        self._said = True
        say(
          'note: the network gives no features of which a 1x1 convolution '
          'makes its logits, so that Grad-CAM is left out: the error mask is '
          'of entropy and proximity (outputs.features of model.json names '
          'them)'
        )
    return self._classifiers[key]

  def params(self, state: LoopState) -> Any:
    """See `Predictor`."""
    weights = self._classifier(state)
    return {} if weights is None else {from_outputs.CLASSIFIER: weights}

  def outputs(
    self, state: LoopState, batch: Mapping[str, Any], with_mask: bool
  ) -> Batch:
    """See `Predictor`."""
    network, images = self._network(state), batch['image']
    output = network(images)
    found = {
      outputs.LOGITS: output.logits,
      from_outputs.PROXIMITY: batch['proximity'],
    }
    if output.features is not None:
      found[outputs.FEATURES] = output.features
    if with_mask and self._classifier(state) is not None:
      near = np.rint(images * batch['near'][..., None]).astype(np.uint8)
      of_near = network(near)
      assert of_near.features is not None  # The classifier is applied to them.
      found[from_outputs.NEAR_LOGITS] = of_near.logits
      found[from_outputs.NEAR_FEATURES] = of_near.features
    return found

  def evaluation_batches(self, state: LoopState, source: Source) -> Any:
    """See `Predictor`."""
    self._network(state)
    config = self._of_cycle(state.cycle)
    return data_sources.evaluation_batches(
      config, source, arrays=_depth(source)
    )

  def make_score_step(
    self, options: ExplainOptions, scores: tuple[str, ...], embedding: bool
  ) -> Any:
    """See `Predictor`."""
    return from_outputs.make_score_step(options, scores, embedding)

  def make_maps_step(self, options: ExplainOptions, guide: str) -> Any:
    """See `Predictor`."""
    return from_outputs.make_maps_step(options, guide)
