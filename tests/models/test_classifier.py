import pytest
import torch
from tests.models.networks import backbone, classifier

from andon.core.manifest import Normalisation
from andon.models.classifier import Classifier, Embedder, find_taps


def test_normalisation_is_inside() -> None:
    built = backbone("test_resnet")
    own = Normalisation(scale=255.0, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    model = Classifier(built, 2, normalisation=own).eval()
    pixels = torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8)
    by_hand = (pixels.permute(0, 3, 1, 2) / 255.0 - torch.tensor(own.mean).view(1, 3, 1, 1)) / torch.tensor(
        own.std
    ).view(1, 3, 1, 1)
    torch.testing.assert_close(model.normalise(pixels), by_hand)


def test_colour_order_and_scale_of_older_weights() -> None:
    bgr = Normalisation(colour="BGR", scale=1.0, mean=(103.939, 116.779, 123.68), std=(1.0, 1.0, 1.0))
    model = Classifier(backbone("test_resnet"), 2, normalisation=bgr)
    pixels = torch.zeros(1, 1, 1, 3, dtype=torch.uint8)
    pixels[..., 0], pixels[..., 2] = 200, 10  # red 200, blue 10
    found = model.normalise(pixels)[0, :, 0, 0].tolist()
    assert found == pytest.approx([10 - 103.939, -116.779, 200 - 123.68], abs=1e-4)


def test_taps_add_mean_and_deviation() -> None:
    built = backbone("test_resnet")
    (tap,) = find_taps(built, (16,), (64, 64))
    model = Classifier(built, 2, normalisation=Normalisation(), taps=(tap,)).eval()
    features: list[torch.Tensor] = []
    built.module.get_submodule(tap.module).register_forward_hook(lambda _m, _i, out: features.append(out))
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    embedding = model.embed(pixels)
    assert embedding.shape == (2, model.embedding_size) == (2, built.embedding_size + 2 * tap.channels)
    mean, deviation = embedding[:, -2 * tap.channels : -tap.channels], embedding[:, -tap.channels :]
    torch.testing.assert_close(mean, features[0].mean((2, 3)))
    torch.testing.assert_close(deviation, features[0].std((2, 3), correction=0).clamp_min(1e-3), rtol=1e-3, atol=1e-3)


def test_embedder_gives_what_the_head_sees() -> None:
    model = classifier("test_resnet")
    pixels = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    torch.testing.assert_close(model.head(Embedder(model)(pixels)), model(pixels))


def test_dropout_only_in_training() -> None:
    model = Classifier(backbone("test_resnet"), 2, normalisation=Normalisation(), dropout=0.5).eval()
    torch.nn.init.normal_(model.head.weight)
    pixels = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    assert torch.equal(model(pixels), model(pixels))
    model.backbone.eval()
    model.dropout.train()
    assert not torch.equal(model(pixels), model(pixels))
