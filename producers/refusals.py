"""What a broker's error means: what it concerns, and what to do about it.

A broker refuses a whole batch, with one code, for one bad record in it. The client (aiokafka 0.14) retries by itself
what may succeed later. It knows the codes up to 72: later ones, such as INVALID_RECORD (87), come as UnknownError.
"""

from enum import Enum, auto
from typing import Final

from aiokafka import errors
from aiokafka.errors import KafkaError

from domain.ports.publisher import Refusal, Scope


class Family(Enum):
    """What an error concerns."""

    SIZE = auto()
    """The size of a record or of the batch: smaller batches show which."""
    RECORD = auto()
    """Most likely one record: we search for it."""
    CLOCK = auto()
    """The time-stamps, from this machine's clock: we search for the record, then report the clock."""
    TOPIC = auto()
    """Every message of this topic, until somebody repairs the topic."""
    PARTITION = auto()
    """Every message of this partition, until brokers are back. The client retries most of these by itself."""
    PRODUCER = auto()
    """This producer or the cluster: a new producer is needed."""


_GROUPS: Final[dict[Family, tuple[type[KafkaError], ...]]] = {
    Family.SIZE: (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError),
    Family.RECORD: (
        errors.CorruptRecordException,
        # A policy on records, as hosted brokers have. A policy on topics never refuses a produce request.
        errors.PolicyViolationError,
        # Every code that the client does not know, such as INVALID_RECORD (no key on a compacted topic, a schema that
        # the broker validates) and UNSUPPORTED_COMPRESSION_TYPE. Also a failure inside the broker.
        errors.UnknownError,
    ),
    Family.CLOCK: (errors.InvalidTimestampError,),
    Family.TOPIC: (
        errors.InvalidTopicError,
        errors.TopicAuthorizationFailedError,
        errors.InvalidRequiredAcksError,
        errors.UnsupportedForMessageFormatError,
    ),
    Family.PARTITION: (
        errors.UnknownTopicOrPartitionError,
        errors.LeaderNotAvailableError,
        errors.NotLeaderForPartitionError,
        errors.RequestTimedOutError,
        errors.ReplicaNotAvailableError,
        errors.NotEnoughReplicasError,
        errors.NotEnoughReplicasAfterAppendError,
        errors.KafkaStorageError,
        errors.LogDirNotFound,
        errors.ListenerNotFound,
    ),
    Family.PRODUCER: (
        errors.BrokerNotAvailableError,
        errors.ClusterAuthorizationFailedError,
        errors.UnsupportedSaslMechanismError,
        errors.IllegalSaslStateError,
        errors.SaslAuthenticationFailed,
        errors.SecurityDisabled,
        errors.UnsupportedVersionError,
        errors.InvalidRequestError,
        errors.OutOfOrderSequenceNumber,
        errors.DuplicateSequenceNumber,
        errors.UnknownProducerId,
        errors.InvalidProducerEpoch,
        errors.InvalidProducerIdMapping,
        errors.InvalidTxnState,
        errors.TransactionalIdAuthorizationFailed,
    ),
}
FAMILIES: Final = {error: family for family, group in _GROUPS.items() for error in group}

_WHY: Final[dict[type[KafkaError], str]] = {
    errors.CorruptRecordException: "the broker finds the record corrupt: check the network and the broker's disks",
    errors.PolicyViolationError: "a policy of the broker forbids it: change the policy",
    errors.UnknownError: (
        "the broker refuses the record, by a code that its client cannot name (INVALID_RECORD, if the topic is "
        "compacted and the record has no key): check cleanup.policy of the topic and the broker's log"
    ),
    errors.TopicAuthorizationFailedError: "not allowed to write to this topic: grant this user WRITE on it",
    errors.InvalidRequiredAcksError: "the topic does not take acks=all: check its min.insync.replicas",
    errors.UnsupportedForMessageFormatError: "the topic has an old message format: set message.format.version anew",
    errors.InvalidTopicError: "no valid topic: check PAYMENTS_TOPIC_PREFIX",
}
_TOO_LARGE: Final = "larger than the topic takes: raise max.message.bytes of the topic, or mend the message"
_CLOCK: Final = (
    "its time-stamp differs too much from the broker's clock: set the clocks of this machine and the brokers"
)


def family_of(error: BaseException) -> Family:
    """Return what an error concerns. An error that no broker gives to a produce request concerns the producer."""
    return FAMILIES.get(type(error), Family.PRODUCER)


def refusal_of(error: BaseException, scope: Scope) -> Refusal:
    """Return a broker's error as a refusal: what is wrong, and what to do."""
    family = family_of(error)
    if family is Family.SIZE:
        return Refusal(_TOO_LARGE, scope)
    if family is Family.CLOCK:
        return Refusal(_CLOCK, scope, "clock_wrong")
    return Refusal(_WHY.get(type(error), type(error).__name__), scope)
