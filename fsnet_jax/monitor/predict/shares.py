"""How the processes of a pod share a prediction.

Each looks at its part of the images on its own devices, writes what there is of
them, and keeps a journal; none waits for another one until its part is done.
Then the first process takes all journals in and writes what is about all
images, as a single process does.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Generator, Mapping
from typing import Any

from common_lib import checksums
from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.monitor.predict import journal
from fsnet_jax.monitor.predict.bag import Bag
from fsnet_jax.monitor.predict.inputs import Files
from fsnet_jax.monitor.predict.journal import Journal
from fsnet_jax.monitor.predict.video import Video
from fsnet_jax.runtime.cluster.peers import Peers


def check(
  images: Files | Video | Bag, text: str, state: Mapping[str, Any], peers: Peers
) -> None:
  """Makes sure that all processes mean the same images; waits for all.

  Args:
    images: of the input.
    text: the input, as the user wrote it.
    state: what decides the results, JSON values.
    peers: the processes.

  Raises:
    UserError: the input cannot be shared, or a process has another one; or as
      `Peers.exchanged`.
    Interrupted: likewise.
  """
  if peers.count == 1:
    return
  if not isinstance(images, Files):
    raise UserError(
      f'--input={text} is decoded one frame after the other, which '
      f'{peers.count} processes cannot share: start one process, or give the '
      'frames as a folder of images.'
    )
  names = [item.image for item in images.items]
  digest = checksums.of_value([state, names])
  own = json.dumps([digest, images.total, quoted(state['input'], 200)])
  first, *others = map(json.loads, peers.exchanged('input', own))
  for index, other in enumerate(others, 1):
    if other != first:
      raise UserError(
        f'Process {index} has another input ({other[1]} images in {other[2]}) '
        f'or other options than process 0 ({first[1]} images in {first[2]}): '
        'give all the same command, and a folder on a disk that they share and '
        'to which nothing is being written.'
      )


def of(images: Files | Video | Bag, peers: Peers) -> Files | Video | Bag:
  """The part of what `check` has passed that a process looks at: every n-th.

  Not a block each: processes that were stopped have come equally far in their
  parts, so that what is left is shared out evenly among any number of them.
  """
  if not isinstance(images, Files):
    return images
  return images.part(images.items[peers.index :: peers.count])


@contextlib.contextmanager
def opened(
  output: pathlib.Path, state: Mapping[str, Any], peers: Peers
) -> Generator[Journal]:
  """Claims a folder for all processes; each has a journal of its own.

  Args:
    output: the folder, the same for all.
    state: as `journal.opened` has it.
    peers: the processes.

  Raises:
    UserError: as `journal.opened`, `journal.opened_share`, `Peers.exchanged`.
    Interrupted: as `Peers.exchanged`.
  """
  with contextlib.ExitStack() as stack:
    if peers.index == 0:
      log = stack.enter_context(journal.opened(output, state))
      peers.exchanged('claimed')
    else:
      peers.exchanged('claimed')
      log = stack.enter_context(
        journal.opened_share(output, state, peers.index)
      )
    # The others have read the first journal before it grows.
    peers.exchanged('opened')
    yield log


def handed_in(log: Journal, peers: Peers) -> int:
  """Waits until all parts are done; the first process then knows them all.

  Args:
    log: of this process; closed where it is not the first one's.
    peers: the processes.

  Returns:
    Of the first process, the number of images that others have done.

  Raises:
    UserError: as `Peers.exchanged`.
    Interrupted: likewise.
  """
  if peers.count == 1:
    return 0
  if peers.index:
    log.close()
  peers.exchanged('done')
  return 0 if peers.index else log.take_in()
