"""The digits that the zoo's models are trained on and measured with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scripts.train_digits import fetch_package, read_digits, split

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

TRAINED = 4000


@dataclass(frozen=True, slots=True)
class Digits:
    """``images`` float32 [N, 1, 28, 28] in 0..1 and ``labels`` int64 [N]."""

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | npt.NDArray[np.bool_]) -> Digits:
        return Digits(self.images[rows], self.labels[rows])


def load() -> tuple[Digits, Digits]:
    """Digits to train on (`TRAINED` of them) and digits held out from all training.

    The parts are those of the shipped classifier, so nobody's held-out digit was ever learnt.
    """
    images, labels = read_digits(fetch_package())
    train, held_out = split(labels)
    known = {image.tobytes() for image in images[train]}
    fresh = np.array([row for row in held_out if images[row].tobytes() not in known])
    train = train[:TRAINED]
    grey = images.astype(np.float32) / 255
    return Digits(grey[train], labels[train]), Digits(grey[fresh], labels[fresh])
