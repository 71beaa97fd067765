"""Metadata of a split in the Croissant format 1.0: its files by their hashes, and what is in them.

Source: https://docs.mlcommons.org/croissant/docs/croissant-spec.html
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from dcbench._version import __version__
from dcbench.config.reading import read_file
from dcbench.config.text import is_utf8
from dcbench.data.catalogue import get_dataset
from dcbench.data.lists import HASHES, held_out_path
from dcbench.data.places import find_split, lists_folder
from dcbench.data.splits import Split, load_split, split_config
from dcbench.errors import UsageError

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
_PROJECT = "dcbench"
_COLUMNS = {
    "part": ("sc:Text", "train or val"),
    "index": ("sc:Integer", "row of the dataset's training part, from 0 in its authors' order"),
    "label": ("sc:Integer", "number of the class, from 0"),
}
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(name: str, folder: Path | None = None) -> dict[str, Any]:
    """The metadata of a split as JSON-LD, to be written into a folder.

    Parameters
    ----------
    folder : Path, optional
        From which the addresses of files go on; by default that of the split's YAML file.

    Raises
    ------
    UsageError
        There is no such split, or the path to it is no text.
    DataError
        It has no lists yet, or one is damaged.
    """
    path = find_split(name)
    folder = (folder or path.parent).absolute()
    subsets = [load_split(name, subset) for subset in split_config(name).subsets]
    config = subsets[0].config
    lists = lists_folder(path, config.subsets_of or config.name)
    own = get_dataset(config.dataset).own
    files = [path, lists / HASHES]
    files += [file for each in subsets for file in _lists(each, lists)]
    if config.test.exclude:
        excluded = config.test.exclude
        files.append(lists_folder(path, excluded.of or config.name) / excluded.file)
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": config.name,
        "description": f"{config.title}. Lists of images, by their rows in {_images(subsets[0])}; "
        "the images themselves are not part of it.",
        "license": config.licence,
        "citeAs": config.source,
        "creator": {"@type": "sc:Organization", "name": _PROJECT},
        "version": __version__,
        **({} if own else {"url": get_dataset(config.dataset).source}),
        "distribution": [_file(each, folder) for each in files],
        "recordSet": [
            _classes(config.class_names),
            *(record for each in subsets for record in _records(each, lists)),
        ],
    }


def _images(split: Split) -> str:
    return f"the training part of {get_dataset(split.config.dataset).title}"


def _lists(split: Split, folder: Path) -> list[Path]:
    """The list of a subset, and of what it holds out of its training images."""
    listed = [folder / f"subset-{split.subset}.csv"]
    return [*listed, held_out_path(folder, split.subset)] if split.hashes.held_out else listed


def _file(path: Path, folder: Path) -> dict[str, Any]:
    address = Path(os.path.relpath(path.absolute(), folder)).as_posix()
    if not is_utf8(address):
        raise UsageError(
            f"{address}: an address should be UTF-8; write the metadata into {path.parent} with -o"
        )
    kinds = {".csv": "text/csv", ".json": "application/json", ".yaml": "application/yaml"}
    return {
        "@type": "cr:FileObject",
        "@id": path.name,
        "name": path.name,
        "contentUrl": address,
        "encodingFormat": kinds.get(path.suffix, "text/plain"),
        "sha256": hashlib.sha256(read_file(path, links=True)).hexdigest(),
    }


def _classes(names: tuple[str, ...]) -> dict[str, Any]:
    """The classes by their numbers, which other records refer to."""
    fields = [("label", "sc:Integer"), ("name", "sc:Text")]
    return {
        "@type": "cr:RecordSet",
        "@id": "classes",
        "name": "classes",
        "key": {"@id": "classes/label"},
        "field": [
            {"@type": "cr:Field", "@id": f"classes/{key}", "name": key, "dataType": kind}
            for key, kind in fields
        ],
        "data": [
            {"classes/label": label, "classes/name": name} for label, name in enumerate(names)
        ],
    }


def _records(split: Split, folder: Path) -> list[dict[str, Any]]:
    described = {
        f"subset-{split.subset}": f"Subset {split.subset}: {len(split.train)} images to train on, "
        f"{len(split.val)} for validation.",
        f"held-out-{split.subset}": f"Of subset {split.subset}, what is left aside for tuning.",
    }
    return [
        {
            "@type": "cr:RecordSet",
            "@id": path.stem,
            "name": path.stem,
            "description": described[path.stem],
            "field": [
                _field(path, column)
                for column in _COLUMNS
                if column != "part" or path.stem.startswith("subset")
            ],
        }
        for path in _lists(split, folder)
    ]


def _field(path: Path, column: str) -> dict[str, Any]:
    kind, meaning = _COLUMNS[column]
    refers = {"references": {"field": {"@id": "classes/label"}}} if column == "label" else {}
    return {
        "@type": "cr:Field",
        "@id": f"{path.stem}/{column}",
        "name": column,
        "description": meaning,
        "dataType": kind,
        "source": {"fileObject": {"@id": path.name}, "extract": {"column": column}},
        **refers,
    }
