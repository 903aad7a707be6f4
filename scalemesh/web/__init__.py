"""The control host: JSON API, pages, the log console's WebSocket.

``routes`` is the table of contents. A handler is five moves: who, parse, act, shape, return. ``errors``
alone knows statuses, ``shapes`` alone what JSON looks like, ``pages`` alone what a template is given.
"""
