"""Writes networks of Keras with drawn weights to a folder, and what they say of drawn images.

A program of its own: Keras is slow to import, and chooses its back end for the whole process.
"""

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import h5py
import keras
import numpy as np
from keras.applications import EfficientNetB0, EfficientNetB3

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def stirred(model, mean, variance):
    """The model, all its variables drawn but for the statistics of images."""
    draws = np.random.default_rng(0)
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "Normalization":
            layer.set_weights([np.float32(mean), np.float32(variance), np.int32(0)])
            layer.finalize_state()
        elif kind == "BatchNormalization":
            size = layer.gamma.shape
            spans = ((0.7, 1.3), (-0.3, 0.3), (-0.3, 0.3), (0.05, 1.0))
            layer.set_weights([draws.uniform(low, high, size) for low, high in spans])
        elif weights := layer.get_weights():
            kernel, *biases = weights
            inputs = kernel[:, :, 0] if kind == "DepthwiseConv2D" else kernel[..., 0]
            drawn = [draws.normal(0, (0.7 / inputs.size) ** 0.5, kernel.shape)]
            layer.set_weights([*drawn, *(draws.uniform(-0.5, 0.5, bias.shape) for bias in biases)])
    return model


def answers(model, images):
    return np.asarray(keras.ops.convert_to_numpy(model(images, training=False)))


def without_layer_names(source, target):
    """The file as older versions of Keras 3 write it."""
    with h5py.File(source) as file, h5py.File(target, "w") as copy:
        for name in file:
            file.copy(name, copy)
        copy.visititems(lambda place, thing: thing.attrs.pop("name", None))


def write(folder):
    # Side 64 is even and 65 odd, where SAME padding is symmetric.
    images = np.random.default_rng(1).uniform(0, 255, (2, 65, 65, 3)).astype(np.float32)
    told = {"images": images}
    for side in (64, 65):
        shape = {"input_shape": (side, side, 3), "classes": 7, "classifier_activation": None}
        model = stirred(EfficientNetB0(weights=None, **shape), (0.5, 0.4, 0.3), (0.04, 0.05, 0.06))
        told[f"logits_{side}"] = answers(model, images[:, :side, :side])
    model.save_weights(folder / "b0.weights.h5")
    model.save(folder / "b0.h5")
    model.save(folder / "b0.keras")
    without_layer_names(folder / "b0.weights.h5", folder / "old.weights.h5")
    told["published"] = published(folder, np.tile(images, (1, 4, 4, 1))[:1, :224, :224])
    b3 = EfficientNetB3(weights=None)
    told |= {f"b3:{w.path}": np.array(w.shape, dtype=np.int64) for w in b3.weights}
    np.savez(folder / "told.npz", **told)


def published(folder, images):
    """Logits of B0 as Keras gives it with ImageNet's weights, of a file of drawn ones: its file
    holds deviations for variances, and another layer makes up for that."""
    path = folder / "published.h5"
    stirred(EfficientNetB0(weights=None), MEAN, STD).save(path)
    module = sys.modules[EfficientNetB0.__module__]
    module.file_utils.get_file = lambda *_, **__: str(path)  # it would be downloaded
    return answers(EfficientNetB0(weights="imagenet", classifier_activation=None), images)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
