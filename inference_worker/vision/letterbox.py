"""From a camera's picture to a detector's input tensor, without allotting memory per frame."""

import threading
from typing import Final

import numpy as np

from roommood.inference_worker.models.contract import TensorContract
from roommood.inference_worker.vision.onnx_model import Input
from roommood.inference_worker.vision.opencv import Picture, cv2, gray, resize

# The coarsest grid of the detector: sides are padded to a multiple of it.
_GRID: Final = 32
# Picture sizes for which a thread keeps a tensor; more sizes would be an attack on memory.
_MAX_TENSORS: Final = 4


class Letterbox:
    """Fits pictures into the input that a contract describes; safe for several threads.

    A picture is shrunk, its aspect kept, until its longer side has `input_size` pixels, and
    never enlarged, unless the model's (height, width) is `fixed`. It lies at the top left; what
    is padded is 0 after normalisation, as convolutions pad. `as_bytes`: the tensor is of bytes,
    for a model that takes pixels as they are.

    Fresh memory costs more than filling it (page faults), so each thread keeps its tensors.
    """

    def __init__(
        self,
        contract: TensorContract,
        input_size: int,
        fixed: tuple[int, int] | None,
        *,
        as_bytes: bool = False,
    ) -> None:
        self._contract = contract
        self._as_bytes = as_bytes
        self._input_size = input_size
        self._fixed = fixed
        self._mean = np.broadcast_to(np.asarray(contract.mean, np.float32), contract.channels)
        self._factor = np.broadcast_to(1 / np.asarray(contract.std, np.float32), contract.channels)
        self._local = threading.local()

    def fill(self, picture: Picture) -> tuple[Input, float, float]:
        """The tensor, and by how much the picture's width and height were multiplied.

        The tensor is valid until this thread's next call.
        """
        height, width = picture.shape[:2]
        new_height, new_width = self._fit(height, width)
        planes = self._planes(picture, new_height, new_width)
        shape = self._shape(new_height, new_width)
        scale_x, scale_y = new_width / width, new_height / height
        if self._as_bytes and (1, 1, *planes[0].shape) == shape:
            return planes[0].reshape(shape), scale_x, scale_y
        tensor = self._tensor(new_height, new_width)
        channels_first = self._channels_first(tensor)
        for place, plane in enumerate(planes):
            self._write(plane, channels_first[place, :new_height, :new_width], place)
        return tensor, scale_x, scale_y

    def _write(self, plane: Picture, target: Input, place: int) -> None:
        if self._as_bytes:
            target[...] = plane
            return
        np.subtract(plane, self._mean[place], out=target)
        if self._factor[place] != 1:
            np.multiply(target, self._factor[place], out=target)

    def size_of(self, tensor: Input) -> tuple[int, int]:
        """Height and width of a tensor of this layout, in pixels."""
        _, height, width = self._channels_first(tensor).shape
        return int(height), int(width)

    def _channels_first(self, tensor: Input) -> Input:
        nchw = self._contract.layout == "NCHW"
        picture: Input = tensor[0]
        return picture if nchw else picture.transpose(2, 0, 1)

    def _fit(self, height: int, width: int) -> tuple[int, int]:
        if self._fixed:
            scale = min(self._fixed[0] / height, self._fixed[1] / width)
        else:
            scale = min(1.0, self._input_size / max(height, width))
        return max(1, round(height * scale)), max(1, round(width * scale))

    def _planes(self, picture: Picture, height: int, width: int) -> list[Picture]:
        if self._contract.colour == "gray":
            return [resize(gray(picture), width, height)]
        planes: list[Picture] = list(cv2.split(resize(picture, width, height)))  # type: ignore[arg-type]
        return planes if self._contract.colour == "bgr" else planes[::-1]

    def _tensor(self, height: int, width: int) -> Input:
        tensors: dict[tuple[int, int], Input] = self._local.__dict__.setdefault("tensors", {})
        if (height, width) not in tensors:
            if len(tensors) >= _MAX_TENSORS:
                tensors.clear()
            shape = self._shape(height, width)
            empty: Input = (
                np.zeros(shape, np.uint8) if self._as_bytes else np.zeros(shape, np.float32)
            )
            tensors[height, width] = empty
        return tensors[height, width]

    def _shape(self, height: int, width: int) -> tuple[int, ...]:
        sides = self._fixed or (-(-height // _GRID) * _GRID, -(-width // _GRID) * _GRID)
        channels = self._contract.channels
        return (1, channels, *sides) if self._contract.layout == "NCHW" else (1, *sides, channels)
