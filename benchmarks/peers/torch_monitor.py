"""A monitor in PyTorch, eager and channels_last: the reference for latency."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.peers import torch_models


def call(
  width: float, blocks: int, device: str = 'cpu', mixed: bool = False
) -> Callable[[np.ndarray], tuple[torch.Tensor, ...]]:
  """FCN8 with or without F, random weights.

  Args:
    width: of both.
    blocks: of F's encoders, in each stage; 0 for no F, and the highest logit
      in its place.
    device: where it runs.
    mixed: whether under automatic mixed precision, in bfloat16.

  Returns:
    From uint8 images [b h w 3] on the host to labels, P(wrong) and what is
    flagged, there too.
  """
  s = torch_models.FCN8(
    width=width,
    head_width=None,
    padding='same',
    input_scale=1 / 64,
  )
  f = None
  if blocks:
    channels = torch_models.scaled(512, width)
    f = torch_models.FailureNet(channels, width=width, blocks=blocks)
  for network in (s, f):
    if network is not None:
      network.eval().to(device=device, memory_format=torch.channels_last)

  def run(batch: np.ndarray) -> tuple[torch.Tensor, ...]:
    with (
      torch.inference_mode(),
      torch.autocast(device, torch.bfloat16, enabled=mixed),
    ):
      x = torch.from_numpy(batch).to(device).permute(0, 3, 1, 2).float()
      x = x.contiguous(memory_format=torch.channels_last)
      logits, features = s(x)[:2]
      labels = logits.argmax(1).to(torch.uint8)
      if f is None:
        return labels.cpu(), logits.amax(1).cpu()
      failure = torch.sigmoid(f(x, logits, features).float())
      return labels.cpu(), failure.cpu(), (failure > 0.5).cpu()

  return run
