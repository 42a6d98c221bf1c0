"""Of which sequences the images are that were asked about."""

import pytest

from segxal_jax.queries.asked_sequences import Sequences


class _Pool:
  """So many images of each sequence, one after another; counts what is read."""

  def __init__(self, **counts):
    self.names = [name for name, n in counts.items() for _ in range(n)]
    self.read = []

  def __len__(self):
    return len(self.names)

  def __getitem__(self, index):
    self.read.append(index)
    return {'sequence': self.names[index]}


def _asked(folder, *indices):
  folder.mkdir()
  for index in indices:
    (folder / f'{index:07d}.npz').touch()
  return folder


def test_shares_of_questions(tmp_path):
  pool = _Pool(day=8, fog=2)
  first = _asked(tmp_path / 'a', 0, 8, 9)
  second = _asked(tmp_path / 'b', 8)
  known = Sequences(pool)
  assert known.of_questions([first, second]) == {'day': 0.25, 'fog': 0.75}
  assert sorted(pool.read) == [0, 8, 9]
  assert known.of_questions([tmp_path / 'never']) == {}


def test_questions_beyond_the_pool_count_nowhere(tmp_path):
  known = Sequences(_Pool(day=2))
  assert known.of_questions([_asked(tmp_path / 'a', 1, 5)]) == {'day': 1.0}


@pytest.mark.parametrize('day, fog', [(8, 2), (4000, 1000)])
def test_shares_of_a_pool(day, fog):
  pool = _Pool(day=day, fog=fog)
  shares = Sequences(pool).of_pool()
  assert shares == pytest.approx({'day': 0.8, 'fog': 0.2}, abs=0.002)
  assert len(pool.read) <= 500
