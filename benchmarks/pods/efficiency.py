"""Weak scaling of a training step, computed from what vendors publish.

A step of `n` devices is its arithmetic, one sum of all gradients over the
devices, and the sums of batch norm, each of which waits for the one before:

    arithmetic  images * operations of an image / (UTILISATION * peak)
    gradients   2 (n - 1) / n * bytes / (LINK_SHARE * link)
                over hosts of h devices with a network of their own: the first
                of h devices, and 2 (m - 1) / m * bytes / h of m hosts
    waiting     all-reduces of the program * latency

Without overlap these add up; with it, gradients travel during the backward
pass, two thirds of the arithmetic, and only what is left of them counts.
Efficiency is the arithmetic's share.
"""

from __future__ import annotations

import dataclasses
import math

# Assumed, none of them published: the share of the peak that a convolutional
# network reaches, that of a link that an all-reduce reaches, and latencies.
UTILISATION, LINK_SHARE, BACKWARD = 0.4, 0.5, 2 / 3
_HOP_SECONDS = 1e-6
_HOST_SECONDS, _DOUBLING_SECONDS = 15e-6, 10e-6
HOST = 8


@dataclasses.dataclass(frozen=True)
class Machine:
  """Chips, `HOST` of them in a host.

  Attributes:
    name: of the chip.
    peak: bfloat16 operations a second of a chip, dense.
    link: bytes a second, one way, from a chip to others of its host, or, with
      no `network`, of the pod.
    network: bytes a second, one way, from a chip to another host; None for
      chips in a torus.
  """

  name: str
  peak: float
  link: float
  network: float | None = None


MACHINES = (
  # Cloud TPU documentation, "TPU v5e": 197 TFLOPs, bidirectional inter-chip
  # bandwidth 400 GBps, 2D torus, 8 chips a host, pods of 256.
  Machine('TPU v5e', 197e12, 200e9),
  # NVIDIA H100 Tensor Core GPU datasheet, SXM: 1,979 TFLOPS with sparsity,
  # NVLink 900 GB/s. DGX H100 datasheet: eight 400 Gb/s ConnectX-7.
  Machine('H100 SXM', 989.5e12, 450e9, 50e9),
)


@dataclasses.dataclass(frozen=True)
class Step:
  """A step's parts, in seconds."""

  arithmetic: float
  gradients: float
  waiting: float

  @property
  def without_overlap(self) -> float:
    """Efficiency if gradients travel when all are there."""
    return self.arithmetic / (self.arithmetic + self.gradients + self.waiting)

  @property
  def with_overlap(self) -> float:
    """Efficiency if they travel during the backward pass."""
    return self.arithmetic / self.seconds

  @property
  def seconds(self) -> float:
    """Of a step with overlap."""
    late = max(0.0, self.gradients - BACKWARD * self.arithmetic)
    return self.arithmetic + late + self.waiting


def step(
  machine: Machine,
  devices: int,
  operations: float,
  all_reduces: int,
  bytes_: float,
) -> Step:
  """A step on many devices.

  Args:
    machine: which.
    devices: a power of two, at least `HOST`.
    operations: of a step on one device.
    all_reduces: operations between devices in a step.
    bytes_: that all of them sum.
  """
  return Step(
    arithmetic=operations / (UTILISATION * machine.peak),
    gradients=_sum_seconds(machine, devices, bytes_),
    waiting=all_reduces * latency(machine, devices),
  )


def _ring(devices: int, bytes_: float, rate: float) -> float:
  return 2 * (devices - 1) / devices * bytes_ / (LINK_SHARE * rate)


def _sum_seconds(machine: Machine, devices: int, bytes_: float) -> float:
  if machine.network is None:
    return _ring(devices, bytes_, machine.link)
  inside = _ring(HOST, bytes_, machine.link)
  return inside + _ring(devices // HOST, bytes_ / HOST, machine.network)


def latency(machine: Machine, devices: int) -> float:
  """Seconds of an all-reduce of next to nothing.

  In a torus there and back along the rings of both axes, each hop the same; in
  hosts a start, and more for each doubling of them.
  """
  if machine.network is not None:
    return _HOST_SECONDS + _DOUBLING_SECONDS * math.log2(devices // HOST)
  side = 2 ** (int(math.log2(devices)) // 2)
  hops = 2 * (side - 1) + 2 * (devices // side - 1)
  return hops * _HOP_SECONDS
