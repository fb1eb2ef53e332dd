"""Dataclasses whose functions are written when somebody asks for one: the same to whoever looks."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datalayer.late import LateModule, dataclass

ROOT = Path(__file__).resolve().parents[2]
STARTED = "from datalayer.pooling.stats import LeaseInfo, PoolStats; from datalayer.models.bulk import Bulk; "


def point() -> Any:
    @dataclass(frozen=True, slots=True)
    class Point:
        """A place."""

        x: int
        y: int = 0
        tags: list[str] = dataclasses.field(default_factory=list, compare=False)

        def moved(self, by: int) -> Point:
            return dataclasses.replace(self, x=self.x + by)

    return Point


@dataclass(frozen=True, slots=True)
class Kept:
    """What can be pickled."""

    x: int
    y: int = 0


def is_written(cls: type) -> bool:
    return inspect.isfunction(cls.__dict__["__init__"])


def test_nothing_is_written_before_the_first_object() -> None:
    cls = point()
    assert not is_written(cls)
    cls(1)
    assert is_written(cls)


def test_objects_are_as_those_of_the_standard_library() -> None:
    cls = point()
    one = cls(1, tags=["a"])
    assert repr(one).endswith("Point(x=1, y=0, tags=['a'])")
    assert one == cls(1)
    assert hash(one) == hash(cls(1))
    assert one != cls(2)
    assert one.moved(2) == cls(3)
    assert cls(1).tags is not cls(1).tags
    assert not hasattr(one, "__dict__")


def test_a_frozen_one_cannot_be_changed() -> None:
    one = point()(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del one.x


def test_one_that_may_change_has_no_hash() -> None:
    @dataclass(slots=True)
    class Box:
        value: int

    assert Box.__hash__ is None
    box = Box(1)
    box.value = 2
    assert box == Box(2)
    with pytest.raises(TypeError, match="unhashable"):
        hash(box)


def test_functions_of_the_class_itself_are_kept() -> None:
    @dataclass(frozen=True, slots=True)
    class Named:
        name: str

        def __repr__(self) -> str:
            return "mine"

        def __hash__(self) -> int:
            return 7

    assert (repr(Named("a")), hash(Named("a"))) == ("mine", 7)


@pytest.mark.parametrize(
    "look",
    [
        dataclasses.fields,
        dataclasses.is_dataclass,
        inspect.signature,
        lambda cls: cls.__init__,
        lambda cls: cls.__eq__,
        lambda cls: cls.__hash__,
        lambda cls: cls.__dataclass_fields__,
    ],
)
def test_whoever_looks_first_finds_everything(look: Callable[[type], object]) -> None:
    cls = point()
    assert look(cls)
    assert is_written(cls)


def test_its_signature_is_that_of_its_fields() -> None:
    assert list(inspect.signature(point()).parameters) == ["x", "y", "tags"]


def test_a_dataclass_may_follow_another_that_is_not_written_yet() -> None:
    base = point()

    @dataclasses.dataclass(frozen=True)
    class Deep(base):  # type: ignore[misc]  # mypy: a base that is found at run time
        z: int = 1

    assert [one.name for one in dataclasses.fields(Deep)] == ["x", "y", "tags", "z"]


def test_copies_and_pickles_are_equal() -> None:
    assert copy.copy(Kept(1)) == copy.deepcopy(Kept(1)) == pickle.loads(pickle.dumps(Kept(1))) == Kept(1)


def test_a_pickle_can_be_read_by_a_process_that_has_made_none() -> None:
    made = STARTED + "import pickle, sys; sys.stdout.buffer.write(pickle.dumps(LeaseInfo(1, 2.0, 'me', 'here')))"
    kept = subprocess.run([sys.executable, "-c", made], capture_output=True, check=True, cwd=ROOT).stdout
    read = f"import pickle; one = pickle.loads({kept!r}); print(repr(one), one == pickle.loads({kept!r}), one.held)"
    done = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "LeaseInfo(id=1, held=2.0, owner='me', where='here', site='') True 2.0\n"


def test_threads_that_meet_a_class_at_the_same_time_all_get_it_whole() -> None:
    for _ in range(20):
        cls, found = point(), []
        ready = threading.Barrier(4)

        def make(cls: Any = cls, ready: threading.Barrier = ready, found: list[Any] = found) -> None:
            ready.wait()
            found.append((cls(1), hash(cls(1)), repr(cls(1))))

        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 4
        assert len(set(found)) == 1


def test_a_start_does_not_write_what_it_does_not_use() -> None:
    code = STARTED + "print(*(type(one.__dict__['__init__']).__name__ for one in (LeaseInfo, PoolStats, Bulk)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "_Function _Function _Function\n"


def test_a_module_is_imported_with_the_first_name_of_it() -> None:
    code = (
        "import sys; from datalayer.late import difflib; before = 'difflib' in sys.modules; "
        "difflib.get_close_matches; print(before, 'difflib' in sys.modules, type(difflib).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "False True module\n"


def test_a_name_that_a_late_module_lacks_is_an_error_as_usual() -> None:
    late = LateModule("keyword")
    with pytest.raises(AttributeError, match="module 'keyword' has no attribute 'nothing'"):
        _ = late.nothing
    assert late.iskeyword("if")
