"""Which images of a prediction people are asked about, and what of them."""

import numpy as np

from fsnet_jax.monitor.predict import inputs
from segxal_jax.oracles.triage import questions
from segxal_jax.queries.regions import RegionOptions
from tests.fsnet_jax.monitor.predict import stub

_OPTIONS = RegionOptions(kind='patches', patch=8, count=2)


def _predicted(tmp_path):
  """Three images, the second the worst, and a damaged file."""
  rng = np.random.default_rng(0)
  source, output = tmp_path / 'in', tmp_path / 'out'
  for name, green in (('a/0', 40), ('1', 200), ('b', 90)):
    image = stub.picture(rng, 24, 40, green)
    image[8:16, 16:24, 1] = 255
    stub.save(source / f'{name}.png', image)
  (source / 'junk.png').write_bytes(b'junk')
  stub.predict(source, output)
  return source, output


def test_the_worst_come_first_and_no_damaged_file(tmp_path):
  _, output = _predicted(tmp_path)
  assert questions.worst(output, 2) == ['1.png', 'b.png']
  assert questions.worst(output, 9) == ['1.png', 'b.png', 'a/0.png']
  assert questions.worst(output, 0) == []


def test_a_question_shows_what_was_predicted(tmp_path):
  source, output = _predicted(tmp_path)
  images = inputs.files_of(source, output, str(source))
  wanted = ['b.png', 'gone.png', 'a/0.png']
  found = list(questions.made(images, output, wanted, _OPTIONS))
  assert [(item.image, q.index) for item, q in found] == [
    ('a/0.png', 2),
    ('b.png', 0),
  ]
  item, question = found[0]
  image = inputs.read_image(item.path)
  np.testing.assert_array_equal(question.image, image)
  np.testing.assert_array_equal(question.prediction, image[..., 0] % 3)
  np.testing.assert_allclose(question.eem, image[..., 1] / 255, atol=1e-5)
  assert question.id == 'a/0.png' and question.cycle == 0
  # The square of 8 pixels at row 1, column 2 of 5 is certainly wrong.
  first, second = question.regions
  assert (first.id, first.row, first.column) == (7, 8, 16)
  assert first.score > 0.99 and second.score < 0.2


def test_an_image_that_vanished_is_left_out(tmp_path):
  source, output = _predicted(tmp_path)
  images = inputs.files_of(source, output, str(source))
  (source / 'b.png').write_bytes(b'')
  found = list(questions.made(images, output, ['b.png', '1.png'], _OPTIONS))
  assert [item.image for item, _ in found] == ['1.png']
