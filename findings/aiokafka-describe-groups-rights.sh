#!/usr/bin/env bash
# 2026-11-30. aiokafka 0.14.0 asks what we may do with a group (DescribeGroups v3), and cannot read the answer.
#
# Expected: `DescribeGroupsRequest_v3(..., include_authorized_operations=True)` is answered by version 3 of the response,
# which has a bit field of operations behind the members of each group (KIP-430).
# Seen: the request's RESPONSE_TYPE is the response of version 2. It has no such field: the four bytes of the bit field
# are left over, or, with several groups in one answer, read as the beginning of the next group. The class for version 3
# is there, and reads the same bytes right. A request struct of one's own that names it is the way out.
# No broker is needed: the bytes are those of the library's own class for version 3. Fails when that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check aiokafka==0.14.0
"$work/venv/bin/python" - <<'PY'
import io

from aiokafka.protocol.admin import DescribeGroupsRequest_v3, DescribeGroupsResponse_v3

RIGHTS = 0b1_0000_1000  # read and describe
GROUP = (0, "orders", "Stable", "consumer", "range", [("member-1", "client", "/127.0.0.1", b"", b"")], RIGHTS)
body = DescribeGroupsResponse_v3(throttle_time_ms=0, groups=[GROUP]).encode()

right = DescribeGroupsResponse_v3.decode(io.BytesIO(body)).groups[0]
stream = io.BytesIO(body)
by_request = DescribeGroupsRequest_v3.RESPONSE_TYPE.decode(stream).groups[0]
left = stream.read()
print("response 3:           ", right)
print("as the request reads it:", by_request, "and left over:", left.hex())
print("versions:", DescribeGroupsRequest_v3.API_VERSION, DescribeGroupsRequest_v3.RESPONSE_TYPE.API_VERSION)
assert right[-1] == RIGHTS
assert DescribeGroupsRequest_v3.RESPONSE_TYPE.API_VERSION == 2, "the request now names its own response"
assert by_request == right[:-1]
assert left == RIGHTS.to_bytes(4, "big")
print("as described")
PY
