"""Fields that every FSNet config has, at the paper's values.

A config file changes what its protocol needs; `--config.field=value` on the
command line changes the rest. Sizes are (height, width) in pixels.
"""

import ml_collections


def _data() -> ml_collections.ConfigDict:
  data = ml_collections.ConfigDict()
  data.name = 'streets'
  # Folder of the images as downloaded; empty for data that are drawn.
  data.root = ''
  # The classes: a class table (docs/guide/your_network.md), of which a run
  # keeps the content; empty: `classes.json` in the root of a `folder`, or
  # the 19 of Cityscapes. Of other data sets its ids are Cityscapes' trainIds.
  data.classes = ''
  # Of a `folder` without splits: shares for training, validation and test,
  # such as '0.7/0.15/0.15'.
  data.split = ''
  # Where prepared copies are kept; empty: $TFDS_DATA_DIR or
  # ~/tensorflow_datasets.
  data.cache_dir = ''
  # A damaged file: 'stop' with its name, or 'skip' and list it.
  data.on_error = 'stop'
  # [variant]:split of `data.name`; no validation_split = no validation. What is
  # fitted or chosen on it must not be what is evaluated.
  data.train_split = 'day:train'
  data.validation_split = 'day:validation'
  # Scenes of each split of `data.name`: how many are drawn, or evenly taken
  # of those there are; 0 = all, or the data set's own number. Other data sets
  # that are evaluated are not cut.
  data.num_train = 0
  data.num_validation = 0
  data.num_test = 0
  # Share of the training split that is used, evenly spaced.
  data.train_fraction = 1.0
  # Names of input_pipeline.transforms, in order.
  data.augment = ('flip',)
  # Reader processes; 0 reads in threads.
  data.num_workers = 0
  return data


def _segmentation() -> ml_collections.ConfigDict:
  segmentation = ml_collections.ConfigDict()
  # or 'deeplab_v2', 'unet', 'efficientnet_unet'; a network from elsewhere:
  # 'onnx', 'logits' or 'python' (configs/own.py)
  segmentation.name = 'fcn8'
  # Of a network from elsewhere: model.onnx, a folder of logits, or
  # module:function; processor threads (0: all) and 'cpu' or 'cuda' of an ONNX
  # file; whether outputs are kept on disk, in 13 bytes a pixel ('top3'), so
  # that it runs on each image once.
  segmentation.path = ''
  # Further such files between commas: an ensemble with the first, for the
  # detectors 'ensemble' and 'ensemble_mi'.
  segmentation.members = ''
  segmentation.threads = 0
  segmentation.provider = 'cpu'
  segmentation.cache = 'off'
  # S_E(x). fcn8: 'pool5' or 'fc7'; deeplab_v2: 'layer4' or 'aspp'; unet:
  # 'bottleneck'.
  segmentation.features = 'pool5'
  segmentation.dropout_rate = 0.5
  # Of the mean-free 0..255 image; for fcn8, about 1/64 suits random weights.
  # unet normalises by itself.
  segmentation.input_scale = 1.0
  # fcn8 alone: the padding, the width of the head (0: 4096 * width) and the
  # factors before score_pool4 and score_pool3.
  segmentation.padding = 'pad99'
  segmentation.head_width = 0
  segmentation.skip_scale = (0.01, 0.0001)
  # deeplab_v2 alone: 'synthcp' (ASPP with batch norm) or 'v2' (sum of four
  # atrous convolutions); whether the backbone's batch norms keep their scale
  # and bias; and the backbone's blocks in each stage.
  segmentation.head = 'synthcp'
  segmentation.frozen_bn = False
  segmentation.blocks = (3, 4, 23, 3)
  return segmentation


def _networks(config: ml_collections.ConfigDict) -> None:
  config.segmentation = _segmentation()
  # Of both networks' inner computation; parameters, statistics of batch
  # norm, logits and losses are float32 in any case.
  config.compute_dtype = 'float32'  # or 'bfloat16'
  # Computes blocks again in the backward pass: less memory, more work.
  config.remat = False

  failure = ml_collections.ConfigDict()
  # What detector 'fsnet' is: 'paper', the joint phase's F; 'light', phase 3's
  # per-pixel networks, which then take one pass of S; 'robust', the mean of
  # both and of a convolutional one.
  failure.preset = 'robust'
  # Images that phase 3 learns from: 'near' (clean and augmented), 'balanced'
  # (a third of them mildly shifted), 'far' (half of them shifted) or 'clean'.
  failure.mix = 'balanced'
  failure.decoder = 'skips'  # or 'literal' (the paper), 'four_scale'
  failure.branches = 'multi'  # or 'single'
  failure.inputs = ('x', 'w1', 'w2', 'w3', 'w4', 'seg_features')
  failure.w4 = 'scaled'  # or 'raw'
  failure.msp_residual = False  # or True: a correction to MSP's log-odds
  # Of each stage of the ResNets: 2 is ResNet18. 0: 2 for the paper's F and
  # where `init.failure_encoder` is set, else 1, at two thirds of its time.
  failure.blocks = 0
  failure.width = 0.0  # 0: as `width`
  config.failure = failure

  config.init = ml_collections.ConfigDict()
  # What the networks begin with (docs/guide/weights.md); empty: random weights.
  # Folders made by `python -m fsnet_jax.weights convert`: the backbone of S
  # (vgg16 for fcn8, resnet101 for deeplab_v2, efficientnet_lite0 for
  # efficientnet_unet), or all of S (fcn8, deeplabv2), and the encoders of F
  # (resnet18). `backbone` may also be the .npz of VGG16's convolutions or, for
  # efficientnet_unet, 'imagenet': those of a package that pip installs;
  # `segmentation` the workdir of an earlier run.
  config.init.backbone = ''
  config.init.segmentation = ''
  config.init.failure_encoder = ''
  # Workdir of a run to go on from at the end of its phase 1; only F and what
  # trains it may differ (configs/ablation.py).
  config.init.phase1 = ''


def _optimizer() -> ml_collections.ConfigDict:
  optimizer = ml_collections.ConfigDict()
  # S: SGD as SynthCP trains FCN8; 'adam' converges in hundreds of steps.
  optimizer.kind = 'sgd'
  optimizer.learning_rate = 2e-4
  optimizer.momentum = 0.99
  optimizer.weight_decay = 5e-4
  # Multiplies the learning rate of S's encoder, what `init.backbone` sets:
  # below 1 where it begins with trained weights and the rest with random ones.
  optimizer.encoder_scale = 1.0
  optimizer.schedule = 'constant'  # or 'poly', 'cosine'
  optimizer.warmup_steps = 0
  # After which 'poly' and 'cosine' are 0.
  optimizer.poly_steps = 250_000
  optimizer.poly_power = 0.9
  optimizer.clip_norm = 0.0  # 0: off
  # F: Adam (paper IV).
  optimizer.failure_learning_rate = 2e-4
  return optimizer


def _phases(config: ml_collections.ConfigDict) -> None:
  config.phase1_steps = 20_000
  config.phase2_steps = 10_000
  # Of each failure network over the frozen S; 0: the joint phase's alone.
  config.phase3_steps = 2_000
  # When S counts as converged: after phase1_steps ('steps'), or once the
  # validation loss has not fallen by min_delta for `patience` validations
  # ('plateau'; phase1_steps is then the upper bound).
  config.switch = 'steps'
  config.plateau = ml_collections.ConfigDict()
  config.plateau.patience = 3
  config.plateau.min_delta = 0.001

  config.loss = ml_collections.ConfigDict()
  config.loss.form = 'balanced'  # or 'pos_weight'
  config.loss.beta_range = (0.5, 0.99)
  config.loss.l2_weight = 1.0
  config.loss.l2_warmup_steps = 0
  config.stop_gradient_to_segmentation = False


def _evaluation() -> ml_collections.ConfigDict:
  evaluation = ml_collections.ConfigDict()
  evaluation.datasets = ('streets/day',)
  # Folder in evaluations/ that --mode=evaluate writes to; empty: named by the
  # data sets and a digest of what else is asked for.
  evaluation.name = ''
  # Folder by data set, for those that are not `data.name`.
  evaluation.roots = ml_collections.ConfigDict(
    {
      'cityscapes': '',
      'camvid': '',
      'bdd100k': '',
      'mapillary_vistas': '',
      'idd_lite': '',
    }
  )
  # How images of files reach `image_size`: 'squeeze' whatever their shape, as
  # in training, or 'letterbox': in their own shape, between void bars.
  evaluation.resize = 'squeeze'
  # Tells only the groups of the class table apart: a car called a truck is no
  # error where both are vehicles.
  evaluation.groups = False
  # Names of docs/guide/detectors.md, or module:Class of a file of your own.
  evaluation.detectors = ('fsnet', 'msp', 'entropy')
  evaluation.batch_size = 8
  # Passes of detector 'mc_dropout'.
  evaluation.dropout_samples = 50
  # Folder of each detector that learns, as configs/fit_detector.py left it.
  evaluation.fitted = ml_collections.ConfigDict(
    {
      'tcp': '',
      'tcp_synthcp': '',
      'direct': '',
      'synthcp': '',
      'ensemble': '',
      'class_logistic': '',
      'class_logistic_shift': '',
      'tcp_shift': '',
      'direct_shift': '',
      'synthcp_shift': '',
      'obsnet': '',
    }
  )
  evaluation.checkpoint = 'last'  # or 'best'
  evaluation.num_examples = 4
  # Classes of up to so many pixels are ranked exactly, larger ones in
  # histograms whose error is below 1e-5 (per-class FPR95: about 5e-4).
  evaluation.exact_pixels = 1 << 17
  # Metrics by predicted class, at edges of classes and in small objects too.
  evaluation.details = True
  return evaluation


def _tcp(fit: ml_collections.ConfigDict) -> None:
  fit.tcp = ml_collections.ConfigDict()
  fit.tcp.steps = 40_000
  fit.tcp.batch_size = 4
  fit.tcp.learning_rate = 5e-5
  # 'tuned': a copy of S that learns with the head, as SynthCP's; 'frozen':
  # S itself, as ConfidNet's first phase.
  fit.tcp.backbone = 'tuned'
  # 'segmentation': the image as S was trained on it; 'synthcp': as SynthCP
  # feeds it, 57 times too small. Detector 'tcp_synthcp' has these options too,
  # but for 'synthcp' here and 'stretched' below.
  fit.tcp.input = 'segmentation'
  # fcn8 with padding 'pad99': maps laid 'aligned' over the image, or
  # 'stretched' to its size with their padding, as SynthCP's.
  fit.tcp.alignment = 'aligned'


def _obsnet(fit: ml_collections.ConfigDict) -> None:
  fit.obsnet = ml_collections.ConfigDict()
  # 50 epochs of Cityscapes.
  fit.obsnet.steps = 18_550
  fit.obsnet.batch_size = 8
  fit.obsnet.learning_rate = 1e-3
  # Step of the attacks on S, for images of 0..1, and the share of the images
  # that are attacked; 0 for an S from elsewhere, which has no gradient.
  fit.obsnet.attack_size = 0.02
  fit.obsnet.attack_share = 1.0


def _failure_networks(fit: ml_collections.ConfigDict) -> None:
  # Phase 3's networks, of pixels (so many of each image; the share of a class's
  # mean that is taken away; whether S also sees the mirrored image, not
  # for 'light'; passes of S with dropout; whether a second network sees no
  # colour; units; every so many pixels, 0: 2 for 'light') and convolutional.
  fit.pixel = ml_collections.ConfigDict()
  fit.pixel.batch_size = 16
  fit.pixel.pixels = 1500
  fit.pixel.learning_rate = 3e-3
  fit.pixel.weight_decay = 1e-3
  fit.pixel.centering = 0.5
  fit.pixel.flip = True
  fit.pixel.dropout_samples = 0
  fit.pixel.colorless = True
  fit.pixel.units = 64
  fit.pixel.stride = 0
  fit.conv = ml_collections.ConfigDict()
  fit.conv.batch_size = 8
  fit.conv.learning_rate = 1e-3
  fit.conv.weight_decay = 0.01


def _calibration() -> ml_collections.ConfigDict:
  calibration = ml_collections.ConfigDict()
  # Of --mode=calibrate (docs/guide/calibrate.md): labelled images that nothing
  # was trained or chosen on; empty: data.validation_split.
  calibration.dataset = ''
  # Whose P(wrong): a name of docs/guide/detectors.md.
  calibration.detector = 'fsnet'
  # 'passing': at most `limit` of the pixels that pass are misclassified;
  # 'undetected': at most `limit` of all pixels are misclassified and pass.
  calibration.risk = 'passing'
  calibration.limit = 0.05
  calibration.confidence = 0.95
  # or 'mean': over calibrations, without a confidence ('undetected' alone)
  calibration.guarantee = 'high_probability'
  # What is drawn independently: 'image', 'group', or by the data set.
  calibration.unit = 'auto'
  # Of the units, for P(wrong) and the thresholds that are tried.
  calibration.fit_share = 0.2
  calibration.thresholds = 200
  return calibration


def _prediction() -> ml_collections.ConfigDict:
  prediction = ml_collections.ConfigDict()
  # Of --mode=predict (docs/guide/predict.md): share of an image's pixels that
  # a flagged region has at least to be a row of segments.csv.
  prediction.segment_share = 0.0005
  # Folder of depth maps, grey PNG of 16 bits called as the images, for the
  # column depth_m of segments.csv; 0 = no measurement. Empty: none but those
  # beside Cityscapes' images.
  prediction.depth = ''
  # What a pixel of them has for a metre: 1000 = millimetres, 256 as KITTI.
  prediction.depth_per_metre = 1000.0
  # So many of the worst images are sent to the Label Studio that
  # LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY name.
  prediction.send_to_label_studio = 0
  return prediction


def _export() -> ml_collections.ConfigDict:
  export = ml_collections.ConfigDict()
  # Of --mode=export (docs/guide/export.md). Of a .jaxexport file: sizes of
  # images, ((h, w), ...), beside the run's own.
  export.sizes = ()
  # Of a .tflite file: type of the weights in it.
  export.tflite_dtype = 'float32'  # or 'float16': half as large, less exact
  return export


def _fit() -> ml_collections.ConfigDict:
  fit = ml_collections.ConfigDict()
  # Which one `configs/fit_detector.py` fits: tcp, tcp_synthcp, direct, synthcp,
  # ensemble, obsnet or class_logistic; with _shift after the name (not ensemble
  # or obsnet), on the images that phase 3 learns from.
  fit.detector = 'tcp'
  # Of the detector's networks; 0: as `failure.width`, and then as `width`.
  fit.width = 0.0
  # The errors it learns from: 'folds', those of networks S that have not
  # seen the image (trained for it, as SynthCP has it), or 'own', those of
  # the frozen S on its own training images.
  fit.predictions = 'folds'
  fit.num_folds = 4
  # Where those predictions are, for several detectors to share; empty: in
  # the detector's own folder.
  fit.failure_data = ''
  # Set by the program: the fold that S is not trained on; -1: none.
  fit.hold_out = -1

  _tcp(fit)
  fit.direct = ml_collections.ConfigDict()
  fit.direct.steps = 20_000
  fit.direct.batch_size = 4
  fit.direct.learning_rate = 2e-4

  fit.synthcp = ml_collections.ConfigDict()
  # The comparison network.
  fit.synthcp.steps = 20_000
  fit.synthcp.batch_size = 4
  fit.synthcp.learning_rate = 2e-4
  # The generator and its discriminator: 50 epochs of Cityscapes.
  fit.synthcp.gan_steps = 12_350
  fit.synthcp.gan_batch_size = 12
  fit.synthcp.gan_width = 0.0  # 0: as `fit.width`
  fit.synthcp.generator_learning_rate = 1e-4
  fit.synthcp.discriminator_learning_rate = 4e-4
  # VGG19's convolutions (.npz) for the perceptual loss; empty: without.
  fit.synthcp.vgg19 = ''

  fit.ensemble = ml_collections.ConfigDict()
  # Networks S in all, the frozen one among them: at least 2. With a fifth,
  # a comparison at full size takes twice as long as TCP alone, and more.
  fit.ensemble.members = 4

  _obsnet(fit)
  # Batches of images, and pixels of each, that the regression is solved on.
  fit.class_logistic = ml_collections.ConfigDict()
  fit.class_logistic.steps = 50
  fit.class_logistic.batch_size = 8
  fit.class_logistic.pixels = 1000
  _failure_networks(fit)
  return fit


def get_config() -> ml_collections.ConfigDict:
  """The paper's protocol, with no data set chosen."""
  config = ml_collections.ConfigDict()
  config.task = 'fsnet'
  config.seed = 0
  config.batch_size = 8
  # Pieces a batch is worked through in, to train it in less memory.
  config.accumulate_steps = 1
  config.image_size = (256, 512)
  config.width = 1.0
  config.data = _data()
  _networks(config)
  config.optimizer = _optimizer()
  _phases(config)
  config.fit = _fit()
  config.eval = _evaluation()
  config.calibrate = _calibration()
  config.predict = _prediction()
  config.export = _export()
  config.log_every_steps = 50
  # Validation happens with each checkpoint.
  config.checkpoint_every_steps = 1000
  # Compiled programs kept between runs; empty: ~/.cache/fsnet_jax; 'off'.
  config.compilation_cache_dir = ''
  return config
