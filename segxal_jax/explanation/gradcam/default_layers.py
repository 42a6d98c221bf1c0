"""Grad-CAM's layer of each network, unless the config names one."""

# The deepest layer of the encoder: by `config.segmentation.name`, see
# `gradcam.grad_cam`.
_DEEPEST = {
  'fcn8': 'vgg:pool5',
  'unet': 'down5',
  'deeplab_v2': 'backbone:3',
  'efficientnet_unet': 'encoder:4',
}
# A layer whose one convolution makes the logits: (network, layer) -> path.
_CLASSIFIERS = {('unet', 'block1'): ('score',)}


def tap(network: str, named: str, padding: str) -> tuple[str, int]:
  """Layer of `gradcam.grad_cam` and crop of `CamOptions`.

  Empty if neither the config nor this table names one; Grad-CAM then fails
  with a list of the layers that there are.

  Args:
    network: name of S.
    named: the layer that the config names, or ''.
    padding: `config.segmentation.padding`.
  """
  layer = named or _DEEPEST.get(network, '')
  # FCN8 pads the image by 99 pixels, about three cells of its pool5.
  padded = network == 'fcn8' and padding == 'pad99'
  return layer, 3 if padded and layer == 'vgg:pool5' else 0


def classifier(network: str, layer: str) -> tuple[str, ...]:
  """`CamOptions.classifier` of the layer that `tap` gives; mostly empty."""
  return _CLASSIFIERS.get((network, layer), ())
