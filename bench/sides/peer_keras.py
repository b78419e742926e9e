"""The small CNN as a Keras user would write it: `python -m bench.sides.peer_keras POLICY THREADS`, where POLICY is
`float32` or `mixed_bfloat16`."""

from __future__ import annotations

import sys
import time

import keras
import numpy as np
import tensorflow as tf

from bench.sides import answer

IMAGES, BATCH = 2560, 128
SECONDS = 4.0


def main() -> None:
    threads = int(sys.argv[2])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    keras.mixed_precision.set_global_policy(sys.argv[1])
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (IMAGES, 28, 28, 1), dtype=np.uint8).astype(np.float32) / 255
    labels = generator.integers(0, 10, IMAGES)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            # As Keras advises for mixed precision, the softmax stays in float32.
            keras.layers.Dense(10, activation="softmax", dtype="float32"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images, labels, batch_size=BATCH, epochs=1, verbose=0)

    def stretch() -> float:
        # The first stretch tells how many epochs fill the time; starting `fit` is a small part of it.
        began = time.perf_counter()
        model.fit(images, labels, batch_size=BATCH, epochs=epochs, verbose=0)
        return IMAGES * epochs / (time.perf_counter() - began)

    epochs = 2
    epochs = max(2, round(SECONDS * stretch() / IMAGES))
    answer(stretch)


if __name__ == "__main__":
    main()
