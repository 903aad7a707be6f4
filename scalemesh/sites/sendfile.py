"""A file on its way from the kernel's memory to a connection, without passing through this process.

uvloop has no ``sendfile``, and asyncio's works on its own transports only.
"""

import asyncio
import errno
import os
from contextlib import suppress

from aiohttp import web

from scalemesh.artifacts.store import FilePart, StoreUnavailable
from scalemesh.tasks import to_its_end

PIECE_BYTES = 1024 * 1024
"""Of one call, for which a slow disk keeps a thread from the others; a connection takes about as much."""

FLUSH_TURNS = 3
"""Of the loop, until a response's head has left the transport; a client that reads at all is not noticed."""


async def send_file(
    request: web.BaseRequest,
    response: web.StreamResponse,
    part: FilePart,
    count: int,
    *,
    stall_timeout_s: float,
) -> bool:
    """Send ``count`` bytes of ``part`` as the body of ``response``, which is prepared and has sent none.

    False where the connection still holds what was written before, so that the body has to queue behind it,
    or the file is on no ordinary disk: nothing of the body is sent then. Raises ``TimeoutError`` where the
    client takes nothing for so long, ``ConnectionError`` where it is gone, ``StoreUnavailable`` where the
    file has less.
    """
    await response.write(b"")  # the head
    transport = request.transport
    for _ in range(FLUSH_TURNS):
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        if not transport.get_write_buffer_size():
            break
        await asyncio.sleep(0)
    else:
        return False
    # Another number for the same socket: the loop lets nobody else wait on one that a transport has.
    connection = os.dup(transport.get_extra_info("socket").fileno())
    try:
        offset = part.start
        end = part.start + count
        while offset < end:
            try:
                sent = await _send_piece(
                    connection, part.file.fileno(), offset, min(end - offset, PIECE_BYTES)
                )
            except ConnectionError:
                raise
            except BlockingIOError:
                async with asyncio.timeout(stall_timeout_s):
                    await _writable(connection)
                if transport.is_closing():
                    raise ConnectionResetError("the client has left") from None
                continue
            except OSError as error:
                if offset == part.start and error.errno == errno.EINVAL:
                    return False  # a file system that has no such thing
                raise StoreUnavailable(f"a file could not be sent: {error.strerror}") from error
            if sent == 0:
                raise StoreUnavailable(f"a file ended {end - offset} bytes early")
            offset += sent
    finally:
        os.close(connection)
    return True


async def _send_piece(connection: int, file: int, offset: int, count: int) -> int:
    # In a thread: the disk may be slow.
    sending = asyncio.ensure_future(asyncio.to_thread(os.sendfile, connection, file, offset, count))
    try:
        return await asyncio.shield(sending)
    except asyncio.CancelledError:
        # The numbers must stay what they are until the thread is done with them.
        with suppress(OSError):
            await to_its_end(_result(sending))
        raise


async def _result(sending: asyncio.Future[int]) -> int:
    return await sending


async def _writable(connection: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(connection, _tell, ready)
    try:
        await ready
    finally:
        loop.remove_writer(connection)


def _tell(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
