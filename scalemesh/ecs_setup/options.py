"""What ``ecs-setup`` may be told; apart from the rest, so that no other command imports boto for it."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="scalemesh", help="of the cluster, and how other names begin")
    parser.add_argument("--bucket", help="of the artifacts (NAME-ACCOUNT-REGION where it is not given)")
    parser.add_argument("--cpu", type=int, default=2048, help="of a build: 1024 is one vCPU (2048)")
    parser.add_argument("--memory", type=int, default=5120, metavar="MIB", help="of a build's task (5120)")
    parser.add_argument("--image", help="repository@sha256:… of the builder; else what was pushed last")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--destroy", action="store_true", help="remove what ecs-setup has made")
