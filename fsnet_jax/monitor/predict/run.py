"""The command `--mode=predict`, whatever the monitor is."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from common_lib.console import say
from common_lib.errors import UserError
from common_lib.foreign import quoted
from common_lib.paths import expanded
from common_lib.progress_bar import ProgressBar
from fsnet_jax.monitor import statistics
from fsnet_jax.monitor.calibration_file import CalibrationFile
from fsnet_jax.monitor.monitor import UNCALIBRATED, Monitor
from fsnet_jax.monitor.predict import (
  batches,
  depth,
  inputs,
  loader,
  shares,
  tables,
  video,
)
from fsnet_jax.monitor.predict.bag import Bag
from fsnet_jax.monitor.predict.depth import Depths
from fsnet_jax.monitor.predict.gallery import page, shift_sentence
from fsnet_jax.monitor.predict.inputs import Files, Item, Pending
from fsnet_jax.monitor.predict.journal import Journal
from fsnet_jax.monitor.predict.rows import Entry, worst_first
from fsnet_jax.monitor.predict.video import Video
from fsnet_jax.monitor.stream import bags
from fsnet_jax.runtime.cluster.peers import ALONE, Peers
from fsnet_jax.runtime.interrupts import Interrupted, StopRequest
from fsnet_jax.runtime.storage import disk_errors

_LOG_SECS = 10.0


@dataclasses.dataclass(frozen=True)
class Options:
  """What is asked for.

  Attributes:
    source: folder, glob or video, as the user named it.
    output: folder for what is written.
    batch_size: most images at a time.
    segment_share: of an image's pixels, that a segment has at least.
    identity: what tells this monitor from others, in JSON's types; each name
      is one that a sentence can have.
    command: that this is, for the page; '' where it is not known.
    depth: folder of depth maps, as the user named it; '' for none.
    depth_per_metre: what a pixel of such a map has for a metre.
  """

  source: str
  output: pathlib.Path
  batch_size: int
  segment_share: float
  identity: Mapping[str, Any]
  command: str = ''
  depth: str = ''
  depth_per_metre: float = 1000.0


def predict(
  load: Callable[[], Monitor],
  options: Options,
  calibration: CalibrationFile | None = None,
  peers: Peers = ALONE,
) -> pathlib.Path:
  """Predicts on everything that an input has and leaves it in a folder.

  Args:
    load: opens the monitor, once the input and the folder are known to be
      fine.
    options: see there.
    calibration: of the monitor; None without one.
    peers: the processes that do it together; see `shares`.

  Returns:
    The gallery.

  Raises:
    UserError: input or output cannot be used, no image could be read, or
      another process has failed.
    Interrupted: after Ctrl-C or SIGTERM; the same command goes on there, with
      whatever number of processes.
  """
  bag = bags.parts(options.source)
  source = bag[0] if bag else expanded(options.source)
  if source.absolute() == options.output.absolute():
    raise UserError(
      f'--output={options.output} is the input: name a folder of its own.'
    )
  maps = depth.folder_of(options.depth, source)
  images = _images(options, source, maps)
  depths = depth.opened(maps, options.depth_per_metre, images)
  threshold = calibration.threshold if calibration else UNCALIBRATED
  state = {
    'input': str(source.absolute()),
    **({} if isinstance(images, Files) else {'video': list(images.stamp)}),
    'threshold': threshold,
    'segment share': options.segment_share,
    'depth': None if maps is None else str(maps),
    'depth per metre': None if maps is None else options.depth_per_metre,
    **options.identity,
  }
  shares.check(images, options.source, state, peers)
  with contextlib.ExitStack() as stack:
    stack.enter_context(disk_errors.explained(options.output))
    log = stack.enter_context(shares.opened(options.output, state, peers))
    work = _Work(load(), options, calibration, images, depths, log, peers)
    with StopRequest('while predicting') as stop:
      work.predict(shares.of(images, peers), stop)
      work.gather(stop)
      if peers.index == 0:
        work.finish(stop)
      peers.exchanged('written')
  return options.output / page.FILE


def _images(
  options: Options, source: pathlib.Path, maps: pathlib.Path | None
) -> Files | Video | Bag:
  """What is predicted on; depth maps may lie below it."""
  bag = bags.parts(options.source)
  if bag is not None:
    return Bag(*bag)
  others = [] if maps is None else [maps]
  found = inputs.files_of(source, options.output, options.source, others)
  return Video(source) if found is None else found


class _Work:
  """One command, from its images to its gallery."""

  def __init__(
    self,
    monitor: Monitor,
    options: Options,
    calibration: CalibrationFile | None,
    images: Files | Video | Bag,
    depths: Depths | None,
    log: Journal,
    peers: Peers,
  ):
    self._monitor, self._options, self._log = monitor, options, log
    self._calibration, self._images = calibration, images
    self._depths, self._peers = depths, peers
    # By name of the image, in its order, what it is sorted by.
    self._keys: dict[str, tuple[bool, float, str]] = {}
    # Images that were not done before, and since when they are being done.
    self._new, self._start = 0, time.monotonic()
    self._summary = ''

  def predict(self, images: Files | Video | Bag, stop: StopRequest) -> None:
    """Predicts on those of some images that are not done yet."""
    reference = None
    if self._calibration is not None:
      reference = self._calibration.reference['failure_mean']
    settings = batches.Settings(
      self._options.output,
      self._options.batch_size,
      self._options.segment_share,
      reference,
      self._depths,
    )
    who = self._peers.name
    known = sum(map(self._done, images.items))
    if known:
      say(f'{who}{known} of {images.total} images are done already')
    total = images.total - known
    bar = ProgressBar(
      total, self._kind, before=who, timed=True, log_secs=_LOG_SECS
    )
    done, self._start = 0, time.monotonic()
    pending = self._pending(images)
    try:
      for found in batches.entries(self._monitor, pending, settings):
        for entry in found:
          if self._log.last(entry.row['image']) != entry:
            self._log.append(entry)
          self._note(entry)
        done += len(found)
        bar.reach(done)
        self._check(stop, f'after {len(self._keys)} {self._kind}')
    finally:
      bar.close()
    self._new += done

  @property
  def _kind(self) -> str:
    return 'images' if isinstance(self._images, Files) else 'frames'

  def gather(self, stop: StopRequest) -> None:
    """Waits for the other processes; the first one knows of all images then.

    What one of them has lost is done here.

    Raises:
      UserError: another process has failed.
      Interrupted: one was stopped.
    """
    self._new += shares.handed_in(self._log, self._peers)
    if self._new:
      rate = self._new / max(time.monotonic() - self._start, 1e-9)
      self._summary = f' ({rate:.3g} {self._kind}/s)'
    if self._peers.count == 1 or self._peers.index:
      return
    assert isinstance(self._images, Files)  # Others are not shared.
    lost = [item for item in self._images.items if not self._handed_in(item)]
    if lost:
      say(f'{len(lost)} images of other processes are done again')
      self.predict(self._images.part(lost), stop)

  def _handed_in(self, item: Item) -> bool:
    """Whether a process has done an image; its files were its own to check."""
    if item.image in self._keys:
      return True
    entry = self._log.last(item.image)
    if entry is None or not entry.is_of(self._stamped(item)):
      return False
    self._note(entry)
    return True

  def _pending(self, images: Files | Video | Bag) -> Iterator[Pending]:
    for one in images.pending(self._done):
      yield dataclasses.replace(one, item=self._stamped(one.item))
      del one  # So that no frame is held beside the batch.

  def _stamped(self, item: Item) -> Item:
    return self._depths.stamped(item) if self._depths else item

  def _done(self, item: Item) -> bool:
    if item.image in self._keys and not self._keys[item.image][0]:
      return True
    entry = self._log.get(self._stamped(item))
    if entry is not None:
      self._note(entry)
    return entry is not None

  def _note(self, entry: Entry) -> None:
    self._keys[entry.row['image']] = worst_first(entry)

  def _check(self, stop: StopRequest, where: str) -> None:
    if self._peers.stopped():
      raise Interrupted(
        f'Interrupted by {stop.signal_name} {where}: run the same command '
        'again to continue.'
      )

  def finish(self, stop: StopRequest) -> None:
    """Writes what is about all images.

    Raises:
      UserError: none of them could be read.
    """
    output = self._options.output
    order = [key[-1] for key in sorted(self._keys.values())]
    if not order:
      raise UserError(
        f'--input={self._options.source} has no frame that can be decoded: '
        'give another video, or its frames as a folder of images.'
      )
    tables.write(output, self._log.entries(order))
    problems = [key[-1] for key in self._keys.values() if key[0]]
    if len(problems) == len(order):
      first = self._log.last(problems[0])
      said = quoted(first.problem if first else '', 120)
      raise UserError(
        f'--input={self._options.source}: none of its {len(order)} images '
        f'could be read ({quoted(problems[0], 120)}: {said}): give PNG or JPEG '
        'files of 8 bits.'
      )
    about = self._about(order, len(problems))
    base = about.base
    path = page.write(output, about, self._log.entries(order))
    loader.write(output, base, about.classes.names)
    if not isinstance(self._images, Files):
      self._write_video(self._images, stop)
    if isinstance(self._images, Bag):
      self._write_bag(self._images, stop)
    self._say(about, path)

  def _about(self, order: Sequence[str], problems: int) -> page.About:
    found = self._statistics()
    said, has_shift = '', False
    if self._calibration is not None:
      said, has_shift = self._shift(self._calibration, found)
    images = self._images
    return page.About(
      source=self._options.source,
      base=images.base if isinstance(images, Files) else None,
      classes=self._monitor.classes,
      threshold=self._monitor.threshold,
      statement=self._monitor.statement,
      shift=said,
      has_shift=has_shift,
      images=len(order),
      problems=problems,
      failure_mean=float(found['failure_mean'].mean()),
      flagged_share=float(found['flagged_share'].mean()),
      command=self._options.command,
    )

  def _statistics(self) -> dict[str, np.ndarray]:
    """Of all images that were read, in their order; [n] each."""
    found: dict[str, list[float]] = {name: [] for name in statistics.NAMES}
    for entry in self._log.entries(self._readable()):
      for name, own in found.items():
        own.append(entry.statistics[name])
    return {name: np.array(own) for name, own in found.items()}

  def _readable(self) -> Sequence[str]:
    """Names of the images that were read, in their order."""
    names = [name for name, key in self._keys.items() if not key[0]]
    # The millionth frame has a digit more.
    return sorted(names, key=lambda name: (len(name), name))

  def _shift(
    self, calibration: CalibrationFile, found: Mapping[str, np.ndarray]
  ) -> tuple[str, bool]:
    """What tests for a shift say, and whether they found one."""
    if isinstance(self._images, Files):
      return shift_sentence.of_images(calibration, found)
    return shift_sentence.of_stream(
      calibration, found, self._readable(), self._images.fps
    )

  def _write_bag(self, source: Bag, stop: StopRequest) -> None:
    known = set(self._readable())
    source.write(
      self._options.output,
      known,
      {name: -self._keys[name][1] for name in known},
      lambda: self._check(stop, 'while writing the bag'),
    )

  def _write_video(self, source: Video | Bag, stop: StopRequest) -> None:
    output = self._options.output
    frames = (
      output / batches.file_of(batches.OVERLAY, name)
      for name in self._readable()
    )
    written = video.write(
      output / video.FILE,
      frames,
      source.fps,
      lambda: self._check(stop, 'while writing the video'),
    )
    if not written:
      say(f'note: OpenCV has no encoder for {video.FILE}, which is left out')

  def _say(self, about: page.About, path: pathlib.Path) -> None:
    """The lines at the end."""
    if about.shift:
      say(about.shift)
    problems = 'none had problems'
    if about.problems:
      names = 'problem column of triage.csv'
      problems = f'{about.problems} had problems ({names})'
    what = f'{about.images} {self._kind}{self._summary}'
    say(f'predicted {what}; {problems}: {path}')
