"""A client of /events: reads Server-Sent Events as a browser would, with a deadline."""
import http.client
import json

from node import UNVERIFIED


class EventStream:
    """with EventStream(node, subscription) as stream: stream.next()"""

    def __init__(self, node, subscription, login=None, timeout=15):
        self.connection = http.client.HTTPSConnection(node.address, node.port, context=UNVERIFIED, timeout=timeout)
        self.connection.request("GET", f"/events?subscription={subscription}", headers={"Authorization": login or node.basic()})
        self.answer = self.connection.getresponse()
        self.status = self.answer.status
        if self.status == 200:
            assert self.answer.getheader("Content-Type") == "text/event-stream"
            self.answer.readline()  # the greeting: the subscription is open now
            self.answer.readline()

    def next(self):
        """(kind, data, id, comments) of the next event; None when the stream has ended."""
        kind, data, number, comments = "message", "", None, []
        while True:
            line = self.answer.readline().decode()
            if not line:
                return None
            line = line.rstrip("\n")
            if not line:
                if data:
                    return kind, json.loads(data), number, comments
            elif line.startswith(":"):
                comments.append(line[1:].strip())
            elif line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                data += line[6:]
            elif line.startswith("id: "):
                number = int(line[4:])

    def until(self, wanted):
        """All events up to the first that wanted(kind, data) is true for."""
        seen = []
        while True:
            event = self.next()
            if event is None:
                raise AssertionError(f"the stream ended after {seen}")
            seen.append(event)
            if wanted(event[0], event[1]):
                return seen

    def close(self):
        # The answer holds the socket too.
        self.answer.close()
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
