"""Loads the scenes of one preparation: threads ahead, skips, progress."""

from __future__ import annotations

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from common_lib import interrupts
from common_lib.errors import UserError
from common_lib.progress_bar import ProgressBar

DOING = 'while preparing data'
_PROGRESS_SECS = 5.0
_NAMED_SKIPS = 10  # the rest is in the list beside the data alone


class LoadingRun:
  """Goes through the scenes of all splits of one copy, in order.

  Attributes:
    skipped: {'id', 'split', 'reason'} of each scene left out so far.
  """

  def __init__(self, what: str, total: int, skip: bool):
    """Starts the clock.

    Args:
      what: name of the copy, for messages.
      total: number of scenes of all splits.
      skip: whether a damaged scene is left out or ends the preparation.
    """
    self._what = what
    self._total = total
    self._skip = skip
    self._done = 0
    self._bar = ProgressBar(
      total, 'scenes', before=f'{what}: ', timed=True, log_secs=_PROGRESS_SECS
    )
    self.skipped: list[dict[str, str]] = []

  def load(
    self,
    split: str,
    scenes: Sequence[Any],
    load: Callable[[Any], dict[str, Any]],
  ) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (index, arrays) in order, without the skipped scenes.

    Decoding and resizing release the interpreter lock, so threads load the
    next few scenes while this one is written. They begin with the second
    scene, so that a caller can wait at the first one of many splits.

    Args:
      split: name of the split.
      scenes: its scenes, each with an `id`.
      load: reads one scene; raises `UserError` for a damaged one.

    Yields:
      Position within `scenes` and what `load` returned.

    Raises:
      Interrupted: after Ctrl-C or SIGTERM.
      UserError: a damaged scene that is not to be skipped.
    """
    workers = min(8, os.cpu_count() or 1)
    ahead: collections.deque = collections.deque()
    kept = 0
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
      try:
        for index, scene in enumerate(scenes):
          interrupts.check(DOING)
          wanted = min(workers if kept else 1, len(scenes) - index)
          while len(ahead) < wanted:
            ahead.append(pool.submit(load, scenes[index + len(ahead)]))
          try:
            arrays = ahead.popleft().result()
          except UserError as error:
            self._leave_out(split, scene, error)
            continue
          self._report()
          kept += 1
          yield index, arrays
      except BaseException:
        self._bar.close()
        raise
      finally:
        pool.shutdown(wait=False, cancel_futures=True)

  def _leave_out(self, split: str, scene: Any, error: UserError) -> None:
    """Notes a damaged scene, or ends the preparation."""
    if not self._skip:
      raise UserError(
        f'{error}; or leave it out with data.on_error=skip'
      ) from error
    self.skipped.append({'id': scene.id, 'split': split, 'reason': str(error)})
    if len(self.skipped) <= _NAMED_SKIPS:
      self._bar.note(f'{self._what}: left out {scene.id}: {error}')
    self._report()

  def _report(self) -> None:
    """Counts one scene."""
    self._done += 1
    self._bar.reach(self._done)
    if self._done == self._total:
      self._bar.close()
