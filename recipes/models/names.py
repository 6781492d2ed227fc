"""Names of GGUF files as publishers give them: parts of a model, its quantization, the usual one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_PART = re.compile(r"(?P<stem>.+)-(?P<part>\d{5})-of-(?P<of>\d{5})\Z", re.DOTALL)
_QUANTIZATION = re.compile(
    r"(?:^|[-._])((?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|BF16|FP?16|FP?32|MXFP4(?:_MOE)?|NVFP4))(?=[-._]|$)", re.I
)
_BESIDE_MODELS = ("mmproj", "imatrix", "mtp-", "eagle3-", "dflash-", "dspark-")
"""In names of files that go with a model and are none; llama.cpp passes over the same."""
PREFERRED = (
    "Q4_K_M", "UD-Q4_K_XL", "Q4_K_L", "Q4_K_S", "MXFP4", "MXFP4_MOE", "IQ4_XS", "IQ4_NL", "Q4_1", "Q4_0",
    "Q5_K_M", "Q5_K_S", "Q6_K", "Q8_0",
)  # fmt: skip
"""Which quantization to take where none was named: about 4 bits, then the next larger ones."""


@dataclass(frozen=True)
class FileSet:
    """The files of one model.

    Attributes:
        stem: path without what numbers the parts and without `.gguf`.
        files: paths of the parts, in order.
        of: parts that the names tell of.
    """

    stem: str
    files: tuple[str, ...]
    of: int

    @property
    def missing(self) -> int:
        """Parts that are not there."""
        return self.of - len(self.files)

    @property
    def base(self) -> str:
        """The stem without its folders."""
        return self.stem.rpartition("/")[2]

    @property
    def quantization(self) -> str | None:
        """What the name says of the weights (`Q4_K_M`), in capitals; else what its folder says."""
        folder = self.stem.rpartition("/")[0].rpartition("/")[2]
        found = _QUANTIZATION.findall(self.base) or _QUANTIZATION.findall(folder)
        return found[-1].upper() if found else None


def file_sets(paths: Iterable[str]) -> list[FileSet]:
    """The models among `paths`, those of several parts as one, by name."""
    parts: dict[tuple[str, int], dict[int, str]] = defaultdict(dict)
    for path in paths:
        name = path.rpartition("/")[2].lower()
        if not name.endswith(".gguf") or any(word in name for word in _BESIDE_MODELS):
            continue
        stem = path[: -len(".gguf")]
        numbered = _PART.match(stem)
        if numbered is not None and 1 <= int(numbered["part"]) <= int(numbered["of"]):
            parts[numbered["stem"], int(numbered["of"])][int(numbered["part"])] = path
        else:
            parts[stem, 1][1] = path
    made = [FileSet(stem, tuple(path for _, path in sorted(found.items())), of) for (stem, of), found in parts.items()]
    return sorted(made, key=lambda item: item.stem)


def tagged(sets: Iterable[FileSet]) -> dict[str, FileSet]:
    """The models of one repository by tag: the quantization, or the file's stem where two share it."""
    by_tag: dict[str, list[FileSet]] = defaultdict(list)
    for item in sets:
        by_tag[item.quantization or item.base].append(item)
    result: dict[str, FileSet] = {}
    for tag, items in by_tag.items():
        for item in items:
            # The stems of two folders may still be the same; then the path says which.
            names = [tag, item.base] if len(items) == 1 else [item.base]
            result[next((name for name in names if name not in result), item.stem)] = item
    return result


def find_tag(tags: Iterable[str], wanted: str) -> str | None:
    """The tag that `wanted` means, in whichever case it is written; None where it is not there."""
    return next((tag for tag in tags if tag.casefold() == wanted.casefold()), None)


def preferred(sizes: Mapping[str, int]) -> str | None:
    """The tag to take where none was named: see PREFERRED, else the smallest; None if only a name tells.

    Args:
        sizes: bytes by tag.
    """
    for tag in PREFERRED:
        if tag in sizes:
            return tag
    if len(sizes) != 1 and not any(_QUANTIZATION.fullmatch(tag) for tag in sizes):
        return None
    known = {tag: size for tag, size in sizes.items() if _QUANTIZATION.fullmatch(tag)} or dict(sizes)
    return min(known, key=lambda tag: (known[tag], tag))
