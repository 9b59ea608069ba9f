"""What is found in a body, whoever wrote it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from andon.errors import BadRequest
from andon.serve.uploads import Upload, read_uploads

BOUNDARY = b"----andon"
TYPE = f"multipart/form-data; boundary={BOUNDARY.decode()}"


def part(data: bytes, disposition: bytes = b'form-data; name="f"; filename="x.jpg"', extra: bytes = b"") -> bytes:
    return b"--" + BOUNDARY + b"\r\nContent-Disposition: " + disposition + b"\r\n" + extra + b"\r\n" + data + b"\r\n"


def closed(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5))
@example([b"\r\n", b"\r\n--", b"\r\n------and"])
@example([b"", b"-" * 100, b"\r" * 100])
def test_bytes_come_out_as_they_went_in(files: list[bytes]) -> None:
    found = read_uploads(closed(*(part(data) for data in files)), TYPE, max_files=10)
    assert [upload.data for upload in found.files] == files


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('form-data; name="f"; filename="사진 1.jpg"', "사진 1.jpg"),
        ("form-data; name=\"f\"; filename*=utf-8''%E5%A0%B1%E5%91%8A.jpg", "報告.jpg"),
        ('form-data; name="f"; filename="a;b.jpg"', "a;b.jpg"),
        ('form-data; name="f"; filename="a\\"b.jpg"', 'a"b.jpg'),
        ('form-data; name="f"; filename=plain.jpg', "plain.jpg"),
        ('form-data; name="f"; filename="C:\\photos\\a.jpg"', "a.jpg"),
        ('form-data; name="f"; filename="../../etc/passwd"', "../../etc/passwd"),
    ],
)
def test_file_names_survive(disposition: str, name: str) -> None:
    found = read_uploads(closed(part(b"x", disposition.encode())), TYPE, max_files=1)
    assert found.files == (Upload(b"x", name),)


def test_text_fields_stand_beside_the_files() -> None:
    body = closed(part(b"0.5", b'form-data; name="min_score"'), part(b"x"))
    found = read_uploads(body, TYPE, max_files=1)
    assert (found.fields, len(found.files)) == ((("min_score", "0.5"),), 1)


@pytest.mark.parametrize("quoted", [TYPE, f'multipart/form-data; boundary="{BOUNDARY.decode()}"', TYPE.upper()])
def test_the_boundary_is_understood_in_either_writing(quoted: str) -> None:
    body = closed(part(b"x"))
    if quoted == TYPE.upper():
        body = body.replace(BOUNDARY, BOUNDARY.upper())
    assert read_uploads(body, quoted, max_files=1).files == (Upload(b"x", "x.jpg"),)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (part(b"x"), "bad_multipart"),
        (part(b"x") + b"--" + BOUNDARY, "bad_multipart"),
        (b"--other\r\n\r\nx\r\n--other--\r\n", "bad_multipart"),
        (b"--" + BOUNDARY + b"\r\nno colon here\r\n\r\nx\r\n--" + BOUNDARY + b"--", "bad_multipart"),
        (closed(part(b"x" * 70_000, b'form-data; name="note"'), part(b"x")), "fields_too_large"),
        (closed(*[part(b"x")] * 200), "too_many_files"),
        (closed(part(b"x", extra=b"A: b\r\n" * 50)), "bad_multipart"),
        (b"", "empty_body"),
    ],
)
def test_a_broken_body_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        read_uploads(body, TYPE, max_files=2)
    assert refusal.value.code == code
    assert 400 <= refusal.value.http_status < 500


@given(st.binary(min_size=1, max_size=400), st.text(max_size=60))
def test_no_body_and_no_header_brings_the_reader_down(body: bytes, content_type: str) -> None:
    try:
        files = read_uploads(body, content_type, max_files=3).files
    except BadRequest:
        return
    assert files
