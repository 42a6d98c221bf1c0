"""SegXAL: explainable active learning for segmentation.

A labelled pool trains a network; entropy and Grad-CAM on nearby objects show
where it may err; an oracle labels these regions; its answer joins the labelled
pool. `loop/driver.py` is that sentence as a program. After Mandalika and
Nambiar, SegXAL, ICPR 2024; docs/guide/segxal.md lists what the paper leaves
open and what is done here.
"""
