"""A bounded dict whose hits move nothing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from scalemesh.sites.generations import Generations


def make(max_bytes: int) -> Generations[str, bytes]:
    return Generations(max_bytes, lambda _key, value: len(value))


def test_what_is_used_stays_and_what_is_not_goes() -> None:
    kept = make(20)
    kept.put("used", bytes(5))
    kept.put("unused", bytes(5))
    for number in range(100):
        kept.put(f"new {number}", bytes(5))
        assert kept["used"] is not None
    assert kept["unused"] is None


def test_a_replaced_value_is_not_found_again() -> None:
    kept = make(20)
    kept.put("a", b"old")
    kept.put("b", bytes(9))  # a is in the old half now
    kept.put("a", b"new")
    kept.put("c", bytes(9))
    kept.put("d", bytes(9))
    assert kept["a"] != b"old"


def test_what_is_larger_than_half_is_not_kept() -> None:
    kept = make(20)
    kept.put("a", bytes(11))
    assert kept["a"] is None


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 12), st.booleans())))
def test_it_never_holds_more_than_it_may(uses: list[tuple[str, int, bool]]) -> None:
    kept = make(20)
    last: dict[str, bytes] = {}
    for key, size, puts in uses:
        if puts and size <= 10:
            last[key] = bytes(size)
            kept.put(key, last[key])
        found = kept[key]
        assert found is None or found is last[key]
        assert sum(len(value) for half in (kept, kept._old) for value in half.values()) <= 20
