"""The builder: clones a repository, builds it in a sandbox and uploads the site. ``python -m builder``.

Environment in, exit status out; ``docs/builder-contract.md`` is the whole of what it shares with the
server. The rooms, from the top down:

    __main__, build     one build from start to end, and what stops it early
    clone, install      the phases: a checkout, the tool chain, the user's commands,
    publish             the site in the artifact store
    detect, presets     how a build is chosen (pure), from what checkout reads: layouts, packages, python,
                        node_version
    sandbox, run        the argument list of a sandboxed command (pure), and its execution
    collect, encode     files out of the output directory, and their compressed forms
    caches, archive     what later builds take over; dependencies (pure) decides when that is right
    earlier             what the store has of the project already
    store*              where artifacts go: a directory or S3
    log, live, kept     numbered lines, their way to Redis, and the part of them that is kept
    text, masking       bytes of a process to clean lines of text
    contract, errors    the environment, read once; what can go wrong
"""
