"""A trained pair at work: decisions on images, thresholds with a guarantee.

`Monitor` needs numpy alone; what runs behind it is imported when a file or a
run is loaded.
"""

from fsnet_jax.monitor.monitor import Monitor, MonitorResult

__all__ = ['Monitor', 'MonitorResult']
