"""An exported monitor over a fleet's images, as a pipeline of Apache Beam.

Needs numpy, onnxruntime, Pillow, OpenCV, SciPy and Apache Beam, no jax:
requirements-fleet.txt. Beam runs it here, or on Spark, Flink or Dataflow.
"""
