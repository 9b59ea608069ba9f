"""One folder per class: the folder's name is the class of every image in it and below it.

    DATA/CLASS/…/photo.jpg                   Andon chooses the split
    DATA/{train,val,test}/CLASS/…/photo.jpg  the data names it (also training, valid, validation, testing)

Either may lie in `DATA/images/`, with `DATA/masks/` and the like beside it.
"""

from pathlib import Path

from andon.core.records import Dataset, ImageRecord, Problem, SplitName
from andon.core.wording import counted, listed
from andon.errors import BadData
from andon.formats import Format, ReadOptions
from andon.formats._walk import Found, find_images, holds_images, subfolders

SPLIT_FOLDERS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_IMAGES_FOLDER = "images"
_BESIDE_IMAGES = frozenset({"masks", "annotations", "labels"})


def detect(path: Path) -> bool:
    """Whether `path` is a folder with at least one folder that holds images."""
    return path.is_dir() and any(holds_images(folder) for folder in subfolders(path))


def read(path: Path, options: ReadOptions) -> Dataset:
    """The dataset in the class folders below `path`.

    Raises:
        BadData: not a folder, or there is no class folder with an image.
    """
    if not path.is_dir():
        raise BadData(f"class folders: {path} is not a folder")
    top = _top(path)
    found = Found()
    images: list[ImageRecord] = []
    counts: dict[str, int] = {}
    problems = _outside(top, _prefix(path, top), found) + _not_read(path, top)
    for split, folder in _class_parents(top):
        problems += _outside(folder, _prefix(path, folder), found) if folder != top else []
        for class_folder in subfolders(folder):
            start = len(found.images)
            number = find_images(class_folder, prefix=_prefix(path, class_folder), found=found)
            name = class_folder.name
            counts[name] = counts.get(name, 0) + number
            images += [ImageRecord(key=k, path=p, labels=(name,), split=split) for k, p in found.images[start:]]
    if not images:
        raise BadData(_nothing_here(path, found))
    return Dataset(
        root=path,
        format="class_folders",
        task=options.task or "classification",
        classes=tuple(sorted(name for name, number in counts.items() if number)),
        multi_label=False,
        images=tuple(sorted(images, key=lambda image: image.key)),
        problems=(*problems, *_empty_classes(counts), *found.problems()),
    )


def _top(path: Path) -> Path:
    """`path`, or its `images` folder where that holds the classes and lies alone or beside annotations."""
    folders = {folder.name.lower(): folder for folder in subfolders(path)}
    images = folders.pop(_IMAGES_FOLDER, None)
    if images is None or (folders and not folders.keys() & _BESIDE_IMAGES):
        return path
    return images if any(holds_images(folder) for folder in subfolders(images)) else path


def _not_read(path: Path, top: Path) -> list[Problem]:
    """Folders beside `images` that are neither it nor its annotations."""
    if top == path:
        return []
    others = [
        folder.name for folder in subfolders(path) if folder.name.lower() not in {top.name.lower(), *_BESIDE_IMAGES}
    ]
    if not others:
        return []
    return [
        Problem(
            code="not_read", message=f"the classes lie in {top.name}; not read beside it: {listed(others, first=3)}"
        )
    ]


def _class_parents(top: Path) -> list[tuple[SplitName | None, Path]]:
    """The folders whose sub-folders are classes, each with the split it stands for.

    Raises:
        BadData: the folders are named like splits but hold images without class folders.
    """
    folders = [folder for folder in subfolders(top) if holds_images(folder)]
    if not folders or any(folder.name.lower() not in SPLIT_FOLDERS for folder in folders):
        return [(None, top)]
    flat = [folder.name for folder in folders if not any(holds_images(child) for child in subfolders(folder))]
    if flat:
        raise BadData(
            f"the folders of {top} are named like splits ({', '.join(flat)}) but hold images without class folders; "
            f"expected for example {flat[0]}/CLASS/photo.jpg"
        )
    return [(SPLIT_FOLDERS[folder.name.lower()], folder) for folder in folders]


def _outside(folder: Path, prefix: str, found: Found) -> list[Problem]:
    """The images that lie beside the class folders and so have no class."""
    beside = Found()
    find_images(folder, prefix=prefix, found=beside, deep=False)
    found.others.extend(beside.others)
    found.unnameable.extend(beside.unnameable)
    if not beside.images:
        return []
    keys = tuple(key for key, _ in beside.images)
    message = f"{counted(len(keys), 'image lies', 'images lie')} outside every class folder, left out: "
    return [Problem(code="no_class", message=message + listed(keys, first=3), keys=keys)]


def _empty_classes(counts: dict[str, int]) -> list[Problem]:
    empty = sorted(name for name, number in counts.items() if not number)
    return [
        Problem(code="empty_class", message=f"the class folder {name!r} holds no images, so there is no such class")
        for name in empty
    ]


def _nothing_here(path: Path, found: Found) -> str:
    what = f"it holds {counted(len(found.others), 'file')} but no image" if found.others else "it is empty"
    return (
        f"{path} has no class folder with an image in it ({what}). "
        "Put the photos of each class into a folder named like the class: DATA/CLASS/photo.jpg"
    )


def _prefix(root: Path, folder: Path) -> str:
    below = folder.relative_to(root).as_posix()
    return "" if below == "." else f"{below}/"


FORMAT = Format(
    name="class_folders",
    title="Class folders",
    description="One folder per class, DATA/CLASS/photo.jpg; train, val and test folders may stand above the classes.",
    tasks=("classification",),
    declared=False,
    detect=detect,
    read=read,
)
