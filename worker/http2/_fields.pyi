from worker.http.fields import Field
from worker.http.requests import RequestHead

def request(
    fields: list[Field], has_body: bool, max_bytes: int, max_fields: int
) -> RequestHead | None:
    """As `worker.http2.heads.request_of`; None: not common, or refused there."""
