"""The fifteen common corruptions of Hendrycks and Dietterich (ICLR 2019), made on the device.

Constants are those of CIFAR-10-C, for images of 32 x 32 pixels, from the authors' script; chance
comes from fixed streams, so every machine corrupts alike. `corrupt` makes one at one severity.
CIFAR-10-C itself was drawn from an unseeded generator and is not the same images.
"""

from dcbench.training.corruptions.table import corrupt

__all__ = ["corrupt"]
