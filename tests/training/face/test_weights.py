"""An exported detector learns on from where it stands."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from roommood.shared.errors import ModelError  # noqa: E402
from roommood.training.face.graph import build  # noqa: E402
from roommood.training.face.net import FaceNet, NetShape  # noqa: E402
from roommood.training.face.weights import SHIPPED, net_from_onnx  # noqa: E402

SMALL = NetShape(8, (8, 16, 16), (1, 1, 1), (8, 16, 16), (0, 1, 0))


def exported(path: Path) -> tuple[FaceNet, Path]:
    torch.manual_seed(3)
    net = FaceNet(SMALL)
    net.train()(torch.randn(4, 1, 64, 64))  # so that the norms have measured something
    onnx.save(build(net.eval()), str(path))
    return net, path


def test_the_net_of_a_file_answers_as_the_net_that_was_exported(tmp_path: Path) -> None:
    net, file = exported(tmp_path / "f.onnx")
    pictures = torch.rand(4, 1, 64, 64) * 255
    again = net_from_onnx(file, pictures, [SMALL])
    inputs = (pictures - 117) / 64
    with torch.no_grad():
        for before, after in zip(net(inputs), again(inputs), strict=True):
            assert torch.allclose(before, after, atol=0.02)


def test_its_norms_hold_what_the_pictures_give_so_that_it_can_learn_on(tmp_path: Path) -> None:
    _, file = exported(tmp_path / "f.onnx")
    pictures = torch.rand(4, 1, 64, 64) * 255
    again = net_from_onnx(file, pictures, [SMALL])
    inputs = (pictures - 117) / 64
    with torch.no_grad():
        still = again(inputs)[0]
        learning = again.train()(inputs)[0]
    assert torch.allclose(still, learning, atol=0.05)


def test_what_never_fires_does_not_grow_with_each_file_that_is_learnt_on_from(
    tmp_path: Path,
) -> None:
    torch.manual_seed(3)
    net = FaceNet(SMALL)
    pictures = torch.rand(4, 1, 64, 64) * 255
    inputs = (pictures - 117) / 64
    largest = []
    for number in range(3):
        with torch.no_grad():
            net.stem[1].bias[2] = -100.0
            kernel, norm = net.stage4[0].depthwise
            norm.weight[2] = 1.0  # as in a net that learnt
            for each in net.modules():
                if isinstance(each, torch.nn.BatchNorm2d):
                    each.momentum = 1.0
            net.train()(inputs)
            expected = net.eval()(inputs)[0]
        assert norm.running_var[2] == 0
        largest.append(kernel.weight[2].abs().max().item())
        file = tmp_path / f"{number}.onnx"
        onnx.save(build(net), str(file))
        net = net_from_onnx(file, pictures, [SMALL])
        with torch.no_grad():
            assert torch.allclose(expected, net(inputs)[0], atol=0.02)
    assert largest[-1] < largest[0] * 2


def test_weights_that_16_bits_cannot_hold_are_no_file(tmp_path: Path) -> None:
    net, _ = exported(tmp_path / "f.onnx")
    with torch.no_grad():
        net.stem[0].weight *= 1e7
    with pytest.raises(OverflowError, match="fp16"):
        build(net)


def test_a_file_of_another_shape_is_refused(tmp_path: Path) -> None:
    _, file = exported(tmp_path / "f.onnx")
    with pytest.raises(ModelError, match="not a net of"):
        net_from_onnx(file, torch.rand(1, 1, 64, 64))


def test_the_shipped_file_is_a_net_that_can_learn_on() -> None:
    shipped = Path(__file__).parents[3] / "inference_worker/models/face.onnx"
    assert net_from_onnx(shipped, torch.rand(2, 1, 64, 64) * 255).shape in SHIPPED
