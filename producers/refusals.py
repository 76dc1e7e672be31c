"""What a broker's error says about a batch: whom it concerns, and what to do about it.

A broker refuses a whole batch, with one code, for one bad record in it. The client (aiokafka 0.14) repeats by itself
what may pass, and knows the codes up to 72: later ones, INVALID_RECORD (87) above all, come as UnknownError.
"""

from enum import Enum, auto
from typing import Final

from aiokafka import errors
from aiokafka.errors import KafkaError

from domain.ports.publisher import Refusal, Scope


class Family(Enum):
    """Whom an error concerns."""

    SIZE = auto()
    """A record, or the batch as a whole: smaller batches tell."""
    RECORD = auto()
    """One record, most likely: it is looked for."""
    CLOCK = auto()
    """The time-stamps, which are this machine's clock: the record is looked for, then the clock is blamed."""
    TOPIC = auto()
    """All that goes to this topic, until somebody mends it."""
    PARTITION = auto()
    """All that goes to this partition, until brokers are back. The client repeats most of these by itself."""
    PRODUCER = auto()
    """This producer, or the cluster: a new producer starts over."""


_GROUPS: Final[dict[Family, tuple[type[KafkaError], ...]]] = {
    Family.SIZE: (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError),
    Family.RECORD: (
        errors.CorruptRecordException,
        # A broker's own policy on records, as hosted brokers have them; a policy on topics never answers a produce.
        errors.PolicyViolationError,
        # Every code that the client does not know: INVALID_RECORD (a compacted topic and no key, a schema that the
        # broker validates), UNSUPPORTED_COMPRESSION_TYPE; and a failure inside the broker.
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
    """Say whom an error concerns. What no broker answers to a produce concerns the producer."""
    return FAMILIES.get(type(error), Family.PRODUCER)


def refusal_of(error: BaseException, scope: Scope) -> Refusal:
    """Put a broker's refusal into words."""
    family = family_of(error)
    if family is Family.SIZE:
        return Refusal(_TOO_LARGE, scope)
    if family is Family.CLOCK:
        return Refusal(_CLOCK, scope, "clock_wrong")
    return Refusal(_WHY.get(type(error), type(error).__name__), scope)
