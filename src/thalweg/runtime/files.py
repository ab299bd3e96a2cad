"""Files and folders that are written whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_write(place: Path, *, within: Path | None = None, over: bool = False) -> Iterator[Path]:
    """Write a file or a folder whole or not at all.

        with atomic_write(place) as aside:
            aside.write_text(text)

    It takes its name, by a rename, when the block ends. Whoever reads meanwhile, or after this process was killed,
    finds what was there before or what is there now; nothing, for a moment, where a folder takes the place of
    another. Where the block fails, nothing of it is left. Nothing is forced to the disk (fsync): this holds against
    the end of a process, not against that of a machine.

    Args:
        place: of the file or folder; the folder that holds it exists.
        within: folder on the same file system to write in; default that of `place`.
        over: whatever stands in the way goes, folders too. Only where the folder around it is the caller's own.

    Yields:
        Where to write.

    Raises:
        OSError: it cannot be written, or not take its name; `place` is as it was.
    """
    new = temporary(place, within)
    if over:
        remove(new)  # of a writer that was killed
    try:
        yield new
        if over:
            _replace(new, place)
        else:
            os.replace(new, place)
    except BaseException:
        with suppress(OSError):
            if over:
                remove(new)
            else:
                new.unlink(missing_ok=True)  # never a folder, which is somebody else's
        raise


def temporary(place: Path, within: Path | None = None) -> Path:
    """Where a file or folder is written before it takes its name."""
    return (place.parent if within is None else within) / f"{place.name}.new"


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if there is one."""
    if _is_folder(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def _replace(new: Path, place: Path) -> None:
    """Rename, whatever stands there; a rename alone replaces a file by a file, and a folder by nothing."""
    if _is_folder(new) and os.path.lexists(place):
        old = new.with_suffix(".old")
        remove(old)
        os.replace(place, old)
        try:
            os.replace(new, place)
        except BaseException:
            os.replace(old, place)
            raise
        remove(old)
        return
    if _is_folder(place):
        remove(place)
    os.replace(new, place)


def _is_folder(path: Path) -> bool:
    """Whether a folder itself, no link to one."""
    return path.is_dir() and not path.is_symlink()
