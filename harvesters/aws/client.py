"""boto3 clients, made when first needed, and what their errors mean.

Everything about accounts, regions and endpoints is boto3's own (``AWS_*``). Its retries are switched off: there is
one retry policy, ours.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from harvesters import __version__
from harvesters.collector import uncollected
from harvesters.errors import ConfigError, CredentialsRefused, HarvestError, ProtocolError, Unavailable
from harvesters.privacy import excerpt
from harvesters.retry import RetryPolicy, Transient

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

T = TypeVar("T")

_making = threading.Lock()  # boto3's own session is not made for two threads that make clients

_REFUSED = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_PASSING = {
    "ConditionalRequestConflict",  # another conditional write of the object is under way
    "OperationAborted",
    "OverLimit",  # too many messages in flight
    "QueueDeletedRecently",  # its name is free again after a minute
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestTimeout",
    "SlowDown",
    "TooManyRequestsException",
}
_SETTINGS = {"InvalidBucketName", "KeyTooLongError"}
_CLOCK = {"RequestTimeTooSkewed", "RequestExpired"}


@overload
def client(service: Literal["s3"], connections: int = ..., timeout: float = ...) -> S3Client: ...
@overload
def client(service: Literal["sqs"], connections: int = ..., timeout: float = ...) -> SQSClient: ...
def client(service: str, connections: int = 10, timeout: float = 30.0) -> Any:
    """A client of `service` with room for that many requests in flight, which waits `timeout` seconds for an answer.

    Raises:
        ConfigError: boto3 lacks a region, a profile or the like; the message says which.
    """
    with uncollected():
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        config = Config(
            retries={"total_max_attempts": 1},
            connect_timeout=min(10.0, timeout),
            read_timeout=timeout,
            max_pool_connections=connections,
            parameter_validation=False,
            user_agent=f"harvest/{__version__}",  # its own is put together twice a request
        )
        try:
            with _making:
                return boto3.client(service, config=config)  # type: ignore[call-overload]
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(f"AWS is not configured: {error} (set AWS_DEFAULT_REGION and the like)") from error


def call(retry: RetryPolicy, what: str, send: Callable[[], T], unavailable: type[Unavailable] = Unavailable) -> T:
    """What `send` returns, with the errors of boto3 turned into ours and the passing ones tried again.

    A `ClientError` that means something to the caller (a missing key, a failed condition) is caught inside `send`.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    def attempt() -> T:
        try:
            return send()
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            raise translate(error, what) from error
        except RecursionError as error:  # boto3 follows each redirect of S3's from within the one before
            raise Transient("redirects, and then again, without an end") from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            if not _in_parser(error):
                raise
            raise Transient("answered something of another shape than it should have") from error

    return retry.call(attempt, what, unavailable)


def _in_parser(error: Exception) -> bool:
    """Whether boto3 broke while it read an answer: it believes that JSON has the shape that it should have."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == "botocore.parsers":
            return True
        trace = trace.tb_next
    return False


def field(answer: Any, name: str) -> Any:
    """What `answer` says under `name`.

    Raises:
        Transient: nothing: the answer is torn, or somebody else's.
    """
    try:
        return answer[name]
    except (KeyError, TypeError):
        raise Transient(f"answered without {name}") from None


def number(answer: Any, name: str, default: int | None = None) -> int:
    """The integer under `name`; `default` where there is none.

    Raises:
        Transient: it is no integer, or missing without a default.
    """
    value = answer.get(name) if default is not None else field(answer, name)
    try:
        return int(value or default or 0)
    except (TypeError, ValueError):
        raise Transient(f"answered with a {name} that is no number") from None


def error_code(error: Exception) -> str:
    """The service's own name of a `ClientError`, such as ``NoSuchKey``; SQS prefixes are stripped."""
    response = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", "")).rpartition(".")[2]


def translate(error: Exception, what: str) -> HarvestError | Transient:
    """What an error of boto3 means for a run."""
    from botocore import exceptions
    from botocore.parsers import ResponseParserError

    configuration = (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.CredentialRetrievalError,
        exceptions.NoRegionError,
        exceptions.ProfileNotFound,
        exceptions.ParamValidationError,
        exceptions.TokenRetrievalError,
    )
    if isinstance(error, configuration):
        return ConfigError(f"{what}: AWS is not configured: {excerpt(error)}")
    if isinstance(error, ResponseParserError):  # it quotes the answer, which may be messages
        return Transient("sent an answer that cannot be read")
    if not isinstance(error, exceptions.ClientError):
        return Transient(f"no answer: {excerpt(error)}")
    code, status = error_code(error), int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    message = excerpt(error.response.get("Error", {}).get("Message") or code)
    if code in _PASSING or "Throttl" in code or status == 429:
        return Transient(f"answered {status} {code}")
    if code in _REFUSED or status in (401, 403):
        clock = " The clock of this machine is off." if code in _CLOCK else ""
        return CredentialsRefused(
            f"{what}: refused ({code}: {message}).{clock} Check the AWS_* credentials and rights."
        )
    if code in _SETTINGS:
        return ConfigError(f"{what}: {code}: {message}")
    if status == 501:
        return ConfigError(f"{what}: it does not know what we need of it ({code}: {message}). Use another service.")
    if status >= 500:
        return Transient(f"answered {status} {code}")
    if code in ("", str(status)):  # boto3 puts the status where the answer names no reason: it is torn, or a proxy's
        return Transient(f"answered {status} without a reason")
    return ProtocolError(f"{what}: {code}: {message}")
