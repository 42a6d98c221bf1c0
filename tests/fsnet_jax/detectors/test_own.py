"""Detectors of a user's own file: found, checked, named by themselves."""

import copy
from unittest import mock

import pytest

from common_lib.errors import UserError
from configs import compare_fcn8, fsnet_fcn8
from fsnet_jax import cli, detectors
from fsnet_jax.builders import networks
from fsnet_jax.config import validation
from fsnet_jax.detectors import DETECTORS
from fsnet_jax.experiments import comparison
from fsnet_jax.experiments.comparison import cells, merge
from tests.fsnet_jax.detectors import test_detectors

SOURCE = """
class Margin:
  name, title = 'margin', 'My margin'
  uses_failure_network = uses_dropout_samples = uses_temperature = False

  def score(self, forward):
    return -forward.segmentation.logits[..., 0]

  def probability(self, forward):
    return None


class Again(Margin):
  pass


class Taken(Margin):
  name = 'msp'


class Nameless(Margin):
  name = ''


class Untitled(Margin):
  title = None


class Vague(Margin):
  uses_temperature = 'no'


class Silent(Margin):
  score = None


class Odd(Margin):
  def __init__(self, size):
    self.size = size


class Learnt(Margin):
  name, uses_fitted = 'learnt', 'tpc'


class Heard(Margin):
  name, uses_fitted = 'heard', 'tcp'
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
  """`my_detectors` and `my_broken`, where Python finds them; later undone."""
  (tmp_path / 'my_detectors.py').write_text(SOURCE)
  (tmp_path / 'my_broken.py').write_text('import nothing_of_that_name\n')
  monkeypatch.syspath_prepend(tmp_path)
  with mock.patch.dict('sys.modules'):
    yield


def checked(config, *entries):
  config = copy.deepcopy(config)
  config.eval.detectors = entries
  validation.check(config.lock())
  return config


def test_it_is_known_by_its_own_name_and_changes_nothing(monkeypatch):
  built_in = dict(DETECTORS)
  entries = ('msp', 'my_detectors:Margin')
  config = checked(fsnet_fcn8.get_config(), *entries)
  assert config.eval.detectors == entries
  assert dict(DETECTORS) == built_in
  found = detectors.resolve(entries)
  assert list(found) == ['msp', 'margin']
  assert found['margin'].title == 'My margin'
  monkeypatch.setitem(DETECTORS, 'margin', found['margin'])
  test_detectors.test_contract('margin', 1.0)


def test_it_joins_a_comparison():
  names = ('fsnet', 'my_detectors:Margin', 'my_detectors:Heard')
  config = checked(compare_fcn8.get_config(), *names)
  config.compare.reference = 'margin'
  config.compare.fitted = ('tcp',)
  comparison.check(config)
  cli._check_detectors(config, networks.model(config))
  joint = cells.joint_config(config, 0)
  validation.check(joint)
  assert joint.eval.detectors == (*names, 'tcp', 'tcp_msp')
  found = cells.detectors_of(config)
  assert list(found) == ['fsnet', 'margin', 'heard', 'tcp', 'tcp_msp']
  assert merge._method(found['margin']) == {'title': 'My margin', 'cost': None}
  assert merge._method(found['heard'])['cost'] == 'tcp'


@pytest.mark.parametrize(
  ('names', 'words'),
  [
    (['no_module:Margin'], "'no_module:Margin'.*No module named.*PYTHONPATH"),
    (['my_detectors:Margni'], "'my_detectors:Margni'.*has no attribute"),
    (['my_broken:Margin'], 'my_broken.*nothing_of_that_name'),
    (['my_detectors:Odd'], "my_detectors:Odd.*'size'"),
    ([':Margin'], ':Margin'),
    (['my_detectors:'], 'my_detectors:'),
    (['my_detectors:Nameless'], 'whose name is'),
    (['my_detectors:Untitled'], 'whose title is'),
    (['my_detectors:Vague'], 'whose uses_temperature is'),
    (['my_detectors:Silent'], 'whose score is'),
    (['my_detectors:Taken'], "'msp' is there of a built-in"),
    (['my_detectors:Margin', 'my_detectors:Again'], "'margin'.*twice"),
    (['my_detectors:Margin', 'my_detectors:Margin'], "'margin'.*twice"),
    (['msp', 'msp'], "'msp' twice"),
    (['margin'], "has 'margin': choose one of fsnet"),
  ],
)
def test_a_mistake_is_one_sentence(names, words):
  with pytest.raises(UserError, match=words) as error:
    checked(fsnet_fcn8.get_config(), *names)
  assert 'config.eval.detectors' in str(error.value)
  assert '\n' not in str(error.value)


def test_a_fit_that_nobody_makes():
  config = checked(fsnet_fcn8.get_config(), 'my_detectors:Learnt')
  with pytest.raises(UserError, match="'learnt'.*'tpc'.*tcp"):
    cli._check_detectors(config, networks.model(config))
