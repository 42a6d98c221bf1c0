"""Processes as threads, which leave each other notes in a dictionary."""

import concurrent.futures
import threading

from fsnet_jax.runtime.cluster.peers import Peers


class Board:
  """`peers.Notes`; counts how often it is read."""

  def __init__(self):
    self._lock, self._notes = threading.Lock(), {}
    self.reads = 0

  def write(self, name, value):
    with self._lock:
      if name in self._notes:
        raise ValueError(name)
      self._notes[name] = value

  def read(self, folder):
    start = f'{folder}/'
    with self._lock:
      self.reads += 1
      return {
        name.removeprefix(start): value
        for name, value in self._notes.items()
        if name.startswith(start)
      }


def together(count, work):
  """What `work(peers)` returned or raised in each of so many threads."""
  board = Board()

  def run(index):
    peers = Peers(index, count, board)
    try:
      with peers.told():
        return work(peers)
    except BaseException as error:  # KeyboardInterrupt, too
      return error

  with concurrent.futures.ThreadPoolExecutor(count) as pool:
    return list(pool.map(run, range(count), timeout=60))
