"""A run that publishes and may be killed: URL FOLDER COUNT."""

import sys
from pathlib import Path

from segxal_jax.oracles.label_studio import LabelStudio
from segxal_jax.oracles.label_studio.client import Client
from tests.label_studio import scenes

if __name__ == '__main__':
  url, folder, count = sys.argv[1:]
  client = Client.from_environment()
  assert client.url == url
  LabelStudio(client, Path(folder)).publish(scenes.questions(int(count)))
