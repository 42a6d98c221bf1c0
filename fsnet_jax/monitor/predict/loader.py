"""`load_in_fiftyone.py`, for users of FiftyOne."""

from __future__ import annotations

import pathlib

from common_lib.files import write_text

FILE = 'load_in_fiftyone.py'
_SCRIPT = """\
# Opens these predictions in FiftyOne: pip install fiftyone, then run this file.
import json
import pathlib

import fiftyone as fo
import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
IMAGES = {base!r}  # None: of a video, whose overlays are shown
CLASSES = {classes!r}


def sample(entry):
  name, row = entry['name'], entry['row']
  overlay = HERE / f'overlay/{{name}}.jpg'
  image = pathlib.Path(IMAGES, row['image']) if IMAGES else overlay
  labels = np.asarray(Image.open(HERE / f'labels/{{name}}.png'), np.uint16)
  failure = np.asarray(Image.open(HERE / f'failure/{{name}}.png'), np.float32)
  # FiftyOne does not draw class 0: its masks are the class index + 1.
  return fo.Sample(str(image), risk=row['failure_mean'],
    prediction=fo.Segmentation(mask=labels + 1),
    failure=fo.Heatmap(map=failure / 65535, range=[0, 1]))


if __name__ == '__main__':
  lines = map(json.loads, (HERE / 'state/journal.jsonl').open())
  entries = {{one['row']['image']: one for one in lines}}
  dataset = fo.Dataset()
  dataset.default_mask_targets = dict(enumerate(CLASSES, 1))
  dataset.add_samples(sample(one) for one in entries.values() if one['files'])
  fo.launch_app(dataset, view=dataset.sort_by('risk', reverse=True)).wait()
"""


def write(
  output: pathlib.Path, base: pathlib.Path | None, names: tuple[str, ...]
) -> None:
  """Writes the script.

  Args:
    output: folder of the predictions.
    base: folder that the images' names start at; None of a video.
    names: of the classes, by index.
  """
  folder = None if base is None else str(base)
  write_text(output / FILE, _SCRIPT.format(base=folder, classes=list(names)))
