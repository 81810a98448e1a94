"""A bucket whose large objects are written in parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from ciml.adapters import aws
from ciml.adapters.stores.answers import Part, seconds
from ciml.adapters.stores.bucket import Bucket


class PartwiseBucket(Bucket):
    """A bucket to which large objects go."""

    def begin(self, name: str) -> str:
        """The id of a new upload in parts."""
        with self._asking(f"write {self.address(name)}", "s3:PutObject", name):
            answer = self._seen(self._client.create_multipart_upload(**self._at(name), ChecksumAlgorithm="SHA256"))
        upload: str = answer["UploadId"]
        return upload

    def send_part(self, name: str, upload: str, number: int, body: bytes | BinaryIO, checksum: str) -> Part | None:
        """The part, which the service now has; None where it knows the upload no more."""
        from botocore.exceptions import ClientError

        with self._asking(f"write {self.address(name)}", "s3:PutObject", name):
            try:
                answer = self._sent(
                    lambda: self._client.upload_part(
                        **self._at(name),
                        UploadId=upload,
                        PartNumber=number,
                        Body=body,
                        ChecksumSHA256=checksum,
                        ChecksumAlgorithm="SHA256",
                    )
                )
            except ClientError as error:
                if aws.code_of(error) == "NoSuchUpload":
                    return None
                raise
        return Part(number=number, etag=answer["ETag"], checksum=checksum)

    def complete(self, name: str, upload: str, parts: Sequence[Part]) -> bool:
        """Whether the parts are the object now; False where the service knows the upload, or a part, no more."""
        from botocore.exceptions import ClientError

        named = [{"PartNumber": part.number, "ETag": part.etag, "ChecksumSHA256": part.checksum} for part in parts]
        with self._asking(f"write {self.address(name)}", "s3:PutObject", name):
            try:
                self._seen(
                    self._client.complete_multipart_upload(
                        **self._at(name), UploadId=upload, MultipartUpload={"Parts": named}
                    )
                )
            except ClientError as error:
                if aws.code_of(error) in ("NoSuchUpload", "InvalidPart", "InvalidPartOrder"):
                    return False
                raise
        return True

    def abort(self, name: str, upload: str) -> None:
        """Give an upload up; its parts are gone."""
        from botocore.exceptions import ClientError

        with self._asking(f"give up writing {self.address(name)}", "s3:AbortMultipartUpload", name):
            try:
                self._seen(self._client.abort_multipart_upload(**self._at(name), UploadId=upload))
            except ClientError as error:
                if aws.code_of(error) != "NoSuchUpload":
                    raise

    def uploads(self) -> Iterator[tuple[str, str, int]]:
        """Name, id and beginning (by the service's clock, s since 1970) of every upload that is not complete."""
        marker: dict[str, str] = {}
        while True:
            with self._asking(f"list uploads below {self.uri}", "s3:ListBucketMultipartUploads", None):
                answer = self._seen(self._client.list_multipart_uploads(**self._whole, Prefix=self._prefix, **marker))
            for item in answer.get("Uploads", ()):
                yield item["Key"][len(self._prefix) :], item["UploadId"], seconds(item["Initiated"])
            if not answer.get("IsTruncated"):
                return
            marker = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}
