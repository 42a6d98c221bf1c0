"""Resizing as ONNX's own operator.

`models/cpu/resizing.py` makes a call of what `Resize` computes as well: written
out, two weights and two products a pixel, it takes onnxruntime several times as
long, and no runtime can keep the channels as its convolutions want them.
"""

from __future__ import annotations

import numpy as np

from fsnet_jax.models.cpu import resizing
from fsnet_jax.monitor.export.onnx_writer.primitives import Rule


def _resize(mode: str) -> Rule:
  """From [b h w k] to the size of the result."""

  def rule(graph, names, ins, outs, params):
    del params
    scales = [out / own for out, own in zip(outs[0].shape, ins[0].shape)][1:3]
    image = graph.op('Transpose', names[0], perm=[0, 3, 1, 2])
    options = {'mode': 'linear', 'coordinate_transformation_mode': mode}
    scaling = graph.constant([1, 1, *scales], np.float32)
    found = graph.op('Resize', image, '', scaling, **options)
    return graph.op('Transpose', found, perm=[0, 2, 3, 1])

  return rule


RULES = {
  resizing.ONNX_HALF_PIXEL: _resize('half_pixel'),
  resizing.ONNX_ALIGN_CORNERS: _resize('align_corners'),
}
