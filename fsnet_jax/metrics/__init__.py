"""Metrics: counts on the device, whole-number sums and ratios on the host.

Every metric has `empty`, `add` or `update`, `merge` and `compute`:

* `segmentation.SegmentationMetrics`: mIoU and its kin of S.
* `failure.FailureHistogram`: ranking metrics of a failure score, any size.
* `ranking.ExactFailure`: the same with every score kept, the reference.
"""
