"""Our signatures are botocore's."""

from datetime import UTC, datetime
from urllib.parse import quote

from botocore.auth import SIGV4_TIMESTAMP, S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from builder.sigv4 import Signer


class Reference(S3SigV4Auth):  # type: ignore[misc]
    def payload(self, request: AWSRequest) -> str:
        return str(request.context["sha256"])


@given(
    method=st.sampled_from(["GET", "HEAD", "PUT", "DELETE"]),
    host=st.sampled_from(["s3.example", "127.0.0.1:8333", "[::1]:9000", "bucket.s3.eu-west-1.amazonaws.com"]),
    key=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    headers=st.dictionaries(
        st.sampled_from(["Content-Type", "Range", "x-amz-meta-a", "X-Amz-Tagging"]),
        st.text("abcXYZ019/;=-_.", min_size=1, max_size=20),
    ),
    token=st.none() | st.text("abc/+=", min_size=1, max_size=30),
    region=st.sampled_from(["us-east-1", "eu-central-2"]),
)
def test_they_are_the_same(
    method: str, host: str, key: str, headers: dict[str, str], token: str | None, region: str
) -> None:
    path = f"/artifacts/{quote(key, safe='/~')}"
    credentials = ReadOnlyCredentials("AKID", "secret/+", token)
    request = AWSRequest(method, f"https://{host}{path}", headers)
    request.context["sha256"] = "f" * 64
    Reference(credentials, "s3", region).add_auth(request)
    wanted = {name.lower(): value for name, value in request.headers.items()}
    signed = Signer(host, region=region, service="s3").sign(
        method,
        path,
        headers,
        "f" * 64,
        credentials=credentials,
        now=datetime.strptime(wanted["x-amz-date"], SIGV4_TIMESTAMP).replace(tzinfo=UTC),
    )
    assert signed.pop("host") == host
    assert signed == wanted
