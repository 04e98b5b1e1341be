"""Verifies an audit export by other hands than ours: SHA-256 from Python, Ed25519 from `cryptography`, the rules from
docs/audit.md. Shares no line with the gateway's own verifier.

usage: verify.py EXPORT PUBLIC_KEYS    PUBLIC_KEYS: a JWK or a JWK Set
Prints a line of JSON for each fault and one with the sum. Ends with 0 if there is none, 1 if there is one, 2 if it
could not look.
"""

import base64
import hashlib
import json
import sys
import uuid
from datetime import date, datetime, timedelta, timezone

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "stagedoor/audit-export/1"
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def from_base64url(text):
    if not isinstance(text, str) or "=" in text:
        raise ValueError("it is no base64url without padding")
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def from_hex(text, length=32):
    if not isinstance(text, str) or len(text) != 2 * length or text != text.lower():
        raise ValueError(f"it is no {length} bytes in hexadecimal")
    return bytes.fromhex(text)


def big_endian(number, length):
    return number.to_bytes(length, "big", signed=True)


def read_keys(path):
    """Key id -> public key, of a JWK or a JWK Set (RFC 7517, RFC 8037)."""
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    keys = {}
    for jwk in document.get("keys", [document]):
        if jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519":
            raise ValueError("a key is not of Ed25519")
        keys[uuid.UUID(jwk["kid"])] = Ed25519PublicKey.from_public_bytes(from_base64url(jwk["x"]))
    if not keys:
        raise ValueError("there is no key")
    return keys


def without_doubles(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def parse(line):
    value = json.loads(line.decode("utf-8"), object_pairs_hook=without_doubles)
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    return value


class Verifier:
    """Reads an export from its first line to its last."""

    def __init__(self, keys):
        self.keys = keys
        self.faults = []
        self.records = self.erased = self.checkpoints = 0
        self.tenant = self.header_digest = None
        # Lines that no mark was read for yet.
        self.unmarked = []
        # The chain under way: its day, its last sequence number and hash; and the day that comes next.
        self.day = self.first_day = self.next_day = self.last_day = None
        self.seq = 0
        self.hash = b""
        # Checkpoints by number, the numbers that the header promises, and the records that they are held against.
        self.line_of_checkpoints = {}
        self.wanted = set()
        self.hashes = {}

    def fault(self, kind, day=None, seq=None, line=None, number=None):
        place = {"kind": kind, "day": day and day.isoformat(), "seq": seq, "line": line, "checkpoint": number}
        self.faults.append({name: value for name, value in place.items() if value is not None})

    def file(self, path):
        digest = hashlib.sha256()
        pending, number = None, 0
        with open(path, "rb") as file:
            for line in file:
                # The last line is not under its own digest, so each is held back until there is another.
                if pending is not None:
                    digest.update(pending)
                    number += 1
                    self.line(pending, number)
                pending = line
        self.end_of_days()
        self.check_checkpoints(self.first_day)
        if self.unmarked:
            self.fault("altered", line=self.unmarked[0][0])
        if pending is None:
            self.fault("manifest")
        else:
            self.manifest(pending, number, digest.hexdigest())

    def line(self, raw, number):
        text = raw.removesuffix(b"\n")
        try:
            line = parse(text)
            if number == 1:
                self.header(line, text)
            elif set(line) == {"mark"}:
                self.mark(line["mark"], number)
                return
            elif set(line) == {"record"}:
                self.record(line["record"])
            elif set(line) == {"head"}:
                self.head(line["head"])
            elif set(line) == {"checkpoint"}:
                self.checkpoint(line["checkpoint"])
            else:
                raise ValueError("it is of no known kind")
        except (ValueError, KeyError, TypeError, OverflowError, AttributeError):
            self.fault("malformed", line=number)
        if number > 1:
            self.unmarked.append((number, hashlib.sha256(text).digest()[:16]))

    def header(self, header, text):
        if header["format"] != FORMAT:
            raise ValueError("it is no audit export")
        self.tenant = uuid.UUID(header["tenant"])
        self.header_digest = hashlib.sha256(text).digest()
        self.first_day = self.next_day = date.fromisoformat(header["from"])
        self.last_day = date.fromisoformat(header["to"])
        if header["checkpoints"] is not None:
            first, last = header["checkpoints"]
            self.wanted = set(range(first, last + 1))

    def mark(self, mark, number):
        """The lines since the mark before are those that were written."""
        lines, self.unmarked = self.unmarked, []
        digests = bytes.fromhex(mark["digests"])
        first, key_id = int(mark["first_line"]), uuid.UUID(mark["key_id"])
        message = b"stagedoor/audit-export-mark/1" + self.header_digest + big_endian(first, 8) + digests
        if not self.signed(key_id, from_hex(mark["signature"], 64), message):
            self.fault("altered", line=number)
            return
        written = {first + index: digests[index * 16 : index * 16 + 16] for index in range(len(digests) // 16)}
        for line, digest in lines:
            if written.pop(line, None) != digest:
                self.fault("altered", line=line)
        for line in written:
            self.fault("altered", line=line)

    def go_to(self, day):
        """Ends the days before `day` and begins it."""
        if self.tenant is None or day > self.last_day:
            raise ValueError("it is of no day of the export")
        while self.day is not None and self.day < day:
            self.fault("head", self.day, self.seq)
            self.end_day()
        while self.day is None:
            first = self.next_day
            if first > day:
                raise ValueError("its day is over")
            genesis = b"stagedoor/audit-chain/1" + self.tenant.bytes + first.isoformat().encode()
            self.day, self.seq, self.hash = first, 0, hashlib.sha256(genesis).digest()
            if first < day:
                self.fault("head", first, 0)
                self.end_day()
        if self.day != day:
            raise ValueError("its day is over")

    def end_day(self):
        self.day, self.next_day = None, self.day + timedelta(days=1)

    def end_of_days(self):
        if self.tenant is None:
            self.fault("malformed", line=1)
            return
        while self.next_day <= self.last_day or self.day is not None:
            if self.day is None:
                self.go_to(self.next_day)
            self.fault("head", self.day, self.seq)
            self.end_day()

    def record(self, record):
        day, seq = date.fromisoformat(record["day"]), int(record["seq"])
        self.go_to(day)
        stored, previous = from_hex(record["hash"]), from_hex(record["previous_hash"])
        commitment, microseconds = from_hex(record["commitment"]), int(record["at"])
        link = previous + big_endian(seq, 8) + big_endian(microseconds, 8)
        link += big_endian(int(record["type"]), 2) + commitment
        if seq != self.seq + 1:
            self.fault("gap", day, seq)
        if previous != self.hash:
            self.fault("previous_hash", day, seq)
        if stored != hashlib.sha256(link).digest():
            self.fault("hash", day, seq)
        if (EPOCH + timedelta(microseconds=microseconds)).date() != day:
            self.fault("foreign", day, seq)
        if not self.payload_fits(record, commitment):
            self.fault("payload", day, seq)
        self.records += 1
        self.seq, self.hash = seq, stored
        self.hashes[(day, seq)] = stored

    def payload_fits(self, record, commitment):
        if "missing" in record:
            self.erased += 1
            return record["missing"] == "erased" and "payload" not in record
        payload = record["payload"].encode()
        if hashlib.sha256(from_hex(record["salt"]) + payload).digest() != commitment:
            return False
        return uuid.UUID(parse(payload)["event_id"]) == uuid.UUID(record["call"])

    def head(self, head):
        day, seq = date.fromisoformat(head["day"]), int(head["seq"])
        self.go_to(day)
        if seq != self.seq or from_hex(head["hash"]) != self.hash:
            self.fault("head", day, seq)
        self.end_day()

    def checkpoint(self, checkpoint):
        number, day = int(checkpoint["number"]), date.fromisoformat(checkpoint["day"])
        seq, chain = int(checkpoint["seq"]), from_hex(checkpoint["hash"])
        previous, key_id = from_hex(checkpoint["previous_digest"]), uuid.UUID(checkpoint["key_id"])
        message = b"stagedoor/audit-checkpoint/1" + self.tenant.bytes + day.isoformat().encode()
        message += big_endian(seq, 8) + chain + big_endian(number, 8) + previous
        message += big_endian(int(checkpoint["signed_at"]), 8) + key_id.bytes
        signature = from_hex(checkpoint["signature"], 64)
        if uuid.UUID(checkpoint["tenant"]) != self.tenant:
            self.fault("foreign", day, seq, number=number)
        if not self.signed(key_id, signature, message):
            self.fault("checkpoint", day, seq, number=number)
        if number not in self.wanted or number in self.line_of_checkpoints:
            self.fault("checkpoint_chain", day, seq, number=number)
        self.checkpoints += 1
        digest = hashlib.sha256(message + signature).digest()
        self.line_of_checkpoints[number] = (day, seq, chain, previous, digest)

    def check_checkpoints(self, first_day):
        """Every number once, each following the one before it and naming a record that has that hash."""
        before = None
        if self.tenant is not None and 1 in self.wanted:
            before = hashlib.sha256(b"stagedoor/audit-checkpoints/1" + self.tenant.bytes).digest()
        for number in sorted(self.wanted):
            if number not in self.line_of_checkpoints:
                self.fault("checkpoint_chain", number=number)
                before = None
                continue
            day, seq, chain, previous, digest = self.line_of_checkpoints[number]
            if before is not None and previous != before:
                self.fault("checkpoint_chain", day, seq, number=number)
            if first_day <= day <= self.last_day and self.hashes.get((day, seq)) != chain:
                self.fault("checkpoint", day, seq, number=number)
            before = digest

    def signed(self, key_id, signature, message):
        key = self.keys.get(key_id)
        if key is None:
            return False
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def manifest(self, raw, lines, digest):
        begin, middle, end = b'{"manifest":', b',"signature":"', b'"}\n'
        split = raw.rfind(middle)
        if not raw.startswith(begin) or not raw.endswith(end) or split < 0:
            self.fault("manifest")
            return
        text, signature = raw[len(begin) : split], raw[split + len(middle) : -len(end)]
        try:
            manifest = parse(text)
            message = b"stagedoor/signed-lines/1\n" + text
            holds = (
                manifest["algorithm"] == "Ed25519"
                and manifest["lines"] == lines
                and manifest["sha256"] == digest
                and self.signed(uuid.UUID(manifest["key_id"]), from_base64url(signature.decode()), message)
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            holds = False
        if not holds:
            self.fault("manifest")


def main(arguments):
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    export, keys = arguments
    try:
        verifier = Verifier(read_keys(keys))
        verifier.file(export)
    except (OSError, ValueError, KeyError) as error:
        print(f"verify.py: {error}", file=sys.stderr)
        return 2
    for fault in verifier.faults:
        print(json.dumps(fault))
    summary = {"records": verifier.records, "erased": verifier.erased, "checkpoints": verifier.checkpoints}
    print(json.dumps({**summary, "faults": len(verifier.faults)}))
    return 1 if verifier.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
