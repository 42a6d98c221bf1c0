"""A question as Label Studio's task, with the prediction to be corrected."""

from typing import Any

import numpy as np

from common_lib.class_table import CITYSCAPES, ClassTable
from segxal_jax.oracles.label_studio import interface, picture, rle
from segxal_jax.queries.types import Question

# One name in all cycles: the project shows only predictions of the version
# that was imported first.
MODEL_VERSION = 'segxal'


def key(run: str, question: Question) -> str:
  """What makes a task unique: run, cycle and index of the image."""
  return f'{run}/{question.cycle:03d}/{question.index:07d}'


def task(
  run: str, question: Question, table: ClassTable = CITYSCAPES
) -> dict[str, Any]:
  """The task of a question, pictures included.

  Its key is in `meta` too, which can be listed without the pictures.
  """
  name = key(run, question)
  cycle = f'Cycle {question.cycle}: ' if question.cycle else ''
  return {
    'data': {
      'image': picture.data_url(question.image, lossless=True),
      'why': picture.data_url(picture.explanation(question), lossless=False),
      'title': f'{cycle}{question.id}',
      'reasons': picture.reasons(question),
      'eem': round(score(question), 6),
      'cycle': question.cycle,
      'key': name,
    },
    'meta': {'key': name},
    'predictions': [prediction(question, table)],
  }


def score(question: Question) -> float:
  """Mean of the error mask over the usable pixels, in [0, 1]."""
  if not question.usable.any():
    return 0.0
  return float(np.clip(question.eem[question.usable].mean(), 0, 1))


def prediction(
  question: Question, table: ClassTable = CITYSCAPES
) -> dict[str, Any]:
  """The network's labels as editable regions, and the prompt points."""
  return {
    'model_version': MODEL_VERSION,
    'score': score(question),
    'result': [*_masks(question, table), *_points(question)],
  }


def _masks(question: Question, table: ClassTable) -> list[dict[str, Any]]:
  """A region for each class that occurs."""
  return [
    brush(
      question.prediction == value,
      table.names[value],
      f'class{value}',
    )
    for value in np.unique(question.prediction)
    if value < table.num_classes
  ]


def brush(
  mask: np.ndarray, label: str, name: str, origin: str = 'prediction'
) -> dict[str, Any]:
  """A brush region.

  Args:
    mask: bool [h w].
    label: name of the class.
    name: of the region, unique in its task.
    origin: 'prediction', 'prediction-changed' or 'manual'.
  """
  return {
    'id': name,
    'type': 'brushlabels',
    'from_name': interface.BRUSH,
    'to_name': interface.IMAGE,
    'origin': origin,
    'original_width': mask.shape[1],
    'original_height': mask.shape[0],
    'image_rotation': 0,
    'value': {
      'format': 'rle',
      'rle': rle.encode(mask),
      'brushlabels': [label],
    },
  }


def _points(question: Question) -> list[dict[str, Any]]:
  """The prompt points; positions are in percent of the image."""
  height, width = question.prediction.shape
  return [
    {
      'id': f'point{number}',
      'type': 'keypointlabels',
      'from_name': interface.PROMPT,
      'to_name': interface.IMAGE,
      'origin': 'prediction',
      'original_width': width,
      'original_height': height,
      'image_rotation': 0,
      'value': {
        'x': 100 * (region.column + 0.5) / width,
        'y': 100 * (region.row + 0.5) / height,
        'width': 0.8,
        'keypointlabels': [interface.PROMPT_LABEL],
      },
    }
    for number, region in enumerate(question.regions, 1)
  ]
