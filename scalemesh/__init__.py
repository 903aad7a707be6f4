"""Scale Mesh: deploys web apps from a git URL, in one aiohttp process.

Rooms, from the top down; imports point down only (``[tool.importlinter]`` in ``pyproject.toml``):

    cli, demo       the command line
    app, lifecycle, reachable
                    one application, every resource's scope, and what is said where one is away
    web             routes, payloads, sessions, pages, the error table
    builds          dispatcher, launchers, what becomes of lost builds
    accounts, projects, deploys, sites
                    what the product does
    logs            subscriber, hub, archive
    auth, db, artifacts, embedded, fields
                    passwords; SQL; the artifact store; Postgres and Valkey from wheels; what a field may hold
    settings, addresses, errors, keys, model
                    what everybody may name
"""
