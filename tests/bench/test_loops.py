import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import transforms

import dcbench
from dcbench.bench.cases import Comparison, Content, Pixels, content_of, random_pixels
from dcbench.bench.fast import FastLoop
from dcbench.bench.plain import PlainLoop, train_transforms
from dcbench.config.recipe import Recipe
from dcbench.methods import Batch

CPU = torch.device("cpu")
SMALL = {"model": "digits-cnn", "batch_size": 20, "precision": "float32"}
FIXED = {"padding": 0, "flip": False, "rotation": 0}


def small(method: str = "erm", case: str = "resnet-32", **settings) -> tuple[Content, Pixels]:
    content = content_of(Comparison(case=case, method=method, settings={**SMALL, **settings}))
    pixels = random_pixels(content)
    return content, Pixels(pixels.images[:100], pixels.labels[:100], pixels.mean, pixels.std)


@pytest.mark.parametrize("case", ["wrn-16-8", "resnet-32", "resnet-34"])
@pytest.mark.parametrize("method", ["erm", "mixup", "ic-regmixup"])
def test_both_loops_have_the_same_loss_on_the_same_batches(case, method):
    content, pixels = small(method, case, learning_rate=0.01, **FIXED)
    fast, plain = FastLoop(content, pixels, CPU), PlainLoop(content, pixels, CPU)
    counts = torch.from_numpy(np.bincount(pixels.labels, minlength=content.num_classes)).float()
    for draws in fast.trainer.draws(0).batches(content.recipe.batch_size):
        rows = [plain.train_images[row] for row in draws.order]
        images = torch.stack([image for image, _ in rows])
        batch = Batch(
            images=images,
            labels=torch.tensor([label for _, label in rows]),
            partners=torch.from_numpy(draws.partners),
            coefficients=torch.from_numpy(draws.coefficients),
            class_counts=counts,
        )
        fast.trainer.train_step.loss_sum.zero_()
        fast.train(1)
        own = fast.trainer.train_step.loss_sum.item() / len(images)
        assert plain.step(batch) == pytest.approx(own, rel=1e-4)


def test_both_loops_predict_the_same():
    content, pixels = small()
    fast, plain = FastLoop(content, pixels, CPU), PlainLoop(content, pixels, CPU)
    seen: dict[str, list[torch.Tensor]] = {"fast": [], "plain": []}
    for name, network in (("fast", fast.trainer.network), ("plain", plain.network)):
        network.register_forward_hook(lambda _, __, out, name=name: seen[name].append(out))
    for loop in (fast, plain):
        loop.evaluate(50)
    own, others = (torch.cat(seen[name]) for name in ("fast", "plain"))
    assert own.shape == (50, 10)
    torch.testing.assert_close(own, others, rtol=1e-4, atol=1e-5)
    assert fast.trainer.network.training
    assert plain.network.training


@pytest.mark.parametrize(
    ("case", "border", "names"),
    [
        ("wrn-16-8", "reflect", ["RandomCrop", "RandomHorizontalFlip"]),
        ("resnet-32", "constant", ["RandomCrop", "RandomHorizontalFlip"]),
        ("resnet-34", "constant", ["RandomCrop", "RandomHorizontalFlip", "RandomRotation"]),
    ],
)
def test_plain_loop_augments_as_the_recipe_says(case, border, names):
    recipe = content_of(Comparison(case=case)).recipe
    found = train_transforms(recipe, 32)
    assert [type(each).__name__ for each in found] == names
    crop, flip = found[:2]
    assert (crop.size, crop.padding, crop.padding_mode) == ((32, 32), recipe.padding, border)
    assert flip.p == 0.5
    if recipe.rotation:
        rotation = found[2]
        assert rotation.degrees == [-recipe.rotation, recipe.rotation]
        assert rotation.interpolation == transforms.InterpolationMode.NEAREST
        assert rotation.fill == 0


def test_plain_loop_does_not_augment_where_the_recipe_does_not():
    assert train_transforms(Recipe.model_validate({**recipe_values(), **FIXED}), 32) == []


def recipe_values() -> dict:
    return content_of(Comparison(case="resnet-32")).recipe.model_dump()


def test_plain_loop_mixes_by_the_methods_law():
    content, pixels = small("mixup", coefficient="sample")
    loop = PlainLoop(content, pixels, CPU)
    images, labels = torch.zeros(20, 3, 32, 32), torch.zeros(20, dtype=torch.int64)
    batch = loop.batch(images, labels)
    assert sorted(batch.partners.tolist()) == list(range(20))
    assert len(set(batch.coefficients.tolist())) == 20
    content, pixels = small("mixup", coefficient="batch")
    shares = PlainLoop(content, pixels, CPU).batch(images, labels).coefficients
    assert shares.shape == (20,)
    assert len(set(shares.tolist())) == 1


def test_plain_loop_draws_nothing_for_a_method_that_mixes_nothing():
    content, pixels = small("erm")
    loop = PlainLoop(content, pixels, CPU)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global generator is what is meant
    batch = loop.batch(torch.zeros(20, 3, 32, 32), torch.zeros(20, dtype=torch.int64))
    assert batch.coefficients.eq(1).all()
    assert batch.partners.tolist() == list(range(20))
    drawn = torch.rand(()).item(), np.random.random_sample()  # noqa: NPY002
    torch.manual_seed(0)
    assert drawn == (torch.rand(()).item(), np.random.RandomState(0).random_sample())


@pytest.mark.parametrize("loop_class", [FastLoop, PlainLoop])
def test_loops_go_on_over_the_end_of_an_epoch(loop_class):
    content, pixels = small()
    loop = loop_class(content, pixels, CPU)
    loop.train(2)
    loop.feed(7)
    loop.train(2)


def test_parts_of_a_step_leave_the_weights_as_they_are():
    content, pixels = small()
    loop = FastLoop(content, pixels, CPU)
    loop.train(1)
    before = [weight.clone() for weight in loop.trainer.network.parameters()]
    for work in loop.parts().values():
        work()
    for one, other in zip(before, loop.trainer.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_images_are_the_same_every_time_and_fill_whole_batches():
    one, other = (random_pixels(content_of(Comparison(case="resnet-32"))) for _ in range(2))
    assert one.images.shape == (1920, 32, 32, 3)
    assert one.images.dtype == np.uint8
    assert np.array_equal(one.images, other.images)
    assert np.array_equal(one.labels, other.labels)
    assert random_pixels(content_of(Comparison(case="wrn-16-8"))).images.shape == (2000, 32, 32, 3)


def test_our_loop_does_not_pay_for_what_the_plain_one_imports():
    code = (
        "import sys, dcbench.bench.fast, dcbench.bench.worker; print('torchvision' in sys.modules)"
    )
    source = Path(dcbench.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
