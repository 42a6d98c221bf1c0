"""SegXAL: active learning for segmentation that shows why it asks.

A labelled pool trains a network; entropy and Grad-CAM on nearby objects say
where it errs; an oracle is asked there; its answer joins the labelled pool.
`loop.py` is that sentence as a program. After Mandalika and Nambiar, SegXAL,
ICPR 2024; docs/architecture.md lists what the paper leaves open and what was
chosen.
"""
