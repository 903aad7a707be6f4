"""Sites, as visitors see them: a request for a host under the sites domain, and its answer.

hosts      which door the request knocks at
request    what of it may change the answer
plan       the whole answer, decided purely, with the help of
             paths, resolve         raw path -> decoded path -> file, redirect or miss
             redirects              the site's own rules for paths
             header_rules           the site's own rules for headers
             negotiate              br, gzip or the plain form
             conditional, ranges    304, 206, 416
             pages                  our own words for what is not there
manifest   what a deployment is made of; cache keeps those in use
earlier    what was live before, for pages that are open still
routes     where hosts lead, remembered
blobs      where a file's bytes are: in memory, on this machine's disk (disk, download), in the store
respond    route -> manifest -> plan -> bytes on the wire; files of this machine by sendfile
hot        answers made ready by respond, found by a request's bytes (heads);
first      answers that memory knows all of but a blob, decided by respond without a request object
protocol   the connection that writes both, and leaves all else to aiohttp
told       the same, with somebody told of each
"""

from scalemesh.sites.cache import MAX_MANIFEST_BYTES
from scalemesh.sites.disk import DiskCache, open_disk_cache
from scalemesh.sites.earlier import EARLIER_AGE, EARLIER_DEPLOYMENTS, FetchEarlier
from scalemesh.sites.first import FirstAnswers
from scalemesh.sites.hosts import (
    BadHost,
    ControlHost,
    Host,
    Hostnames,
    SiteHost,
    UnknownHost,
    parse_host,
)
from scalemesh.sites.protocol import HotHandler, HotRunner
from scalemesh.sites.respond import Sites, bad_host_response, unknown_host_response
from scalemesh.sites.routes import FetchRoute, RouteUnavailable
from scalemesh.sites.told import telling_handler

__all__ = [
    "EARLIER_AGE",
    "EARLIER_DEPLOYMENTS",
    "MAX_MANIFEST_BYTES",
    "BadHost",
    "ControlHost",
    "DiskCache",
    "FetchEarlier",
    "FetchRoute",
    "FirstAnswers",
    "Host",
    "Hostnames",
    "HotHandler",
    "HotRunner",
    "RouteUnavailable",
    "SiteHost",
    "Sites",
    "UnknownHost",
    "bad_host_response",
    "open_disk_cache",
    "parse_host",
    "telling_handler",
    "unknown_host_response",
]
