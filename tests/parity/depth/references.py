"""The authors' depth networks in PyTorch, with their files' names.

Only as much as a forward pass needs; `transformers` lacks them or names and
resizes otherwise.
"""

import torch
from torch import nn
from torch.nn import functional as F


def container(**modules):
  """A module that only holds others, by name."""
  module = nn.Module()
  for name, child in modules.items():
    module.add_module(name, child)
  return module


class Scale(nn.Module):
  def __init__(self, width):
    super().__init__()
    self.gamma = nn.Parameter(torch.ones(width))

  def forward(self, x):
    return x * self.gamma


class Attention(nn.Module):
  def __init__(self, width, heads):
    super().__init__()
    self.heads = heads
    self.qkv = nn.Linear(width, 3 * width)
    self.proj = nn.Linear(width, width)

  def forward(self, x):
    b, t, k = x.shape
    q, k_, v = (
      part.reshape(b, t, self.heads, -1).transpose(1, 2)
      for part in self.qkv(x).chunk(3, dim=-1)
    )
    scores = q @ k_.transpose(2, 3) / (k // self.heads) ** 0.5
    x = scores.softmax(-1) @ v
    return self.proj(x.transpose(1, 2).reshape(b, t, k))


class Block(nn.Module):
  def __init__(self, width, heads, scaled):
    super().__init__()
    self.norm1 = nn.LayerNorm(width, eps=1e-6)
    self.attn = Attention(width, heads)
    self.ls1 = Scale(width) if scaled else nn.Identity()
    self.norm2 = nn.LayerNorm(width, eps=1e-6)
    self.mlp = container(
      fc1=nn.Linear(width, 4 * width), fc2=nn.Linear(4 * width, width)
    )
    self.ls2 = Scale(width) if scaled else nn.Identity()

  def forward(self, x):
    x = x + self.ls1(self.attn(self.norm1(x)))
    y = self.mlp.fc2(F.gelu(self.mlp.fc1(self.norm2(x))))
    return x + self.ls2(y)


class Transformer(nn.Module):
  """DINOv2's backbone, or (`scaled` false) timm's ViT as MiDaS runs it."""

  def __init__(self, width, depth, heads, patch, grid, scaled=True):
    super().__init__()
    self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
    self.pos_embed = nn.Parameter(torch.zeros(1, grid**2 + 1, width))
    if scaled:
      self.mask_token = nn.Parameter(torch.zeros(1, width))
    self.patch_embed = container(proj=nn.Conv2d(3, width, patch, patch))
    self.blocks = nn.ModuleList(
      Block(width, heads, scaled) for _ in range(depth)
    )
    self.norm = nn.LayerNorm(width, eps=1e-6)
    self.grid, self.scaled = grid, scaled

  def positions(self, h, w):
    first, rest = self.pos_embed[:, :1], self.pos_embed[:, 1:]
    if (h, w) == (self.grid, self.grid):
      return self.pos_embed
    rest = rest.reshape(1, self.grid, self.grid, -1).permute(0, 3, 1, 2)
    if self.scaled:
      scale = ((h + 0.1) / self.grid, (w + 0.1) / self.grid)
      rest = F.interpolate(rest, scale_factor=scale, mode='bicubic')
    else:
      rest = F.interpolate(rest, size=(h, w), mode='bilinear')
    assert rest.shape[2:] == (h, w)
    return torch.cat([first, rest.flatten(2).transpose(1, 2)], dim=1)

  def forward(self, x):
    """All blocks' tokens, and the grid's size."""
    x = self.patch_embed.proj(x)
    size = x.shape[2:]
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
    x = x + self.positions(*size)
    outputs = []
    for block in self.blocks:
      x = block(x)
      outputs.append(x)
    return outputs, size


def as_map(tokens, size):
  return tokens.transpose(1, 2).unflatten(2, tuple(size))


def resizers(channels):
  c = channels
  return [
    nn.ConvTranspose2d(c[0], c[0], 4, 4),
    nn.ConvTranspose2d(c[1], c[1], 2, 2),
    nn.Identity(),
    nn.Conv2d(c[3], c[3], 3, 2, 1),
  ]


class Unit(nn.Module):
  def __init__(self, features, overwriting=False):
    super().__init__()
    self.conv1 = nn.Conv2d(features, features, 3, padding=1)
    self.conv2 = nn.Conv2d(features, features, 3, padding=1)
    self.relu = nn.ReLU(inplace=overwriting)

  def forward(self, x):
    y = self.conv1(self.relu(x))
    return self.conv2(F.relu(y)) + x


class Refine(nn.Module):
  def __init__(self, features, old=False):
    super().__init__()
    self.resConfUnit1 = Unit(features, old)
    self.resConfUnit2 = Unit(features, old)
    if not old:
      self.out_conv = nn.Conv2d(features, features, 1)

  def forward(self, x, skip=None, size=None):
    if skip is not None:
      x = x + self.resConfUnit1(skip)
    x = self.resConfUnit2(x)
    size = size or (2 * x.shape[2], 2 * x.shape[3])
    x = F.interpolate(x, size=size, mode='bilinear', align_corners=True)
    return self.out_conv(x) if hasattr(self, 'out_conv') else x


def scratch(channels, features, old=False, **output):
  maps = {
    f'layer{i}_rn': nn.Conv2d(c, features, 3, padding=1, bias=False)
    for i, c in enumerate(channels, 1)
  }
  fusions = {f'refinenet{i}': Refine(features, old) for i in (1, 2, 3, 4)}
  return container(**maps, **fusions, **output)


def fuse(module, maps):
  maps = [getattr(module, f'layer{i}_rn')(x) for i, x in enumerate(maps, 1)]
  sizes = [tuple(x.shape[2:]) for x in maps]
  x = module.refinenet4(maps[3], size=sizes[2])
  x = module.refinenet3(x, maps[2], size=sizes[1])
  x = module.refinenet2(x, maps[1], size=sizes[0])
  return module.refinenet1(x, maps[0])


class DepthAnything(nn.Module):
  def __init__(self, backbone, width, channels, features):
    super().__init__()
    self.pretrained = backbone
    self.depth_head = container(
      projects=nn.ModuleList(nn.Conv2d(width, c, 1) for c in channels),
      resize_layers=nn.ModuleList(resizers(channels)),
      scratch=scratch(
        channels,
        features,
        output_conv1=nn.Conv2d(features, features // 2, 3, padding=1),
        output_conv2=nn.Sequential(
          nn.Conv2d(features // 2, 32, 3, padding=1),
          nn.ReLU(),
          nn.Conv2d(32, 1, 1),
          nn.ReLU(),
        ),
      ),
    )

  def forward(self, images):
    outputs, size = self.pretrained(images)
    head = self.depth_head
    maps = [
      resize(project(as_map(self.pretrained.norm(x)[:, 1:], size)))
      for x, project, resize in zip(outputs, head.projects, head.resize_layers)
    ]
    x = head.scratch.output_conv1(fuse(head.scratch, maps))
    x = F.interpolate(
      x, size=images.shape[2:], mode='bilinear', align_corners=True
    )
    return head.scratch.output_conv2(x)[:, 0]


class DPTLarge(nn.Module):
  def __init__(self, backbone, width, channels, features):
    super().__init__()
    self.pretrained = container(model=backbone)
    for i, (c, resize) in enumerate(zip(channels, resizers(channels)), 1):
      readout = container(
        project=nn.Sequential(nn.Linear(2 * width, width), nn.GELU())
      )
      steps = [readout, nn.Identity(), nn.Identity(), nn.Conv2d(width, c, 1)]
      if not isinstance(resize, nn.Identity):
        steps.append(resize)
      self.pretrained.add_module(f'act_postprocess{i}', nn.Sequential(*steps))
    self.scratch = scratch(
      channels,
      features,
      output_conv=nn.Sequential(
        nn.Conv2d(features, features // 2, 3, padding=1),
        nn.Upsample(scale_factor=2, mode='bilinear', align_corners=True),
        nn.Conv2d(features // 2, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 1, 1),
        nn.ReLU(),
      ),
    )

  def forward(self, images):
    outputs, size = self.pretrained.model(images)
    maps = []
    for i, tokens in enumerate(outputs, 1):
      steps = getattr(self.pretrained, f'act_postprocess{i}')
      token = tokens[:, :1].expand(-1, tokens.shape[1] - 1, -1)
      x = steps[0].project(torch.cat([tokens[:, 1:], token], dim=-1))
      maps.append(steps[3:](as_map(x, size)))
    return self.scratch.output_conv(fuse(self.scratch, maps))[:, 0]


class LinearDepth(nn.Module):
  """DINOv2's linear head on some of the blocks' outputs, never normalised."""

  def __init__(self, width, layers, min_depth, max_depth):
    super().__init__()
    self.conv_depth = nn.Conv2d(2 * width * layers, 256, 1)
    self.bins = torch.linspace(min_depth, max_depth, 256)

  def forward(self, outputs, size):
    maps = []
    for tokens in outputs:
      grid = as_map(tokens[:, 1:], size)
      token = tokens[:, 0, :, None, None].expand_as(grid)
      x = torch.cat([grid, token], dim=1)
      maps.append(F.interpolate(x, scale_factor=4, mode='bilinear'))
    weights = F.relu(self.conv_depth(torch.cat(maps, dim=1))) + 0.1
    weights = weights / weights.sum(1, keepdim=True)
    return torch.einsum('bkhw,k->bhw', weights, self.bins)


class Bottleneck(nn.Module):
  def __init__(self, inputs, features, stride, groups, first):
    super().__init__()
    self.conv1 = nn.Conv2d(inputs, features, 1, bias=False)
    self.bn1 = nn.BatchNorm2d(features)
    self.conv2 = nn.Conv2d(
      features, features, 3, stride, 1, groups=groups, bias=False
    )
    self.bn2 = nn.BatchNorm2d(features)
    self.conv3 = nn.Conv2d(features, features, 1, bias=False)
    self.bn3 = nn.BatchNorm2d(features)
    self.downsample = None
    if first:
      self.downsample = nn.Sequential(
        nn.Conv2d(inputs, features, 1, stride, bias=False),
        nn.BatchNorm2d(features),
      )

  def forward(self, x):
    y = F.relu(self.bn1(self.conv1(x)))
    y = F.relu(self.bn2(self.conv2(y)))
    y = self.bn3(self.conv3(y))
    return F.relu(y + (self.downsample(x) if self.downsample else x))


class MidasCNN(nn.Module):
  """MiDaS v2.1 (large), of any width and depth."""

  def __init__(self, depths, width, groups, features):
    super().__init__()
    stages, inputs = [], 64
    for stage, depth in enumerate(depths):
      channels, blocks = width * 2**stage, []
      for index in range(depth):
        stride = 2 if index == 0 and stage > 0 else 1
        blocks.append(Bottleneck(inputs, channels, stride, groups, index == 0))
        inputs = channels
      stages.append(nn.Sequential(*blocks))
    self.pretrained = container(
      layer1=nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        stages[0],
      ),
      layer2=stages[1],
      layer3=stages[2],
      layer4=stages[3],
    )
    self.scratch = scratch(
      [width * 2**i for i in range(4)],
      features,
      old=True,
      output_conv=nn.Sequential(
        nn.Conv2d(features, 128, 3, padding=1),
        nn.Upsample(scale_factor=2, mode='bilinear'),
        nn.Conv2d(128, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 1, 1),
        nn.ReLU(),
      ),
    )

  def forward(self, x):
    maps = []
    for index in (1, 2, 3, 4):
      x = getattr(self.pretrained, f'layer{index}')(x)
      maps.append(x)
    return self.scratch.output_conv(fuse(self.scratch, maps))[:, 0]
