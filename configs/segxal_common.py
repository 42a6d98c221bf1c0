"""Fields of active learning, beside those of `common`, at the paper's values.

Counts of 0 are worked out from the percentages beside them. What the paper
leaves open and why these values: docs/guide/segxal.md.
"""

import ml_collections

from configs import common


def _pool() -> ml_collections.ConfigDict:
  pool = ml_collections.ConfigDict()
  # D^L at the start, and the images that each cycle queries.
  pool.initial_percent = 10.0
  pool.num_initial = 0
  pool.query_percent = 5.0
  pool.num_query = 0
  # D^S: the random part of D^U that a cycle scores.
  pool.subset_share = 0.5
  # Images of the training split set aside for validation, drawn as DEAL's
  # code draws them; 0: data.validation_split.
  pool.holdout = 0
  # Of so many stratified folds of the pool one, from 0, is left out of it and
  # tested on (configs/al_reference.py); 0 folds: none.
  pool.folds = 0
  pool.fold = 0
  return pool


def _learner() -> ml_collections.ConfigDict:
  learner = ml_collections.ConfigDict()
  # 'own': the networks of this package, trained here. 'command': a network of
  # one's own, which a command trains (configs/segxal_own.py).
  learner.kind = 'own'
  # Run in each cycle, without a shell: {pool} is a folder with what is labelled
  # so far, {model} the ONNX file to write, {cycle} a number from 1. A run whose
  # command failed continues with another one.
  learner.command = ''
  return learner


def _acquisition() -> ml_collections.ConfigDict:
  acquisition = ml_collections.ConfigDict()
  # One of `segxal_jax.acquisition.ACQUISITIONS`; what each needs and costs:
  # docs/guide/active_learning.md.
  acquisition.strategy = 'eem'
  # An image's score is the mean of this share of its highest pixels.
  acquisition.top_share = 1.0
  # Of the dropout committee behind the three strategies that need one.
  acquisition.members = 10
  acquisition.dropout = 0.2
  # badge: numbers that are kept of an image's gradient.
  acquisition.gradient_dims = 512
  # ripu: its windows have 2 * window + 1 pixels a side.
  acquisition.window = 1
  # pixelpick: pixels queried in an image, drawn from this share of its
  # most uncertain ones.
  acquisition.pixels = 10
  acquisition.pixel_share = 0.05
  # ensemble_*: networks of the committee, S among them.
  acquisition.ensemble = 5
  # deal_*: pixels to a cell of the attention, form of the branch's loss
  # ('wce' or 'bce'), levels of the difficulty entropy.
  acquisition.deal_stride = 8
  acquisition.deal_loss = 'wce'
  acquisition.deal_levels = 8
  # s4al: weight of the past in the teacher, probability from which it labels
  # a pixel, and the side of the cells, in pixels.
  acquisition.teacher_decay = 0.99
  acquisition.teacher_confidence = 0.7
  acquisition.cell = 16
  # vaal: side of the autoencoder's images, its latent
  # dimensions, and its training.
  acquisition.vaal_side = 64
  acquisition.vaal_latent = 128
  acquisition.vaal_steps = 2_000
  acquisition.vaal_batch_size = 16
  acquisition.vaal_learning_rate = 5e-4
  return acquisition


def _explanation(config: ml_collections.ConfigDict) -> None:
  config.cam = ml_collections.ConfigDict()
  # Submodule whose output Grad-CAM weights; '': the network's deepest.
  config.cam.layer = ''
  config.cam.method = 'gradcam'  # or 'hirescam'
  # 'predicted': one map of the predicted classes' logits; 'classes': one for
  # each of `classes` (none: all), and their maximum.
  config.cam.target = 'predicted'
  config.cam.classes = ()
  config.cam.z = 'cells'  # or 'positive_sum'
  # Only logits of near pixels count.
  config.cam.near_target = False

  config.eem = ml_collections.ConfigDict()
  # 'fixed', or 'fitted' to the errors on validation images in each cycle;
  # a part whose weight below is 0 stays out then too.
  config.eem.weights = 'fixed'
  config.eem.alpha = 0.5  # of PAE
  config.eem.beta = 0.5  # of the entropy
  # Of FSNet's failure score; needs phase2_steps.
  config.eem.gamma = 0.0
  # How much more an error counts where it is nearest, against far ones.
  config.eem.near_weight = 0.0
  # Side of a patch for the entropy of the authors' code; 0: per pixel, eq. 1.
  config.eem.patch_entropy = 0

  config.depth = ml_collections.ConfigDict()
  # ground_plane, dataset, depth_anything, dinov2, midas.
  config.depth.provider = 'ground_plane'
  # Of a depth network: its file, the side of its images (0: its own),
  # and the range in metres of a metric one (0: its own, or relative depth).
  config.depth.weights = ''
  config.depth.side = 0
  config.depth.max_depth = 0.0
  config.depth.horizon = 0.45  # of ground_plane, share of the height
  config.depth.threshold = 'otsu'  # or 'soft'
  config.depth.percentiles = (2.0, 98.0)
  # Rows at the bottom that show the own vehicle, share of the height.
  config.depth.ego_share = 0.0


def _question(config: ml_collections.ConfigDict) -> None:
  config.regions = ml_collections.ConfigDict()
  config.regions.kind = 'superpixels'  # or 'patches'
  config.regions.num_segments = 100
  config.regions.compactness = 10.0
  config.regions.patch = 8
  # At most so many regions of an image are selected.
  config.regions.count = 10

  config.oracle = ml_collections.ConfigDict()
  # simulated_human, gt_patch, self_pseudo, full_image, label_studio, replay.
  config.oracle.kind = 'simulated_human'
  config.oracle.patch = 8
  # The label outside the answer: the network's 'prediction',
  # its 'confident' part, or 'void'.
  config.oracle.rest = 'prediction'
  config.oracle.min_confidence = 0.9
  # An object that fills this share of a region is part of the answer.
  config.oracle.min_share = 0.25
  config.oracle.border_noise_px = 0
  config.oracle.wrong_class = 0.0
  # label_studio (docs/guide/human_in_the_loop.md): stop with exit code 75 while
  # annotations are missing, or wait and look again every so often.
  config.oracle.wait = False
  config.oracle.poll_secs = 15.0
  # For reports alone: what a click is estimated to take where nobody measured
  # the time. 7 s for the four clicks on an object's extreme points, by crowd
  # workers (Papadopoulos et al., ICCV 2017); 0: no estimate.
  config.oracle.secs_a_click = 1.75
  # replay: --workdir of the run whose answers are repeated.
  config.oracle.recorded = ''

  config.selection = ml_collections.ConfigDict()
  config.selection.rule = 'dice'  # or 'all'
  config.selection.theta = 0.75


def _stop() -> ml_collections.ConfigDict:
  stop = ml_collections.ConfigDict()
  # Queries; training follows each, so there is one more measurement.
  stop.cycles = 6
  # Budgets, those of rejected annotations and the seed set included; 0: none.
  stop.images = 0
  stop.pixels = 0
  stop.clicks = 0
  # Cycles without a rise of the validation mIoU; 0: no such end.
  stop.plateau_patience = 0
  stop.plateau_min_delta = 0.002
  return stop


def get_config() -> ml_collections.ConfigDict:
  """The paper's protocol on U-Net, with no data set chosen."""
  config = common.get_config()
  config.task = 'segxal'
  config.batch_size = 16
  config.segmentation.name = 'unet'
  config.segmentation.features = 'bottleneck'
  config.segmentation.dropout_rate = 0.0
  config.optimizer.kind = 'adam'
  config.optimizer.learning_rate = 1e-4
  config.optimizer.weight_decay = 0.0
  # Steps of a cycle: S alone, then S and F (0: there is no F).
  config.phase1_steps = 10_000
  config.phase2_steps = 0
  # Its failure network is trained along, or not at all.
  config.phase3_steps = 0
  config.warm_start = False
  # What each labelled image adds to phase1_steps (and poly_steps, in their
  # ratio); 0: cycles are of equal length.
  config.steps_per_image = 0
  # Where a test set has depth, pixels nearer than so many metres are measured
  # by themselves too: what proximity is for. 0: not.
  config.eval.near_m = 15.0
  config.pool = _pool()
  config.learner = _learner()
  config.acquisition = _acquisition()
  _explanation(config)
  _question(config)
  config.stop = _stop()
  config.report = ml_collections.ConfigDict()
  # Questions shown for each cycle, and images followed through all cycles.
  config.report.num_examples = 2
  config.report.num_watched = 1
  config.compare = ml_collections.ConfigDict()
  # Methods and seeds of configs/al_compare.py; none: one run of this config.
  config.compare.arms = ()
  config.compare.seeds = ()
  config.reference = ml_collections.ConfigDict()
  # Cells of configs/al_reference.py; no seed: one run of this config. Shares
  # of the pool that are labelled at random, whole images by the ground truth,
  config.reference.percents = ()
  # folds of the pool that is labelled whole,
  config.reference.folds = 0
  config.reference.seeds = ()
  # queries after the first training (the paper's figure 7 has 5), and steps
  # of a training on the whole pool (0: as the others, phase1_steps).
  config.reference.cycles = 0
  config.reference.full_steps = 0
  return config
