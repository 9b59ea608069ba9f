import json
import pickle
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from tests.models.networks import backbone

from andon.errors import BadWeights
from andon.models.archs import find_arch
from andon.models.weights import (
    find_weights,
    load_file,
    load_hub,
    no_weights,
    read_sidecar,
    read_tensors,
    weights_folder,
)

SIDECAR = {"arch": "test_resnet", "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.2, 0.3], "licence": "CC0-1.0"}


def write_weights(folder: Path, name: str = "own.pth", **sidecar: object) -> Path:
    """The weights of a `test_resnet` with their sidecar."""
    path = folder / name
    state = {key: tensor.clone() + 0.25 for key, tensor in backbone("test_resnet").module.state_dict().items()}
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    path.with_suffix(".json").write_text(json.dumps({**SIDECAR, **sidecar}), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["own.pth", "own.pt", "own.safetensors", "무게 重量.pth"])
def test_file_with_sidecar(tmp_path: Path, name: str) -> None:
    built = backbone("test_resnet")
    path = write_weights(tmp_path, name, bn_folded=True, input_size=96, trained_on="bolts", colour="BGR", scale=1)
    start = load_file(path, built, "test_resnet")
    assert start.pretrained
    assert (start.stamp.source, start.stamp.licence, start.stamp.trained_on) == (name, "CC0-1.0", "bolts")
    assert len(start.stamp.sha256 or "") == 64
    assert start.bn_folded
    assert (start.normalisation.mean, start.normalisation.std) == ((0.4, 0.5, 0.6), (0.2, 0.2, 0.3))
    assert (start.normalisation.colour, start.normalisation.scale) == ("BGR", 1.0)
    fresh = backbone("test_resnet").module.state_dict()
    for key, tensor in built.module.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, fresh[key] + 0.25)


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_ema"])
def test_wrapped_and_half_precision(tmp_path: Path, wrapper: str) -> None:
    state = {f"module.{key}": tensor.half() for key, tensor in backbone("test_resnet").module.state_dict().items()}
    path = tmp_path / "w.pth"
    torch.save({wrapper: state, "epoch": 3}, path)
    path.with_suffix(".json").write_text(json.dumps(SIDECAR), encoding="utf-8")
    load_file(path, backbone("test_resnet"), "test_resnet")


def test_weights_of_another_arch_name_it(tmp_path: Path) -> None:
    path = write_weights(tmp_path, arch="mobilenetv2_100")
    with pytest.raises(BadWeights, match=r"own\.pth holds weights of mobilenetv2_100, not of test_resnet.*--arch mobi"):
        load_file(path, backbone("test_resnet"), "test_resnet")


def test_missing_sidecar_is_shown_ready_to_fill_in(tmp_path: Path) -> None:
    path = write_weights(tmp_path)
    path.with_suffix(".json").unlink()
    with pytest.raises(BadWeights) as refusal:
        read_sidecar(path)
    form = str(refusal.value)[str(refusal.value).index("{") :]
    assert "own.json" in str(refusal.value)
    path.with_suffix(".json").write_text(form, encoding="utf-8")
    assert read_sidecar(path).std == (0.229, 0.224, 0.225)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"arch": "a", "mena": [0,0,0], "std": [1,1,1], "licence": "x"}', "unknown key 'mena'. Did you mean mean"),
        ('{"arch": "a", "mean": [0,0,0], "std": [1,1,1]}', "'licence' is missing"),
        ('{"arch": "a", "mean": [0,0], "std": [1,1,1], "licence": "x"}', "a list of 3"),
        ('{"arch": "a", "mean": [0,0,0], "std": [1,1,1], "licence": "x", "colour": "HSV"}', "'RGB', 'BGR'"),
        ("[]", "an object"),
        ("{", "is not JSON"),
        ("\udcff", "is not JSON"),
    ],
)
def test_wrong_sidecar(tmp_path: Path, content: str, said: str) -> None:
    path = write_weights(tmp_path)
    path.with_suffix(".json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadWeights, match=said.replace("[", r"\[")):
        read_sidecar(path)


class _Harmful:
    """Pickles into a call that writes a file when it is opened."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (Path.write_text, (self.file, "executed"))


@pytest.mark.parametrize("way", ["zip", "bare pickle", "inside"])
def test_pickled_code_is_refused_and_not_executed(tmp_path: Path, way: str) -> None:
    proof, path = tmp_path / "executed", tmp_path / "w.pth"
    if way == "bare pickle":
        path.write_bytes(pickle.dumps(_Harmful(proof)))
    else:
        torch.save({"a": torch.zeros(1), "b": _Harmful(proof)} if way == "inside" else _Harmful(proof), path)
    with pytest.raises(BadWeights, match="cannot be read as plain weights"):
        read_tensors(path)
    assert not proof.exists()
    pickle.loads(pickle.dumps(_Harmful(proof)))  # noqa: S301 - the proof that it would have been
    assert proof.exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(start=st.sampled_from([b"", b"\x80\x02", b"\x80\x04", b"PK\x03\x04"]), rest=st.binary(max_size=60))
def test_any_bytes_are_refused_in_words(tmp_path: Path, start: bytes, rest: bytes) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(start + rest)
    with pytest.raises(BadWeights):
        read_tensors(path)


@pytest.mark.parametrize("name", ["own.pth", "own.safetensors"])
def test_truncated_file_is_refused_wherever_it_ends(tmp_path: Path, name: str) -> None:
    path = write_weights(tmp_path, name)
    whole = path.read_bytes()
    for length in (0, 1, 7, 8, 100, *np.linspace(200, len(whole) - 1, 12).astype(int)):
        path.write_bytes(whole[:length])
        with pytest.raises(BadWeights, match="own"):
            read_tensors(path)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [torch.zeros(1)], torch.zeros(3)])
def test_file_without_named_tensors(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(BadWeights, match="no named tensors"):
        read_tensors(tmp_path / "w.pth")


def test_other_suffix(tmp_path: Path) -> None:
    (tmp_path / "w.onnx").write_bytes(b"x")
    with pytest.raises(BadWeights, match=r"expected \.safetensors, \.pth, \.pt"):
        read_tensors(tmp_path / "w.onnx")


def test_folder_of_weights(tmp_path: Path) -> None:
    first = write_weights(tmp_path, "a.pth")
    (tmp_path / "nothing.txt").write_text("x", encoding="utf-8")
    (tmp_path / "lonely.pth").write_bytes(b"no sidecar")
    assert find_weights(str(tmp_path), None) == first  # the only one with a sidecar
    second = write_weights(tmp_path, "b.safetensors", arch="mobilenetv2_100")
    assert find_weights(str(tmp_path), "mobilenetv2_100") == second
    assert find_weights(str(tmp_path), "test_resnet") == first
    with pytest.raises(BadWeights, match="no weights with a sidecar for a single arch"):
        find_weights(str(tmp_path), None)
    with pytest.raises(BadWeights, match="no weights with a sidecar for resnet50"):
        find_weights(str(tmp_path), "resnet50")


def test_weights_folder_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    monkeypatch.delenv("ANDON_WEIGHTS", raising=False)
    assert weights_folder() == own_cache / "weights"
    assert find_weights(None, "test_resnet") is None
    monkeypatch.setenv("ANDON_WEIGHTS", str(tmp_path))
    path = write_weights(tmp_path)
    assert find_weights(None, "test_resnet") == path
    assert find_weights(None, "resnet50") is None  # then the hub
    assert find_weights("none", "test_resnet") is None


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(BadWeights, match=r"there is no weights file .*gone\.pth; give a file"):
        find_weights(str(tmp_path / "gone.pth"), None)


def test_none_is_random_and_says_so() -> None:
    start = no_weights(backbone("test_resnet"))
    assert not start.pretrained
    assert start.stamp.source == "none"
    assert start.normalisation == backbone("test_resnet").normalisation


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """Every attempt to connect fails, and is noted."""
    attempts: list[object] = []

    def refuse(*arguments: object, **_options: object) -> None:
        attempts.append(arguments)
        raise OSError("the network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return attempts


@pytest.mark.parametrize("arch", ["mobilenetv2_050", "squeezenet1_1"])
def test_offline_names_the_choices_and_does_not_insist(
    arch: str, no_network: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with pytest.raises(BadWeights) as refusal:
        load_hub(find_arch(arch), backbone(arch), arch)
    assert all(choice in str(refusal.value) for choice in ("could not be fetched", "--weights PATH", "--weights none"))
    assert str(weights_folder()) in str(refusal.value)
    assert 1 <= len(no_network) <= 4
    assert sum(slept) < 1


def test_arch_without_published_weights() -> None:
    with pytest.raises(BadWeights, match=r"no weights are published for test_vit4.*--weights none"):
        load_hub(find_arch("test_vit4"), backbone("test_vit4", real=False), "test_vit4")


@pytest.mark.real
def test_given_mobilenet_uses_every_tensor(shared_data: Path) -> None:
    path = shared_data / "weights" / "mobilenet_v2_imagenet_bnfolded_fp16.pth"
    assert read_sidecar(path).arch == "mobilenetv2_100"
    built = backbone("mobilenetv2_100")
    start = load_file(path, built, "mobilenetv2_100")
    assert start.bn_folded
    assert start.normalisation.mean == (0.5, 0.5, 0.5)
    source = sum(float(t.double().abs().sum()) for n, t in read_tensors(path).items() if "classifier" not in n)
    loaded = sum(float(t.double().abs().sum()) for n, t in built.module.state_dict().items() if "num_batches" not in n)
    assert loaded == pytest.approx(source, rel=1e-6)


@pytest.mark.real
def test_given_squeezenet_is_bgr(shared_data: Path) -> None:
    path = shared_data / "weights" / "squeezenet1_1_features_torchvision_fp32.pth"
    start = load_file(path, backbone("squeezenet1_1"), "squeezenet1_1")
    assert (start.normalisation.colour, start.normalisation.scale) == ("BGR", 1.0)
