"""What came of the builds whose outcome this process wrote down."""

from collections import defaultdict
from datetime import UTC, datetime

from scalemesh.histogram import Histogram
from scalemesh.model import Status

BUILD_BOUNDS_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0)
"""A plain page takes a second, a large framework minutes, and BUILD_TIMEOUT_S is 900 unless set."""


class BuildCounters:
    """``ended`` has how long builds took by their final status, from the first attempt's start."""

    def __init__(self) -> None:
        self.retries = 0
        self.ended: defaultdict[Status, Histogram] = defaultdict(lambda: Histogram(BUILD_BOUNDS_S))

    def count(self, status: Status, started_at: datetime) -> None:
        if status.is_final:
            self.ended[status].observe(max(0.0, (datetime.now(UTC) - started_at).total_seconds()))
        else:
            self.retries += 1
