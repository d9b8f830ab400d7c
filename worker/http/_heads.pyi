from worker.http.requests import RequestHead
from worker.http.responses import ResponseHead

def request(data: bytes, max_bytes: int, max_fields: int) -> tuple[RequestHead, int] | None: ...
def response(
    data: bytes, method: bytes, max_bytes: int, max_fields: int
) -> tuple[ResponseHead, int] | None: ...
