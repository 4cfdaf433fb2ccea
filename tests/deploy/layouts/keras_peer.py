"""Write Keras networks with random weights, and their logits for random images.

This is a separate program because Keras is slow to import and chooses its back end for the whole
process.
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


def randomise_weights(model, mean, variance):
    """Set all variables at random, but the image statistics to the given values."""
    generator = np.random.default_rng(0)
    for layer in model.layers:
        layer_type = type(layer).__name__
        if layer_type == "Normalization":
            layer.set_weights([np.float32(mean), np.float32(variance), np.int32(0)])
            layer.finalize_state()
        elif layer_type == "BatchNormalization":
            size = layer.gamma.shape
            spans = ((0.7, 1.3), (-0.3, 0.3), (-0.3, 0.3), (0.05, 1.0))
            layer.set_weights([generator.uniform(low, high, size) for low, high in spans])
        elif weights := layer.get_weights():
            kernel, *biases = weights
            inputs = kernel[:, :, 0] if layer_type == "DepthwiseConv2D" else kernel[..., 0]
            random_weights = [generator.normal(0, (0.7 / inputs.size) ** 0.5, kernel.shape)]
            layer.set_weights(
                [*random_weights, *(generator.uniform(-0.5, 0.5, bias.shape) for bias in biases)]
            )
    return model


def logits(model, images):
    return np.asarray(keras.ops.convert_to_numpy(model(images, training=False)))


def copy_without_layer_names(source, target):
    """Write the file as older versions of Keras 3 do."""
    with h5py.File(source) as file, h5py.File(target, "w") as copy:
        for name in file:
            file.copy(name, copy)
        copy.visititems(lambda path, node: node.attrs.pop("name", None))


def write_files(folder):
    # Side 64 is even and 65 odd, where SAME padding is symmetric.
    images = np.random.default_rng(1).uniform(0, 255, (2, 65, 65, 3)).astype(np.float32)
    arrays = {"images": images}
    for side in (64, 65):
        shape = {"input_shape": (side, side, 3), "classes": 7, "classifier_activation": None}
        model = randomise_weights(
            EfficientNetB0(weights=None, **shape), (0.5, 0.4, 0.3), (0.04, 0.05, 0.06)
        )
        arrays[f"logits_{side}"] = logits(model, images[:, :side, :side])
    model.save_weights(folder / "b0.weights.h5")
    model.save(folder / "b0.h5")
    model.save(folder / "b0.keras")
    copy_without_layer_names(folder / "b0.weights.h5", folder / "old.weights.h5")
    arrays["published"] = write_published_file(
        folder, np.tile(images, (1, 4, 4, 1))[:1, :224, :224]
    )
    b3 = EfficientNetB3(weights=None)
    arrays |= {f"b3:{weight.path}": np.array(weight.shape, dtype=np.int64) for weight in b3.weights}
    np.savez(folder / "arrays.npz", **arrays)


def write_published_file(folder, images):
    """Return the logits of B0 loaded by Keras as ImageNet weights from a file of random ones.

    The published file holds standard deviations instead of variances, and another layer of Keras
    corrects this.
    """
    path = folder / "published.h5"
    randomise_weights(EfficientNetB0(weights=None), MEAN, STD).save(path)
    keras_module = sys.modules[EfficientNetB0.__module__]
    keras_module.file_utils.get_file = lambda *_, **__: str(path)  # it would be downloaded
    return logits(EfficientNetB0(weights="imagenet", classifier_activation=None), images)


if __name__ == "__main__":
    write_files(Path(sys.argv[1]))
