from __future__ import annotations

from pathlib import Path

from dcbench.data.catalogue import DATASETS


def test_hashes_and_addresses_are_those_of_torchvision():
    from torchvision import datasets as tv

    for name, theirs in (("cifar10", tv.CIFAR10), ("cifar100", tv.CIFAR100)):
        ours = DATASETS[name]
        for part, listed in (("train", theirs.train_list), ("test", theirs.test_list)):
            expected = [(f"{theirs.base_folder}/{file}", md5) for file, md5 in listed]
            assert [(file.path, file.md5) for file in ours.parts[part]] == expected
        assert [(d.url, d.md5) for d in ours.downloads] == [(theirs.url, theirs.tgz_md5)]
    for ours, theirs in (("cifair10", "cifar10"), ("cifair100", "cifar100")):
        files = zip(DATASETS[ours].parts["train"], DATASETS[theirs].parts["train"], strict=True)
        assert all((a.md5, a.other_path) == (b.md5, b.path) for a, b in files)
    mnist = DATASETS["mnist"]
    assert [(Path(f.path).name, f.md5) for f in mnist.parts["test"]] == tv.MNIST.resources[2:]
    assert [(d.filename, d.md5) for d in mnist.downloads] == tv.MNIST.resources[2:]
    assert all(d.url.removesuffix(d.filename) in tv.MNIST.mirrors for d in mnist.downloads)
    url, filename, md5 = tv.SVHN.split_list["test"]
    assert [(d.url, d.md5, d.folder) for d in DATASETS["svhn"].downloads] == [(url, md5, "SVHN")]
    assert [(f.path, f.md5) for f in DATASETS["svhn"].parts["test"]] == [(f"SVHN/{filename}", md5)]


def test_cifair_hashes_are_those_of_its_own_loader():
    # cvjena/cifair, loaders/pytorch/cifair.py, version 1.0
    official = {
        "cifair10": ("01290e6b622a1977a000eff13650aca2", "ca08fd390f0839693d3fc45c4e49585f"),
        "cifair100": ("8130dae8d6fc6a436437f0ebdb801df1", "ddc236ab4b12eeb8b20b952614861a33"),
    }
    for name, md5s in official.items():
        entry = DATASETS[name]
        assert (entry.parts["test"][0].md5, entry.downloads[0].md5) == md5s


def test_a_dataset_goes_by_the_name_it_is_listed_under():
    assert all(entry.name == name for name, entry in DATASETS.items())
