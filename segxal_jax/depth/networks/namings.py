"""The names of public depth checkpoints, as tables.

`transformers` names, as its files have them (its models in memory differ),
and those of the authors' repositories.
"""

from segxal_jax.depth.networks.convert import Naming, Rule

# What every transformer here is called in timm's style, which the authors'
# repositories share.
_TIMM: tuple[Rule, ...] = (
  (r'blocks_(\d+)/', r'blocks/\1/'),
  (r'/(ls\d)$', r'/\1/gamma'),
  (r'patch_embed/', 'patch_embed/proj/'),
)

_HF_EMBEDDINGS: tuple[Rule, ...] = (
  (r'/cls_token$', '/embeddings/cls_token'),
  (r'/pos_embed$', '/embeddings/position_embeddings'),
)

_HF_DINOV2: tuple[Rule, ...] = (
  *_HF_EMBEDDINGS,
  (r'/patch_embed/', '/embeddings/patch_embeddings/projection/'),
  (r'^backbone/norm/', 'backbone/layernorm/'),
  (r'/blocks_(\d+)/', r'/encoder/layer/\1/'),
  (r'/attn/qkv/', '/attention/attention/{query|key|value}/'),
  (r'/attn/proj/', '/attention/output/dense/'),
  (r'/ls(\d)$', r'/layer_scale\1/lambda1'),
  (r'/mlp/w12/', '/mlp/weights_in/'),
  (r'/mlp/w3/', '/mlp/weights_out/'),
)

# DPT's own transformer in `transformers`.
_HF_VIT: tuple[Rule, ...] = (
  *_HF_EMBEDDINGS,
  (r'/blocks_(\d+)/', r'/encoder/layer/\1/'),
  (r'(layer/\d+)/norm1/', r'\1/layernorm_before/'),
  (r'(layer/\d+)/norm2/', r'\1/layernorm_after/'),
  (r'/attn/qkv/', '/attention/attention/{query|key|value}/'),
  (r'/attn/proj/', '/attention/output/dense/'),
  (r'/mlp/fc1/', '/intermediate/dense/'),
  (r'/mlp/fc2/', '/output/dense/'),
)


def _less_one(match) -> str:
  return f'{int(match[1]) - 1}/'


def _hf_head(output: tuple[str, str, str]) -> tuple[Rule, ...]:
  """The neck that `transformers` gives all of them, and its head."""
  stage = 'neck/reassemble_stage'

  def numbered(before: str, after: str = ''):
    return lambda m: f'{before}/{int(m[1]) - 1}/{after}'

  return (
    (r'^head/project_(\d)/', numbered(f'{stage}/layers', 'projection/')),
    (r'^head/resize_(\d)/', numbered(f'{stage}/layers', 'resize/')),
    (r'^head/readout_(\d)/', numbered(f'{stage}/readout_projects', '0/')),
    (r'^head/reduce_(\d)/', numbered('neck/convs')),
    (
      r'^head/fuse_(\d)/',
      lambda m: f'neck/fusion_stage/layers/{4 - int(m[1])}/',
    ),
    (r'(layers/\d)/out/', r'\1/projection/'),
    (r'/unit(\d)/conv(\d)/', r'/residual_layer\1/convolution\2/'),
    *[
      (f'^head/conv{index}/', f'{name}/')
      for index, name in enumerate(output, 1)
    ],
  )


# The authors of Depth Anything and of MiDaS share the decoder's names.
def _scratch(prefix: str, output: tuple[str, str, str]) -> tuple[Rule, ...]:
  before = f'{prefix}scratch'
  return (
    (r'^head/reduce_(\d)/', rf'{before}/layer\1_rn/'),
    (r'^head/fuse_(\d)/', rf'{before}/refinenet\1/'),
    (r'(refinenet\d)/out/', r'\1/out_conv/'),
    (r'/unit(\d)/', r'/resConfUnit\1/'),
    *[
      (f'^head/conv{index}/', f'{before}/{name}/')
      for index, name in enumerate(output, 1)
    ],
  )


_HF_SEQUENCE = ('head/head/0', 'head/head/2', 'head/head/4')
_HF_UNUSED = (
  r'.*embeddings\.mask_token',
  # The deepest level has nothing to add to it.
  r'neck\.fusion_stage\.layers\.0\.residual_layer1\..*',
)

DEPTH_ANYTHING = (
  Naming(
    source='transformers',
    marker='backbone.embeddings.position_embeddings',
    rules=(*_HF_DINOV2, *_hf_head(('head/conv1', 'head/conv2', 'head/conv3'))),
    unused=_HF_UNUSED,
    settings={'positions': 'bicubic'},
  ),
  Naming(
    source='Depth-Anything-V2',
    marker='pretrained.pos_embed',
    rules=(
      *_TIMM,
      (r'^backbone/', 'pretrained/'),
      (r'^head/project_(\d)/', lambda m: 'depth_head/projects/' + _less_one(m)),
      (
        r'^head/resize_(\d)/',
        lambda m: 'depth_head/resize_layers/' + _less_one(m),
      ),
      *_scratch(
        'depth_head/', ('output_conv1', 'output_conv2/0', 'output_conv2/2')
      ),
    ),
    unused=(
      r'pretrained\.mask_token',
      r'depth_head\.scratch\.refinenet4\.resConfUnit1\..*',
    ),
    settings={'positions': 'bicubic_offset'},
  ),
)

# The backbone's file has no prefix, the head's has `decode_head`.
_DINOV2_HUB: tuple[Rule, ...] = (*_TIMM, (r'^backbone/', ''))
_DINOV2_UNUSED = ('mask_token', r'norm\.(weight|bias)')

DINOV2_DPT = (
  Naming(
    source='transformers',
    marker='backbone.embeddings.position_embeddings',
    rules=(*_HF_DINOV2, *_hf_head(_HF_SEQUENCE)),
    unused=(*_HF_UNUSED, r'backbone\.layernorm\.(weight|bias)'),
    settings={'positions': 'bicubic'},
  ),
  Naming(
    source='dinov2',
    marker='decode_head.conv_depth.head.0.weight',
    rules=(
      *_DINOV2_HUB,
      (
        r'^head/project_(\d)/',
        lambda m: f'decode_head/reassemble_blocks/projects/{_less_one(m)}conv/',
      ),
      (
        r'^head/resize_(\d)/',
        lambda m: f'decode_head/reassemble_blocks/resize_layers/{_less_one(m)}',
      ),
      (
        r'^head/readout_(\d)/',
        lambda m: (
          f'decode_head/reassemble_blocks/readout_projects/{_less_one(m)}0/'
        ),
      ),
      (
        r'^head/reduce_(\d)/',
        lambda m: f'decode_head/convs/{_less_one(m)}conv/',
      ),
      (
        r'^head/fuse_(\d)/',
        lambda m: f'decode_head/fusion_blocks/{4 - int(m[1])}/',
      ),
      (r'(fusion_blocks/\d)/out/', r'\1/project/conv/'),
      (r'/unit(\d)/conv(\d)/', r'/res_conv_unit\1/conv\2/conv/'),
      (r'^head/projection/', 'decode_head/project/conv/'),
      (r'^head/conv1/', 'decode_head/conv_depth/head/0/'),
      (r'^head/conv2/', 'decode_head/conv_depth/head/2/'),
      (r'^head/conv3/', 'decode_head/conv_depth/head/4/'),
    ),
    unused=_DINOV2_UNUSED,
    settings={'positions': 'bicubic_offset'},
  ),
)

DINOV2_LINEAR = (
  Naming(
    source='dinov2',
    marker='decode_head.conv_depth.weight',
    rules=(*_DINOV2_HUB, (r'^head/', 'decode_head/')),
    unused=_DINOV2_UNUSED,
    settings={'positions': 'bicubic_offset'},
  ),
)

_POSTPROCESS: tuple[Rule, ...] = (
  (r'^head/project_(\d)/', r'pretrained/act_postprocess\1/3/'),
  (r'^head/resize_(\d)/', r'pretrained/act_postprocess\1/4/'),
  (r'^head/readout_(\d)/', r'pretrained/act_postprocess\1/0/project/0/'),
  *_scratch('', ('output_conv/0', 'output_conv/2', 'output_conv/4')),
)
_MIDAS_UNUSED = (
  r'pretrained\.model\.(norm|head)\.(weight|bias)',
  r'scratch\.refinenet4\.resConfUnit1\..*',
)
_DPT_UNUSED = (*_HF_UNUSED, r'dpt\.(layernorm|pooler\.dense)\.(weight|bias)')

DPT_LARGE = (
  Naming(
    source='transformers',
    marker='dpt.embeddings.patch_embeddings.projection.weight',
    rules=(
      *_HF_VIT,
      (r'/patch_embed/', '/embeddings/patch_embeddings/projection/'),
      (r'^backbone/', 'dpt/'),
      *_hf_head(_HF_SEQUENCE),
    ),
    unused=_DPT_UNUSED,
    settings={'eps': 1e-12},
  ),
  Naming(
    source='MiDaS',
    marker='pretrained.model.pos_embed',
    rules=(*_TIMM, (r'^backbone/', 'pretrained/model/'), *_POSTPROCESS),
    unused=_MIDAS_UNUSED,
    settings={'eps': 1e-6},
  ),
)

DPT_HYBRID = (
  Naming(
    source='transformers',
    marker='dpt.embeddings.projection.weight',
    rules=(
      (r'^backbone/vit/', 'backbone/'),
      *_HF_VIT,
      (r'/patch_embed/', '/embeddings/projection/'),
      (r'^backbone/stem_conv/', 'backbone/bit/embedder/convolution/'),
      (r'^backbone/stem_norm/', 'backbone/bit/embedder/norm/'),
      (
        r'^backbone/stage(\d)_(\d+)/',
        r'backbone/bit/encoder/stages/\1/layers/\2/',
      ),
      (r'^backbone/bit/', 'backbone/embeddings/backbone/bit/'),
      (r'/downsample_', '/downsample/'),
      (r'^backbone/', 'dpt/'),
      *_hf_head(_HF_SEQUENCE),
    ),
    unused=_DPT_UNUSED,
    settings={'eps': 1e-12},
  ),
  Naming(
    source='MiDaS',
    marker='pretrained.model.patch_embed.backbone.stem.conv.weight',
    rules=(
      (r'^backbone/vit/', 'backbone/'),
      *_TIMM,
      (r'^backbone/stem_', 'backbone/patch_embed/backbone/stem/'),
      (
        r'^backbone/stage(\d)_(\d+)/',
        r'backbone/patch_embed/backbone/stages/\1/blocks/\2/',
      ),
      (r'/downsample_', '/downsample/'),
      (r'^backbone/', 'pretrained/model/'),
      *_POSTPROCESS,
    ),
    unused=_MIDAS_UNUSED,
    settings={'eps': 1e-6},
  ),
)

MIDAS_CNN = (
  Naming(
    source='MiDaS',
    marker='pretrained.layer1.0.weight',
    rules=(
      (r'^(reduce|fuse|conv)', r'head/\1'),
      *_scratch('', ('output_conv/0', 'output_conv/2', 'output_conv/4')),
      (r'^backbone/conv1/', 'pretrained/layer1/0/'),
      (r'^backbone/bn1/', 'pretrained/layer1/1/'),
      # The first stage follows the stem in one sequence.
      (r'^backbone/layer1_(\d+)/', r'pretrained/layer1/4/\1/'),
      (r'^backbone/layer(\d)_(\d+)/', r'pretrained/layer\1/\2/'),
      (r'/downsample_conv/', '/downsample/0/'),
      (r'/downsample_bn/', '/downsample/1/'),
    ),
    unused=(
      r'.*\.num_batches_tracked',
      r'scratch\.refinenet4\.resConfUnit1\..*',
    ),
  ),
)

# By which any of these files is known, whatever stands before its names; the
# last two are DINOv2's own backbone.
ANCHORS = (
  *(
    naming.marker
    for table in (
      DEPTH_ANYTHING, DINOV2_DPT, DINOV2_LINEAR, DPT_LARGE, DPT_HYBRID,
      MIDAS_CNN,
    )
    for naming in table
  ),
  'cls_token', 'pos_embed',
)  # fmt: skip
