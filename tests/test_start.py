"""What a start does not pay for."""

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]

# Each is as much as a tenth of a start.
_OTHERS = (
    "aioboto3",
    "aiobotocore",
    "aiodocker",
    "boto3",
    "botocore",
    "builder",
    "email_validator",
    "valkey",
)

_SCRIPT = f"""
import sys
import scalemesh.cli
from redis.asyncio import ConnectionPool
from scalemesh.auth.throttle import Throttle
Throttle(ConnectionPool())
print(*[name for name in {_OTHERS} if name in sys.modules])
"""


def test_a_server_imports_no_client_of_what_it_does_not_use() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], cwd=_ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == []
