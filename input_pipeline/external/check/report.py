"""What a few labelled images say of a network from elsewhere."""

from __future__ import annotations

import dataclasses
import resource
import statistics
import sys
import time
from collections.abc import Sequence

import numpy as np

from common_lib.errors import UserError
from input_pipeline.external.check import confusions
from input_pipeline.external.check.alternatives import Alternative, of_input
from input_pipeline.external.logits_folder import LogitsFolder
from input_pipeline.external.onnx_model.onnx_file import OnnxNetwork
from input_pipeline.external.python_function import PythonNetwork

MOST_IMAGES = 8
# A gain of less is no proof on so few images.
CLEAR_GAIN = 0.05
# An order of classes has more freedom, so it has to be better by more.
CLEAR_ORDER_GAIN = 0.10
# What is not much better than the best is the smaller change.
_LEVEL = 0.01
# For all alternatives together; a slow network is tried on fewer images.
_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class LabelledImage:
  """One image to check with.

  Attributes:
    id: of the image.
    image: uint8 [h w 3], RGB.
    label: uint8 [h w], class indices, 255 = void.
  """

  id: str
  image: np.ndarray
  label: np.ndarray


@dataclasses.dataclass(frozen=True)
class Trial:
  """An alternative, and how well it does.

  Attributes:
    title: what is different.
    fix: what to write.
    before: pixel accuracy as it is, of the images that were tried.
    after: pixel accuracy of the alternative.
    wins: on how many of the images it is better.
    images: how many were tried.
    changes: how many things differ.
  """

  title: str
  fix: str
  before: float
  after: float
  wins: int
  images: int
  changes: int

  @property
  def is_clear(self) -> bool:
    """Better by `CLEAR_GAIN`, and on three of four images."""
    gain = self.after - self.before
    return gain >= CLEAR_GAIN and 4 * self.wins >= 3 * self.images


@dataclasses.dataclass(frozen=True)
class CheckReport:
  """What a check found.

  Attributes:
    images: how many there were.
    pixel_accuracy: share of correct pixels of all that have a label.
    miou: over the classes in the labels.
    names: of the classes.
    label_share: of each class, of the pixels that have a label.
    predicted_share: of each class, of the same pixels.
    milliseconds: the median of an image, without the first.
    memory_bytes: the most that this process has had.
    range: the smallest and the largest logit.
    trials: of the input, the best first; none for functions and files.
    order: which of the classes that the logits are said to be of is each
      class, where another order would be clearly better, else ().
    order_accuracy: pixel accuracy with it.
    order_fix: what to do then.
    notes: what the network's outputs needed.
    description: the `model.json` that says how it is fed; '' of a function.
  """

  images: int
  pixel_accuracy: float
  miou: float
  names: tuple[str, ...]
  label_share: tuple[float, ...]
  predicted_share: tuple[float, ...]
  milliseconds: float
  memory_bytes: int
  range: tuple[float, float]
  trials: tuple[Trial, ...]
  order: tuple[int, ...]
  order_accuracy: float
  order_fix: str
  notes: tuple[str, ...]
  description: str

  @property
  def better_input(self) -> Trial | None:
    """The smallest change that is clearly better, and level with the best."""
    clear = [one for one in self.trials if one.is_clear]
    if not clear:
      return None
    best = max(one.after for one in clear)
    level = [one for one in clear if one.after >= best - _LEVEL]
    fewest = min(one.changes for one in level)
    level = [one for one in level if one.changes == fewest]
    return max(level, key=lambda one: one.after)


@dataclasses.dataclass(frozen=True)
class _Pass:
  """A network's run over the images."""

  counts: list[np.ndarray]
  seconds: list[float]
  lowest: float
  highest: float

  @property
  def total(self) -> np.ndarray:
    return np.sum(self.counts, 0)


def run(
  network: OnnxNetwork | PythonNetwork | LogitsFolder,
  scenes: Sequence[LabelledImage],
) -> CheckReport:
  """Lets a network label images whose labels are known.

  Args:
    network: any; only an ONNX file's input can be changed, to try others.
    scenes: of which the first `MOST_IMAGES` with a labelled pixel are used.

  Raises:
    UserError: no image has a label, or the network fails.
  """
  classes = network.classes.num_classes
  used = [one for one in scenes if (one.label < classes).any()][:MOST_IMAGES]
  if not used:
    raise UserError(
      'none of the images has a labelled pixel, so there is nothing to check '
      'with; label a few images, or name a split that has labels'
    )
  if network.takes_any_image:
    network(used[0].image[None])  # What is made on a first call is not timed.
  whole = _pass(network, used)
  trials = _trials(network, used, whole)
  total = whole.total
  order, order_accuracy = _order(total)
  explained = max((one.after for one in trials if one.is_clear), default=0.0)
  if explained >= order_accuracy:
    order = ()  # A wrong input moves classes, too.
  valid = max(int(total.sum()), 1)
  return CheckReport(
    images=len(used),
    pixel_accuracy=confusions.accuracy(total),
    miou=confusions.mean_iou(total),
    names=network.classes.names,
    label_share=tuple(float(one) for one in total.sum(1) / valid),
    predicted_share=tuple(float(one) for one in total.sum(0) / valid),
    milliseconds=1e3 * statistics.median(whole.seconds),
    memory_bytes=_peak_memory(),
    range=(whole.lowest, whole.highest),
    trials=trials,
    order=order,
    order_accuracy=order_accuracy,
    order_fix=_order_fix(network, order) if order else '',
    notes=network.notes.lines,
    description=(
      '' if isinstance(network, PythonNetwork) else str(network.described.path)
    ),
  )


def _pass(
  network: OnnxNetwork | PythonNetwork | LogitsFolder,
  scenes: Sequence[LabelledImage],
) -> _Pass:
  """Counts and times of a network on images, one by one."""
  classes = network.classes.num_classes
  counts, seconds, lowest, highest = [], [], np.inf, -np.inf
  for scene in scenes:
    start = time.perf_counter()
    logits = _logits(network, scene)
    seconds.append(time.perf_counter() - start)
    counts.append(confusions.confusion(scene.label, logits.argmax(-1), classes))
    lowest = min(lowest, float(logits.min()))
    highest = max(highest, float(logits.max()))
  return _Pass(counts, seconds, lowest, highest)


def _logits(
  network: OnnxNetwork | PythonNetwork | LogitsFolder, scene: LabelledImage
) -> np.ndarray:
  if isinstance(network, LogitsFolder):
    height, width = scene.label.shape
    return network.of_image(scene.id, (height, width))
  return network(scene.image[None]).logits[0]


def _trials(
  network: OnnxNetwork | PythonNetwork | LogitsFolder,
  scenes: Sequence[LabelledImage],
  whole: _Pass,
) -> tuple[Trial, ...]:
  """All alternatives of the input, the best first."""
  if not isinstance(network, OnnxNetwork):
    return ()
  alternatives = of_input(network.input)
  cost = statistics.median(whole.seconds) * len(alternatives)
  number = int(max(1, min(len(scenes), _SECONDS / max(cost, 1e-9))))
  trials = [
    _trial(network, one, scenes[:number], whole.counts[:number])
    for one in alternatives
  ]
  return tuple(sorted(trials, key=lambda one: -one.after))


def _trial(
  network: OnnxNetwork,
  alternative: Alternative,
  scenes: Sequence[LabelledImage],
  before: list[np.ndarray],
) -> Trial:
  try:
    after = _pass(network.with_input(alternative.input), scenes).counts
  except UserError:  # Out of the range of a network of 16 bits, say.
    after = [np.zeros_like(one) for one in before]
  pairs = zip(before, after, strict=True)
  return Trial(
    title=alternative.title,
    fix=alternative.fix,
    before=confusions.accuracy(np.sum(before, 0)),
    after=confusions.accuracy(np.sum(after, 0)),
    wins=sum(
      confusions.accuracy(two) > confusions.accuracy(one) for one, two in pairs
    ),
    images=len(scenes),
    changes=alternative.changes,
  )


def _order(total: np.ndarray) -> tuple[tuple[int, ...], float]:
  """Another order of the channels, if it is clearly the right one."""
  order = confusions.best_order(total)
  changed = confusions.reordered(total, order)
  after, before = confusions.accuracy(changed), confusions.accuracy(total)
  # Rare classes that are mixed up change the mean over classes alone.
  gain = confusions.mean_iou(changed) - confusions.mean_iou(total)
  gain = max(gain, after - before)
  # A network that sees nothing can be renamed to be right more often, too: two
  # classes at least have to be mostly what the other name says.
  moved = [
    index
    for index, channel in enumerate(order)
    if channel != index
    and 2 * changed[index, index] > changed[index].sum()
    and 2 * changed[index, index] > changed[:, index].sum()
  ]
  clear = gain >= CLEAR_ORDER_GAIN and len(moved) > 1
  return (order if clear else ()), after


def _order_fix(
  network: OnnxNetwork | PythonNetwork | LogitsFolder, order: tuple[int, ...]
) -> str:
  """What makes another order of the classes that of the table."""
  own = network.channels.channels
  channels = [own[index] for index in order]
  step = order[1] - 1
  shifted = order == tuple((i + step) % len(own) for i in range(len(own)))
  start = own[0][0]
  in_order = own == tuple((start + i,) for i in range(len(own)))
  if (
    shifted and in_order and not network.channels.expected and start + step >= 0
  ):
    # Of more channels than classes; the first or last class had none so far.
    channels = [(channel + step,) for (channel,) in own]
  shown = [list(one) if len(one) > 1 else one[0] for one in channels]
  if isinstance(network, PythonNetwork):
    return f'return the channels {shown}'
  if network.described.classes is not None:
    return (
      'list the classes of the table that "classes" names in '
      f"{network.described.path} in the network's order"
    )
  return f'give "outputs": {{"classes": {shown}}} in {network.described.path}'


def _peak_memory() -> int:
  """The most memory that this process has had, bytes."""
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return peak if sys.platform == 'darwin' else peak * 1024
