"""EfficientNet-Lite0 on ImageNet, as the package that publishes it runs it."""

import numpy as np
import pytest
import torch

from benchmarks.peers import torch_efficientnet
from fsnet_jax.models.layers import basic
from fsnet_jax.models.segmentation import efficientnet_lite
from fsnet_jax.weights import packaged
from tests.fsnet_jax.models import quick
from tests.parity import comparison

RELATIVE = 1e-4
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope='module')
def theirs():
  model = torch_efficientnet.encoder()
  state = torch.load(packaged.find(), weights_only=True)
  model.load_state_dict(state)
  return model.eval()


# The published size, ours, and one whose padding differs on the two sides.
@pytest.mark.parametrize('size', [(224, 224), (96, 128), (61, 83)])
def test_efficientnet_lite0_of_imagenet(theirs, size):
  images = comparison.images(*size).astype(np.float32)
  encoder = efficientnet_lite.EfficientNetLite0()
  ours = quick.jit(lambda v, x: encoder.apply(v, basic.imagenet_normalized(x)))(
    packaged.read(), images
  )
  seen = (images / 255 - np.float32(MEAN)) / np.float32(STD)
  with torch.no_grad():
    expected = torch_efficientnet.stages(theirs, comparison.nchw(seen))
  assert len(ours) == len(expected) == 5
  assert [x.shape[-1] for x in ours] == [16, 24, 40, 112, 320]
  for stride, mine, other in zip((2, 4, 8, 16, 32), ours, expected):
    comparison.assert_close(
      mine, comparison.nhwc(other), f'stride {stride}', RELATIVE
    )
