"""Whether a blob looks like an upright person: OpenCV's HOG detector behind a shape gate.

The detector (Dalal and Triggs, CVPR 2005, weights within OpenCV) also calls bottles and
door frames people, so its word counts only where the blob's own outline agrees, and only
as one vote among those of a track that moved.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge_lvr1.models.embedded.vision.background import Image
from edge_lvr1.models.embedded.vision.blobs import Box

_WINDOW_HEIGHT_PX = 128
_FIGURE_SHARE = 0.78  # of the window's height, as in the detector's training pictures
_HIT = 0.3


@dataclass(slots=True)
class PersonLook:
    """The people detector, made once a watch."""

    hog: cv2.HOGDescriptor

    @classmethod
    def new(cls) -> PersonLook:
        """Load the weights that OpenCV carries."""
        hog = cv2.HOGDescriptor()
        hog.setSVMDetector(np.array(cv2.HOGDescriptor.getDefaultPeopleDetector(), np.float32))
        return cls(hog)

    def score(self, image: Image, box: Box) -> float:
        """How much the box looks like a person: the best agreeing window's weight, else 0."""
        scale = _WINDOW_HEIGHT_PX * _FIGURE_SHARE / max(1.0, box.height)
        crop, left, top = _crop(image, box, scale)
        found, weights = self.hog.detectMultiScale(
            crop, hitThreshold=_HIT, winStride=(4, 4), padding=(0, 0), scale=1.06, groupThreshold=0
        )
        best = 0.0
        wanted = Box(0, 0, box.width * scale, box.height * scale).moved(left, top)
        for (x, y, width, height), weight in zip(found, np.ravel(weights), strict=True):
            # The figure fills the middle of a window: an eighth above and below, a fifth aside.
            figure = Box(x + 0.2 * width, y + 0.11 * height, x + 0.8 * width, y + 0.89 * height)
            shared = figure.overlap(wanted)
            if shared > 0.5 * (figure.area + wanted.area - shared):
                best = max(best, float(weight))
        return best


def upright(box: Box) -> bool:
    """The shape gate: a standing or walking figure is 1.4 to 5 times as high as wide."""
    return 1.4 <= box.height / max(1.0, box.width) <= 5.0


def _crop(image: Image, box: Box, scale: float) -> tuple[Image, float, float]:
    """The box with room around it, scaled; and where the box's corner lies in that."""
    room = 0.28 * box.height
    rows, columns = image.shape[:2]
    wide = max(box.width + 2 * room, 0.75 * box.height)
    x0, x1 = box.centre[0] - wide / 2, box.centre[0] + wide / 2
    y0, y1 = box.y0 - room, box.y1 + room
    inner = image[
        max(0, int(y0)) : min(rows, int(np.ceil(y1))),
        max(0, int(x0)) : min(columns, int(np.ceil(x1))),
    ]
    pads = (
        max(0, -int(np.floor(y0))),
        max(0, int(np.ceil(y1)) - rows),
        max(0, -int(np.floor(x0))),
        max(0, int(np.ceil(x1)) - columns),
    )
    padded = cv2.copyMakeBorder(inner, *pads, cv2.BORDER_REPLICATE)
    size = (round(padded.shape[1] * scale), round(padded.shape[0] * scale))
    grown = cv2.resize(padded, (max(66, size[0]), max(130, size[1])), interpolation=cv2.INTER_AREA)
    return np.asarray(grown, np.uint8), (box.x0 - x0) * scale, (box.y0 - y0) * scale
