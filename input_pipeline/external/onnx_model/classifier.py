"""The last convolution of a network, where it is one 1x1 convolution."""

from __future__ import annotations

from input_pipeline.external.onnx_model.onnx_graph import Graph

# They enlarge, move or rename numbers; interpolations' weights sum to 1.
_BEHIND = ('Resize', 'Upsample', 'Identity', 'Cast', 'Transpose')
_BEFORE = ('Identity', 'Cast', 'Dropout')


def weights_name(graph: Graph, logits: str, features: tuple[str, ...]) -> str:
  """Name of the weights of the convolution between features and logits.

  Args:
    graph: of the file.
    logits: name of the tensor; '' = the only output.
    features: names of tensors.

  Returns:
    '' where something else, or something more, makes logits of features, or
    the features are of several tensors. Whether the kernel is 1x1, its shape
    says.
  """
  if not logits and len(graph.outputs) > 1:
    return ''
  convolution = _back(graph, logits or graph.outputs[0], _BEHIND)
  maker = graph.maker(convolution)
  if len(features) != 1 or maker is None or maker.operator != 'Conv':
    return ''
  taken, weights = maker.inputs[:2]
  seen = {taken, _back(graph, taken, _BEFORE)}
  if features[0] not in seen and _back(graph, features[0], _BEFORE) not in seen:
    return ''
  return weights


def _back(graph: Graph, tensor: str, operators: tuple[str, ...]) -> str:
  """The tensor that some operations in a row were applied to."""
  for _ in graph.nodes:
    maker = graph.maker(tensor)
    if maker is None or maker.operator not in operators:
      return tensor
    tensor = maker.inputs[0]
  return tensor
