"""Makes a ROS 2 bag of a folder of pictures, to try a stream without a robot.

    python -m examples.bag_of_images --images=CamVid/val --output=drive

Pictures in the order of their names, as `sensor_msgs/CompressedImage` under
`/camera/image/compressed`, stamped at the rate. Needs rosbags.
"""

from __future__ import annotations

import argparse
import pathlib

import numpy as np

from common_lib.console import say
from common_lib.errors import UserError
from common_lib.paths import expanded
from examples import commands

TOPIC, KIND = '/camera/image/compressed', 'sensor_msgs/msg/CompressedImage'
_FORMATS = {'.jpg': 'jpeg', '.jpeg': 'jpeg', '.png': 'png'}
_NANOSECONDS = 1_000_000_000


def write(
  images: list[pathlib.Path], output: pathlib.Path, rate: float
) -> None:
  """Writes a bag.

  Args:
    images: PNG or JPEG files, in their order.
    output: folder that must not be there.
    rate: pictures a second.
  """
  from rosbags.rosbag2 import Writer
  from rosbags.typesys import Stores, get_typestore

  types = get_typestore(Stores.ROS2_JAZZY)
  kinds = types.types
  with Writer(output, version=9) as bag:
    connection = bag.add_connection(TOPIC, KIND, typestore=types)
    for index, path in enumerate(images):
      stamp = round(_NANOSECONDS * (1 + index / rate))
      seconds, rest = divmod(stamp, _NANOSECONDS)
      message = kinds[KIND](
        header=kinds['std_msgs/msg/Header'](
          stamp=kinds['builtin_interfaces/msg/Time'](sec=seconds, nanosec=rest),
          frame_id='camera',
        ),
        format=_FORMATS[path.suffix.lower()],
        data=np.frombuffer(path.read_bytes(), np.uint8),
      )
      bag.write(connection, stamp, types.serialize_cdr(message, KIND))


def main(arguments: list[str] | None = None) -> None:
  """Makes the bag that the command line names.

  Args:
    arguments: of the command line; None for the process's own.
  """
  parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
  parser.add_argument('--images', required=True, help='folder of PNG or JPEG')
  parser.add_argument('--output', required=True, help='folder of the bag')
  parser.add_argument('--rate', type=float, default=15.0, help='a second')
  flags = parser.parse_args(arguments)
  folder, output = expanded(flags.images), expanded(flags.output)
  found = sorted(
    path for path in folder.glob('*') if path.suffix.lower() in _FORMATS
  )
  if not found:
    raise UserError(f'--images={folder} holds no PNG or JPEG: name a folder.')
  if output.exists():
    raise UserError(f'--output={output} is there already: name another.')
  if not 0 < flags.rate <= 1000:
    raise UserError(f'--rate={flags.rate:g} is not between 0 and 1000.')
  write(found, output, flags.rate)
  say(f'{len(found)} pictures: --input={output}:{TOPIC}')


if __name__ == '__main__':
  commands.run(main)
