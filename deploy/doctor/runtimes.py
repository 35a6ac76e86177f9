"""Which onnxruntime and which OpenCV is installed: the packages of each share one folder."""

from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from roommood.deploy.doctor.findings import Finding, fail, ok, warn

# Each of them installs the module `onnxruntime`, over that of another.
_PACKAGES: Final = (
    "onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino",
    "onnxruntime-directml", "onnxruntime-rocm", "onnxruntime-migraphx",
)  # fmt: skip
# The same of `cv2`; fer and deepface bring others, and whoever shows windows has one.
_OUR_OPENCV: Final = "opencv-python-headless"
_OTHER_OPENCVS: Final = (
    "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless",
)  # fmt: skip


def version_of(package: str) -> str | None:
    """The installed version; None where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def runtime_findings(of: Callable[[str], str | None] = version_of) -> Iterator[Finding]:
    """One on the runtime; a failure where two lie over each other; none where none is installed."""
    installed = {name: number for name in _PACKAGES if (number := of(name))}
    names = " and ".join(f"{name} {number}" for name, number in installed.items())
    if len(installed) > 1:
        todo = f"pip uninstall {' '.join(installed)}, then install the one that you want again"
        yield fail("onnxruntime", f"{names} lie over each other: which is loaded is chance", todo)
    elif installed:
        yield ok("onnxruntime", f"{names}, for --provider {', '.join(_providers())}")


def opencv_findings(of: Callable[[str], str | None] = version_of) -> Iterator[Finding]:
    """A warning where another OpenCV lies over ours."""
    others = [f"{name} {number}" for name in _OTHER_OPENCVS if (number := of(name))]
    if others and (ours := of(_OUR_OPENCV)):
        names = " and ".join([f"{_OUR_OPENCV} {ours}", *others])
        todo = "give roommood a virtual environment of its own"
        yield warn("opencv", f"{names} lie over each other: which is loaded is chance", todo)


def _providers() -> list[str]:
    from roommood.inference_worker.vision.onnx_model import installed_providers

    return installed_providers()
