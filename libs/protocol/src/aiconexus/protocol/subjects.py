"""
Every NATS subject of the project: no other file holds one.

``<token>`` is the multibase part of a did:key, letters and digits only, so foreign text never reaches a subject.
"""

from aiconexus.protocol.did import token_in

ROOT = "aicx.v1"
PARTITIONS = 16
"""Logical partitions of the mailbox, fixed from the first day so that streams can be split later."""

_SEND_PARTS = 6


def send(token: str, service: str, verb: str) -> str:
    """Where the agent ``token`` asks a service for something."""
    return f"{ROOT}.send.{token}.{service}.{verb}"


def sends_to(service: str, verb: str = "*") -> str:
    """What a service subscribes to in its queue group."""
    return f"{ROOT}.send.*.{service}.{verb}"


def sends_of(token: str) -> str:
    """All that one agent may publish on."""
    return f"{ROOT}.send.{token}.>"


def all_sends() -> str:
    """What the services export to the agents' account."""
    return f"{ROOT}.send.>"


def sender_of(subject: str) -> tuple[str, str, str]:
    """
    Take a send subject apart.

    Returns:
        The agent's token, the service and the verb.

    Raises:
        ValueError: If it is no send subject.

    """
    parts = subject.split(".")
    if len(parts) != _SEND_PARTS or not subject.startswith(f"{ROOT}.send."):
        message = f"not a send subject: {subject}"
        raise ValueError(message)
    return parts[3], parts[4], parts[5]


def inbox(token: str, kind: str) -> str:
    """Where an agent listens: ``msg`` is the copy of its mailbox, ``live`` what nobody stores."""
    return f"{ROOT}.inbox.{token}.{kind}"


def inbox_mail(token: str) -> str:
    """The live copy of the mailbox."""
    return inbox(token, "msg")


def inbox_live(token: str) -> str:
    """Envelopes that nobody stores."""
    return inbox(token, "live")


def inbox_of(token: str) -> str:
    """All that one agent may subscribe to."""
    return inbox(token, ">")


def inbox_replies(token: str) -> str:
    """The prefix of an agent's reply subjects."""
    return inbox(token, "r")


def all_inboxes() -> str:
    """What the agents' account imports."""
    return f"{ROOT}.inbox.>"


def presence(token: str) -> str:
    """Where identity tells that an agent came or went."""
    return f"{ROOT}.presence.{token}"


def told_of(subject: str) -> str:
    """The token of the agent that a presence subject tells of."""
    return subject.rsplit(".", 1)[-1]


def all_presence() -> str:
    """Every agent's coming and going."""
    return f"{ROOT}.presence.*"


def mailbox(token: str) -> str:
    """Where relay publishes what is to be stored for an agent."""
    return f"{ROOT}.mailbox.{token}"


def all_mailboxes() -> str:
    """What the mailbox stream takes in."""
    return f"{ROOT}.mailbox.*"


def stored(token: str) -> str:
    """The subject under which the stream keeps the agent's envelopes."""
    return f"{ROOT}.mbx.{partition(token)}.{token}"


def all_stored() -> str:
    """Everything that the mailbox stream keeps."""
    return f"{ROOT}.mbx.*.*"


def stored_transform() -> str:
    """The stream's transform from ``mailbox`` to ``stored``, in the server's notation."""
    return f"{ROOT}.mbx.{{{{partition({PARTITIONS},1)}}}}.{{{{wildcard(1)}}}}"


def stored_republish() -> str:
    """Where the stream republishes what it stored, in the server's notation."""
    return f"{ROOT}.inbox.{{{{wildcard(2)}}}}.msg"


def token_of_stored(subject: str) -> str:
    """The recipient's token of a stored envelope."""
    return subject.rsplit(".", 1)[1]


def job_key(sender: str, id_: str) -> str:
    """A job in a subject: ids may hold dots, subjects count them, and no id holds an equals sign."""
    return f"{sender}.{id_.replace('.', '=')}"


def retry_timer(key: str) -> str:
    """Where a job's one timer waits; ``key`` is a ``job_key`` and the recipient's token."""
    return f"{ROOT}.retry.at.{key}"


def retry_due(number: int) -> str:
    """Where timers go off, in as many parts as the mailbox has."""
    return f"{ROOT}.retry.due.{number}"


def retry_dues() -> str:
    """Where any timer goes off."""
    return f"{ROOT}.retry.due.*"


def all_retries() -> str:
    """All that the stream of timers takes in."""
    return f"{ROOT}.retry.>"


def job(kind: str, key: str) -> str:
    """Where a job's ``record`` or ``letter`` is kept; the key may hold wildcards."""
    return f"{ROOT}.job.{kind}.{key}"


def all_jobs() -> str:
    """All that the stream of jobs takes in."""
    return f"{ROOT}.job.>"


def dead_letter(key: str) -> str:
    """Where a dead letter is kept; the key may hold wildcards."""
    return f"{ROOT}.dead.{key}"


def all_dead_letters() -> str:
    """All that the stream of dead letters takes in."""
    return f"{ROOT}.dead.>"


def service(name: str, verb: str) -> str:
    """Where services ask each other."""
    return f"{ROOT}.svc.{name}.{verb}"


def service_verbs(name: str) -> str:
    """All that a service answers to other services."""
    return f"{ROOT}.svc.{name}.*"


def service_inbox(name: str) -> str:
    """The prefix of a service's reply subjects: nobody else may listen there."""
    return f"_INBOX.{name}"


def account_events(account: str, event: str) -> str:
    """The server's own CONNECT and DISCONNECT events of an account."""
    return f"$SYS.ACCOUNT.{account}.{event}"


def login_requests() -> str:
    """Where the server asks the auth callout."""
    return "$SYS.REQ.USER.AUTH"


def server_ping(endpoint: str) -> str:
    """Where every server of the cluster answers: CONNZ, STATSZ and others."""
    return f"$SYS.REQ.SERVER.PING.{endpoint}"


def server_request(server: str, endpoint: str) -> str:
    """Where one server, known by its id, answers: KICK and others."""
    return f"$SYS.REQ.SERVER.{server}.{endpoint}"


def stream_api(verb: str, stream: str) -> str:
    """JetStream's own API: CREATE, UPDATE, INFO, PURGE."""
    return f"$JS.API.STREAM.{verb}.{stream}"


def stream_message_api(verb: str, stream: str) -> str:
    """JetStream's API for one message: DELETE, GET."""
    return f"$JS.API.STREAM.MSG.{verb}.{stream}"


def direct_get(stream: str) -> str:
    """Reads without a consumer."""
    return f"$JS.API.DIRECT.GET.{stream}"


def direct_last(stream: str, subject: str) -> str:
    """Where the newest message of a subject is read."""
    return f"{direct_get(stream)}.{subject}"


def consumer_create(stream: str, consumer: str) -> str:
    """JetStream's API that creates or changes a consumer."""
    return f"$JS.API.CONSUMER.CREATE.{stream}.{consumer}"


def consumer_next(stream: str, consumer: str) -> str:
    """Where a pull consumer is asked for messages."""
    return f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"


def consumer_acks(stream: str, consumer: str) -> str:
    """Where messages of a consumer are acknowledged."""
    return f"$JS.ACK.{stream}.{consumer}.>"


def bucket_stream(bucket: str) -> str:
    """The stream below a bucket."""
    return f"KV_{bucket}"


def bucket_key(bucket: str, key: str) -> str:
    """Where a bucket's key is written."""
    return f"$KV.{bucket}.{key}"


def bucket_key_read(bucket: str, key: str) -> str:
    """Where the newest value of a bucket's key is read."""
    return f"{direct_get(bucket_stream(bucket))}.{bucket_key(bucket, key)}"


def bucket_changes(bucket: str) -> str:
    """Where a bucket tells what was written, once it is."""
    return f"{ROOT}.bucket.{bucket}.>"


def key_of(subject: str, bucket: str) -> str:
    """The key in a bucket's subject."""
    return subject.removeprefix(bucket_key(bucket, ""))


def partition(token: str) -> int:
    """The server's ``partition(16,1)``: FNV-1a of 32 bits over the token."""
    value = 2166136261
    for byte in token.encode():
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return value % PARTITIONS


def mailbox_of(did: str) -> str:
    """
    Where relay publishes for a DID.

    Raises:
        InvalidDid: If the DID is not acceptable.

    """
    return mailbox(token_in(did))
