"""The GAN of SynthCP, which draws images from label maps."""
