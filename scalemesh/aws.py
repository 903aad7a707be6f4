"""What the clients of S3 and of ECS have in common."""

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiobotocore.session import AioSession


class Aws:
    """boto's session, made when it is first asked for.

    Its credentials are found once for all clients, and what it reads of AWS's services is read once.
    """

    @cached_property
    def session(self) -> "AioSession":
        # botocore is 25 MB and a tenth of a second that only S3 and ECS need.
        from aiobotocore.session import get_session

        return get_session()
