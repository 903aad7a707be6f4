"""``ecs-setup``: what BUILDER=ecs needs in an AWS account, made once and taken back.

``requests`` decides and is pure; ``parts`` finds, makes and removes; ``command`` tells and asks.
"""
