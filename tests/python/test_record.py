"""Records: what dataclasses are, as far as Sherd uses it."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest

from sherd.record import field, record, replace


@record
class Place:
    """Somewhere."""

    host: str
    port: int = 0

    @property
    def text(self) -> str:
        return f"{self.host}:{self.port}"


@record(frozen=False)
class Basket:
    """What changes."""

    name: str
    items: list[str] = field(default_factory=list)


class Kept:
    """A class that is no record, with what its records share."""

    multi = False

    def shown(self) -> str:
        return f"{type(self).__name__} {self.multi}"


@record
class Box(Kept):
    """A record of such a class."""

    size: int = 1
    multi = True


def test_a_record_takes_its_fields_in_order_or_by_name() -> None:
    assert (Place("a", 1).host, Place("a", 1).port) == ("a", 1)
    assert Place(port=2, host="b").text == "b:2"
    assert Place("c").port == 0
    assert repr(Place("a", 1)) == "Place(host='a', port=1)"


@pytest.mark.parametrize(
    ("values", "named"), [((), {}), (("a", 1, 2), {}), (("a",), {"host": "b"}), (("a",), {"x": 1})]
)
def test_a_record_refuses_what_it_has_no_fields_for(values: tuple[object, ...], named: dict[str, object]) -> None:
    for _ in range(2):  # the first instance is made in another way than later ones
        with pytest.raises(TypeError, match=r"Place\.__init__\(\)"):
            Place(*values, **named)  # type: ignore[arg-type]


def test_a_frozen_record_cannot_change() -> None:
    place = Place("a", 1)
    with pytest.raises(AttributeError, match=r"Place\.port cannot be changed"):
        place.port = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del place.port
    assert (place, hash(place)) == (Place("a", 1), hash(Place("a", 1)))
    assert place != Place("a", 2)
    assert place != ("a", 1)


def test_a_record_that_is_not_frozen_changes_and_has_no_hash() -> None:
    basket = Basket("a")
    basket.items.append("egg")
    basket.name = "b"
    assert basket == Basket("b", ["egg"])
    assert Basket("a").items == []
    with pytest.raises(TypeError):
        hash(basket)


def test_a_record_has_slots_only() -> None:
    with pytest.raises(AttributeError):
        Basket("a").other = 1  # type: ignore[attr-defined]


def test_a_record_is_copied_replaced_and_pickled() -> None:
    basket = Basket("a", ["egg"])
    other = copy.deepcopy(basket)
    assert other == basket
    assert other.items is not basket.items
    assert pickle.loads(pickle.dumps(Place("a", 1))) == Place("a", 1)
    assert replace(Place("a", 1), port=2) == Place("a", 2)


def test_a_record_is_matched_by_its_fields() -> None:
    match Place("a", 1):
        case Place(host, port):
            assert (host, port) == ("a", 1)
        case _:
            pytest.fail("no match")


def test_a_record_may_belong_to_a_class_that_is_none() -> None:
    assert (Box().shown(), Box(2).size) == ("Box True", 2)

    class Smaller(Box):
        def __init__(self) -> None:
            super().__init__(0)

    assert (Smaller().size, Box(3).size) == (0, 3)


def test_records_load_nothing_that_takes_time() -> None:
    """`inspect` and what that loads are what dataclasses cost beside compiling their methods."""
    code = "import sys, sherd.record; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
                            capture_output=True, text=True, timeout=60, check=True).stdout.split()  # fmt: skip
    assert not {"dataclasses", "inspect", "ast"} & set(loaded)
