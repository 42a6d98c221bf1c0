"""Questions reach the real server once each, whatever happens on the way."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.runtime.interrupts import Interrupted
from segxal_jax.oracles.label_studio import answers, tasks
from segxal_jax.oracles.label_studio.client import Client, Refused
from tests.label_studio import scenes
from tests.label_studio.server import ROOT


def _project(oracle):
  return int(oracle.where.rpartition('/')[2])


def _keys(server, project):
  return [task['data']['key'] for task in server.tasks(project)]


def _assert_complete(server, oracle, asked):
  """Each question once, doubtful first, its prediction bit for bit."""
  asked = sorted(asked, key=tasks.score, reverse=True)
  found = server.tasks(_project(oracle))
  indices = [int(task['data']['key'].rpartition('/')[2]) for task in found]
  assert indices == [question.index for question in asked]
  for task, question in zip(found, asked, strict=True):
    assert len(task['predictions']) == 1
    result = task['predictions'][0]['result']
    painting = answers.paint({'result': result}, question.prediction)
    np.testing.assert_array_equal(painting.label, question.prediction)
    assert len(result) == len(tasks.prediction(question)['result'])
    assert task['predictions'][0]['score'] == pytest.approx(
      tasks.score(question)
    )


def test_published_twice_is_there_once(server, oracle, tmp_path):
  asked = scenes.questions(4)
  first = oracle()
  first.publish(asked)
  _assert_complete(server, first, asked)
  before = server.tasks(_project(first))
  # Not in the order that the strategy gave, but by error mask.
  scores = [task['data']['eem'] for task in before]
  assert scores == sorted(scores, reverse=True)
  assert _keys(server, _project(first)) != sorted(
    _keys(server, _project(first))
  )
  # Again, by the same process and by one that starts anew.
  first.publish(asked)
  again = oracle()
  again.publish(asked)
  assert again.where == first.where
  assert server.tasks(_project(first)) == before
  # The annotator is led through them in the order of asking.
  following = server.ask('GET', f'/api/projects/{_project(first)}/next')
  assert following['id'] == before[0]['id']
  # Another run never shares them.
  known = json.loads((tmp_path / 'run/oracle/label_studio.json').read_text())
  assert known['project'] == _project(first)


def test_tasks_of_the_next_cycle_join_the_same_project(server, oracle):
  first, later = scenes.questions(1), scenes.questions(1, cycle=2)
  asked = oracle()
  asked.publish(first)
  asked.publish(later)
  cycles = [task['data']['cycle'] for task in server.tasks(_project(asked))]
  assert cycles == [1, 2]
  # Both are shown with their prediction: one name of the network for all.
  project = server.ask('GET', f'/api/projects/{_project(asked)}/')
  assert project['model_version'] == tasks.MODEL_VERSION
  assert project['show_collab_predictions'] and project['show_instruction']
  assert 'cyan points' in project['expert_instruction']


def test_a_run_that_is_killed_while_it_publishes(server, oracle, tmp_path):
  asked = scenes.questions(12)
  argv = [sys.executable, '-m', 'tests.label_studio.publisher']
  argv += [server.url, str(tmp_path / 'run' / 'oracle'), '12']
  environment = os.environ | {
    'LABEL_STUDIO_URL': server.url,
    'LABEL_STUDIO_API_KEY': server.token,
  }
  file = tmp_path / 'run' / 'oracle' / 'label_studio.json'
  with subprocess.Popen(argv, cwd=ROOT, env=environment) as process:
    until = time.monotonic() + 120
    project = None
    while project is None or len(_keys(server, project)) < 2:
      assert time.monotonic() < until and process.poll() is None
      if file.exists():
        project = json.loads(file.read_text()).get('project')
      time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
  there = _keys(server, project)
  assert 2 <= len(there) < 12
  survivor = oracle()
  survivor.publish(asked)
  assert _project(survivor) == project
  _assert_complete(server, survivor, asked)
  assert _keys(server, project)[: len(there)] == there


def test_a_project_made_by_a_run_killed_right_then_is_found(
  server, oracle, tmp_path
):
  first = oracle()
  first.publish(scenes.questions(1))
  file = tmp_path / 'run' / 'oracle' / 'label_studio.json'
  known = json.loads(file.read_text())
  file.write_text(json.dumps({'run': known['run']}))
  again = oracle()
  again.publish(scenes.questions(1))
  assert again.where == first.where
  assert len(_keys(server, _project(first))) == 1


def test_a_server_that_is_killed_and_restarted_while_it_is_sent_to(
  server, oracle, monkeypatch
):
  asked = scenes.questions(6)
  oracle().publish([])  # the project is there
  patient = oracle(pauses_secs=(0.5,) * 300)
  sent = threading.Event()
  send = Client.call

  def call(self, method, path, body=None, **query):
    reply = send(self, method, path, body, **query)
    if path.endswith('/import'):
      sent.set()
    return reply

  monkeypatch.setattr(Client, 'call', call)
  failures = []

  def publish():
    try:
      patient.publish(asked)
    except BaseException as error:
      failures.append(error)

  thread = threading.Thread(target=publish)
  thread.start()
  assert sent.wait(60)
  server.end(signal.SIGKILL)
  server.start()
  thread.join(180)
  assert not thread.is_alive() and failures == []
  _assert_complete(server, patient, asked)


def test_a_server_that_hangs_in_the_middle_of_an_upload(
  server, oracle, monkeypatch
):
  """It gets a request whole, but answers only after that was given up."""
  asked = scenes.questions(4)
  hasty = oracle(silence_secs=1.5, pauses_secs=(0.1,))
  oracle().publish([])  # the project is there
  imports = []
  send = Client.call

  def call(self, method, path, body=None, **query):
    if path.endswith('/import'):
      imports.append(path)
      if len(imports) == 2:
        server.process.send_signal(signal.SIGSTOP)
    return send(self, method, path, body, **query)

  with monkeypatch.context() as patch:
    patch.setattr(Client, 'call', call)
    started = time.monotonic()
    try:
      with pytest.raises(Interrupted, match='nothing is lost'):
        hasty.publish(asked)
    finally:
      server.process.send_signal(signal.SIGCONT)
    assert time.monotonic() - started < 60
  # What was given up is there after all.
  until = time.monotonic() + 60
  while len(_keys(server, _project(hasty))) < 2:
    assert time.monotonic() < until
    time.sleep(0.2)
  back = oracle()
  back.publish(asked)
  _assert_complete(server, back, asked)


def test_a_server_that_is_down(server, oracle, capsys):
  asked = scenes.questions(2)
  collecting = oracle(pauses_secs=(0.0,))
  collecting.publish(asked[:1])
  task = server.tasks(_project(collecting))[0]
  server.annotate(task['id'], task['predictions'][0]['result'])
  collecting.publish(asked[:1])
  server.end()
  try:
    with pytest.raises(Interrupted, match='nothing is lost'):
      collecting.answer(asked[0], None)
    capsys.readouterr()
    with pytest.raises(Interrupted, match='run the same command again') as told:
      oracle(pauses_secs=(0.0, 0.0)).publish(asked)
  finally:
    server.start()
  assert server.url in str(told.value)
  said = capsys.readouterr().err
  assert said.count('trying again') == 2 and server.token not in said
  np.testing.assert_array_equal(
    collecting.answer(asked[0], None).label, asked[0].prediction
  )
  back = oracle()
  back.publish(asked)
  indices = {int(key[-7:]) for key in _keys(server, _project(back))}
  assert indices == {0, 1} and len(server.tasks(_project(back))) == 2


def test_a_request_that_succeeded_after_it_was_given_up(server, oracle):
  asked = sorted(scenes.questions(2), key=tasks.score, reverse=True)
  first = oracle()
  first.publish(asked)
  project = _project(first)
  run = _keys(server, project)[0].partition('/')[0]
  for question in (asked[0], asked[1], asked[1]):
    server.ask(
      'POST', f'/api/projects/{project}/import', [tasks.task(run, question)]
    )
  known = server.tasks(project)
  # Somebody has already answered to a surplus task: it is the one to keep.
  server.annotate(known[3]['id'], known[3]['predictions'][0]['result'])
  # Also where nothing is open about them any more.
  oracle().publish(asked[:1])
  left = server.tasks(project)
  assert [task['id'] for task in left] == [known[0]['id'], known[3]['id']]


def test_a_task_that_came_without_its_prediction(server, oracle):
  asked = scenes.questions(2)
  first = oracle()
  first.publish(asked)
  lost = server.tasks(_project(first))[1]['predictions'][0]['id']
  server.ask('DELETE', f'/api/predictions/{lost}/')
  oracle().publish(asked)
  _assert_complete(server, first, asked)


def test_a_deleted_task_is_asked_again(server, oracle):
  asked = scenes.questions(2)
  first = oracle()
  first.publish(asked)
  project = _project(first)
  gone = server.tasks(project)[0]['id']
  server.ask('DELETE', f'/api/tasks/{gone}/')
  oracle().publish(asked)
  assert sorted(_keys(server, project))[0].endswith('/0000000')
  assert len(_keys(server, project)) == 2


def test_wrong_tokens(server, oracle, monkeypatch, tmp_path):
  wrong = 'f' * 40
  with pytest.raises(UserError, match='401.*LABEL_STUDIO_API_KEY') as told:
    oracle(token=wrong).publish(scenes.questions(1))
  assert wrong not in str(told.value)
  # A personal access token is as good as a legacy one.
  personal = server.ask('POST', '/api/token/')['token']
  assert personal.count('.') == 2
  asked = oracle(token=personal)
  asked.publish(scenes.questions(1))
  _assert_complete(server, asked, scenes.questions(1))
  with pytest.raises(UserError, match='401'):
    oracle(token=personal[:-4] + 'AAAA').publish(scenes.questions(1))
  # Its 403: webhooks to this machine are not for anybody.
  with pytest.raises(Refused, match='403.*LABEL_STUDIO_API_KEY') as told:
    Client(server.url, server.token).call(
      'POST', '/api/webhooks/', {'url': 'http://127.0.0.1:1/'}
    )
  assert told.value.status == 403 and server.token not in str(told.value)


def test_wrong_projects(server, oracle, tmp_path):
  first = oracle()
  first.publish(scenes.questions(1))
  file = tmp_path / 'run' / 'oracle' / 'label_studio.json'
  known = json.loads(file.read_text())
  del known['checksum']  # As an older version wrote it.
  other = server.ask('POST', '/api/projects/', {'title': 'theirs'})['id']
  file.write_text(json.dumps(known | {'project': other}))
  with pytest.raises(UserError, match="is not this run's"):
    oracle().publish(scenes.questions(1))
  assert _keys(server, other) == []
  file.write_text(json.dumps(known | {'project': 10**6}))
  with pytest.raises(UserError, match='Project 1000000 .* is not at'):
    oracle().publish(scenes.questions(1))
  file.write_text(json.dumps(known))
  config = server.ask('GET', f'/api/projects/{known["project"]}/')
  fewer = config['label_config'].replace('value="car"', 'value="tram"')
  path = f'/api/projects/{known["project"]}/'
  server.ask('PATCH', path, {'label_config': fewer})
  with pytest.raises(UserError, match="class 'car'"):
    oracle().publish(scenes.questions(1))
