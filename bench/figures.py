"""What a measurement is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """``value`` and ``bound`` in ``unit``; lower is better. Without a bound it is there to compare with."""

    name: str
    value: float
    bound: float | None
    unit: str

    @property
    def shown(self) -> str:
        return _shown(self.value, self.unit)

    @property
    def bound_shown(self) -> str:
        return "" if self.bound is None else "≤ " + _shown(self.bound, self.unit)

    @property
    def verdict(self) -> str:
        if self.bound is None:
            return ""
        return "ok" if self.value <= self.bound else "OVER"


def _shown(value: float, unit: str) -> str:
    return f"{value:.2f} {unit}" if value < 100 else f"{value:.0f} {unit}"
