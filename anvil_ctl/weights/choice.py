"""Which files of a repository are fetched: one copy of the weights, and all that goes with it.

In this order: what is no use to any engine goes; patterns that were asked for decide, where there
are any; else folders that hold the same weights again go, of several formats one stays, and of
several GGUF quantizations the one that was asked for. What is left out is named, with its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from anvil_ctl.weights import quants
from anvil_ctl.weights.listing import File, total

# Formats in the order in which one is chosen where nobody says which the engine reads.
FORMATS = ("safetensors", "gguf", "bin")
_SUFFIXES = {
    "safetensors": "safetensors",
    "gguf": "gguf",
    "bin": "bin",
    **dict.fromkeys(("pt", "pth", "ckpt"), "bin"),
    **dict.fromkeys(("h5", "msgpack", "onnx", "onnx_data", "tflite", "ot", "mlmodel"), "other"),
}
# Folders in which publishers keep the same weights for other programs.
_COPIES = ("original", "metal", "onnx", "openvino", "coreml", "flax", "tf")
# A folder with less than this share of the root's weights is a part of the model.
_PART = 0.2
_HIDDEN = (".gitattributes", ".gitignore", ".cache/*", ".eval_results/*")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: the formats that the engine reads, best first, and what narrows them."""

    formats: tuple[str, ...] = FORMATS
    quant: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """Files that are left out, and why."""

    what: str
    reason: str
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        return total(self.files)


@dataclass(frozen=True, slots=True)
class Choice:
    """What is fetched and what is left out, or why nobody but the user can choose."""

    files: tuple[File, ...]
    skipped: tuple[Skipped, ...] = ()
    problem: str = ""
    hint: str = ""

    @property
    def weights(self) -> tuple[File, ...]:
        return tuple(each for each in self.files if kind_of(each.path))


class Undecided(Exception):  # noqa: N818 - it is a question and no error
    """Several files could be meant: what the message says has to be asked for."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.problem, self.hint = problem, hint


def kind_of(path: str) -> str:
    """The format of a weights file; "" for every other file."""
    name = path.rpartition("/")[2].lower()
    kind = _SUFFIXES.get(name.rpartition(".")[2], "")
    # Small pickles beside the weights: arguments of a training run, states of an optimizer.
    return "" if kind == "bin" and name.startswith(("training_args", "tokenizer")) else kind


def choose(files: Iterable[File], wish: Wish) -> Choice:
    """Decide for each file; the problem is set where the choice is not ours."""
    kept = [each for each in files if not _matches(each.path, _HIDDEN)]
    out: list[Skipped] = []
    excluded = [each for each in kept if _matches(each.path, wish.exclude)]
    kept = _without(kept, excluded)
    _skip(out, "--exclude", "as asked", excluded)
    try:
        kept = _included(kept, wish, out) if wish.include else _chosen(kept, wish, out)
    except Undecided as asked:
        return Choice((), tuple(out), asked.problem, asked.hint)
    return Choice(tuple(sorted(kept, key=lambda each: each.path)), tuple(out))


def _included(files: list[File], wish: Wish, out: list[Skipped]) -> list[File]:
    """Patterns choose among weights; what goes with weights is small, and always needed."""
    weights = [each for each in files if kind_of(each.path)]
    named = [each for each in files if _matches(each.path, wish.include)]
    if not named:
        raise Undecided(
            f"--include {' '.join(wish.include)} matches no file",
            "anvil-ctl pull REPO --dry-run shows the files",
        )
    _skip(out, "--include", "not asked for", _without(weights, named))
    return [each for each in files if each in named or each not in weights]


def _chosen(files: list[File], wish: Wish, out: list[Skipped]) -> list[File]:
    files = _one_copy(files, out)
    files = _one_format(files, wish, out)
    return _one_quantization(files, wish, out)


def _one_copy(files: list[File], out: list[Skipped]) -> list[File]:
    """Leave out folders that hold what the root holds too."""
    folders: dict[str, list[File]] = {}
    for each in files:
        folders.setdefault(each.path.partition("/")[0] if "/" in each.path else "", []).append(each)
    root = _weights_of(folders.pop("", []))
    if not root:
        return files
    unclear = []
    for name, members in sorted(folders.items()):
        weights = _weights_of(members)
        if name.lower() in _COPIES:
            _skip(out, f"{name}/", "the same weights for other programs", members)
            files = _without(files, members)
        elif total(weights) > _PART * total(root) and kind_of(root[0].path) != "gguf":
            unclear.append(f"{name}/ {gigabytes(total(weights))}")
    if unclear:
        raise Undecided(
            "weights are in more than one place, and whether they are the same is not known: "
            f"at the top {gigabytes(total(root))}, {', '.join(unclear)}",
            "say which: --exclude 'FOLDER/*', or --include PATTERN for those to take",
        )
    return files


def _one_format(files: list[File], wish: Wish, out: list[Skipped]) -> list[File]:
    """Of the same weights in several formats, keep the first that the engine reads."""
    there = {kind: [each for each in files if kind_of(each.path) == kind] for kind in FORMATS}
    wanted = next((kind for kind in wish.formats if there.get(kind)), None)
    if wanted is None and any(there.values()):
        found = ", ".join(kind for kind, members in there.items() if members)
        raise Undecided(
            f"the weights are {found}, and the engine reads {', '.join(wish.formats)}",
            "choose another repository, or another engine: anvil-ctl config show",
        )
    for kind in (*FORMATS, "other"):
        if kind != wanted:
            again = [each for each in files if kind_of(each.path) == kind]
            what = "*" + again[0].path[again[0].path.rfind(".") :] if again else ""
            _skip(out, what, f"the same weights, not as {wanted}", again)
            files = _without(files, again)
    return _one_layout(files, out) if wanted == "safetensors" else files


def _one_layout(files: list[File], out: list[Skipped]) -> list[File]:
    """Mistral's own layout beside the common one, and half precision beside full."""
    names = {each.path for each in files}
    if any(name.startswith("model") and name.endswith(".safetensors") for name in names):
        again = [each for each in files if each.path.startswith("consolidated")]
        _skip(out, "consolidated*", "the same weights in another layout", again)
        files = _without(files, again)
    variants = [each for each in files if each.path.replace(".fp16.", ".") in names - {each.path}]
    _skip(out, "*.fp16.*", "the same weights in another precision", variants)
    return _without(files, variants)


def _one_quantization(files: list[File], wish: Wish, out: list[Skipped]) -> list[File]:
    gguf = [each for each in files if kind_of(each.path) == "gguf"]
    if not gguf:
        return files
    helpers = [each for each in files if quants.is_importance(each.path)]
    _skip(out, "imatrix", "only for making quantizations", helpers)
    files, gguf = _without(files, helpers), _without(gguf, helpers)
    projectors = [each for each in gguf if quants.is_projector(each.path)]
    found = quants.sets(_without(gguf, projectors))
    chosen = _named(found, wish.quant)
    if not chosen.complete:
        raise Undecided(
            f"{chosen.name} has {len(chosen.files)} of its {chosen.shards} shards",
            "choose another quantization with --quant, or another repository",
        )
    for each in found:
        if each is not chosen:
            _skip(out, each.name, "another quantization", list(each.files))
            files = _without(files, each.files)
    again = [each for each in projectors if each is not _projector(projectors)]
    _skip(out, "mmproj", "another precision of the part that sees", again)
    return _without(files, again)


def _named(found: Sequence[quants.QuantSet], quant: str | None) -> quants.QuantSet:
    listed = ", ".join(f"{each.name} {gigabytes(each.size)}" for each in found)
    if quant is None:
        if len(found) != 1:
            raise Undecided(
                f"there are {len(found)} quantizations: {listed}",
                f"choose one: --quant {found[len(found) // 2].name}" if found else "",
            )
        return found[0]
    for each in found:
        if quant.lower() in {each.name.lower(), each.stem.lower()}:
            return each
    like = [each for each in found if quants.quant_of(each.files[0].path) == quant.upper()]
    if len(like) == 1:
        return like[0]
    raise Undecided(
        f"there is no quantization {quant}; there are {listed}",
        f"choose one: --quant {found[len(found) // 2].name}" if found else "",
    )


def _projector(found: Sequence[File]) -> File | None:
    """Half precision is what engines run it in."""
    order = {"F16": 0, "FP16": 0, "BF16": 1}
    return min(
        found, key=lambda each: (order.get(quants.quant_of(each.path), 2), each.path), default=None
    )


def gigabytes(size: float) -> str:
    """Bytes as people say them: 61.2 GB, 98.4 MB, 12 kB."""
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    if size >= 1e6:
        return f"{size / 1e6:.1f} MB"
    return f"{size / 1e3:.0f} kB" if size >= 1e3 else f"{size:.0f} B"


def _weights_of(files: Iterable[File]) -> list[File]:
    return [each for each in files if kind_of(each.path)]


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, each) for each in patterns)


def _without(files: Iterable[File], gone: Iterable[File]) -> list[File]:
    paths = {each.path for each in gone}
    return [each for each in files if each.path not in paths]


def _skip(out: list[Skipped], what: str, reason: str, files: Sequence[File]) -> None:
    if files:
        out.append(Skipped(what, reason, tuple(files)))
