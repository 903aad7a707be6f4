"""From a queued row to a site: the dispatcher claims, a launcher runs the builder, an outcome is written.

``order`` and ``outcome`` decide and are pure; ``dispatcher``, ``worker`` and ``process`` do.
"""
