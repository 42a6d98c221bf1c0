"""Bags of ROS are read and written without it."""

import types

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from common_lib.errors import UserError
from examples import ros2_node
from fsnet_jax.monitor import Monitor
from fsnet_jax.monitor.stream import StreamMonitor, __main__, bags, run
from tests.fsnet_jax.monitor.predict import stub

TYPES = get_typestore(Stores.ROS2_JAZZY)
TOPIC = '/camera/image_raw'
STAMP = 1_700_000_000 * 10**9 + 123_456_789


def _header(stamp_ns):
  kinds = TYPES.types
  seconds, rest = divmod(stamp_ns, 10**9)
  time = kinds['builtin_interfaces/msg/Time'](sec=seconds, nanosec=rest)
  return kinds['std_msgs/msg/Header'](stamp=time, frame_id='front')


def _raw(pixels, encoding, stamp_ns=STAMP, padding=0):
  """`sensor_msgs/Image`, whose rows may be longer than the picture."""
  rows = pixels.reshape(pixels.shape[0], -1)
  rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=7)
  return TYPES.types[bags.IMAGE](
    header=_header(stamp_ns),
    height=pixels.shape[0],
    width=pixels.shape[1],
    encoding=encoding,
    is_bigendian=0,
    step=rows.shape[1],
    data=rows.reshape(-1),
  )


def _compressed(image, suffix, stamp_ns=STAMP):
  content = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
  return TYPES.types[bags.COMPRESSED](
    header=_header(stamp_ns), format=suffix[1:], data=content.reshape(-1)
  )


def _bag(path, messages, kind=bags.IMAGE, plugin=StoragePlugin.SQLITE3):
  with Writer(path, version=9, storage_plugin=plugin) as bag:
    one = bag.add_connection(TOPIC, kind, typestore=TYPES)
    other = bag.add_connection(
      '/speed', 'std_msgs/msg/Float32', typestore=TYPES
    )
    speed = TYPES.types['std_msgs/msg/Float32'](data=3.0)
    for index, message in enumerate(messages):
      now = STAMP + index * 10**8
      bag.write(one, now, TYPES.serialize_cdr(message, kind))
      raw = TYPES.serialize_cdr(speed, 'std_msgs/msg/Float32')
      bag.write(other, now, raw)
  return path


def _image(seed=0, height=8, width=12):
  return stub.picture(np.random.default_rng(seed), height, width)


@pytest.mark.parametrize('plugin', list(StoragePlugin))
def test_pictures_and_their_stamps(tmp_path, plugin):
  images = [_image(seed) for seed in range(3)]
  stamps = [STAMP, STAMP + 7, 0]
  messages = [
    _raw(image, 'rgb8', stamp) for image, stamp in zip(images, stamps)
  ]
  path = _bag(tmp_path / 'drive', messages, plugin=plugin)
  found = list(bags.read(path, TOPIC))
  for frame, image in zip(found, images, strict=True):
    np.testing.assert_array_equal(frame.image, image)
  # Without a stamp it is that of the recording.
  assert [f.stamp_ns for f in found] == [*stamps[:2], STAMP + 2 * 10**8]
  assert [f.name for f in found] == [f'frame_{i:06d}' for i in range(3)]
  assert bags.count(path, TOPIC) == 3


@pytest.mark.parametrize(
  ('encoding', 'make'),
  [
    ('bgr8', lambda image: image[..., ::-1]),
    ('rgba8', lambda image: np.dstack([image, image[..., 0]])),
    ('bgra8', lambda image: np.dstack([image[..., ::-1], image[..., 0]])),
  ],
)
@pytest.mark.parametrize('padding', [0, 5])
def test_encodings(encoding, make, padding):
  image = _image()
  message = _raw(np.ascontiguousarray(make(image)), encoding, padding=padding)
  np.testing.assert_array_equal(bags.picture(message), image)


def test_grey_pictures():
  grey = _image()[..., 0]
  found = bags.picture(_raw(grey, 'mono8', padding=3))
  np.testing.assert_array_equal(found, np.dstack([grey] * 3))


@pytest.mark.parametrize(('suffix', 'off'), [('.png', 0), ('.jpg', 12)])
def test_compressed_pictures(tmp_path, suffix, off):
  image = cv2.GaussianBlur(_image(1, 24, 40), (9, 9), 5)
  messages = [_compressed(image, suffix)]
  path = _bag(tmp_path / 'drive', messages, bags.COMPRESSED)
  (frame,) = bags.read(path, TOPIC)
  difference = frame.image.astype(int) - image
  assert np.abs(difference).max() <= off


def _damaged(**changes):
  message = _raw(_image(), 'rgb8')
  fields = {name: getattr(message, name) for name in message.__annotations__}
  return types.SimpleNamespace(**{**fields, **changes})


@pytest.mark.parametrize(
  ('changes', 'said'),
  [
    ({'encoding': 'bayer_rggb8'}, 'bayer_rggb8'),
    ({'encoding': '32FC1'}, '32FC1'),
    ({'step': 3}, 'too few'),
    ({'height': 10**9}, 'pixels'),
    ({'width': 0}, 'pixels'),
    ({'data': np.zeros(5, np.uint8)}, 'too few'),
  ],
)
def test_damaged_pictures(changes, said):
  with pytest.raises(ValueError, match=said):
    bags.picture(_damaged(**changes))


def test_what_is_no_picture_is_one_sentence(tmp_path):
  path = _bag(tmp_path / 'drive', [_raw(_image()[..., 0], 'mono16')])
  with pytest.raises(UserError, match=r'message 1 is no picture.*mono16'):
    list(bags.read(path, TOPIC))
  with pytest.raises(UserError, match=rf'no pictures under /speed.*{TOPIC}'):
    list(bags.read(path, '/speed'))
  with pytest.raises(UserError, match='does not exist'):
    list(bags.read(tmp_path / 'gone', TOPIC))
  (tmp_path / 'junk.mcap').write_bytes(b'junk')
  with pytest.raises(UserError, match='is no bag'):
    list(bags.read(tmp_path / 'junk.mcap', TOPIC))


def test_names_of_bags():
  assert bags.parts('a/drive:/camera/left') is not None
  path, topic = bags.parts('a/drive:/camera/left')
  assert (path.as_posix(), topic) == ('a/drive', '/camera/left')
  for other in ('a/drive', 'rtsp://host/x', ':/x', '0', 'C:/x//y'):
    assert bags.parts(other) is None


def test_what_a_monitor_says_goes_into_a_bag(tmp_path):
  images = [_image(seed) for seed in range(3)]
  messages = [_raw(image, 'rgb8', STAMP + i) for i, image in enumerate(images)]
  path = _bag(tmp_path / 'drive', messages)
  watched = StreamMonitor(Monitor(stub.Stub(threshold=0.5)))
  with bags.Writer(tmp_path / 'said') as sink:
    run.run(bags.read(path, TOPIC), watched, tmp_path, sinks=[sink])
  with pytest.raises(UserError, match='is there already'):
    bags.Writer(tmp_path / 'said')
  found = {}
  with AnyReader([tmp_path / 'said'], default_typestore=TYPES) as reader:
    for connection, recorded, raw in reader.messages():
      message = reader.deserialize(raw, connection.msgtype)
      found.setdefault(connection.topic, []).append((recorded, message))
  assert found.keys() == {'/fsnet/label', '/fsnet/failure', '/fsnet/risk'}
  for index, image in enumerate(images):
    recorded, label = found['/fsnet/label'][index]
    assert recorded == STAMP + index and label.encoding == 'mono8'
    stamp = label.header.stamp
    assert stamp.sec * 10**9 + stamp.nanosec == STAMP + index
    np.testing.assert_array_equal(label.data.reshape(8, 12), image[..., 0] % 3)
    _, failure = found['/fsnet/failure'][index]
    assert (failure.encoding, failure.step) == ('32FC1', 48)
    np.testing.assert_allclose(
      failure.data.view(np.float32).reshape(8, 12), image[..., 1] / 255
    )
    risk = found['/fsnet/risk'][index][1].data
    assert risk == pytest.approx(image[..., 1].mean() / 255, abs=1e-5)


def test_the_command_over_a_bag(tmp_path, monkeypatch, capsys):
  made = Monitor(stub.Stub(threshold=0.5))
  monkeypatch.setattr(Monitor, 'load', lambda source: made)
  path = _bag(tmp_path / 'drive', [_raw(_image(s), 'bgr8') for s in range(4)])
  arguments = ['--monitor=x.onnx', f'--input={path}:{TOPIC}']
  arguments.append(f'--output={tmp_path / "out"}')
  assert __main__.main(arguments) == 0
  assert '4 frames' in capsys.readouterr().err
  assert (tmp_path / 'out' / 'bag' / 'metadata.yaml').exists()
  # Nothing that is there is written over.
  assert __main__.main(arguments) == 2
  assert 'is there already' in capsys.readouterr().err


def test_a_node_publishes_what_the_monitor_says(monkeypatch):
  made = Monitor(stub.Stub(threshold=0.5))
  monkeypatch.setattr(Monitor, 'load', lambda source: made)
  sent = {}
  plain = types.SimpleNamespace
  messages = plain(Image=plain, Float32=plain, Bool=plain)
  node = ros2_node.Node('monitor.onnx', sent.__setitem__, messages)
  image = _image()
  source = _raw(image, 'rgb8')
  seen = node.on_image(source)
  assert seen.frame.stamp_ns == STAMP
  assert sent.keys() == {
    *('fsnet/label', 'fsnet/failure', 'fsnet/risk', 'fsnet/alarm')
  }
  label, failure = sent['fsnet/label'], sent['fsnet/failure']
  assert label.header is source.header and label.encoding == 'mono8'
  np.testing.assert_array_equal(
    np.frombuffer(label.data, np.uint8).reshape(8, 12), image[..., 0] % 3
  )
  assert (failure.encoding, failure.step, failure.height) == ('32FC1', 48, 8)
  assert len(failure.data) == 4 * 8 * 12
  assert sent['fsnet/risk'].data == pytest.approx(seen.image_risk)
  assert sent['fsnet/alarm'].data is False


def test_a_bag_is_predicted_on_like_a_video(tmp_path):
  images = [_image(seed, 24, 40) for seed in range(5)]
  stamps = [STAMP + 66 * 10**6 * i for i in range(5)]
  messages = [_raw(i, 'bgr8', s) for i, s in zip(images, stamps)]
  path, output = _bag(tmp_path / 'drive', messages), tmp_path / 'out'
  stub.predict(f'{path}:{TOPIC}', output)
  assert (output / 'annotated.mp4').exists()
  rows = (output / 'triage.jsonl').read_text().splitlines()
  assert len(rows) == 5
  # Nothing is done twice, and the bag is written anew.
  again = stub.predict(f'{path}:{TOPIC}', output)
  assert again.calls == []
  with AnyReader([output / 'bag'], default_typestore=TYPES) as reader:
    found = list(reader.messages())
    assert len(found) == 15
    labels = [one for one in found if one[0].topic == '/fsnet/label']
    for (connection, recorded, raw), image, stamp in zip(
      labels, images, stamps, strict=True
    ):
      message = reader.deserialize(raw, connection.msgtype)
      assert recorded == stamp
      np.testing.assert_array_equal(
        message.data.reshape(24, 40), image[..., 2] % 3
      )
