"""What the fields of this package can name, by the table that holds it.

The names stand here so that `--help` and the check of a command line need
not load jax; a name that is not among them is looked up in its table.
"""

from fsnet_jax.config.words import Name

DETECTOR = Name(
  'detector',
  'fsnet_jax.detectors',
  'DETECTORS',
  (
    'fsnet',
    'fsnet_msp',
    'fsnet_joint',
    'fsnet_pixel',
    'fsnet_conv',
    'msp',
    'entropy',
    'max_logit',
    'energy',
    'mc_dropout',
    'mc_dropout_synthcp',
    'msp_temperature',
    'tcp',
    'tcp_msp',
    'tcp_synthcp',
    'tcp_synthcp_msp',
    'direct',
    'direct_msp',
    'synthcp',
    'synthcp_msp',
    'ensemble',
    'class_logistic',
    'class_logistic_shift',
    'tta_flip',
    'ensemble_mi',
    'energy_temperature',
    'tcp_shift',
    'direct_shift',
    'synthcp_shift',
    'obsnet',
  ),
  own=True,
)
LEARNED = Name(
  'detector that learns',
  'fsnet_jax.learned_detectors',
  'FITTED',
  (
    'tcp',
    'tcp_synthcp',
    'direct',
    'synthcp',
    'ensemble',
    'class_logistic',
    'class_logistic_shift',
    'tcp_shift',
    'direct_shift',
    'synthcp_shift',
    'obsnet',
  ),
)
# Networks that run outside of the compiled programs (`builders.external`).
ELSEWHERE = ('onnx', 'logits', 'python')
NETWORK = Name(
  'segmentation network',
  'fsnet_jax.builders.networks',
  'NAMES',
  ('fcn8', 'deeplab_v2', 'unet', 'efficientnet_unet', *ELSEWHERE),
)
VARIANT = Name(
  'variant of FSNet',
  'fsnet_jax.experiments.ablation',
  'VARIANTS',
  (
    'full',
    'single_branch',
    'data_20',
    'no_x',
    'no_w1',
    'no_w2',
    'no_w3',
    'no_w4',
    'no_seg_features',
    'joint_from_scratch',
    'literal',
    'skips',
    'four_scale',
    'skips_residual',
    'four_scale_residual',
    'skips_residual_pos_weight',
    'skips_residual_unweighted',
    'robust',
    'robust_no_joint',
    'robust_no_flip',
    'light',
    'light_no_centering',
    'light_no_colorless',
    'robust_clean',
    'robust_near',
    'robust_far',
  ),
)
DATA_SET = Name(
  'data set',
  'input_pipeline.datasets',
  'DATASETS',
  (
    'bdd100k',
    'camvid',
    'cityscapes',
    'folder',
    'idd_lite',
    'mapillary_vistas',
    'street_views',
    'streets',
  ),
)
AUGMENTATION = Name(
  'augmentation',
  'input_pipeline.transforms',
  'TRANSFORMS',
  (
    'flip',
    'scale_crop',
    'color_jitter',
    'blur',
    'noise',
    'gamma',
    'mild_shift',
    'strong_shift',
  ),
)
