"""``python -m builder``: the environment in, an exit status out.

``--standby`` waits for what it still lacks of the environment, a line of JSON on stdin. ``--check-sandbox``
builds nothing and says by its status whether the sandbox works here.
"""

import asyncio
import logging
import os
import sys
from datetime import UTC, datetime

from builder.apart import give_way
from builder.build import run_build
from builder.contract import read_contract
from builder.errors import ContractError, ExitStatus
from builder.selftest import check_sandbox
from builder.standby import await_variables, show_deployment


def main() -> ExitStatus:
    give_way()
    logging.basicConfig(level=logging.INFO, format="builder: %(message)s", stream=sys.stderr)
    if sys.argv[1:] == ["--check-sandbox"]:
        return asyncio.run(check_sandbox())
    if sys.argv[1:] == ["--standby"]:
        variables = await_variables()
        if variables is None:
            return ExitStatus.READY
        os.environ.update(variables)
    try:
        contract = read_contract(os.environ, now=datetime.now(UTC))
        show_deployment(contract.deployment_id)
        return asyncio.run(run_build(contract, dict(os.environ)))
    except ContractError as error:
        for mistake in error.mistakes:
            sys.stderr.write(f"builder: {mistake}\n")
        return ExitStatus.REFUSED
    except Exception:
        # Python's own exit status for it is 1, which would say that the user's build failed.
        logging.getLogger(__name__).exception("The builder failed.")
        return ExitStatus.INFRASTRUCTURE


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    sys.stdout.flush()
    # Without waiting for a thread that compresses a file of a canceled build.
    os._exit(status)
