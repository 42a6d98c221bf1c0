"""A loop with people that takes seconds: fields of configs/segxal_manual.py."""

from tests.segxal_jax.loop import small_loop

SIZE = small_loop.FIELDS['image_size']
FIELDS = small_loop.FIELDS | {'data.num_train': 12, 'report.num_watched': 0}
