"""Published weights by name: addresses, hashes, and image preparation.

The digits at the end of a file's name are the first of its SHA-256, by the convention of
torch.hub. They are copied from the packages that publish the files. torchvision checks its own at
each download (github.com/pytorch/vision, pull request 8036), and its check printed whole hashes
(issue 7744). The other packages do not check theirs.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from scalesearch.config.validation import suggestion
from scalesearch.data.augmentation.geometry import IMAGENET_MEAN, IMAGENET_STD
from scalesearch.data.preparation import Interpolation, Preparation
from scalesearch.downloads import Download
from scalesearch.errors import WeightsError
from scalesearch.scaling.published import PUBLISHED_MODELS

INCEPTION_STATISTICS = (0.5, 0.5, 0.5)
"""Mean and deviation of pixels from -1 to 1, as AdvProp's networks were trained."""

TORCHVISION_URL = "https://download.pytorch.org/models/"
LUKEMELAS_URL = "https://github.com/lukemelas/EfficientNet-PyTorch/releases/download/1.0/"
TIMM_URL = "https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-weights/"

MEMBER_NAMES = ("b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7")
MEMBER_PIXELS = {member: PUBLISHED_MODELS[member].resolution for member in MEMBER_NAMES}
"""Sides of the inputs, by the paper's name of the network."""

TIMM_CROP_FRACTIONS = {
    "b0": 0.875,
    "b1": 0.882,
    "b2": 0.890,
    "b3": 0.904,
    "b4": 0.922,
    "b5": 0.934,
    "b6": 0.942,
    "b7": 0.949,
}
"""timm's ``crop_pct``: the part of an image's side that is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainedWeights:
    """Weights that somebody published.

    ``member``: the network, b0 to b7. ``layout``: names of the tensors in the file. ``resize``:
    side that an image's shorter side is scaled to before ``pixels`` are cut from its centre.
    """

    name: str
    member: str
    layout: str
    download: Download
    pixels: int
    resize: int
    interpolation: Interpolation = "bicubic"
    uses_inception_statistics: bool = False
    about: str

    @property
    def architecture(self) -> str:
        """Name of the network for ``import_weights``."""
        return f"efficientnet_{self.member}"

    @property
    def preparation(self) -> Preparation:
        """Preparation of an image in the publisher's own evaluation."""
        return Preparation(
            pixels=self.pixels,
            stored=self.resize,
            zoom=self.resize / self.pixels,
            mean=INCEPTION_STATISTICS if self.uses_inception_statistics else IMAGENET_MEAN,
            std=INCEPTION_STATISTICS if self.uses_inception_statistics else IMAGENET_STD,
            interpolation=self.interpolation,
        )

    def row(self) -> dict[str, str | int]:
        """Row in the list of published weights."""
        return {
            "name": self.name,
            "layout": self.layout,
            "pixels": self.pixels,
            "sha256": self.download.sha256,
            "about": self.about,
            "address": self.download.urls[0],
        }


def pretrained_weights(name: str) -> PretrainedWeights:
    """Weights of that name; ``efficientnet_b0`` means ``efficientnet-b0``.

    Raises WeightsError, naming the known ones, for any other.
    """
    for spelling in (name, name.replace("efficientnet_b", "efficientnet-b")):
        if spelling in PRETRAINED:
            return PRETRAINED[spelling]
    raise WeightsError(
        "weights: need a published name, a file, an address or hf:OWNER/NAME, got "
        f"{name!r}; {suggestion(name, PRETRAINED)}"
    )


_TORCHVISION_V1 = "torchvision, IMAGENET1K_V1"
_TORCHVISION_FILES = """
b0 efficientnet_b0_rwightman-7f5810bc.pth 224 256
b1 efficientnet_b1_rwightman-bac287d4.pth 240 256
b2 efficientnet_b2_rwightman-c35c1473.pth 288 288
b3 efficientnet_b3_rwightman-b3899882.pth 300 320
b4 efficientnet_b4_rwightman-23ab8bcd.pth 380 384
b5 efficientnet_b5_lukemelas-1a07897c.pth 456 456
b6 efficientnet_b6_lukemelas-24a108a5.pth 528 528
b7 efficientnet_b7_lukemelas-c5b4e57e.pth 600 600
"""
"""Network, file, side of the input, side that is resized to: torchvision 0.28,
``torchvision/models/efficientnet.py``."""

_FULL_HASHES = (
    "7f5810bc96def8f7552d5b7e68d53c4786f81167d28291b21c0d90e1fca14934",
    "c35c147384e385a5bab5a8eabdabbe5a3df0487ee4a554108626ae474a5bf755",
    "b3899882250c22946d0229d266049fcd133c169233530b36b9ffa7983988362f",
    "23ab8bcd5bdbef61a7a43b91adcad81f622fd7f36fb4935a569828d77888c44e",
    "1a07897c0d357db7981640f6be44a63420f11deb932344a69768b62ebe272946",
    "24a108a596a00ad522bdfb9a2d98a9bd31819dfd7e37dd96bad6bb5bc00d6015",
    "c5b4e57e0da1a10bb4f8a5b410dd3b7b6e7461f9b757209be29409707c3d87dd",
)
"""Whole hashes of torchvision's B0 and B2 to B7, as its own check printed them
(github.com/pytorch/vision/issues/7744, 10 October 2023)."""

_LUKEMELAS_HASHES = "355c32eb f1951068 8bb594d6 5fb5a3c3 6ed6700e b6417697 c76e70fd dcc49843"
_LUKEMELAS_ADVPROP_HASHES = (
    "b64d5a18 0f3ce85a 6e9d97e5 cdd7c0f4 44fb3a87 86493f6b ac80338e 4652b6dd"
)
"""B0 to B7: efficientnet_pytorch 0.7.1, ``efficientnet_pytorch/utils.py``."""

_TIMM_HASHES = {
    # suffix in timm, in its files, description
    "in1k": ("", "0af12548 5c1377c4 e393ef04 e3bd6955 74ee3bed c6949ce9"),
    "aa_in1k": (
        "_aa",
        "827b6e33 ea7a6ee0 60c94f97 84b4657e 818f208c 99018a74 80ba17e4 076e3472",
    ),
    "ap_in1k": (
        "_ap",
        "f262efe1 44ef0a3d 2f8e7636 aad25bdd dedb23e6 9e82fae8 4ffb161f ddb28fec",
    ),
    "ns_jft_in1k": (
        "_ns",
        "c0e6a31c 99dd0c41 00306e48 9d44bf68 d6313a46 6f26d0cf 51548356 1dbc32de",
    ),
}
"""``tf_efficientnet_b0`` and so on: timm 1.0.31, ``timm/models/efficientnet.py``."""

_ABOUT_TIMM = {
    "in1k": "timm, of TensorFlow's baseline training",
    "aa_in1k": "timm, of TensorFlow's AutoAugment training",
    "ap_in1k": "timm, of TensorFlow's AdvProp training (pixels from -1 to 1)",
    "ns_jft_in1k": "timm, of TensorFlow's Noisy Student training on JFT",
}


def _all_weights() -> Iterator[PretrainedWeights]:
    for line in _TORCHVISION_FILES.split("\n")[1:-1]:
        member, file, pixels, resize = line.split()
        yield PretrainedWeights(
            name=f"efficientnet-{member}",
            member=member,
            layout="torchvision",
            download=_download(TORCHVISION_URL, file),
            pixels=int(pixels),
            resize=int(resize),
            about=_TORCHVISION_V1,
        )
    yield PretrainedWeights(
        name="efficientnet-b1:torchvision-v2",
        member="b1",
        layout="torchvision",
        download=_download(TORCHVISION_URL, "efficientnet_b1-c27df63c.pth"),
        pixels=240,
        resize=255,
        interpolation="bilinear",
        about="torchvision, IMAGENET1K_V2",
    )
    for kind, digits, about in (
        ("", _LUKEMELAS_HASHES, "efficientnet_pytorch, of TensorFlow's AutoAugment training"),
        (
            "-advprop",
            _LUKEMELAS_ADVPROP_HASHES,
            "efficientnet_pytorch, AdvProp (pixels from -1 to 1)",
        ),
    ):
        for member, hash_start in zip(MEMBER_PIXELS, digits.split(), strict=True):
            prefix = "adv-" if kind else ""
            yield PretrainedWeights(
                name=f"efficientnet-{member}:lukemelas{kind}",
                member=member,
                layout="lukemelas",
                download=_download(
                    LUKEMELAS_URL, f"{prefix}efficientnet-{member}-{hash_start}.pth"
                ),
                pixels=MEMBER_PIXELS[member],
                resize=MEMBER_PIXELS[member],
                uses_inception_statistics=bool(kind),
                about=about,
            )
    yield from _timm_weights()


def _timm_weights() -> Iterator[PretrainedWeights]:
    for tag, (suffix, digits) in _TIMM_HASHES.items():
        for member, hash_start in zip(MEMBER_PIXELS, digits.split(), strict=False):
            yield PretrainedWeights(
                name=f"tf_efficientnet_{member}.{tag}",
                member=member,
                layout="timm-tf",
                download=_download(TIMM_URL, f"tf_efficientnet_{member}{suffix}-{hash_start}.pth"),
                pixels=MEMBER_PIXELS[member],
                resize=math.floor(MEMBER_PIXELS[member] / TIMM_CROP_FRACTIONS[member]),
                uses_inception_statistics=tag == "ap_in1k",
                about=_ABOUT_TIMM[tag],
            )


def _download(folder: str, file: str) -> Download:
    """Return the file, with as much of its hash as is published."""
    digits = file.removesuffix(".pth").rpartition("-")[2]
    full_hashes = [full_hash for full_hash in _FULL_HASHES if full_hash.startswith(digits)]
    return Download(file, full_hashes[0] if full_hashes else digits, (folder + file,))


PRETRAINED = {weights.name: weights for weights in _all_weights()}
"""Weights that ``from_pretrained`` knows by name."""
