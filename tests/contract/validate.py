"""Holds recorded exchanges against the providers' own descriptions, with openapi-core.

usage: validate.py OPENAPI_FOLDER RECORDS_FOLDER

Every answer is checked, and every request that Stagedoor itself sent; what tests sent by hand, to see it refused, is
not Stagedoor's. Equal exchanges are checked once. Last line: the counts; exit 1 if anything violates a description.
"""

import json
import multiprocessing
import sys
import warnings
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qsl

from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest, MockResponse

HERE = Path(__file__).parent
DESCRIPTIONS = {
    "spotify": ("spotify-current.slim.json", "/v1"),
    "tidal": ("tidal-third-party.slice.json", "/v2"),
}
# Of the application that sent a request; only Spotify makes a difference.
MODES = ("development", "extended")
HOST = "https://sandbox.invalid"
METHODS = ("get", "put", "post", "delete", "patch")
SHOWN = 20


class Contract:
    """One provider's description, amended by the exemptions that are written down with their reasons."""

    def __init__(self, folder, provider, mode, exemptions):
        name, base = DESCRIPTIONS[provider]
        description = json.loads((folder / name).read_text())
        description["servers"] = [{"url": HOST + base}]
        self.exempt = set()
        for exemption in exemptions:
            if exemption["provider"] != provider or exemption.get("mode", mode) != mode:
                continue
            if "unchecked" in exemption:
                self.exempt.add(exemption["unchecked"])
            else:
                amend(description, exemption)
        self.parameters = dict(parameters_of(description))
        # The description is a cut of a larger one; it is the exchanges that are in question here.
        self.openapi = OpenAPI.from_dict(description, config=Config(spec_validator_cls=None))

    def violations(self, exchange):
        """What is wrong with an exchange, each in a sentence, apart for the request and the answer."""
        request = request_of(exchange)
        wrong_request, wrong_answer = [], []
        if is_own(exchange):
            wrong_request += problems(lambda: self.openapi.validate_request(request))
            wrong_request += self.unknown_parameters(request, exchange)
        if self.checks_answer(exchange):
            answer = answer_of(exchange["answer"])
            wrong_answer += problems(lambda: self.openapi.validate_response(request, answer))
        return wrong_request, wrong_answer

    def checks_answer(self, exchange):
        """Whether there is an answer to an operation of the description; tests also ask for what must not be there."""
        if not exchange["answer"] or any(name in self.exempt for name, _ in parse_qsl(exchange["query"] or "")):
            return False
        return is_own(exchange) or self.template(exchange) in self.parameters

    def unknown_parameters(self, request, exchange):
        """Query parameters that the operation does not have; openapi-core lets these pass."""
        known = self.parameters.get(self.template(exchange))
        if known is None:
            return [f"{exchange['operation']} is no operation of the description"]
        return [
            f"the operation has no parameter {name}"
            for name, _ in request.parameters.query.items(multi=True)
            if name not in known
        ]

    def template(self, exchange):
        """The operation as the description writes it."""
        operation = exchange["operation"]
        renamed = operation.replace("/playlists/{id}", "/playlists/{playlist_id}")
        return renamed if renamed in self.parameters else operation


def amend(description, exemption):
    """Applies one exemption: answers that are not listed, a discriminator without its mapping, a parameter's bound."""
    if "maximum" in exemption:
        for path in exemption["paths"]:
            for parameter in description["paths"][path]["get"]["parameters"]:
                if parameter.get("name") == exemption["parameter"]:
                    parameter["schema"]["maximum"] = exemption["maximum"]
        return
    if "mapping" in exemption:
        def walk(node):
            if isinstance(node, dict):
                if isinstance(node.get("discriminator"), dict):
                    node["discriminator"].setdefault("mapping", exemption["mapping"])
                node = list(node.values())
            if isinstance(node, list):
                for inner in node:
                    walk(inner)

        walk(description)
        return
    for path, item in description["paths"].items():
        if path not in exemption.get("paths", [path]):
            continue
        for method in METHODS:
            if method in item and method in exemption.get("methods", [method]):
                responses = item[method]["responses"]
                for status in exemption["statuses"]:
                    if status not in responses or exemption.get("replaces"):
                        responses[status] = exemption["answer"]


def parameters_of(description):
    """Names of query parameters by operation."""
    for path, item in description["paths"].items():
        for method in METHODS:
            if method in item:
                listed = item.get("parameters", []) + item[method].get("parameters", [])
                resolved = [resolve(description, one) for one in listed]
                yield f"{method.upper()} {path}", {one["name"] for one in resolved if one["in"] == "query"}


def resolve(description, node):
    while "$ref" in node:
        target = description
        for name in node["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        node = target
    return node


def is_own(exchange):
    return any(name == "user-agent" and value.startswith("stagedoor/") for name, value in exchange["headers"])


def request_of(exchange):
    headers = {**dict(exchange["headers"]), "authorization": "Bearer left-out"}
    return MockRequest(
        HOST,
        exchange["method"],
        exchange["path"],
        args=parse_qsl(exchange["query"] or "", keep_blank_values=True),
        headers=headers,
        data=exchange["body"].encode() or None,
        content_type=headers.get("content-type", "").split(";")[0],
    )


def answer_of(answer):
    headers = dict(answer["headers"])
    content_type = headers.get("content-type", "").split(";")[0]
    return MockResponse(answer["body"].encode(), answer["status"], headers, content_type)


def problems(check):
    try:
        check()
    except Exception as error:  # openapi-core raises many kinds; each is a violation.
        inner = getattr(error.__cause__, "schema_errors", None) or getattr(error, "schema_errors", None)
        if inner:
            return [f"{one.message[:300]} at /{'/'.join(map(str, one.absolute_path))}" for one in list(inner)[:5]]
        causes, cause = [], error
        while cause is not None and len(causes) < 4:
            causes.append(f"{type(cause).__name__}: {str(cause)[:300]}")
            cause = cause.__cause__
        return [" <- ".join(causes)]
    return []


def read(folder):
    """Every exchange, equal ones once; how often each was seen does not matter."""
    seen = {}
    for file in sorted(folder.glob("*.jsonl")):
        # Not `splitlines`, which also ends lines where titles hold rare characters.
        for line in filter(None, file.read_text().split("\n")):
            exchange = json.loads(line)
            answer = exchange["answer"] or {}
            key = tuple(exchange[name] for name in ("provider", "mode", "method", "path", "query", "body"))
            seen.setdefault((key, is_own(exchange), answer.get("status"), answer.get("body")), exchange)
    return list(seen.values())


contracts = {}


def prepare(folder):
    exemptions = json.loads((HERE / "exemptions.json").read_text())
    for provider in DESCRIPTIONS:
        for mode in MODES:
            contracts[provider, mode] = Contract(folder, provider, mode, exemptions)


def judge(exchange):
    """The exchange, whether its answer was checked, and what is wrong with both halves."""
    contract = contracts[exchange["provider"], exchange["mode"]]
    checked = contract.checks_answer(exchange)
    return exchange, checked, *contract.violations(exchange)


def notices_nothing(exchanges):
    """Which of three broken copies of an exchange the check lets pass; a check that cannot fail proves nothing."""
    good = next((one for one in exchanges if is_own(one) and judge(one)[1] and one["answer"]["status"] == 200), None)
    if good is None:
        return []
    query = "&".join(filter(None, [good["query"], "made_up=1"]))
    answer = good["answer"]
    broken = {
        "an unknown parameter": {**good, "query": query},
        "an unknown status": {**good, "answer": {**answer, "status": 299}},
        "an answer of another shape": {**good, "answer": {**answer, "body": "[1]"}},
    }
    return [what for what, exchange in broken.items() if not any(judge(exchange)[2:])]


def main():
    # The scheme is OAuth's, which openapi-core does not know; the sandbox checks tokens itself.
    warnings.filterwarnings("ignore", message="Unsupported scheme type")
    folder, records = Path(sys.argv[1]), Path(sys.argv[2])
    exchanges = read(records)
    requests, answers, bad, operations = Counter(), Counter(), Counter(), {name: set() for name in DESCRIPTIONS}
    prepare(folder)
    with multiprocessing.get_context("fork").Pool() as pool:
        for exchange, checked, wrong_request, wrong_answer in pool.imap_unordered(judge, exchanges, chunksize=64):
            provider = exchange["provider"]
            requests[provider] += is_own(exchange)
            answers[provider] += checked
            if is_own(exchange) and exchange["answer"]:
                operations[provider].add(exchange["operation"])
            for what, wrong in (("request", wrong_request), ("answer", wrong_answer)):
                if not wrong:
                    continue
                bad[provider] += 1
                if bad[provider] <= SHOWN:
                    status = (exchange["answer"] or {}).get("status", "no answer")
                    query = f"?{exchange['query']}" if exchange["query"] else ""
                    print(f"{provider} {what}: {exchange['method']} {exchange['path']}{query} -> {status}")
                    for one in wrong:
                        print(f"    {one}")
    for provider in DESCRIPTIONS:
        print(f"{provider}: {len(operations[provider])} operations: {', '.join(sorted(operations[provider]))}")
    counts = "; ".join(
        f"{provider} {requests[provider]} requests {answers[provider]} answers, {bad[provider]} violations"
        for provider in DESCRIPTIONS
    )
    print(f"CONTRACT {counts}")
    empty = [provider for provider in DESCRIPTIONS if not requests[provider] or not answers[provider]]
    if empty:
        print(f"nothing was recorded of {', '.join(empty)}", file=sys.stderr)
    missed = notices_nothing(exchanges)
    if missed:
        print(f"the check itself does not notice {', '.join(missed)}", file=sys.stderr)
    return 1 if bad.total() or empty or missed else 0


if __name__ == "__main__":
    sys.exit(main())
