"""Who may send a prediction's worst images; what is sent needs a server."""

import jax
import pytest

from common_lib.errors import UserError
from segxal_jax.oracles.triage import send
from tests.fsnet_jax.monitor.predict import stub


def test_one_process_sends(monkeypatch, tmp_path):
  monkeypatch.setenv('LABEL_STUDIO_URL', 'http://127.0.0.1:9')
  monkeypatch.setattr(jax, 'process_count', lambda: 2)
  # All of them say so, whatever the environment of each.
  for index in range(2):
    monkeypatch.setattr(jax, 'process_index', lambda index=index: index)
    with pytest.raises(UserError, match='send_to_label_studio is for one'):
      send.checked(tmp_path, stub.CLASSES)
