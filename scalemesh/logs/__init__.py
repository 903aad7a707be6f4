"""The log's way: builder → Redis → subscriber → hub → ``Logs.follow`` → socket.

``stream`` is the live store (a Redis stream for each deployment), ``archive`` the record in the artifact
store, ``hub`` what this process has open, ``follow`` joins them so that a reader gets each line once.
"""
